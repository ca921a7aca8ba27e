// Package library holds the music that parked callers hear, and the words of
// announcements. Each tune is read, resampled and cut to a loop once, and encoded once
// for each codec into frames that all streams share: a stream is a cursor and no more.
// A minute takes 1.4 MB.
//
// Tunes may be used by any number of goroutines. What one sounds like changes only
// by Reload, and then for each stream at the end of the loop that it plays: a file
// that vanishes or breaks ends no call. The default tune is inside the program and
// always there.
package library

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the default music
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"weak"

	"parkd/internal/rtpmusic/wav"
)

// Default is the name of the music that ships inside the program.
const Default = "default"

//go:generate go run ./gen -o default.wav
//go:embed default.wav
var defaultFile []byte

// ErrName is wrapped in what Load says of a name that cannot be a file's.
var ErrName = errors.New("not a name of music")

// Library is a set of tunes by name.
type Library struct {
	reload sync.Mutex // one Reload at a time; it guards no data
	base   *Tune      // the default one
	words  atomic.Pointer[words]

	mu       sync.Mutex
	tunes    map[string]*Tune              // guarded by mu; those asked for, and base
	unlisted map[string]weak.Pointer[Tune] // guarded by mu; those asked for earlier, while anybody has them
}

// defaultLoop is decoded and encoded when the first library is loaded.
var defaultLoop = sync.OnceValues(func() (*piece, error) {
	sound, err := wav.Decode(defaultFile)
	if err != nil {
		return nil, err
	}
	return newPiece(sound, true)
})

// Load reads the music called names from the files name.wav of the folder dir. The
// default music needs no file, and dir is not looked at when nothing else is asked
// for. The error joins every fault found, each with the music's name in it
// (fs.ErrNotExist and the errors of package wav are wrapped); the library is usable
// all the same, with the default in place of what is missing.
func Load(dir string, names []string) (*Library, error) {
	loop, err := defaultLoop()
	if err != nil {
		return nil, fmt.Errorf("default music: %w", err)
	}
	l := &Library{base: newTune(Default, loop), unlisted: make(map[string]weak.Pointer[Tune])}
	l.tunes = map[string]*Tune{Default: l.base}
	if err := l.Speak(""); err != nil {
		return nil, fmt.Errorf("built-in words: %w", err)
	}
	var faults []error
	seen := map[string]bool{Default: true}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		loop, err := load(dir, name, nil, true)
		if err != nil {
			faults = append(faults, fmt.Errorf("music %q: %w", name, err))
			continue
		}
		l.tunes[name] = newTune(name, loop)
	}
	return l, errors.Join(faults...)
}

// Tune returns the music of that name, and the default for one that the library
// does not hold: its Name then differs from what was asked for.
func (l *Library) Tune(name string) *Tune {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tunes[name]; t != nil {
		return t
	}
	if t := l.unlisted[name].Value(); t != nil {
		return t
	}
	return l.base
}

// load returns the loop of a file: have if that was made of the same octets.
func load(dir, name string, have *piece, fast bool) (*piece, error) {
	if name == "" || name != filepath.Base(name) || !filepath.IsLocal(name) {
		return nil, ErrName
	}
	path := filepath.Join(dir, name+".wav")
	file, err := read(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(file)
	if have != nil && have.sum == sum {
		return have, nil
	}
	sound, err := wav.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	loop, err := newPiece(sound, fast)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	loop.sum = sum
	return loop, nil
}

// read reads a file, or as much of it as shows that it is too large.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would hold us up for ever
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var b bytes.Buffer
	b.Grow(int(min(info.Size(), wav.MaxBytes+1)) + bytes.MinRead)
	_, err = b.ReadFrom(io.LimitReader(file, wav.MaxBytes+1))
	return b.Bytes(), err
}
