package library

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"weak"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/wav"
)

// shelf is a library and its folder.
type shelf struct {
	t   *testing.T
	dir string
	l   *Library
}

// newShelf has a tone of 440 Hz as each of the names, each of its own length.
func newShelf(t *testing.T, names ...string) *shelf {
	t.Helper()
	s := &shelf{t: t, dir: t.TempDir()}
	for i, name := range names {
		s.write(name, 440, 1+float64(i)/10)
	}
	var err error
	if s.l, err = Load(s.dir, names); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shelf) write(name string, hz, seconds float64) {
	s.t.Helper()
	writeWAV(s.t, filepath.Join(s.dir, name+".wav"), tone(8000, hz, seconds, 0.5))
}

func (s *shelf) remove(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name+".wav")); err != nil {
		s.t.Fatal(err)
	}
}

// reload expects that exactly the music called changed is another afterwards.
func (s *shelf) reload(names []string, changed ...string) error {
	s.t.Helper()
	got, err := s.l.Reload(s.dir, names)
	if !slices.Equal(got, changed) {
		s.t.Errorf("changed: %q, want %q (%v)", got, changed, err)
	}
	return err
}

func loopOf(t *Tune) *piece { return t.loop.Load() }

func TestReloadSwapsWhatChanged(t *testing.T) {
	s := newShelf(t, "a", "b")
	a, b := s.l.Tune("a"), s.l.Tune("b")
	loopA, loopB := loopOf(a), loopOf(b)
	s.write("a", 440, 1) // the same octets, a new time
	if err := s.reload([]string{"a", "b", "a", Default}); err != nil || loopOf(a) != loopA {
		t.Errorf("with nothing new: %v", err)
	}
	s.write("b", 300, 2)
	s.write("c", 300, 1)
	if err := s.reload([]string{"c", "b", "a"}, "c", "b"); err != nil {
		t.Error(err)
	}
	if s.l.Tune("a") != a || s.l.Tune("b") != b || s.l.Tune("c").Name() != "c" {
		t.Error("tunes are not what they were")
	}
	if loopOf(a) != loopA || loopOf(b) == loopB || len(loopOf(b).mu) != 2*codec.ByteRate {
		t.Error("a changed, or b did not")
	}
	if loopB.following() == loopB || loopA.following() != loopA {
		t.Error("nothing leads from b's old loop, or something from a's")
	}
}

func TestFaultyReloadChangesNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(s *shelf)
		asked []string
		want  error
	}{
		{"a new name without a file", func(*shelf) {}, []string{"a", "new", "b"}, fs.ErrNotExist},
		{"no name of a file", func(*shelf) {}, []string{"a", "../a", "b"}, ErrName},
		{"no WAV", func(s *shelf) {
			if err := os.WriteFile(filepath.Join(s.dir, "b.wav"), []byte("ID3 and no WAV at all"), 0o644); err != nil {
				s.t.Fatal(err)
			}
		}, []string{"a", "b"}, wav.ErrFormat},
		{"too short", func(s *shelf) { s.write("b", 300, 0.2) }, []string{"a", "b"}, ErrShort},
		{"too large", func(s *shelf) {
			if err := os.Truncate(filepath.Join(s.dir, "b.wav"), wav.MaxBytes+1); err != nil {
				s.t.Fatal(err)
			}
		}, []string{"a", "b"}, wav.ErrTooLarge},
		{"one gone beside it", func(s *shelf) { s.remove("b") }, []string{"a", "b", "new"}, fs.ErrNotExist},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShelf(t, "a", "b")
			a, b := s.l.Tune("a"), s.l.Tune("b")
			loopA, loopB := loopOf(a), loopOf(b)
			s.write("a", 300, 1.5) // which would be fine
			tt.spoil(s)
			err := s.reload(tt.asked)
			if !errors.Is(err, tt.want) || errors.Is(err, ErrGone) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if loopOf(a) != loopA || loopOf(b) != loopB || loopA.following() != loopA || loopB.following() != loopB {
				t.Error("music has changed")
			}
			if s.l.Tune("a") != a || s.l.Tune("b") != b || s.l.Tune("new").Name() != Default {
				t.Error("tunes have changed")
			}
		})
	}
}

func TestGoneFileBecomesTheDefault(t *testing.T) {
	s := newShelf(t, "a", "b")
	a, b := s.l.Tune("a"), s.l.Tune("b")
	names := []string{"a", "b"}
	s.remove("a")
	s.write("b", 300, 1)
	err := s.reload(names, "a", "b") // the rest is not refused
	if !errors.Is(err, ErrGone) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	base := s.l.Tune(Default)
	if s.l.Tune("a") != a || &loopOf(a).mu[0] != &loopOf(base).mu[0] {
		t.Error("a is not the default music")
	}
	loopB := loopOf(b)
	if err := s.reload(names); !errors.Is(err, ErrGone) {
		t.Errorf("the second time: %v", err)
	}
	s.write("a", 440, 1)
	if err := s.reload(names, "a"); err != nil {
		t.Error(err)
	}
	if len(loopOf(a).mu) != codec.ByteRate || loopOf(b) != loopB {
		t.Error("a is not back, or b changed")
	}
	if loopOf(base).following() != loopOf(base) {
		t.Error("something leads away from the default music")
	}
}

func TestUnlistedTuneStaysWhileInUse(t *testing.T) {
	s := newShelf(t, "a", "b")
	a := s.l.Tune("a")
	was := loopOf(a)
	s.write("a", 300, 1)
	for range 2 {
		if err := s.reload([]string{"b"}); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		if s.l.Tune("a") != a || loopOf(a) != was {
			t.Fatal("a tune in use is gone, or changed")
		}
	}
	if err := s.reload([]string{"a", "b"}, "a"); err != nil || s.l.Tune("a") != a || loopOf(a) == was || len(s.l.unlisted) > 0 {
		t.Errorf("asked for again: %v", err)
	}
	if err := s.reload([]string{"b"}); err != nil {
		t.Fatal(err)
	}
	kept := weak.Make(a)
	runtime.KeepAlive(a)
	if !letGo(kept) || s.l.Tune("a").Name() != Default {
		t.Error("a tune that nobody uses stays")
	}
	if err := s.reload(nil); err != nil || len(s.l.unlisted) != 1 { // b, which was just let go
		t.Errorf("%d tunes unlisted, %v", len(s.l.unlisted), err)
	}
}

// round returns what a stream that has played the loop from hears next, in all a
// round and a half of the new one.
func round(tune *Tune, from Piece, codecName string) (sound []byte, pieces []Piece) {
	loop := loopOf(tune)
	for n := len(loop.mu) * 3 / 2; len(sound) < n; {
		from = tune.Next(from)
		pieces = append(pieces, from)
		sound = append(sound, from.Audio(codecName)...)
	}
	return sound, pieces
}

// Whatever is reloaded how often while a stream plays one loop: from its end it goes
// on with the newest, from that one's start.
func TestStreamTurnsToTheNewest(t *testing.T) {
	s := newShelf(t, "a")
	a := s.l.Tune("a")
	names := []string{"a"}
	first := Piece(loopOf(a))
	s.write("a", 300, 1)
	if err := s.reload(names, "a"); err != nil {
		t.Fatal(err)
	}
	lead := a.Next(first)
	rest := a.Next(lead)
	s.write("a", 700, 1.2)
	if err := s.reload(names, "a"); err != nil {
		t.Fatal(err)
	}
	newest := loopOf(a)
	if begun := a.Next(a.Next(a.Next(nil))); begun != newest {
		t.Error("a stream that begins does not begin with the newest")
	}
	skip := turnFrames * codec.FrameSize
	for name, from := range map[string]Piece{"of before": first, "of the one between": newest, "that has just turned": rest} {
		for _, c := range codec.Names() {
			got, pieces := round(a, from, c)
			want := newest.Audio(c)
			if name != "of the one between" && (pieces[0] == newest || &pieces[1].Audio(c)[0] != &want[skip]) {
				t.Fatalf("%s, %s: no turn", name, c)
			}
			if !slices.Equal(got[skip:len(want)], want[skip:]) || !slices.Equal(got[len(want):len(want)+skip], want[:skip]) {
				t.Errorf("%s, %s: it is not the newest from its start, and again", name, c)
			}
		}
	}
}

// letGo says whether nobody has what w points to any more.
func letGo[T any](w weak.Pointer[T]) bool {
	for range 5 {
		if runtime.GC(); w.Value() == nil {
			return true
		}
	}
	return false
}

func TestOldLoopIsLetGo(t *testing.T) {
	s := newShelf(t, "a")
	a := s.l.Tune("a")
	stream := new(Piece) // only functions of their own touch it, whose registers are gone
	turn := func() { *stream = a.Next(*stream) }
	old := func() weak.Pointer[piece] { return weak.Make(loopOf(a)) }()
	turn()
	s.write("a", 300, 1)
	if err := s.reload([]string{"a"}, "a"); err != nil {
		t.Fatal(err)
	}
	if letGo(old) {
		t.Fatal("gone although it is played")
	}
	turn() // to the rest of it
	turn()
	if !letGo(old) {
		t.Error("kept although nobody plays it")
	}
	runtime.KeepAlive(stream)
	runtime.KeepAlive(a)
}

// TestReloadWhilePlayed is for the race detector.
func TestReloadWhilePlayed(t *testing.T) {
	s := newShelf(t, "a", "b")
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for p := Piece(nil); ; {
				select {
				case <-done:
					return
				default:
					tune := s.l.Tune("a")
					if p = tune.Next(p); len(p.Audio(codec.G722)) == 0 {
						t.Error("a piece without sound")
						return
					}
				}
			}
		})
	}
	var reloads sync.WaitGroup
	for i := range 4 {
		s.write("a", 300+float64(100*i), 1)
		reloads.Go(func() {
			if _, err := s.l.Reload(s.dir, []string{"b", "a"}[i%2:]); err != nil {
				t.Error(err)
			}
		})
		reloads.Wait()
	}
	close(done)
	wg.Wait()
}
