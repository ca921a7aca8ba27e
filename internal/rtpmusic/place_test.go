package rtpmusic

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
)

// journal keeps the place of a port as a leg would.
type journal struct {
	t     *testing.T
	delay time.Duration // of a commit
	run   int           // of the process
	mu    sync.Mutex
	text  []byte // guarded by mu
	kept  int    // guarded by mu; in which run
	asked int    // guarded by mu; by OnPlace
}

func (j *journal) keep(p *Port) {
	text, err := json.Marshal(p.Place())
	if err != nil {
		j.t.Error(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text, j.kept = text, j.run
}

// watch has the journal follow the port.
func (j *journal) watch(p *Port) {
	p.OnPlace(func() {
		j.mu.Lock()
		j.asked++
		j.mu.Unlock()
		time.Sleep(j.delay)
		j.keep(p)
	})
}

func (j *journal) place() (pl Place, asked int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := json.Unmarshal(j.text, &pl); err != nil {
		j.t.Fatal(err)
	}
	// All that have resumed by it have a block.
	pl.Seq += uint16(j.run-j.kept) * PlaceBlock
	return pl, j.asked
}

// restart kills the process and starts another.
func (w *world) restart(down time.Duration) {
	w.t.Helper()
	w.e.Close()
	time.Sleep(down)
	w.e = NewEngine(Config{Ports: [2]uint16{10000, 10100}, Listen: w.net.Listen})
}

// resume opens the phone's port again, as it was kept.
func (f *phone) resume(e *Engine, j *journal, s Session) {
	f.t.Helper()
	var err error
	f.port, err = e.OpenAt(f.to)
	must(f.t, err)
	pl, _ := j.place()
	f.port.Resume(pl)
	j.run++
	j.watch(f.port)
	f.port.Set(s)
}

// receiver is one that follows RFC 3550 A.1: it knows sequence numbers beyond 2^16,
// and after a jump wants two packets in a row.
type receiver struct {
	begun   bool
	highest uint16
	cycles  uint64
	bad     uint32
	last    uint64 // extended, of the last that was taken
	lost    int    // packets not taken, since it was last asked
}

// take says whether a packet is taken, and its extended sequence number.
func (r *receiver) take(seq uint16) (uint64, bool) {
	const window, noBad = 1 << 16, 1<<16 + 1
	step := seq - r.highest
	switch {
	case !r.begun:
		r.begun, r.bad = true, noBad
	case step < maxDropout:
		if seq < r.highest {
			r.cycles += window
		}
	case step <= window-maxMisorder:
		if uint32(seq) != r.bad {
			r.bad = uint32(seq+1) % window
			r.lost++
			return 0, false
		}
		r.bad = noBad
		if seq < r.highest { // A.1 begins to count anew here; this one takes all steps for forward ones
			r.cycles += window
		}
	default:
		return 0, false // a late one
	}
	r.highest = seq
	return r.cycles + uint64(seq), true
}

// check checks what a phone got in one life of the process, after a crash if last
// is not its zero value.
func (r *receiver) check(t *testing.T, got []heardPacket, last heardPacket) {
	t.Helper()
	r.lost = 0
	for i, p := range got {
		if i > 0 {
			last = got[i-1]
		}
		if ext, ok := r.take(p.SequenceNumber); ok {
			if ext <= r.last && r.last > 0 {
				t.Fatalf("packet %d: extended sequence number %d after %d", i, ext, r.last)
			}
			r.last = ext
		}
		if last.at.IsZero() {
			continue
		}
		if p.SSRC != last.SSRC {
			t.Fatalf("packet %d: another SSRC", i)
		}
		if step := p.SequenceNumber - last.SequenceNumber; step != 1 && i > 0 || step == 0 || step > PlaceBlock+1 {
			t.Fatalf("packet %d: %v after %v", i, p.Header, last.Header)
		}
		if int32(p.Timestamp-last.Timestamp) <= 0 {
			t.Fatalf("packet %d: %v after %v", i, p.Header, last.Header)
		}
	}
	if r.lost > 1 {
		t.Errorf("a receiver loses %d packets", r.lost)
	}
}

func TestStreamSurvivesCrashes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		bridge bool
	}{{"music", false}, {"relayed", true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, f, g := pair(t)
				defer func() { w.e.Close() }()
				r := rand.New(rand.NewPCG(7, 7))
				s, sg := f.session(codec.PCMU, 0), g.session(codec.PCMU, 0)
				f.port.out.seq = 60000 // not far from a wrap
				j, jg := &journal{t: t, delay: 3 * time.Second}, &journal{t: t}
				j.keep(f.port)
				jg.keep(g.port)
				var rec receiver
				var last heardPacket
				total := 0
				for life := range 12 {
					f.resume0(w.e, j, s, life)
					g.resume0(w.e, jg, sg, life)
					if tt.bridge {
						Bridge(f.port, g.port)
					} else {
						f.port.Play(newLoop(7))
					}
					got := live(f, g, j, 1+r.IntN(9000), tt.bridge)
					rec.check(t, got, last)
					if !got[0].Marker {
						t.Error("the first packet has no marker")
					}
					if life > 0 {
						clock := int64(got[0].at.Sub(last.at)/time.Millisecond) * ticksPerMs
						if d := int64(got[0].Timestamp-last.Timestamp) - clock; d < -16 || d > 2*160 {
							t.Errorf("timestamps stray by %d", d)
						}
					}
					last, total = got[len(got)-1], total+len(got)
					w.restart(time.Duration(r.IntN(5000)) * time.Millisecond)
				}
				if rec.cycles < 2<<16 || total < 30000 {
					t.Errorf("%d packets, to %d", total, rec.last)
				}
				if _, asked := j.place(); asked < total/placeWarn/2 || asked > total/(placeWarn-placeSpread)+12 {
					t.Errorf("asked for %d places in %d packets", asked, total)
				}
			})
		})
	}
}

// resume0 is resume, or Set in the first life.
func (f *phone) resume0(e *Engine, j *journal, s Session, life int) {
	if life > 0 {
		f.resume(e, j, s)
		return
	}
	j.watch(f.port)
	f.port.Set(s)
}

// live has the stream go on for n packets' time and returns what f heard. Nothing
// may be sent beyond the ceiling that was kept when it was.
func live(f, g *phone, j *journal, n int, talk bool) []heardPacket {
	var got []heardPacket
	for range n {
		if talk {
			g.say([]byte("voice"))
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		pl, _ := j.place()
		for _, p := range f.received() {
			if int16(pl.Seq-p.SequenceNumber) < 0 {
				f.t.Fatalf("%d was sent with a ceiling of %d", p.SequenceNumber, pl.Seq)
			}
			got = append(got, p)
		}
	}
	return got
}

func TestResumeFollowsTheClock(t *testing.T) {
	for _, tt := range []struct {
		name     string
		down     time.Duration // by the clock of the wall
		min, max uint32        // what timestamps rise by at least and at most
	}{
		{"at once", 0, 160, 480},
		{"ten seconds", 10 * time.Second, 80000, 80480},
		{"a day", 24 * time.Hour, 86400 * 8000, 86400*8000 + 480},
		{"the clock was set back", -time.Hour, 160, PlaceBlock*160 + 480},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.e.Close()
				f := w.phone("10.0.0.2:4000")
				pl := Place{SSRC: 1, Seq: 65535, TS: 1<<32 - 100, At: time.Now().Add(-tt.down)}
				f.port.Resume(pl)
				f.port.Set(f.session(codec.PCMU, 0))
				f.port.Play(newLoop(1))
				time.Sleep(time.Second)
				got := f.received()
				stream(t, got, 20)
				if p := got[0]; p.SSRC != 1 || p.SequenceNumber != 0 || !p.Marker {
					t.Errorf("it goes on with %v", p.Header)
				}
				if d := got[0].Timestamp - pl.TS; d < tt.min || d > tt.max {
					t.Errorf("timestamps rose by %d", d)
				}
			})
		})
	}
}

// A stream whose new place nobody kept asks again, and one that nobody watches goes on.
func TestPlaceIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, g := pair(t)
		defer w.e.Close()
		var asked atomic.Int64
		pl := f.port.Place()
		if n := pl.Seq - f.port.out.seq; n != 8192 {
			t.Errorf("the ceiling is %d ahead", n)
		}
		f.port.OnPlace(func() { asked.Add(1) })
		for _, f := range []*phone{f, g} {
			f.port.Set(f.session(codec.PCMU, 0))
			f.port.Play(newLoop(1))
		}
		minutes := func(n int, want int) {
			t.Helper()
			for range n {
				time.Sleep(time.Minute)
				f.received()
				stream(t, g.received(), 20)
			}
			synctest.Wait()
			if n := int(asked.Swap(0)); n != want {
				t.Errorf("asked for %d places, want %d", n, want)
			}
		}
		minutes(1, 0)
		packets := 2*3000 - (placeWarn - int(pl.SSRC%placeSpread)) // beyond the first time
		minutes(1, 1+packets/placeAgain)
		f.port.Close()
		minutes(2, 0)
	})
}

func TestPlaceOfHiddenPeer(t *testing.T) {
	const described, nat, other = "192.168.1.5:4000", "203.0.113.9:61000", "203.0.113.9:61001"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() { w.e.Close() }()
		f := w.phone(nat)
		s := f.session(codec.PCMU, 0)
		s.Remote = netip.MustParseAddrPort(described)
		j := &journal{t: t}
		j.keep(f.port)
		j.watch(f.port)
		f.port.Set(s)
		f.port.Play(newLoop(1))
		during(3, func(int) { f.say([]byte("x")) })
		if pl, asked := j.place(); pl.Source.String() != nat || asked != 1 {
			t.Fatalf("kept %v, asked %d times", pl, asked)
		}
		// It says nothing for two lives, and has music in both.
		for range 2 {
			w.restart(time.Second)
			f.resume(w.e, j, s)
			f.port.Play(newLoop(1))
			f.received()
			time.Sleep(time.Second)
			if n := len(f.received()); n < 49 {
				t.Fatalf("%d packets for a silent peer", n)
			}
			if pl := f.port.Place(); pl.Source.String() != nat {
				t.Errorf("its source is %v", pl.Source)
			}
		}
		// Its router gives it another port.
		conn, err := w.net.listen(netip.MustParseAddrPort(other))
		must(t, err)
		moved := &phone{t: t, conn: conn, to: f.to, ssrc: 5}
		during(3, func(int) { moved.say([]byte("x")) })
		moved.received()
		f.received()
		time.Sleep(time.Second)
		if n, old := len(moved.received()), len(f.received()); n < 49 || old > 0 {
			t.Errorf("%d packets to the new port, %d to the old one", n, old)
		}
		if pl, asked := j.place(); pl.Source.String() != other || asked != 2 {
			t.Errorf("kept %v, asked %d times", pl, asked)
		}
		// A new description ends it all.
		f.port.Set(f.session(codec.PCMU, 0))
		if pl := f.port.Place(); pl.Source.IsValid() {
			t.Errorf("kept %v after a new description", pl)
		}
	})
}

// What is kept is short, as there is one a leg.
func TestPlaceAsJSON(t *testing.T) {
	pl := Place{SSRC: 1<<32 - 1, Seq: 65535, TS: 1<<32 - 1, At: time.Date(2026, 11, 23, 12, 0, 0, 123e6, time.UTC)}
	text, err := json.Marshal(pl)
	must(t, err)
	if want := `{"ssrc":4294967295,"seq":65535,"ts":4294967295,"at":"2026-11-23T12:00:00.123Z"}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	pl.Source = netip.MustParseAddrPort("[2001:db8::1]:4000")
	text, err = json.Marshal(pl)
	must(t, err)
	var again Place
	must(t, json.Unmarshal(text, &again))
	if again != pl {
		t.Errorf("%v became %v", pl, again)
	}
}
