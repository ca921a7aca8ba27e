// Package watch tells when files change. It promises one call for a burst of
// changes, however a file is replaced: written in place, renamed over, deleted and
// made anew, or swapped by a symbolic link anywhere in its path, as Kubernetes does;
// that files and folders which are not there yet, or vanish, are awaited; and that
// nothing of this ever ends the process: where the system tells of no changes (no
// inotify watches left, a network file system, a single file mounted into a
// container), files are looked at every 30 s instead.
//
// It does not read files, and a change that leaves a file as it was is one, too.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options say what is watched, and who is told.
type Options struct {
	// Files lists the files by their absolute paths, each as it was before it was
	// last read (Look): what differs when it is first watched is a change. It is
	// asked at the start, after each call of Changed, and after each value of Again.
	Files func() map[string]State
	// Changed is called once files have been left alone for 500 ms, or at the
	// latest 5 s after the first change.
	Changed func()
	// Again says that Files has another answer; may be nil.
	Again <-chan struct{}
	// Failed is told, once each, what can't be watched. Such files are looked at
	// now and then. May be nil.
	Failed func(error)
}

// State is what can be told of a file without reading it. The zero State is of a
// file that is not there.
type State struct{ info fs.FileInfo }

// Look returns the state of the file at the end of a path.
func Look(path string) State {
	info, err := os.Stat(path)
	if err != nil {
		return State{}
	}
	return State{info}
}

// is tells whether a file is as it was, as far as can be told.
func (s State) is(o State) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	a, b := s.info, o.info
	return os.SameFile(a, b) && a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime())
}

const (
	quiet   = 500 * time.Millisecond // after the last change of a burst
	longest = 5 * time.Second        // after the first
	soon    = 100 * time.Millisecond // from one look at the files to the next, when something happened
	seldom  = 30 * time.Second       // when nothing did for a while
)

// Watch calls Changed, Files and Failed, one at a time, until ctx ends.
func Watch(ctx context.Context, o Options) {
	w := newWatcher(o)
	defer w.listen()()
	w.run(ctx)
}

// system tells of changes in folders. fsnotify.Watcher is one.
type system interface {
	Add(dir string) error // may be there already
	Remove(dir string) error
	WatchList() []string
}

// watcher is the state of one Watch. run owns all of it.
type watcher struct {
	o      Options
	system system // nil = nobody tells
	events chan fsnotify.Event
	errs   chan error

	names map[string]map[string]bool // by folder, what matters in it; true = a file, false = a step on the way to one
	seen  map[string]State           // by path, before it was read last
	told  map[string]bool            // what Failed knows
	first time.Time                  // of the changes not yet passed on; zero = there are none
	calm  *time.Timer                // Changed is due
	look  *time.Timer                // files are to be looked at
	delay time.Duration              // until the look after the next

	soon, seldom time.Duration // as the constants
}

func newWatcher(o Options) *watcher {
	w := &watcher{
		o: o, seen: map[string]State{}, told: map[string]bool{},
		calm: time.NewTimer(quiet), look: time.NewTimer(soon), soon: soon, seldom: seldom,
	}
	w.calm.Stop()
	return w
}

// listen has the system tell of changes, if it can, until stop.
func (w *watcher) listen() (stop func()) {
	system, err := fsnotify.NewWatcher()
	if err != nil {
		w.tell(err)
		return func() {}
	}
	w.system, w.events, w.errs = system, system.Events, system.Errors
	return func() { _ = system.Close() }
}

func (w *watcher) run(ctx context.Context) {
	defer w.calm.Stop()
	defer w.look.Stop()
	w.list()
	for {
		select {
		case e, more := <-w.events:
			if !more {
				w.events = nil
			}
			w.event(e)
		case err, more := <-w.errs:
			if !more {
				w.errs = nil
			}
			w.fault(err)
		case <-w.o.Again:
			w.list()
		case <-w.look.C:
			w.inspect()
		case <-w.calm.C:
			w.call()
		case <-ctx.Done():
			return
		}
	}
}

// list takes over the files to watch. Of one that is known already it knows better
// what it was like before Changed was called.
func (w *watcher) list() {
	files := maps.Clone(w.o.Files())
	for path := range files {
		if state, known := w.seen[path]; known {
			files[path] = state
		}
	}
	w.seen = files
	w.delay = w.soon
	w.inspect()
}

// event looks at one message of the system. What happens to a file is a change,
// whatever can be seen of it later: a write may leave its size and, as clocks are
// coarse, its time. What happens to a link or a folder is one if the file it leads
// to is another now. Other names are passed over.
func (w *watcher) event(e fsnotify.Event) {
	end, step := w.names[filepath.Dir(e.Name)][filepath.Base(e.Name)]
	_, folder := w.names[e.Name]
	if end {
		w.touch()
	}
	if (step || folder) && e.Op != fsnotify.Write {
		w.delay = w.soon
		w.look.Reset(0)
	}
}

// touch notes a change and waits for more.
func (w *watcher) touch() {
	now := time.Now()
	if w.first.IsZero() {
		w.first = now
	}
	w.calm.Reset(min(quiet, w.first.Add(longest).Sub(now)))
}

// call passes a burst of changes on.
func (w *watcher) call() {
	w.first = time.Time{}
	for path := range w.seen {
		w.seen[path] = Look(path) // before it is read: what comes later is another change
	}
	w.o.Changed()
	w.list()
}

// inspect brings the folders that are watched up to date and finds what the system
// did not tell. The longer nothing happens, the less often it is done.
func (w *watcher) inspect() {
	w.follow()
	if w.first.IsZero() {
		for path, was := range w.seen {
			if !was.is(Look(path)) {
				w.touch()
				break
			}
		}
	}
	w.look.Reset(w.delay)
	w.delay = min(2*w.delay, w.seldom)
}

// follow watches the folders that matter now. A folder that was replaced by another
// one of its name is watched by being added again.
func (w *watcher) follow() {
	w.names = map[string]map[string]bool{}
	for path := range w.seen {
		for _, p := range places(path) {
			if w.names[p.dir] == nil {
				w.names[p.dir] = map[string]bool{}
			}
			w.names[p.dir][p.name] = p.end || w.names[p.dir][p.name]
		}
	}
	if w.system == nil {
		return
	}
	for dir := range w.names {
		switch err := w.system.Add(dir); {
		case err == nil:
			delete(w.told, dir)
		case !errors.Is(err, fs.ErrNotExist): // else it went just now, and is awaited
			w.failed(dir, fmt.Errorf("%s: %w", dir, err))
		}
	}
	for _, dir := range w.system.WatchList() {
		if w.names[dir] == nil {
			_ = w.system.Remove(dir) // may have gone by itself
		}
	}
}

// fault is an error of the system's own. After an overflow anything may have changed.
func (w *watcher) fault(err error) {
	switch {
	case err == nil: // the end of the errors
	case errors.Is(err, fsnotify.ErrEventOverflow):
		w.touch()
		w.look.Reset(0)
	default:
		w.failed(err.Error(), err)
	}
}

// failed tells of a failure unless that is known.
func (w *watcher) failed(what string, err error) {
	if w.told[what] {
		return
	}
	w.told[what] = true
	w.tell(err)
}

func (w *watcher) tell(err error) {
	if w.o.Failed != nil {
		w.o.Failed(fmt.Errorf("watch files: %w", err))
	}
}
