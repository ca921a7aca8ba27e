package store

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPowerCuts cuts the power at every system call by which a store writes its
// file, beside every mark that says what was reported, on a disk that keeps
// what was synced and, of the rest, whatever it likes; also when syncs and
// writes fail first, after which the kernel says nothing of what it has lost.
// Each time there must be a whole file with all batches that were reported, in
// order, and nothing of those that were never appended.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	for _, run := range powerRuns(t) {
		t.Run(run.Name, func(t *testing.T) {
			t.Parallel()
			p := &platter{disk: run.Before, random: rand.New(rand.NewPCG(run.Seed, 2))}
			states := powerStates(run.Seed)
			durable, appended, failures, opened := 0, 0, 0, 0
			for i, o := range run.Trace {
				switch {
				case o.Kind == "append":
					appended = int(o.Offset)
				case o.Kind == "durable":
					durable = max(durable, int(o.Offset))
				default:
					p.do(o)
				}
				if o.Err != 0 {
					failures++
				}
				for range 2 {
					image := p.cut()
					c := readContents(bytes.NewReader(image), int64(len(image)))
					if err := whole(c, states[durable:appended+1]); err != nil {
						t.Fatalf("cut after call %d of %d (%s), %d durable, %d appended: %v", i, len(run.Trace), o.Kind, durable, appended, err)
					}
					if opened++; opened%50 == 0 {
						reopen(t, image, states[durable:appended+1])
					}
				}
			}
			if durable != powerBatches {
				t.Errorf("%d of %d batches were reported durable", durable, powerBatches)
			}
			if (failures > 0) != (run.Name != "nothing fails") {
				t.Errorf("%d calls failed", failures)
			}
		})
	}
}

// whole tells whether a file has no fault and is in one of these states.
func whole(c *contents, states []map[string]string) error {
	if c.fault != nil {
		return c.fault
	}
	for _, s := range states {
		if maps.EqualFunc(s, c.values, func(a string, b stored) bool { return a == string(b.value) }) {
			return nil
		}
	}
	return fmt.Errorf("its %d values are those of none of %d states", len(c.values), len(states))
}

// reopen opens an image as a restarted server does.
func reopen(t *testing.T, image []byte, states []map[string]string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(file(dir), image, 0o600))
	b := openAt(t, dir, BoltOptions{})
	values, err := b.Load("")
	must(t, err)
	c := &contents{values: map[string]stored{}}
	for k, v := range values {
		c.values[k] = stored{value: v}
	}
	must(t, whole(c, states))
	must(t, write(b, Batch{Put: map[string][]byte{"more": nil}}))
	if r := b.Report(); r != (Report{}) {
		t.Errorf("reported: %+v", r)
	}
	must(t, b.Close())
}

// platter is a disk with a cache, by page.
type platter struct {
	disk   []byte // durable
	size   int64  // what the file's length becomes with the next sync; 0: it stays
	dirty  map[int64][]byte
	random *rand.Rand
}

func (p *platter) do(o op) {
	if p.dirty == nil {
		p.dirty = map[int64][]byte{}
	}
	switch {
	case o.Kind == "sync" && o.Err != 0: // all that was dirty is clean now, written or not
		p.disk = p.cut()
		p.dirty = nil
	case o.Kind == "sync":
		p.disk = p.apply(func() bool { return true })
		p.dirty, p.size = nil, 0
	case o.Err != 0:
	case o.Kind == "cut":
		p.size = o.Offset
	default:
		for at := 0; at < len(o.Data); at += pageSize {
			p.dirty[o.Offset+int64(at)] = o.Data[at : at+pageSize]
		}
	}
}

// cut returns what a power cut leaves.
func (p *platter) cut() []byte {
	return p.apply(func() bool { return p.random.IntN(2) == 0 })
}

func (p *platter) apply(written func() bool) []byte {
	image := slices.Clone(p.disk)
	if p.size > int64(len(image)) && written() {
		image = append(image, make([]byte, p.size-int64(len(image)))...)
	}
	for _, at := range slices.Sorted(maps.Keys(p.dirty)) {
		if at+pageSize <= int64(len(image)) && written() {
			copy(image[at:], p.dirty[at])
		}
	}
	return image
}

// powerRun is what a child saw.
type powerRun struct {
	Name   string
	Seed   uint64
	Before []byte // the file
	Trace  []op
}

// powerPlans say by name which of the calls fail. Each run has some 150.
var powerPlans = map[string]func(n int, kind string) unix.Errno{
	"nothing fails":            func(int, string) unix.Errno { return 0 },
	"every seventh sync fails": every(7, "sync", unix.EIO),
	"every fourth sync fails":  every(4, "sync", unix.EIO),
	"every fifth sync fails":   every(5, "sync", unix.EIO),
	"the disk is full for a while": func(n int, kind string) unix.Errno {
		if n > 20 && n < 40 && kind != "sync" {
			return unix.ENOSPC
		}
		return 0
	},
	"every 25th write fails": every(25, "write", unix.EIO),
	"nothing works for a while": func(n int, _ string) unix.Errno {
		if n > 20 && n < 30 {
			return unix.EIO
		}
		return 0
	},
}

func every(step int, kind string, errno unix.Errno) func(int, string) unix.Errno {
	count := 0
	return func(_ int, k string) unix.Errno {
		if k == kind {
			count++
		}
		if k == kind && count%step == 0 {
			return errno
		}
		return 0
	}
}

const powerBatches = 24

// powerBatch is the i-th batch of a run, from 1 on: values of all sizes, some
// in pages of their own, and deletions.
func powerBatch(r *rand.Rand, i int) Batch {
	b := Batch{Put: map[string][]byte{"number": fmt.Appendf(nil, "%d", i)}}
	for range r.IntN(4) {
		key := fmt.Sprintf("70%d/call/%d", r.IntN(3), r.IntN(12))
		b.Put[key] = []byte(strings.Repeat(string(rune('a'+i%26)), r.IntN(3000)))
	}
	for range r.IntN(3) {
		b.Del = append(b.Del, fmt.Sprintf("70%d/call/%d", r.IntN(3), r.IntN(12)))
	}
	return b
}

// powerStates returns what is in the store after 0, 1, 2 … batches.
func powerStates(seed uint64) []map[string]string {
	r := rand.New(rand.NewPCG(seed, 1))
	states := []map[string]string{{}}
	for i := 1; i <= powerBatches; i++ {
		s := maps.Clone(states[i-1])
		b := powerBatch(r, i)
		for _, k := range b.Del {
			delete(s, k)
		}
		for k, v := range b.Put {
			s[k] = string(v)
		}
		states = append(states, s)
	}
	return states
}

func init() { roles["power"] = playPower }

// playPower is the child: it runs all plans and writes down what it saw.
func playPower() error {
	w, err := newWatch()
	if err != nil {
		return err
	}
	var runs []powerRun
	for seed, name := range slices.Sorted(maps.Keys(powerPlans)) {
		run, err := powerOne(w, name, uint64(seed))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		runs = append(runs, run)
	}
	return gob.NewEncoder(os.Stdout).Encode(runs)
}

func powerOne(w *watch, name string, seed uint64) (run powerRun, err error) {
	dir, err := os.MkdirTemp(os.Getenv("STORE_TEST_DIR"), "")
	if err != nil {
		return run, err
	}
	b, err := Open(dir, BoltOptions{})
	if err == nil {
		err = b.Close()
	}
	if err != nil {
		return run, err
	}
	run = powerRun{Name: name, Seed: seed}
	if run.Before, err = os.ReadFile(file(dir)); err != nil {
		return run, err
	}
	w.begin(file(dir), powerPlans[name])
	if b, err = Open(dir, BoltOptions{pause: time.Millisecond}); err != nil {
		return run, err
	}
	r, wait := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 3))
	for i := 1; i <= powerBatches; i++ {
		result := make(chan error, 1)
		w.mark("append", i)
		b.Append(powerBatch(r, i), func(err error) {
			if err == nil {
				w.mark("durable", i)
			}
			result <- err
		})
		if wait.IntN(3) > 0 {
			<-result
		}
	}
	for b.Fault() != nil || write(b, Batch{}) != nil {
		<-time.After(time.Millisecond)
	}
	w.mark("durable", powerBatches)
	err = b.Close()
	run.Trace = w.end()
	return run, err
}

// powerRuns runs the child.
func powerRuns(t *testing.T) []powerRun {
	t.Helper()
	var runs []powerRun
	must(t, gob.NewDecoder(bytes.NewReader(watched(t, "power"))).Decode(&runs))
	return runs
}
