// Package library holds the music that parked callers hear. Each tune is read,
// resampled and cut to a loop once, and encoded once for each codec into frames
// that all streams share: a stream is a cursor and no more. A minute takes 1.4 MB.
//
// Nothing here changes after it was loaded, so tunes may be used by any number of
// goroutines, and a file that vanishes or breaks later ends no call. The default
// tune is inside the program and always there.
package library

import (
	"bytes"
	_ "embed" // the default music
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"parkd/internal/rtpmusic/wav"
)

// Default is the name of the music that ships inside the program.
const Default = "default"

//go:generate go run ./gen -o default.wav
//go:embed default.wav
var defaultFile []byte

// ErrName is wrapped in what Load says of a name that cannot be a file's.
var ErrName = errors.New("not a name of music")

// Library is a set of tunes by name. It is immutable.
type Library struct {
	tunes map[string]*Tune // "default" always among them
}

// defaultTune is decoded and encoded when the first library is loaded.
var defaultTune = sync.OnceValues(func() (*Tune, error) {
	return read(Default, bytes.NewReader(defaultFile))
})

// Load reads the music called names from the files name.wav of the folder dir. The
// default music needs no file, and dir is not looked at when nothing else is asked
// for. The error joins every fault found, each with the music's name in it
// (fs.ErrNotExist and the errors of package wav are wrapped); the library is usable
// all the same, with the default in place of what is missing.
func Load(dir string, names []string) (*Library, error) {
	l := &Library{tunes: make(map[string]*Tune)}
	var faults []error
	tune, err := defaultTune()
	if err != nil {
		faults = append(faults, fmt.Errorf("default music: %w", err))
	}
	l.tunes[Default] = tune
	for _, name := range names {
		if _, done := l.tunes[name]; done {
			continue
		}
		tune, err := load(dir, name)
		if err != nil {
			faults = append(faults, fmt.Errorf("music %q: %w", name, err))
			tune = l.tunes[Default] // and no second complaint
		}
		l.tunes[name] = tune
	}
	return l, errors.Join(faults...)
}

// Tune returns the music of that name, and the default for one that the library
// does not hold: its Name then differs from what was asked for.
func (l *Library) Tune(name string) *Tune {
	if t := l.tunes[name]; t != nil {
		return t
	}
	return l.tunes[Default]
}

func load(dir, name string) (*Tune, error) {
	if name == "" || name != filepath.Base(name) || !filepath.IsLocal(name) {
		return nil, ErrName
	}
	path := filepath.Join(dir, name+".wav")
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
	tune, err := read(name, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tune, nil
}

func read(name string, r io.Reader) (*Tune, error) {
	sound, err := wav.Read(r)
	if err != nil {
		return nil, err
	}
	return NewTune(name, sound)
}
