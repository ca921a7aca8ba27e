package sockets

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"parkd/test/live"
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
			c := ann.Dial("701", live.Offer{Formats: format})
			if !strings.Contains(c.Asked.Final.Body, "RTP/AVP "+format+" 101") {
				t.Errorf("answered\n%s", c.Asked.Final.Body)
			}
			all := c.Media.First(60)
			if !all[0].Marker {
				t.Error("music begins without a marker")
			}
			even(t, c, all, want.pt, 20)
			if e := live.Energy(live.Join(all)); e < live.Audible {
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
func even(t *testing.T, c *live.Call, all []live.Packet, pt uint8, ptime int) {
	t.Helper()
	step, gaps, whole := uint32(8*ptime), uint32(0), 0
	for i, p := range all {
		if p.PT != pt || len(p.Payload) != 8*ptime || p.From != c.Media.Remote || p.SSRC != all[0].SSRC {
			t.Fatalf("packet %d: type %d, %d octets from %s of %x", i, p.PT, len(p.Payload), p.From, p.SSRC)
		}
		if i == 0 {
			continue
		}
		moved := p.TS - all[i-1].TS
		if p.Seq != all[i-1].Seq+1 || moved == 0 || moved%step != 0 {
			t.Fatalf("packet %d: sequence %d after %d, timestamp moved by %d, want %d", i, p.Seq, all[i-1].Seq, moved, step)
		}
		gaps += moved/step - 1
		if moved == step {
			whole++
		}
	}
	n := len(all) - 1
	frames := n + int(gaps)
	span := all[n].At.Sub(all[0].At)
	worst := time.Duration(0)
	for i := range all {
		due := time.Duration(all[i].TS-all[0].TS) * time.Second / 8000
		worst = max(worst, (all[i].At.Sub(all[0].At) - due).Abs())
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
			c := ann.Dial("701", live.Offer{Formats: "8", Ptime: ptime})
			even(t, c, c.Media.First(800/ptime), 8, ptime)
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
	var calls []*live.Call
	for i, format := range []string{"0", "8", "9"} {
		calls = append(calls, ann.Dial(fmt.Sprint(701+i), live.Offer{Formats: format}))
	}
	other := ann.Dial("704", live.Offer{Formats: "9"})
	for _, c := range calls {
		sound, rate := live.Join(c.Media.First(25)[5:]), live.RateOf(c.Media.PT)
		e, l, r := live.Energy(sound), live.Power(sound, rate, left), live.Power(sound, rate, right)
		t.Logf("%s: %.1f %% of the energy at %v Hz, %.1f %% at %v Hz", live.Static[c.Media.PT], 100*l/e, left, 100*r/e, right)
		if l < 0.45*e || r < 0.45*e || e < live.Audible {
			t.Errorf("%s: not the file: energy %.2g, tones %.2g and %.2g", live.Static[c.Media.PT], e, l, r)
		}
	}
	sound := live.Join(other.Media.First(25)[5:])
	if live.Power(sound, 16000, left)+live.Power(sound, 16000, right) > 0.5*live.Energy(sound) {
		t.Error("an orbit with the default music plays the file")
	}
}

func TestEveryCallerHasTheMusicFromItsStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain)
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	first := ann.Dial("701", live.Offer{Formats: "0"})
	first.Media.First(10)
	second := bob.Dial("702", live.Offer{Formats: "0"})
	a, b := first.Media.First(20), second.Media.First(20)
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
	if a[0].SSRC == b[0].SSRC {
		t.Error("two streams with one SSRC")
	}
}

// byTime are the payloads of a stream by their time from its start: on a busy
// machine some are left out.
func byTime(list []live.Packet) map[uint32]string {
	frames := map[uint32]string{}
	for _, p := range list {
		frames[p.TS-list[0].TS] = string(p.Payload)
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
	c, beat := ann.Dial("701", live.Offer{}), clock.Dial("702", live.Offer{})
	c.Media.Hear(10)

	m := c.Reoffer("sendonly")
	if !strings.Contains(m.Body, "a=recvonly") {
		t.Errorf("answered\n%s", m.Body)
	}
	beat.Media.Hear(5) // what was under way has come
	before := c.Media.Heard()
	beat.Media.Hear(30)
	if n := c.Media.Heard() - before; n > 0 {
		t.Errorf("%d packets to a held caller", n)
	}

	if m := c.Reoffer("sendrecv"); !strings.Contains(m.Body, "a=sendrecv") {
		t.Errorf("answered\n%s", m.Body)
	}
	c.Media.Hear(10)
	all := c.Media.From(before - 1)
	last, next := all[0], all[1]
	if next.SSRC != last.SSRC || next.Seq != last.Seq+1 || !next.Marker {
		t.Errorf("goes on with %x %d (marker %v) after %x %d", next.SSRC, next.Seq, next.Marker, last.SSRC, last.Seq)
	}
	gap := time.Duration(next.TS-last.TS) * time.Second / 8000
	if passed := next.At.Sub(last.At); (gap - passed).Abs() > 250*time.Millisecond {
		t.Errorf("the timestamp moved by %v in %v", gap, passed)
	}
	c.Bye()
}

// stereo is a WAV file of two tones, one in each channel, 16 bit.
func stereo(rate int, seconds, left, right float64) []byte {
	n := int(seconds * float64(rate))
	l, r := live.Sine(left, rate, 0, n), live.Sine(right, rate, 0, n)
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 2) // channels
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(4*rate))
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(4*n))
	for i := range n {
		b = binary.LittleEndian.AppendUint16(b, uint16(l[i]))
		b = binary.LittleEndian.AppendUint16(b, uint16(r[i]))
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}
