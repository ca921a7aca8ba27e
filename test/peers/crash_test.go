//go:build unix

package peers

import (
	"strings"
	"testing"
)

// parkd is killed while Ann's baresip is parked, and again while Carol has fetched
// her. Ann hears the music again and keeps her call; both hear each other again;
// whoever hangs up ends both. Neither phone was asked anything.
func TestKillWithPhonesInTheCall(t *testing.T) {
	directAndProxied(t, []string{"baresip"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("baresip", outlivesParked, outlivesBridged)
		p := s.withTune(config{store: "bolt"})
		domain, registrar := s.domain(p, proxied)
		ann := s.baresip(baresipOptions{user: "ann", host: hostPhone, tone: toneCaller, registrar: registrar})
		ann.do("dial", uri("702", domain))
		before := p.holds("702", 1).Calls[0]
		s.eventually(func() bool { return ann.heard().hears(tune...) >= 10 }, "ann hears the music of 702")

		p.crash()
		heard := ann.heard().hears(tune...)
		s.eventually(func() bool { return ann.heard().hears(tune...) >= heard+10 }, "ann hears the music again")
		if after := p.holds("702", 1).Calls[0]; after != before {
			t.Errorf("parked %+v, before %+v", after, before)
		}
		carol := s.fetch("702", domain, registrar)
		s.eventually(func() bool { return ann.heard().hears(toneRetriever) >= 5 }, "ann hears carol")
		s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears ann")

		p.crash()
		atAnn, atCarol := ann.heard().hears(toneRetriever), carol.heard().hears(toneCaller)
		s.eventually(func() bool { return ann.heard().hears(toneRetriever) >= atAnn+10 }, "ann hears carol again")
		s.eventually(func() bool { return carol.heard().hears(toneCaller) >= atCarol+10 }, "carol hears ann again")
		if n := strings.Count(contents(p.log), "leg has moved"); n > 0 {
			t.Errorf("%d re-INVITEs although nothing has changed", n)
		}
		carol.do("hangup", "")
		ann.expectEvent("CALL_CLOSED", 1)
		p.empty()
	})
}

// Tina's Twinkle was transferred and is parked when parkd is killed. Lin, who
// parked her, is called back all the same, and has her.
func TestKillBeforeAReturn(t *testing.T) {
	s := newScene(t, "linphonec", "twinkle-console")
	s.shows("twinkle", outlivesParked, outlivesReturn)
	p := s.parkd(config{store: "bolt", park: "{timeout_range: [1s, 5m]}", defaults: "{timeout: {after: 5s}}"})
	lin, tina := s.parkTina(p, p.sip, "", "rfc2833")
	s.eventually(func() bool { return tina.heard().hearsMusic() }, "tina hears music")
	p.crash()
	heard := lin.heard().hears(toneCaller)
	s.eventually(func() bool { return lin.heard().hears(toneCaller) >= heard+5 }, "lin is called back and hears tina")
	tina.say(s, "bye")
	p.empty()
}
