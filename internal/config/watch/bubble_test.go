package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// deaf is a system that tells only what the test says, and refuses some folders.
type deaf struct {
	mu     sync.Mutex
	refuse error
	dirs   []string
}

func (d *deaf) set(refuse error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = refuse
}

func (d *deaf) Add(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.dirs, dir) && d.refuse == nil {
		d.dirs = append(d.dirs, dir)
	}
	return d.refuse
}

func (d *deaf) Remove(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dirs = slices.DeleteFunc(d.dirs, func(s string) bool { return s == dir })
	return nil
}

func (d *deaf) WatchList() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.dirs)
}

// told is what the system tells a watcher in a bubble.
type told struct {
	events chan fsnotify.Event
	errs   chan error
}

// notes are what a watcher in a bubble told.
type notes struct {
	mu     sync.Mutex
	calls  []time.Duration // after the start
	failed []string
}

func (n *notes) call(after time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, after)
}

func (n *notes) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed = append(n.failed, err.Error())
}

// read lets time go by and returns what was told up to then.
func (n *notes) read(after time.Duration) (calls []time.Duration, failed []string) {
	time.Sleep(after)
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.calls), slices.Clone(n.failed)
}

// bubble runs a watcher in fake time.
func bubble(t *testing.T, sys system, path string, f func(told, *notes)) {
	bubbleOf(t, sys, looked(path), f)
}

func bubbleOf(t *testing.T, sys system, files map[string]State, f func(told, *notes)) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		n := &notes{}
		w := newWatcher(Options{
			Files:   func() map[string]State { return files },
			Changed: func() { n.call(time.Since(began)) },
			Failed:  n.fail,
		})
		events, errs := make(chan fsnotify.Event), make(chan error)
		w.system, w.events, w.errs = sys, events, errs
		ctx, cancel := context.WithCancel(t.Context())
		go w.run(ctx)
		synctest.Wait()
		f(told{events, errs}, n)
		cancel()
		synctest.Wait()
	})
}

// Writes without end are passed on every five seconds, and a last time when they end.
func TestEndlessWrites(t *testing.T) {
	path := filepath.Join(folder(t), "parkd.yaml")
	bubble(t, &deaf{}, path, func(w told, n *notes) {
		for range 40 { // the last after 11.7 s
			w.events <- fsnotify.Event{Name: path, Op: fsnotify.Write}
			time.Sleep(300 * time.Millisecond)
		}
		calls, _ := n.read(time.Minute)
		want := []time.Duration{5000 * time.Millisecond, 10100 * time.Millisecond, 12200 * time.Millisecond}
		if !slices.Equal(calls, want) {
			t.Errorf("calls after %v, want %v", calls, want)
		}
	})
}

// A change that the system does not tell of is found within half a minute.
func TestSilentChange(t *testing.T) {
	for name, sys := range map[string]system{"a system that tells nothing": &deaf{}, "no system": nil} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder(t), "parkd.yaml")
			bubble(t, sys, path, func(_ told, n *notes) {
				if calls, _ := n.read(10 * time.Minute); len(calls) != 0 {
					t.Fatalf("a call without a change after %v", calls)
				}
				for i, change := range []func() error{
					func() error { return os.WriteFile(path, []byte("new"), 0o600) },
					func() error { return os.WriteFile(path, []byte("newer"), 0o600) },
					func() error { return os.Remove(path) },
				} {
					must(t, change())
					calls, failed := n.read(seldom + quiet + time.Millisecond)
					if len(calls) != i+1 || len(failed) != 0 {
						t.Fatalf("%d changes, %d calls, failed: %q", i+1, len(calls), failed)
					}
				}
			})
		})
	}
}

// A file that changed after it was read and before it was watched has changed.
func TestChangedBeforeItIsWatched(t *testing.T) {
	path := filepath.Join(folder(t), "music.wav")
	for name, change := range map[string]func(){
		"nothing":  func() {},
		"it came":  func() { write(t, path, "new") },
		"written":  func() { write(t, path, "newer") },
		"replaced": func() { must(t, os.Remove(path)); write(t, path+"~", "newer"); must(t, os.Rename(path+"~", path)) },
		"it went":  func() { must(t, os.Remove(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(path)
			if name != "it came" {
				write(t, path, "old")
			}
			before := looked(path)
			change()
			bubbleOf(t, &deaf{}, before, func(_ told, n *notes) {
				want := 1
				if name == "nothing" {
					want = 0
				}
				if calls, _ := n.read(time.Minute); len(calls) != want {
					t.Errorf("calls after %v, want %d", calls, want)
				}
			})
		})
	}
}

// Without a watch to be had this is said once, and files are looked at all the same;
// once there are watches again, a second shortage is said again.
func TestNoWatchesLeft(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "parkd.yaml")
	sys := &deaf{refuse: syscall.ENOSPC}
	bubble(t, sys, path, func(_ told, n *notes) {
		time.Sleep(5 * time.Minute)
		must(t, os.WriteFile(path, nil, 0o600))
		calls, failed := n.read(time.Minute)
		if len(calls) != 1 {
			t.Errorf("%d calls", len(calls))
		}
		if len(failed) != 1 || !strings.Contains(failed[0], dir+": no space left on device") {
			t.Fatalf("failed: %q", failed)
		}
		sys.set(nil)
		if n.read(time.Minute); !slices.Equal(sys.WatchList(), []string{dir}) {
			t.Errorf("watched are %q", sys.WatchList())
		}
		sys.set(syscall.EMFILE)
		if _, failed := n.read(time.Minute); len(failed) != 2 {
			t.Errorf("failed: %q", failed)
		}
	})
}

// Errors of the system: events that were lost may have been any, others are said once.
func TestSystemErrors(t *testing.T) {
	path := filepath.Join(folder(t), "parkd.yaml")
	bubble(t, &deaf{}, path, func(w told, n *notes) {
		w.errs <- fmt.Errorf("wrapped: %w", fsnotify.ErrEventOverflow)
		if calls, failed := n.read(time.Second); len(calls) != 1 || len(failed) != 0 {
			t.Errorf("%d calls, failed %q", len(calls), failed)
		}
		w.errs <- errors.New("strange")
		w.errs <- errors.New("strange")
		close(w.events)
		close(w.errs)
		if calls, failed := n.read(time.Minute); !slices.Equal(failed, []string{"watch files: strange"}) || len(calls) != 1 {
			t.Errorf("%d calls, failed %q", len(calls), failed)
		}
	})
}

// A folder that is not needed any more is let go.
func TestLetGo(t *testing.T) {
	dir := folder(t)
	sys := &deaf{dirs: []string{"/old"}}
	bubble(t, sys, filepath.Join(dir, "a"), func(told, *notes) {
		if !slices.Equal(sys.WatchList(), []string{dir}) {
			t.Errorf("watched are %q", sys.WatchList())
		}
	})
}
