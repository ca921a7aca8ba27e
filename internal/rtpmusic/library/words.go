package library

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/wav"
)

//go:generate ../../../tools/words.sh
//go:embed words/*.wav
var wordFiles embed.FS

// Words lists the words that ship inside the program, sorted.
var Words = sync.OnceValue(func() []string {
	entries, err := wordFiles.ReadDir("words")
	if err != nil {
		panic(err) // it is embedded: cannot happen
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".wav")
	}
	slices.Sort(names)
	return names
})

// ErrLong is wrapped in what is said of a file with too much sound for a word.
var ErrLong = errors.New("too long for a word")

// What is around words.
const (
	maxWord = 30  // seconds of sound in a file
	gap     = 100 // ms between two words
	breath  = 400 // ms before the first and after the last one
)

// words are what announcements are made of, by name: pieces that end with a gap.
type words map[string]*piece

// builtinWords are decoded and encoded when they are first asked for.
var builtinWords = sync.OnceValues(func() (words, error) {
	built := words{}
	for _, name := range Words() {
		file, err := wordFiles.ReadFile("words/" + name + ".wav")
		if err == nil {
			built[name], err = newWord(file)
		}
		if err != nil {
			return nil, fmt.Errorf("word %q: %w", name, err)
		}
	}
	return built, nil
})

// Speak has announcements made of the files of a folder from now on: name.wav in
// place of the word that ships inside the program. A file that is not there is no
// fault. The error joins those of the files that are no words (the errors of package
// wav and ErrLong are wrapped); their words are the built-in ones. "" is no folder.
// An announcement that is being said goes on as it began.
func (l *Library) Speak(dir string) error {
	built, err := builtinWords()
	if err != nil {
		return err
	}
	if dir == "" {
		l.words.Store(&built)
		return nil
	}
	spoken, faults := maps.Clone(built), []error(nil)
	gently(func() {
		for name := range built {
			if own, err := loadWord(dir, name); err == nil {
				spoken[name] = own
			} else if !errors.Is(err, fs.ErrNotExist) {
				faults = append(faults, fmt.Errorf("word %q: %w", name, err))
			}
		}
	})
	l.words.Store(&spoken)
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

func loadWord(dir, name string) (*piece, error) {
	path := filepath.Join(dir, name+".wav")
	file, err := read(path)
	if err != nil {
		return nil, err
	}
	w, err := newWord(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

// newWord makes a word of a file.
func newWord(file []byte) (*piece, error) {
	sound, err := wav.Decode(file)
	if err != nil {
		return nil, err
	}
	if len(sound.Samples) > maxWord*sound.Rate {
		return nil, fmt.Errorf("%w: %d s, at most %d", ErrLong, len(sound.Samples)/sound.Rate, maxWord)
	}
	narrow := resample(sound.Samples, sound.Rate, codec.PCMU)
	wide := resample(sound.Samples, sound.Rate, codec.G722)
	return spoken(narrow, wide, gap), nil
}

// spoken encodes sound and the silence after it: ms of that at least, and up to a
// whole frame. It begins and ends in silence, so that any piece may follow any other.
func spoken(narrow, wide []int16, ms int) *piece {
	length := len(narrow)*framesPerSecond/codec.Rate(codec.PCMU) + 1 + ms*framesPerSecond/1000
	encode := func(name string, pcm []int16) []byte {
		padded := make([]int16, length*codec.Rate(name)/framesPerSecond)
		copy(padded, pcm)
		return encodeAfter(name, make([]int16, codec.Rate(name)/framesPerSecond), padded)
	}
	return &piece{mu: encode(codec.PCMU, narrow), a: encode(codec.PCMA, narrow), g722: encode(codec.G722, wide)}
}

// pause is what is before and after the words, and what plays when nothing does.
var pause = sync.OnceValue(func() *piece { return spoken(nil, nil, breath) })

// Silence is a tune of nothing.
var Silence = sync.OnceValue(func() *Tune { return newTune("", pause()) })

// Announcement is words, one after the other, and then a tune. It is rtpmusic's Tune.
type Announcement struct {
	first *said
	then  *Tune
}

// said is a word within an announcement.
type said struct {
	*piece
	next *said // nil = the tune follows
}

// Say returns an announcement of words that goes on as the tune called then, or in
// silence if that is "". A word that there is not is left out.
func (l *Library) Say(names []string, then string) *Announcement {
	a := &Announcement{first: &said{piece: pause()}, then: Silence()}
	if then != "" {
		a.then = l.Tune(then)
	}
	known := *l.words.Load()
	last := a.first
	for _, name := range names {
		if w := known[name]; w != nil {
			last.next = &said{piece: w}
			last = last.next
		}
	}
	last.next = &said{piece: pause()}
	return a
}

// Next returns the word after a word, and what the tune says after that.
func (a *Announcement) Next(after Piece) Piece {
	if after == nil {
		return a.first
	}
	s, word := after.(*said)
	switch {
	case !word:
		return a.then.Next(after)
	case s.next != nil:
		return s.next
	}
	return a.then.Next(nil)
}
