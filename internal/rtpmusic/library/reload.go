package library

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"weak"
)

// ErrGone is wrapped in what Reload says when it was carried out, but files of
// music that the library had are not there any more: the default plays instead.
var ErrGone = errors.New("the file is gone")

// Reload reads the music called names from the folder dir anew. First it reads and
// encodes everything that is new; if any of that fails (a new name without a file,
// a file that is no music) the error joins every fault as that of Load, and nothing
// has changed. Then it puts the new in place at once. A stream goes on with the old
// loop to its end and from there with the new one from its start, without a gap.
// Files whose octets are what they were are not decoded again.
//
// A file that has gone away since it was loaded is no reason to refuse the rest:
// until it is back its name stands for the default music, and err wraps ErrGone for
// each of them and nothing else. A name that is no longer asked for stays, as it
// is, for as long as a stream plays it.
//
// changed lists the names whose music is another than before, new names among them.
// Calls wait for each other; nobody else waits for them.
func (l *Library) Reload(dir string, names []string) (changed []string, err error) {
	l.reload.Lock()
	defer l.reload.Unlock()
	r := reloading{l: l, dir: dir, tunes: map[string]*Tune{Default: l.base}}
	gently(func() {
		for _, name := range names {
			if r.tunes[name] == nil {
				r.take(name)
			}
		}
	})
	if r.faults != nil {
		return nil, errors.Join(append(r.faults, r.gone...)...)
	}
	l.replace(r.tunes, r.swaps)
	for _, err := range r.gone {
		r.faults = append(r.faults, fmt.Errorf("%w: %w", ErrGone, err))
	}
	return r.changed, errors.Join(r.faults...)
}

// reloading is what a Reload has come to.
type reloading struct {
	l       *Library
	dir     string
	tunes   map[string]*Tune
	swaps   []swap
	changed []string
	faults  []error // that nothing may be changed for
	gone    []error // files
}

// take reads one file.
func (r *reloading) take(name string) {
	tune, listed := r.l.held(name)
	var have *piece
	if tune != nil {
		have = tune.loop.Load()
	}
	loop, err := load(r.dir, name, have, false)
	if err != nil {
		err = fmt.Errorf("music %q: %w", name, err)
		if !listed || !errors.Is(err, fs.ErrNotExist) {
			r.faults = append(r.faults, err)
			r.tunes[name] = r.l.base // and no second complaint
			return
		}
		r.gone = append(r.gone, err)
		if base := r.l.base.loop.Load(); have.sum != base.sum {
			loop = base.again()
		} else {
			loop = have
		}
	}
	switch {
	case tune == nil:
		tune = newTune(name, loop)
		r.changed = append(r.changed, name)
	case loop != have:
		r.swaps = append(r.swaps, tune.prepare(loop))
		r.changed = append(r.changed, name)
	}
	r.tunes[name] = tune
}

// held returns the tune of a name, nil if there is none, and whether the last
// Load or Reload asked for it.
func (l *Library) held(name string) (t *Tune, listed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tunes[name]; t != nil {
		return t, true
	}
	return l.unlisted[name].Value(), false
}

// replace puts everything that was read in place.
func (l *Library) replace(tunes map[string]*Tune, swaps []swap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, t := range l.tunes {
		if tunes[name] == nil {
			l.unlisted[name] = weak.Make(t)
		}
	}
	l.tunes = tunes
	maps.DeleteFunc(l.unlisted, func(name string, t weak.Pointer[Tune]) bool {
		return tunes[name] != nil || t.Value() == nil
	})
	for _, s := range swaps {
		s.apply()
	}
}
