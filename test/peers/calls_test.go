//go:build unix

package peers

import (
	"net"
	"os"
	"regexp"
	"strconv"
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
		return p.host, ""
	}
	proxy := s.kamailio()
	return proxy, proxy
}

// directAndProxied runs a scenario both ways.
func directAndProxied(t *testing.T, programs []string, f func(t *testing.T, s *scene, proxied bool)) {
	t.Run("direct", func(t *testing.T) { f(t, newScene(t, programs...), false) })
	t.Run("behind Kamailio", func(t *testing.T) { f(t, newScene(t, append(programs, "kamailio")...), true) })
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
		p := s.withTune(config{})
		domain, registrar := s.domain(p, proxied)
		bob := s.baresip(baresipOptions{user: "bob", host: hostPhone, tone: toneParker, registrar: registrar})
		a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneCaller, registrar: registrar})
		a.do("dial", address("bob", registrar, bob.aor))
		bob.expectEvent("CALL_ESTABLISHED", 1)
		s.eventually(func() bool { return bob.heard().hears(toneCaller) >= 3 }, "bob talks with ann")
		bob.do("transfer", uri("702", domain))
		if o := p.holds("702", 1); !strings.Contains(o.Calls[0].Caller.URI, "ann@") || o.Calls[0].State != "parked" {
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

// Bob's baresip transfers Tina's Twinkle, which copies Referred-By: the parker
// is known. Tina hangs up, and Carol, who fetched her, is released too.
func TestBlindTransferOfTwinkle(t *testing.T) {
	directAndProxied(t, []string{"baresip", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		bob := s.baresip(baresipOptions{user: "bob", host: hostPhone, tone: toneParker, registrar: registrar})
		tina := s.twinkle("tina", toneCaller, registrar, "none")
		s.parkTina(p, bob, tina, domain, registrar)
		if by := p.orbit("701").Calls[0].ParkedBy; !strings.HasPrefix(by, "sip:bob@") {
			t.Errorf("parked by %q", by)
		}
		if all := p.get("/api/v1/calls"); !strings.Contains(all, "sip:bob@") {
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

// parkTina has Tina call Bob, who transfers her to 701.
func (s *scene) parkTina(p *parkd, bob *baresip, tina *twinkle, domain, registrar string) {
	s.Helper()
	tina.say(s, "call "+address("bob", registrar, bob.aor))
	bob.expectEvent("CALL_ESTABLISHED", 1)
	s.eventually(func() bool { return bob.heard().hears(toneCaller) >= 3 }, "bob talks with tina")
	bob.do("transfer", uri("701", domain))
	if o := p.holds("701", 1); !strings.Contains(o.Calls[0].Caller.URI, "tina@") {
		s.Errorf("parked: %+v", o.Calls[0])
	}
	bob.expectEvent("CALL_CLOSED", 1)
}

// Nobody fetches Tina: Bob, who parked her, is called, and she hears music
// until he answers.
func TestReturnToTheParker(t *testing.T) {
	directAndProxied(t, []string{"baresip", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		p := s.parkd(config{park: "{timeout_range: [1s, 5m]}", defaults: "{timeout: {after: 3s}}"})
		domain, registrar := s.domain(p, proxied)
		bob := s.baresip(baresipOptions{user: "bob", host: hostPhone, tone: toneParker, registrar: registrar})
		tina := s.twinkle("tina", toneCaller, registrar, "none")
		s.parkTina(p, bob, tina, domain, registrar)
		before := tina.heard().hears(toneParker)
		bob.expectEvent("CALL_ESTABLISHED", 2)
		s.eventually(func() bool { return tina.heard().hears(toneParker) >= before+5 }, "tina hears bob again")
		s.eventually(func() bool { return bob.heard().hears(toneCaller) >= 5 }, "bob hears tina again")
		if m := tina.heard().music(); m.seconds() < 1.5 || !m.melodic() {
			t.Errorf("%.1f s of music while she waited", m.seconds())
		}
		bob.do("hangup", "")
		p.empty()
	})
}

// Lin's linphonec calls Ann's, asks whether 701 is free by calling it, and
// transfers Ann to that very call.
func TestAttendedTransferByLinphone(t *testing.T) {
	directAndProxied(t, []string{"baresip", "linphonec"}, func(t *testing.T, s *scene, proxied bool) {
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		lin := s.linphone("lin", hostPhone, toneParker, false, registrar)
		a := s.linphone("ann", hostPhone+1, toneCaller, true, registrar)
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
		s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 10 }, "carol hears ann")
		carol.do("hangup", "")
		a.expect(s, "ended", 2)
		s.eventually(func() bool { return a.heard().hears(toneRetriever) >= 5 }, "ann's recording has carol")
		p.empty()
	})
}

// A gateway sends its voice from another port than the one it listens at.
func TestAsymmetricRTPHearsMusicWhereItsSDPSays(t *testing.T) {
	s := newScene(t, "sipp")
	p := s.withTune(config{})
	peer, from := s.rtpPeer(hostPhone)
	data := ann("702", p.host, "")
	data.Media = peer.port
	x := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone, to: p.sip, data: data})
	x.step("parked")
	s.eventually(func() bool { return peer.heard().hears(tune...) >= 5 }, "it hears music before it talks")
	found := regexp.MustCompile(`m=audio (\d+)`).FindAllStringSubmatch(contents(x.trace), -1)
	port, err := strconv.Atoi(found[len(found)-1][1])
	if err != nil {
		t.Fatal(err)
	}
	s.talk(from, &net.UDPAddr{IP: net.ParseIP(p.host), Port: port}, toneCaller)
	s.eventually(func() bool { return peer.heard().hears(tune...) >= 30 }, "it hears music while it talks")
	if peer.mu.Lock(); peer.strays > 10 {
		t.Errorf("%d packets came to the port that only sends", peer.strays)
	}
	peer.mu.Unlock()
	carol := s.fetch("702", p.host, "")
	s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears the gateway")
	s.eventually(func() bool { return peer.heard().hears(toneRetriever) >= 5 }, "the gateway hears carol")
	carol.do("hangup", "")
	x.passes()
}
