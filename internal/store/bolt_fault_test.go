package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// soon is a pause between two tries that tests need not wait for.
const soon = 5 * time.Millisecond

// filled is a directory with a store that holds 100 values.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b := openAt(t, dir, BoltOptions{})
	put := map[string][]byte{}
	for i := range 100 {
		put[key(i)] = []byte(strings.Repeat("v", 2000))
	}
	must(t, write(b, Batch{Put: put}))
	must(t, b.Close())
	return dir
}

// Whatever is done to the file while it is in use, the next batch is written,
// and nothing is lost.
func TestDamageWhileInUse(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"removed":     os.Remove,
		"cut to none": func(path string) error { return os.Truncate(path, 0) },
		"cut in half": func(path string) error { return os.Truncate(path, 200_000) },
		"moved away":  func(path string) error { return os.Rename(path, path+".away") },
		"replaced": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("mine"), 0o644))
		},
		"all of it overwritten":        func(path string) error { return scribble(path, 0) },
		"all but its meta overwritten": func(path string) error { return scribble(path, 2*pageSize) },
		"the metas overwritten":        func(path string) error { return scribble(path, 0, 2*pageSize) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			var remade []Report
			b := openAt(t, dir, BoltOptions{Remade: func(r Report) { remade = append(remade, r) }})
			must(t, damage(file(dir)))
			must(t, write(b, Batch{Put: map[string][]byte{"more": nil}}))
			must(t, b.Close())
			if len(remade) != 1 || !errors.Is(remade[0].Why, ErrDamaged) || remade[0].Salvaged != 100 || remade[0] != b.Report() {
				t.Errorf("reported: %+v", remade)
			}
			gone := name == "removed" || name == "moved away"
			if _, err := os.Stat(remade[0].SetAside); (err == nil) == gone {
				t.Errorf("set aside %q: %v", remade[0].SetAside, err)
			}
			again(t, dir, 101)
		})
	}
}

// scribble overwrites a file from one offset to another (its end).
func scribble(path string, from int, to ...int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := int(info.Size())
	if len(to) > 0 {
		end = to[0]
	}
	_, err = f.WriteAt([]byte(strings.Repeat("nonsense", (end-from)/8)), int64(from))
	return errors.Join(err, f.Close())
}

// A page that is gone when bbolt looks at it is a signal, and becomes an error.
func TestAPageThatIsGone(t *testing.T) {
	dir := filled(t)
	f, err := openBolt(file(dir), os.OpenFile)
	must(t, err)
	must(t, os.Truncate(file(dir), 2*pageSize))
	err = f.update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(dataBucket)).Put([]byte("a"), []byte("b"))
	})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("a file without pages: %v", err)
	}
	must(t, f.close())
}

// With a full disk a store opens with what is in it, and writes its epoch, and
// what is owed, as soon as it can.
func TestOpenOnAFullDisk(t *testing.T) {
	dir := filled(t)
	d := &disk{t: t}
	d.broken = errFull
	faults := make(chan error, 10)
	b := openAt(t, dir, BoltOptions{open: d.open, pause: soon, Faulty: func(err error) { faults <- err }})
	if !errors.Is(b.Fault(), errFull) {
		t.Errorf("fault: %v", b.Fault())
	}
	values, err := b.Load("")
	must(t, err)
	if len(values) != 100 {
		t.Errorf("%d values", len(values))
	}
	if err := write(b, Batch{Put: map[string][]byte{"more": nil}}); !errors.Is(err, errFull) {
		t.Errorf("written: %v", err)
	}
	d.fail(nil)
	eventually(t, "the fault ends", func() bool { return b.Fault() == nil })
	must(t, <-faults)
	epoch := b.Epoch()
	must(t, b.Close())
	if next := openAt(t, dir, BoltOptions{}); next.Epoch() <= epoch {
		t.Errorf("epoch %d after %d", next.Epoch(), epoch)
	} else {
		must(t, next.Close())
	}
	again(t, dir, 101)
}

// A damaged file on a full disk stays where it is until there is another.
func TestADamagedFileOnAFullDisk(t *testing.T) {
	dir := filled(t)
	must(t, scribble(file(dir), 0, 2*pageSize))
	d := &disk{t: t, broken: errFull}
	remade := make(chan Report, 1)
	b := openAt(t, dir, BoltOptions{open: d.open, pause: soon, Remade: func(r Report) { remade <- r }})
	values, err := b.Load("")
	must(t, err)
	if len(values) != 100 || b.Fault() == nil || b.Report() != (Report{}) {
		t.Errorf("%d values, fault %v, report %+v", len(values), b.Fault(), b.Report())
	}
	if _, err := os.Stat(file(dir)); err != nil {
		t.Error(err)
	}
	d.fail(nil)
	if r := <-remade; r.Salvaged != 100 || r.SetAside == "" {
		t.Errorf("reported: %+v", r)
	}
	must(t, b.Close())
	again(t, dir, 100)
}

func TestAFullDiskWithoutAFile(t *testing.T) {
	d := &disk{t: t, broken: errFull}
	if b, err := Open(t.TempDir(), BoltOptions{open: d.open}); !errors.Is(err, errFull) {
		t.Errorf("opened %v, %v", b, err)
	}
}

// A file that cannot be read is set aside like one that makes no sense.
func TestAFileThatCannotBeRead(t *testing.T) {
	dir := filled(t)
	refuse := func(name string, flag int, mode os.FileMode) (*os.File, error) {
		if name == file(dir) && flag == os.O_RDONLY {
			return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EACCES}
		}
		return os.OpenFile(name, flag, mode)
	}
	b := openAt(t, dir, BoltOptions{open: refuse})
	if r := b.Report(); r.SetAside == "" || !errors.Is(r.Why, syscall.EACCES) || r.Salvaged != 0 {
		t.Errorf("reported: %+v", r)
	}
}

// While the disk is full what is owed does not grow: neither the file nor the
// memory remembers calls that came and went meanwhile.
func TestDebtIsBounded(t *testing.T) {
	d := &disk{t: t}
	b := openAt(t, filled(t), BoltOptions{open: d.open, pause: time.Hour})
	d.fail(errFull)
	var all sync.WaitGroup
	for i := range 3000 {
		all.Add(2)
		id := fmt.Sprintf("701/call/%d", i)
		b.Append(Batch{Put: map[string][]byte{id: nil, key(1): nil}}, func(error) { all.Done() })
		b.Append(Batch{Del: []string{id, key(2)}}, func(error) { all.Done() })
	}
	all.Wait()
	if err := write(b, Batch{}); !errors.Is(err, errFull) {
		t.Errorf("written: %v", err)
	}
	err := b.Close()
	if n := len(b.writer.owed); n != 2 {
		t.Errorf("%d keys are owed", n)
	}
	if err == nil || !strings.Contains(err.Error(), "2 keys were not written") {
		t.Errorf("close: %v", err)
	}
}

// What was put while the disk failed, and deleted again, does not come back
// with a commit that reached the file although its sync failed.
func TestAFailedCommitIsTakenBack(t *testing.T) {
	dir := filled(t)
	b := openAt(t, dir, BoltOptions{pause: soon})
	// The file as it is after a commit that was written and never synced.
	must(t, b.writer.file.update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(dataBucket)).Put(numbered(999), seal(nil, numbered(999), "ghost", nil))
	}))
	b.writer.file.txid-- // which is not known to have been one
	must(t, write(b, Batch{Put: map[string][]byte{"more": nil}}))
	must(t, b.Close())
	again(t, dir, 101)
}
