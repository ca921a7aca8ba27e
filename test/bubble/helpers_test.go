package bubble

import (
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// run runs a scenario at a site with the built-in orbits.
func run(t *testing.T, scenario func(*kit.Site)) {
	t.Helper()
	runWith(t, nil, scenario)
}

func runWith(t *testing.T, configure kit.Configure, scenario func(*kit.Site)) {
	t.Helper()
	t.Parallel()
	kit.Run(t, configure, scenario)
}

// several lets many calls into 701.
func several(o *config.Orbit) { o.AllowMultiple = true }

// referred is the INVITE of somebody whom p transferred.
func referred(p *phone.Phone) phone.Opts { return phone.Opts{ReferredBy: p.URI()} }

// park parks a caller, who is not silent, at 701 on behalf of a parker.
func park(caller, parker *phone.Phone) *phone.Call {
	c := caller.Call("701", referred(parker))
	c.Media.Talk(0x21)
	return c
}

// What a turn from voice to music, or from music to silence, may take: what was sent
// ahead of its time is over first, and the last of voice or music dies away
// (docs/decisions/0029).
const (
	turn  = 70 * time.Millisecond
	dying = 80 * time.Millisecond
)

// tail is how long the packet is in which a voice dies away, in octets.
const tail = 80

// hearsMusic checks a second of music: a packet of one RTP stream each 20 ms, which may
// begin a turn later. Before it the voice that is over may die away, in the same stream.
func hearsMusic(s *kit.Site, c *phone.Call) {
	s.T.Helper()
	start := time.Now()
	got := c.Media.Hear(time.Second)
	if len(got) > 1 && got[0].Len == tail && got[1].Seq == got[0].Seq+1 && got[1].SSRC == got[0].SSRC && !got[0].Marker {
		got = got[1:]
	}
	if len(got) == 0 || got[0].At.Sub(start) > turn {
		s.T.Errorf("no music within %v", turn)
		return
	}
	steady(s, got, time.Since(got[0].At))
}

// steady checks that packets are one stream without a gap for so long.
func steady(s *kit.Site, got []phone.RTP, span time.Duration) {
	s.T.Helper()
	if want := int(span / (20 * time.Millisecond)); len(got) < want-1 || len(got) > want+1 {
		s.T.Errorf("%d packets in %v, want %d", len(got), span, want)
		return
	}
	for i := 1; i < len(got); i++ {
		a, b := got[i-1], got[i]
		if b.At.Sub(a.At) != 20*time.Millisecond || b.Seq != a.Seq+1 || b.Timestamp != a.Timestamp+160 ||
			b.SSRC != a.SSRC || b.PT != a.PT || b.Len != 160 {
			s.T.Errorf("packet %d does not follow packet %d: %+v after %+v", i, i-1, b, a)
			return
		}
	}
}

// hearsNothing checks a second of silence, once what is under way has arrived.
func hearsNothing(s *kit.Site, c *phone.Call) {
	s.T.Helper()
	time.Sleep(5 * time.Millisecond)
	if got := c.Media.Hear(time.Second); len(got) > 0 {
		s.T.Errorf("%d packets instead of silence", len(got))
	}
}

// talk checks that two hear each other, and only each other, within 100 ms;
// both go on talking.
func talk(s *kit.Site, a, b *phone.Call) {
	s.T.Helper()
	voiceA, voiceB := a.Media.Talk(0x21), b.Media.Talk(0x42)
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	time.Sleep(time.Second)
	only(s, a.Media.Got(start), voiceB)
	only(s, b.Media.Got(start), voiceA)
}

func only(s *kit.Site, got []phone.RTP, voice byte) {
	s.T.Helper()
	if len(got) < 49 || len(got) > 51 {
		s.T.Errorf("heard %d packets in a second, want 50", len(got))
	}
	for _, r := range got {
		if r.First != voice {
			s.T.Errorf("heard %#x, want %#x", r.First, voice)
			return
		}
	}
}

// retrieve fetches from 701 with a code, and checks that both can talk.
func retrieve(s *kit.Site, by *phone.Phone, parked *phone.Call) *phone.Call {
	s.T.Helper()
	c := by.Call("*4701", phone.Opts{})
	talk(s, c, parked)
	return c
}

// goodbye ends a bridged call from one side and checks the other's end.
func goodbye(s *kit.Site, a, b *phone.Call) {
	s.T.Helper()
	a.Hangup()
	b.ExpectEnd(time.Second)
}

// free checks that 701 takes a call, and hangs up.
func free(s *kit.Site, by *phone.Phone) {
	s.T.Helper()
	by.Call("701", phone.Opts{}).Hangup()
}

// lose drops the first n packets whose text begins with start.
func lose(s *kit.Site, n int, start string) { hook(s, n, start, fakenet.Verdict{Drop: true}) }

// hook gives a verdict to the first n packets whose text begins with start.
func hook(s *kit.Site, n int, start string, v fakenet.Verdict) {
	s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
		if n > 0 && strings.HasPrefix(string(p.Data), start) {
			n--
			return v
		}
		return fakenet.Verdict{}
	})
}

// about checks that something took as long as it should, give or take the
// time that packets are under way.
func about(s *kit.Site, what string, got, want time.Duration) {
	s.T.Helper()
	if d := got - want; d < -10*time.Millisecond || d > 50*time.Millisecond {
		s.T.Errorf("%s after %v, want %v", what, got, want)
	}
}
