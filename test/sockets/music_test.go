package sockets

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const plain = "sip: {listen: [udp://HOST:5060]}\n"

var formats = map[string]struct {
	name string
	pt   uint8
}{"0": {"PCMU", 0}, "8": {"PCMA", 8}, "9": {"G722", 9}}

func TestMusicIsOneEvenStreamOfRTP(t *testing.T) {
	t.Parallel()
	for format, want := range formats {
		t.Run(want.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.start(plain)
			ann := s.phone("ann", "udp", s.host+":5060")
			c := ann.dial("701", offer{formats: format})
			if !strings.Contains(c.asked.final.Body, "RTP/AVP "+format+" 101") {
				t.Errorf("answered\n%s", c.asked.final.Body)
			}
			all := c.media.first(60)
			if !all[0].marker {
				t.Error("music begins without a marker")
			}
			even(t, c, all, want.pt, 20)
			if e := energy(join(all)); e < audible {
				t.Errorf("silence: energy %.2g", e)
			} else {
				t.Logf("energy %.2g of full scale", e)
			}
			if got := s.orbit("701").Calls[0].Codec; got != want.name {
				t.Errorf("the API says %s", got)
			}
		})
	}
}

// even checks that packets are one stream from where the SDP says, one each
// ptime ms. On a busy machine a packet may be left out: the timestamp says so.
func even(t *testing.T, c *call, all []packet, pt uint8, ptime int) {
	t.Helper()
	step, gaps, whole := uint32(8*ptime), uint32(0), 0
	for i, p := range all {
		if p.pt != pt || len(p.payload) != 8*ptime || p.from != c.media.remote || p.ssrc != all[0].ssrc {
			t.Fatalf("packet %d: type %d, %d octets from %s of %x", i, p.pt, len(p.payload), p.from, p.ssrc)
		}
		if i == 0 {
			continue
		}
		moved := p.ts - all[i-1].ts
		if p.seq != all[i-1].seq+1 || moved == 0 || moved%step != 0 {
			t.Fatalf("packet %d: sequence %d after %d, timestamp moved by %d, want %d", i, p.seq, all[i-1].seq, moved, step)
		}
		gaps += moved/step - 1
		if moved == step {
			whole++
		}
	}
	n := len(all) - 1
	frames := n + int(gaps)
	span := all[n].at.Sub(all[0].at)
	worst := time.Duration(0)
	for i := range all {
		due := time.Duration(all[i].ts-all[0].ts) * time.Second / 8000
		worst = max(worst, (all[i].at.Sub(all[0].at) - due).Abs())
	}
	t.Logf("%d packets, %d left out, %v apart on average, worst %v off its time", n+1, gaps, (span / time.Duration(frames)).Round(time.Microsecond), worst.Round(10*time.Microsecond))
	if want := time.Duration(frames*ptime) * time.Millisecond; (span - want).Abs() > 100*time.Millisecond {
		t.Errorf("%d packets in %v, want %v", n+1, span, want)
	}
	if whole < n/4 {
		t.Errorf("only %d of %d packets follow on the one before", whole, n)
	}
}

func TestMusicComesInPacketsAsLongAsThePhoneWants(t *testing.T) {
	t.Parallel()
	for _, ptime := range []int{30, 40, 60} {
		t.Run(fmt.Sprint(ptime), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.start(plain)
			ann := s.phone("ann", "udp", s.host+":5060")
			c := ann.dial("701", offer{formats: "8", ptime: ptime})
			even(t, c, c.media.first(800/ptime), 8, ptime)
		})
	}
}

func TestAMusicFileIsHeardAsItIs(t *testing.T) {
	t.Parallel()
	const left, right = 600.0, 1000.0
	s := newSite(t)
	s.file("tunes/two-tones.wav", stereo(44100, 2, left, right))
	s.start(`
sip: {listen: [udp://HOST:5060]}
media: {music_dir: tunes}
orbits:
  - {extension: 701-703, music: two-tones}
  - {extension: "704"}
`)
	ann := s.phone("ann", "udp", s.host+":5060")
	var calls []*call
	for i, format := range []string{"0", "8", "9"} {
		calls = append(calls, ann.dial(fmt.Sprint(701+i), offer{formats: format}))
	}
	other := ann.dial("704", offer{formats: "9"})
	for _, c := range calls {
		sound, rate := join(c.media.first(25)[5:]), rateOf(c.media.pt)
		e, l, r := energy(sound), power(sound, rate, left), power(sound, rate, right)
		t.Logf("%s: %.1f %% of the energy at %v Hz, %.1f %% at %v Hz", static[c.media.pt], 100*l/e, left, 100*r/e, right)
		if l < 0.45*e || r < 0.45*e || e < audible {
			t.Errorf("%s: not the file: energy %.2g, tones %.2g and %.2g", static[c.media.pt], e, l, r)
		}
	}
	sound := join(other.media.first(25)[5:])
	if power(sound, 16000, left)+power(sound, 16000, right) > 0.5*energy(sound) {
		t.Error("an orbit with the default music plays the file")
	}
}

func TestEveryCallerHasTheMusicFromItsStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain)
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	first := ann.dial("701", offer{formats: "0"})
	first.media.first(10)
	second := bob.dial("702", offer{formats: "0"})
	a, b := first.media.first(20), second.media.first(20)
	same, frames := 0, byTime(a)
	for at, payload := range byTime(b) {
		if other, ok := frames[at]; ok && other != payload {
			t.Fatalf("%d ms after the start they hear different music", at/8)
		} else if ok {
			same++
		}
	}
	if same < 5 {
		t.Errorf("only %d packets to compare", same)
	}
	if a[0].ssrc == b[0].ssrc {
		t.Error("two streams with one SSRC")
	}
}

// byTime are the payloads of a stream by their time from its start: on a busy
// machine some are left out.
func byTime(list []packet) map[uint32]string {
	frames := map[uint32]string{}
	for _, p := range list {
		frames[p.ts-list[0].ts] = string(p.payload)
	}
	return frames
}

// A held caller is sent nothing. Another caller's music is the clock that says
// how long that has lasted.
func TestAHeldCallerHearsNothingUntilResumed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain)
	ann, clock := s.phone("ann", "udp", s.host+":5060"), s.phone("clock", "udp", s.host+":5060")
	c, beat := ann.dial("701", offer{}), clock.dial("702", offer{})
	c.media.hear(10)

	m := c.reoffer("sendonly")
	if !strings.Contains(m.Body, "a=recvonly") {
		t.Errorf("answered\n%s", m.Body)
	}
	beat.media.hear(5) // what was under way has come
	before := c.media.heard()
	beat.media.hear(30)
	if n := c.media.heard() - before; n > 0 {
		t.Errorf("%d packets to a held caller", n)
	}

	if m := c.reoffer("sendrecv"); !strings.Contains(m.Body, "a=sendrecv") {
		t.Errorf("answered\n%s", m.Body)
	}
	c.media.hear(10)
	all := c.media.from(before - 1)
	last, next := all[0], all[1]
	if next.ssrc != last.ssrc || next.seq != last.seq+1 || !next.marker {
		t.Errorf("goes on with %x %d (marker %v) after %x %d", next.ssrc, next.seq, next.marker, last.ssrc, last.seq)
	}
	gap := time.Duration(next.ts-last.ts) * time.Second / 8000
	if passed := next.at.Sub(last.at); (gap - passed).Abs() > 250*time.Millisecond {
		t.Errorf("the timestamp moved by %v in %v", gap, passed)
	}
	c.bye()
}
