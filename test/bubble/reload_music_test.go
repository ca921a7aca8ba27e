package bubble

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// loop is how long the tunes of these tests last.
const loop = 2 * time.Second

// Tunes that are told from each other by one octet: each is one level of sound,
// of which every octet in PCMU is the same.
const (
	high int16 = 8000
	low  int16 = -8000
	deep int16 = -2000
)

// octet is what a level is in PCMU (ITU-T G.711, table 2a/2b).
var octet = map[int16]byte{high: 0xa0, low: 0x20, deep: 0x3f}

// level is a WAV file of one level: PCM, 8 kHz, mono, 16 bit.
func level(v int16) []byte {
	n := 8000 * int(loop/time.Second)
	var b bytes.Buffer
	for _, part := range []any{
		[]byte("RIFF"), uint32(36 + 2*n), []byte("WAVEfmt "), uint32(16),
		uint16(1), uint16(1), uint32(8000), uint32(16000), uint16(2), uint16(16), []byte("data"), uint32(2 * n),
	} {
		_ = binary.Write(&b, binary.LittleEndian, part) // of fixed size: cannot fail
	}
	for range n {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	return b.Bytes()
}

// records is a folder of music.
type records struct {
	t   *testing.T
	dir string
}

func newRecords(t *testing.T) *records { return &records{t, t.TempDir()} }

func (r *records) put(name string, data []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name+".wav"), data, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *records) remove(name string) {
	r.t.Helper()
	if err := os.Remove(filepath.Join(r.dir, name+".wav")); err != nil {
		r.t.Fatal(err)
	}
}

// plays has orbits play music of the folder.
func (r *records) plays(music string, exts ...string) kit.Configure {
	return func(c *config.Config) {
		c.Media.MusicDir = r.dir
		for _, ext := range exts {
			kit.Orbit(ext, func(o *config.Orbit) { o.Music = music })(c)
		}
	}
}

// How long music takes to fade, at its begin, to its successor at the end of a loop,
// and to other music at once.
const (
	fadesIn = 200 * time.Millisecond
	atEnd   = 60 * time.Millisecond
	atOnce  = 300 * time.Millisecond
)

// turned checks that what a caller heard is one stream of one tune until a time,
// and of another from then on. What lies within a fade of the time may be between.
func turned(s *kit.Site, c *phone.Call, from, to int16, at time.Time, fade time.Duration) {
	s.T.Helper()
	got := c.Media.Got(time.Time{})
	steady(s, got, time.Since(got[0].At))
	for _, r := range got {
		want := octet[from]
		if r.At.After(at) {
			want = octet[to]
		}
		if r.First != want && r.At.Sub(at).Abs() > fade && r.At.Sub(got[0].At) > fadesIn {
			s.T.Errorf("%s hears %#x %v after the turn, want %#x", c.CallID(), r.First, r.At.Sub(at), want)
			return
		}
	}
}

func TestOtherMusicIsHeardAtOnce(t *testing.T) {
	files := newRecords(t)
	files.put("one", level(high))
	files.put("two", level(low))
	runWith(t, files.plays("one", "701", "702"), func(s *kit.Site) {
		ann, ben, bob := s.Phone("ann"), s.Phone("ben"), s.Phone("bob")
		changes, stays := park(ann, bob), ben.Call("702", phone.Opts{})
		p := undisturbed(s, []*phone.Call{changes, stays})
		s.Wait(1234 * time.Millisecond)
		at := time.Now()
		keys(s, s.Reloaded(files.plays("two", "701")), "orbits.701.music")
		next := bob.Call("703", phone.Opts{})
		s.Wait(loop)
		turned(s, changes, high, low, at, atOnce)
		turned(s, stays, high, high, at, 0)
		p.check()

		s.Reloaded(files.plays("default", "701")) // that ships inside the program
		s.Wait(time.Second)
		p.check()
		if last := changes.Media.Got(time.Now().Add(-100 * time.Millisecond)); last[0].First == octet[low] && last[1].First == octet[low] {
			s.T.Error("the tune is still the old one")
		}
		for _, c := range []*phone.Call{changes, stays, next} {
			c.Hangup()
		}
	})
}

// A caller on the way back to the parker hears the other tune, and one whose
// retriever never confirms comes back to it.
func TestOtherMusicIsHeardWhateverBecomesOfTheCall(t *testing.T) {
	files := newRecords(t)
	files.put("one", level(high))
	files.put("two", level(low))
	configure := func(c *config.Config) {
		files.plays("one", "701", "702")(c)
		lasting(30 * time.Second)(c)
	}
	runWith(t, configure, func(s *kit.Site) {
		ann, ben, bob, carol := s.Phone("ann"), s.Phone("ben"), s.Phone("bob"), s.Phone("carol")
		returns := ann.Call("701", phone.Opts{ReferredBy: bob.URI()})
		s.Wait(15 * time.Second)
		fetched := ben.Call("702", phone.Opts{})
		s.Wait(time.Second)
		carol.Auto("OPTIONS", 0)
		half := carol.Invite("*4702", phone.Opts{})
		half.Expect(200)
		back := bob.Ringing(time.Minute)
		at := time.Now()
		s.Reloaded(files.plays("two", "701", "702"))
		s.Wait(time.Second)
		turned(s, returns, high, low, at, atOnce)
		half.ExpectEnd(64*t1 + time.Second)
		hearsMusic(s, fetched)
		if got := fetched.Media.Hear(100 * time.Millisecond)[0].First; got != octet[low] {
			s.T.Errorf("parked again with %#x", got)
		}
		back.Reply(486)
		s.Wait(time.Second)
		returns.Hangup()
		fetched.Hangup()
	})
}

// A file that changed is heard by each caller when the loop that they hear ends.
func TestAChangedMusicFileIsHeardAtTheLoopsEnd(t *testing.T) {
	files := newRecords(t)
	files.put("one", level(high))
	runWith(t, files.plays("one", "701", "702", "703"), func(s *kit.Site) {
		ann, ben, cat := s.Phone("ann"), s.Phone("ben"), s.Phone("cat")
		first := ann.Call("701", phone.Opts{})
		s.Wait(700 * time.Millisecond)
		second := ben.Call("702", phone.Opts{})
		p := undisturbed(s, []*phone.Call{first, second})
		s.Wait(700 * time.Millisecond)
		files.put("one", level(low))
		keys(s, s.Reloaded(nil))
		third := cat.Call("703", phone.Opts{})
		start := time.Now()
		s.Wait(2 * loop)
		p.check()
		begin := func(c *phone.Call) time.Time { return c.Media.Got(time.Time{})[0].At }
		turned(s, first, high, low, begin(first).Add(loop), atEnd)
		turned(s, second, high, low, begin(second).Add(loop), atEnd)
		turned(s, third, low, low, start, 0)
		if list := s.Log.Find("music changes at the end of its loop"); len(list) != 1 {
			s.T.Errorf("logged %d times", len(list))
		}
		// Twice within one loop: the last counts.
		files.put("one", level(deep))
		s.Reloaded(nil)
		s.Wait(100 * time.Millisecond)
		files.put("one", level(high))
		s.Reloaded(nil)
		s.Wait(2 * loop)
		p.check()
		for _, c := range []*phone.Call{first, second, third} {
			if got := c.Media.Hear(100 * time.Millisecond)[0].First; got != octet[high] {
				s.T.Errorf("%s hears %#x", c.CallID(), got)
			}
			c.Hangup()
		}
	})
}

// Files that vanish or break end nobody's music.
func TestAMusicFileMayVanishOrBreak(t *testing.T) {
	files := newRecords(t)
	files.put("one", level(high))
	files.put("two", level(deep))
	runWith(t, files.plays("one", "701", "702"), func(s *kit.Site) {
		ann, ben := s.Phone("ann"), s.Phone("ben")
		c := ann.Call("701", phone.Opts{})
		p := undisturbed(s, []*phone.Call{c})
		hears := func(what string, want ...byte) {
			s.T.Helper()
			s.Wait(loop)
			got := c.Media.Hear(100 * time.Millisecond)
			is := got[0].First == octet[high] && got[1].First == octet[high]
			if len(want) > 0 && (got[0].First != want[0] || got[1].First != want[0]) || len(want) == 0 && is {
				s.T.Errorf("%s: heard %#x", what, got[0].First)
			}
			p.check()
		}
		s.Log.Expect("configuration not reloaded")
		files.put("one", []byte("RIFF, but no music"))
		if _, err := s.Reload(files.plays("two", "702")); err == nil {
			s.T.Error("a file that is no music was taken")
		}
		hears("a broken file", octet[high])
		other := ben.Call("702", phone.Opts{})
		s.Wait(fadesIn)
		if got := other.Media.Hear(100 * time.Millisecond)[0].First; got != octet[high] {
			s.T.Errorf("half of a refused configuration is in force: %#x", got)
		}
		other.Hangup()

		files.remove("one")
		s.Reloaded(nil)
		if list := s.Log.Find("default music in place of a file that is gone"); len(list) != 1 {
			s.T.Errorf("logged %d times", len(list))
		}
		hears("a file that is gone")
		files.put("one", level(low))
		s.Reloaded(nil)
		s.Wait(time.Minute) // the default one's loop
		hears("a file that is back", octet[low])
		c.Hangup()
	})
}

// The music of an orbit that is configured no more goes on for who is left in it.
func TestTheMusicOfARemovedOrbitGoesOn(t *testing.T) {
	files := newRecords(t)
	files.put("one", level(high))
	runWith(t, files.plays("one", "701"), func(s *kit.Site) {
		ann, bob := s.Phone("ann"), s.Phone("bob")
		c := park(ann, bob)
		p := undisturbed(s, []*phone.Call{c})
		s.Wait(time.Second)
		s.Reloaded(removed("701"))
		files.put("one", level(low)) // nobody asks for it any more
		s.Reloaded(nil)
		s.Wait(2 * loop)
		p.check()
		turned(s, c, high, high, time.Now(), 0)
		goodbye(s, retrieve(s, bob, c), c)
	})
}
