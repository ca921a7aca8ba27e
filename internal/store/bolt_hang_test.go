package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// short is a patience that tests can exhaust. So many batches one after the
// other, each waiting for it, would take far longer than a test allows.
const (
	short   = 50 * time.Millisecond
	patient = 200
)

// stick makes whatever is written next hang until the function it returns is
// called: the file is gone, and opening another one does not return.
func (d *disk) stick(path string) (release func()) {
	d.t.Helper()
	must(d.t, os.Remove(path))
	hang := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang = hang
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hang = nil
		close(hang)
	})
}

// told is what an owner was told, in order.
type told struct {
	mu    sync.Mutex // guards what follows
	batch []int
	errs  []error
}

// append appends batch i, whose key and value are i.
func (o *told) append(b *Bolt, i int) (done chan error) {
	done = make(chan error, 1)
	b.Append(Batch{Put: map[string][]byte{key(i): fmt.Append(nil, i)}}, func(err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.batch, o.errs = append(o.batch, i), append(o.errs, err)
		done <- err
	})
	return done
}

// check asserts that batches 0 to n-1 were reported once each and in order, all
// with ErrSlow.
func (o *told) check(t *testing.T, n int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.IsSorted(o.batch) || len(o.batch) != n || slices.Compact(o.batch)[n-1] != n-1 {
		t.Errorf("reported: %v", o.batch)
	}
	for i, err := range o.errs {
		if !errors.Is(err, ErrSlow) {
			t.Errorf("batch %d: %v", i, err)
		}
	}
}

// While the disk does not answer, everything else does; then all is written.
func TestADiskThatHangs(t *testing.T) {
	dir := filled(t)
	d := &disk{t: t}
	var b *Bolt
	faults := make(chan error, 10)
	o := BoltOptions{open: d.open, pause: soon, patience: short, Faulty: func(err error) {
		if values, _ := b.Load(""); err == nil && len(values) != 100+patient {
			t.Errorf("the fault ends with %d values", len(values))
		}
		faults <- err
	}}
	b = openAt(t, dir, o)
	release := d.stick(file(dir))
	t.Cleanup(release)

	var owner told
	start := time.Now()
	first := owner.append(b, 100)
	eventually(t, "the writer is at it", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.work != nil
	})
	second := owner.append(b, 101) // waits for the next commit
	if err := write(b, Batch{Del: []string{""}}); err != ErrKey {
		t.Errorf("a key that no store takes: %v", err)
	}
	if a, c := <-first, <-second; !errors.Is(a, ErrSlow) || !errors.Is(c, ErrSlow) {
		t.Errorf("written: %v, %v", a, c)
	}
	if took := time.Since(start); took < short {
		t.Errorf("given up after %v", took)
	}
	start = time.Now()
	for i := 102; i < 100+patient; i++ {
		<-owner.append(b, i)
	}
	if took := time.Since(start); took > patient*short/5 {
		t.Errorf("%d more took %v", patient-2, took)
	}
	if values, err := b.Load(""); err != nil || len(values) != 100 {
		t.Errorf("%d values, %v", len(values), err)
	}
	if err := <-faults; !errors.Is(err, ErrSlow) || !errors.Is(b.Fault(), ErrSlow) || len(faults) > 0 {
		t.Errorf("told %v, fault %v", err, b.Fault())
	}
	release()
	must(t, <-faults)
	must(t, b.Fault())
	must(t, write(b, Batch{Put: map[string][]byte{"more": nil}}))
	must(t, b.Close())
	owner.batch = offset(owner.batch, -100)
	owner.check(t, patient)
	if len(faults) > 0 {
		t.Errorf("told again: %v", <-faults)
	}
	again(t, dir, 100+patient+1)
}

func offset(all []int, by int) []int {
	for i := range all {
		all[i] += by
	}
	return all
}

// A disk that hangs first and then fails is one that fails; what comes meanwhile
// waits for nothing.
func TestADiskThatHangsAndFails(t *testing.T) {
	dir := filled(t)
	d := &disk{t: t}
	faults := make(chan error, 10)
	b := openAt(t, dir, BoltOptions{open: d.open, pause: soon, patience: short, Faulty: func(err error) { faults <- err }})
	release := d.stick(file(dir))
	t.Cleanup(release)
	if err := write(b, Batch{Put: map[string][]byte{"more": []byte("1")}}); !errors.Is(err, ErrSlow) {
		t.Errorf("written: %v", err)
	}
	d.mu.Lock()
	d.broken = errFull
	d.mu.Unlock()
	release()
	eventually(t, "another fault", func() bool { return errors.Is(b.Fault(), errFull) })
	if err := write(b, Batch{Put: map[string][]byte{"more": []byte("2")}}); !errors.Is(err, errFull) {
		t.Errorf("written: %v", err)
	}
	d.fail(nil)
	if err := <-faults; !errors.Is(err, ErrSlow) {
		t.Errorf("told: %v", err)
	}
	must(t, <-faults)
	must(t, b.Fault())
	values, err := b.Load("more")
	must(t, err)
	if string(values["more"]) != "2" {
		t.Errorf("written: %q", values)
	}
	must(t, write(b, Batch{Put: map[string][]byte{"more": []byte("3")}})) // waited for again
	must(t, b.Close())
	again(t, dir, 101)
}

// Close does not wait for ever, and says so. What is owed is written all the
// same if the disk answers before the process ends.
func TestCloseWhileTheDiskHangs(t *testing.T) {
	for name, before := range map[string]bool{"at once": false, "given up already": true} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			d := &disk{t: t}
			var mu sync.Mutex
			var faults []error
			b := openAt(t, dir, BoltOptions{open: d.open, patience: short, Faulty: func(err error) {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, err)
			}})
			release := d.stick(file(dir))
			t.Cleanup(release)
			var owner told
			first := owner.append(b, 0)
			if before {
				<-first
			}
			for i := 1; i < 10; i++ {
				owner.append(b, i)
			}
			b.Append(Batch{Del: []string{key(50)}}, func(error) {})
			start := time.Now()
			if err := b.Close(); !errors.Is(err, ErrSlow) {
				t.Errorf("close: %v", err)
			}
			if took := time.Since(start); took < 2*short || took > 100*short {
				t.Errorf("it took %v", took)
			}
			owner.check(t, 10)
			must(t, b.Close())
			if err := write(b, Batch{Put: map[string][]byte{"late": nil}}); err != ErrClosed {
				t.Errorf("append after Close: %v", err)
			}
			if _, err := b.Load(""); err != ErrClosed {
				t.Errorf("load after Close: %v", err)
			}
			release()
			<-b.ended
			mu.Lock()
			defer mu.Unlock()
			if len(faults) != 1 || !errors.Is(faults[0], ErrSlow) {
				t.Errorf("told: %v", faults)
			}
			again(t, dir, 99)
		})
	}
}

// However long the disk hangs, what is owed does not grow with calls that come
// and go.
func TestDebtIsBoundedWhileTheDiskHangs(t *testing.T) {
	dir := filled(t)
	d := &disk{t: t}
	b := openAt(t, dir, BoltOptions{open: d.open, pause: soon, patience: short})
	release := d.stick(file(dir))
	t.Cleanup(release)
	if err := write(b, Batch{Put: map[string][]byte{"at work": nil}}); !errors.Is(err, ErrSlow) {
		t.Errorf("written: %v", err)
	}
	for i := range 3000 {
		id := fmt.Sprintf("701/call/%d", i)
		b.Append(Batch{Put: map[string][]byte{id: nil, key(1): nil}}, func(error) {})
		b.Append(Batch{Del: []string{id, key(2), "at work"}}, func(error) {})
	}
	b.mu.Lock()
	if n := len(b.group.debt); n != 3 {
		t.Errorf("%d keys are owed", n)
	}
	b.mu.Unlock()
	release()
	eventually(t, "the fault ends", func() bool { return b.Fault() == nil })
	must(t, b.Close())
	again(t, dir, 99) // without key 2; what was at work has been deleted again
}

// Commits that take just as long as there is patience for, or a bit more, or
// less: each batch is reported once, and in order.
func TestJustTooSlow(t *testing.T) {
	dir := filled(t)
	d := &disk{t: t}
	b := openAt(t, dir, BoltOptions{open: d.open, pause: soon, patience: 20 * time.Millisecond})
	var mu sync.Mutex
	var order []int
	slow, n := 0, 0
	for round := range 30 {
		release := d.stick(file(dir))
		opened := time.AfterFunc(time.Duration(round%6)*8*time.Millisecond, release)
		for range 50 {
			i := n
			n++
			b.Append(Batch{Put: map[string][]byte{"last": fmt.Append(nil, i)}}, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
				if errors.Is(err, ErrSlow) {
					slow++
				} else if err != nil {
					t.Errorf("batch %d: %v", i, err)
				}
			})
		}
		eventually(t, "all is written", func() bool {
			v, err := b.Load("last")
			return err == nil && string(v["last"]) == fmt.Sprint(n-1) && b.Fault() == nil
		})
		opened.Stop()
		release()
	}
	must(t, b.Close())
	if !slices.IsSorted(order) || len(order) != n || len(slices.Compact(order)) != n {
		t.Errorf("%d reports of %d batches, sorted: %v", len(order), n, slices.IsSorted(order))
	}
	if slow == 0 {
		t.Error("none was too slow")
	}
	t.Logf("%d of %d were too slow", slow, n)
}
