//go:build unix

package peers

import (
	"strings"
	"testing"
)

// Lin's linphonec calls Ann's, asks whether 701 is free by calling it, and
// transfers Ann to that very call.
func TestAttendedTransferByLinphone(t *testing.T) {
	directAndProxied(t, []string{"baresip", "linphonec"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", transfersAttended)
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		lin := s.linphone("lin", hostPhone, toneParker, false, registrar, "")
		a := s.linphone("ann", hostPhone+1, toneCaller, true, registrar, p.sip)
		lin.say(s, "call "+address("ann", registrar, a.aor))
		lin.expect(s, "Media streams established", 1)
		lin.say(s, "pause")
		lin.expect(s, "paused", 1)
		lin.say(s, "call "+uri("701", domain))
		lin.expect(s, "Media streams established", 2)
		since := p.holds("701", 1).Calls[0].Since
		lin.say(s, "transfer 1 --to-call 2")
		s.eventually(func() bool {
			o := p.orbit("701")
			return len(o.Calls) == 1 && strings.Contains(o.Calls[0].Caller.URI, "ann@")
		}, "ann has taken the place of lin on 701")
		c := p.orbit("701").Calls[0]
		if c.State != "parked" || c.Since != since || !strings.Contains(c.ParkedBy, "sip:lin@") {
			t.Errorf("parked: %+v, the consultation since %v", c, since)
		}
		lin.expect(s, "ended", 2)
		carol := s.fetch("701", domain, registrar)
		s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 15 }, "carol hears ann")
		carol.do("hangup", "")
		a.expect(s, "ended", 2)
		s.eventually(func() bool { return a.heard().hears(toneRetriever) >= 5 }, "ann's recording has carol")
		p.empty()
	})
}

// Lin transfers Tina to an orbit that is occupied: she is refused there, and the
// two are still connected.
func TestTransferToAFullOrbitKeepsTheCall(t *testing.T) {
	s := newScene(t, "baresip", "linphonec", "twinkle-console")
	s.shows("linphone", keepsWhenFull)
	p := s.parkd(config{})
	a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneOther})
	a.do("dial", uri("701", p.sip))
	p.holds("701", 1)
	lin, tina := s.linTalksWithTina("", "rfc2833")
	lin.say(s, "transfer 1 "+uri("701", p.sip))
	p.expect(s, `"invite refused"`, 1)
	before := tina.heard().hears(toneParker)
	s.eventually(func() bool { return tina.heard().hears(toneParker) >= before+5 }, "tina goes on talking with lin")
	if n := lin.printed("ended"); n != 0 {
		t.Errorf("lin's call ended")
	}
	if n := tina.heard().hears(toneOther); n != 0 {
		t.Errorf("tina hears a stranger for %d00 ms", n)
	}
	if o := p.holds("701", 1); !strings.Contains(o.Calls[0].Caller.URI, "ann@") {
		t.Errorf("parked: %+v", o.Calls[0])
	}
}
