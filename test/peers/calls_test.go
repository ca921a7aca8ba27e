//go:build unix

package peers

import (
	"os"
	"strings"
	"testing"
)

// tune is the music of orbit 702 in these tests: a chord, as a file of another
// rate than the telephone's.
var tune = []float64{523, 659, 1047}

// withTune is a server with an orbit that plays it.
func (s *scene) withTune(c config) *parkd {
	s.Helper()
	path := s.folder("parkd", "music") + "/chord.wav"
	if err := os.WriteFile(path, chord(44100, 3, tune...).wav(), 0o600); err != nil {
		s.Fatal(err)
	}
	c.orbits = `[{extension: "701"}, {extension: "702", music: chord}]`
	return s.parkd(c)
}

// domain starts the proxy if it takes part, and is what phones dial then.
func (s *scene) domain(p *parkd, proxied bool) (domain, registrar string) {
	s.Helper()
	if !proxied {
		return p.sip, ""
	}
	proxy := s.kamailio()
	return proxy, proxy
}

// directAndProxied runs a scenario both ways.
func directAndProxied(t *testing.T, programs []string, f func(t *testing.T, s *scene, proxied bool)) {
	t.Run("direct", func(t *testing.T) { f(t, newScene(t, programs...), false) })
	t.Run("behind Kamailio", func(t *testing.T) { f(t, newScene(t, append(programs, "kamailio")...), true) })
}

// proxied runs a scenario behind Kamailio only: Twinkle 1.10 hangs now and then
// when its call is answered within a millisecond, and a proxy takes longer.
func proxied(t *testing.T, programs []string, f func(t *testing.T, s *scene, proxied bool)) {
	t.Helper()
	f(t, newScene(t, append(programs, "kamailio")...), true)
}

// address is where somebody is called: by name at the proxy, else directly.
func address(user, registrar, direct string) string {
	if registrar != "" {
		return uri(user, registrar)
	}
	return direct
}

// fetch retrieves the call on an orbit with a code from a further baresip.
func (s *scene) fetch(orbit, domain, registrar string) *baresip {
	s.Helper()
	carol := s.baresip(baresipOptions{user: "carol", host: hostPhone + 5, tone: toneRetriever, registrar: registrar})
	carol.do("dial", uri("*4"+orbit, domain))
	carol.expectEvent("CALL_ESTABLISHED", 1)
	return carol
}

// Bob's baresip transfers Ann's baresip, which does not say who transferred it:
// parked all the same, with nobody to go back to, and fetched with a code.
func TestBlindTransferOfBaresip(t *testing.T) {
	directAndProxied(t, []string{"baresip"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("baresip", transferred, transfersBlind, fetchesByCode)
		s.showsThat("baresip", namesParker, "no")
		p := s.withTune(config{})
		domain, registrar := s.domain(p, proxied)
		bob := s.baresip(baresipOptions{user: "bob", host: hostPhone, tone: toneParker, registrar: registrar})
		a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneCaller, registrar: registrar})
		a.do("dial", address("bob", registrar, bob.aor))
		bob.expectEvent("CALL_ESTABLISHED", 1)
		s.eventually(func() bool { return bob.heard().hears(toneCaller) >= 3 }, "bob talks with ann")
		bob.do("transfer", uri("702", domain))
		if o := p.holds("702", 1); !strings.Contains(o.Calls[0].Caller.URI, "ann@") || o.Calls[0].State != "parked" || o.Calls[0].ParkedBy != "" {
			t.Errorf("parked: %+v", o.Calls[0])
		}
		bob.expectEvent("CALL_CLOSED", 1)
		s.eventually(func() bool { return a.heard().hears(tune...) >= 10 }, "ann hears the music of 702")
		if n := bob.heard().hears(tune...); n > 0 {
			t.Errorf("bob hears %d00 ms of the parked caller's music", n)
		}
		carol := s.fetch("702", domain, registrar)
		s.eventually(func() bool { return a.heard().hears(toneRetriever) >= 5 }, "ann hears carol")
		s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears ann")
		closed := a.count("CALL_CLOSED")
		carol.do("hangup", "")
		a.expectEvent("CALL_CLOSED", closed+1)
		p.empty()
	})
}

// Lin's linphonec transfers Tina's Twinkle, which copies the Referred-By: the
// parker is known. Tina hangs up, and Carol, who fetched her, is released too.
func TestBlindTransferOfTwinkle(t *testing.T) {
	directAndProxied(t, []string{"baresip", "linphonec", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", transfersBlind)
		s.shows("twinkle", transferred, namesParker)
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		_, tina := s.parkTina(p, domain, registrar, "rfc2833")
		if by := p.orbit("701").Calls[0].ParkedBy; !strings.HasPrefix(by, "sip:lin@") {
			t.Errorf("parked by %q", by)
		}
		if all := p.get("/api/v1/calls"); !strings.Contains(all, "sip:lin@") {
			t.Errorf("no parker in %s", all)
		}
		s.eventually(func() bool { return tina.heard().hearsMusic() }, "tina hears music")
		carol := s.fetch("701", domain, registrar)
		s.eventually(func() bool { return tina.heard().hears(toneRetriever) >= 5 }, "tina hears carol")
		s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears tina")
		tina.say(s, "bye")
		carol.expectEvent("CALL_CLOSED", 1)
		p.empty()
	})
}

// parkTina has Tina call Lin, who transfers her to 701.
func (s *scene) parkTina(p *parkd, domain, registrar, keys string) (*linphone, *twinkle) {
	s.Helper()
	lin, tina := s.linTalksWithTina(registrar, keys)
	lin.say(s, "transfer 1 "+uri("701", domain))
	if o := p.holds("701", 1); !strings.Contains(o.Calls[0].Caller.URI, "tina@") || o.Calls[0].State != "parked" {
		s.Errorf("parked: %+v", o.Calls[0])
	}
	lin.expect(s, "ended", 1)
	return lin, tina
}

// linTalksWithTina has Tina's Twinkle call Lin's linphonec.
func (s *scene) linTalksWithTina(registrar, keys string) (*linphone, *twinkle) {
	s.Helper()
	lin := s.linphone("lin", hostPhone, toneParker, true, registrar, "")
	tina := s.twinkleWithKeys("tina", toneCaller, registrar, "none", keys)
	tina.say(s, "call "+address("lin", registrar, lin.aor))
	lin.expect(s, "Media streams established", 1)
	s.eventually(func() bool { return tina.heard().hears(toneParker) >= 3 }, "tina talks with lin")
	return lin, tina
}

// Nobody fetches Tina: Lin, who parked her, is called, and Tina hears music
// until he answers.
func TestReturnToTheParker(t *testing.T) {
	directAndProxied(t, []string{"linphonec", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", isCalledBack)
		s.shows("twinkle", comesBack)
		p := s.parkd(config{park: "{timeout_range: [1s, 5m]}", defaults: "{timeout: {after: 3s}}"})
		domain, registrar := s.domain(p, proxied)
		lin, tina := s.parkTina(p, domain, registrar, "rfc2833")
		before := tina.heard().hears(toneParker)
		lin.expect(s, "Media streams established", 2)
		s.eventually(func() bool { return tina.heard().hears(toneParker) >= before+10 }, "tina hears lin again")
		if m := tina.heard().music(); m.seconds() < 1.5 || !m.melodic() {
			t.Errorf("%.1f s of music while she waited", m.seconds())
		}
		tina.say(s, "bye")
		lin.expect(s, "ended", 2)
		s.eventually(func() bool { return lin.heard().hears(toneCaller) >= 5 }, "lin's recording has tina")
		p.empty()
	})
}

// Tina presses 0 while she is parked and is taken back to Lin at once, whichever
// way her phone sends the key.
func TestTransferKey(t *testing.T) {
	for keys, way := range map[string]feature{"rfc2833": goesBackByRFC4733, "info": goesBackByINFO} {
		t.Run(keys, func(t *testing.T) {
			s := newScene(t, "linphonec", "twinkle-console")
			s.shows("twinkle", way)
			p := s.parkd(config{defaults: "{transfer: {enabled: true}}"})
			lin, tina := s.parkTina(p, p.sip, "", keys)
			s.eventually(func() bool { return tina.heard().music().seconds() >= 0.5 }, "tina hears music")
			before := tina.heard().hears(toneParker)
			tina.say(s, "dtmf 0")
			lin.expect(s, "Media streams established", 2)
			s.eventually(func() bool { return tina.heard().hears(toneParker) >= before+5 }, "tina hears lin again")
			if byINFO := p.printed("INFO sip:") > 0; byINFO != (keys == "info") {
				t.Errorf("the key came by SIP INFO: %v", byINFO)
			}
			tina.say(s, "bye")
			lin.expect(s, "ended", 2)
			p.empty()
		})
	}
}
