//go:build unix

package peers

import (
	"testing"
)

// annAndCarol are two baresips that parkd has joined.
func (s *scene) annAndCarol(p *parkd, domain, registrar string) (ann, carol *baresip) {
	s.Helper()
	ann = s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneCaller, registrar: registrar})
	ann.do("dial", uri("701", domain))
	p.holds("701", 1)
	carol = s.fetch("701", domain, registrar)
	s.eventually(func() bool { return ann.heard().hears(toneRetriever) >= 3 }, "ann hears carol")
	s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 3 }, "carol hears ann")
	return ann, carol
}

// more waits until a peer has heard a tone for another half second.
func (s *scene) more(name string, heard func() sound, tone float64) {
	s.Helper()
	before := heard().hears(tone)
	s.eventually(func() bool { return heard().hears(tone) >= before+5 }, "%s hears %.0f Hz again", name, tone)
}

// Whoever has fetched a caller puts them on hold and comes back, and the caller
// does the same: the other phone is told each time. (After a re-INVITE baresip
// 1.0 records nothing any more, so it is counted what parkd passes on.)
func TestBaresipHoldsWhileBridged(t *testing.T) {
	directAndProxied(t, []string{"baresip"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("baresip", holdsWhileBridged)
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		ann, carol := s.annAndCarol(p, domain, registrar)
		for i, holds := range []*baresip{carol, ann} {
			holds.do("hold", "")
			p.expect(s, "a=sendonly", 2*i+2) // from the one phone, and to the other
			p.expect(s, "a=recvonly", 2*i+2) // and their answers (RFC 3264 6.1)
			s.still(p)
			holds.do("resume", "")
			s.flows(p)
		}
		carol.do("hangup", "")
		ann.expectEvent("CALL_CLOSED", 1)
		p.empty()
	})
}

// still waits until parkd passes nothing on for three looks in a row.
func (s *scene) still(p *parkd) {
	s.Helper()
	was, same := -1, 0
	s.eventually(func() bool {
		now := p.packets()
		if now == was {
			same++
		} else {
			same = 0
		}
		was = now
		return same == 3
	}, "parkd passes nothing on")
}

// flows waits until parkd has passed on half a second of two people's sound.
func (s *scene) flows(p *parkd) {
	s.Helper()
	before := p.packets()
	s.eventually(func() bool { return p.packets() >= before+50 }, "parkd passes sound on again")
}

// A holder is a phone that can put the other party on hold.
type holder struct {
	name         string
	hold, resume func()
	heard        func() sound // nil = only once the call is over
	hears        float64
	plays        bool // something to whom it holds
}

// eachHolds has each of two phones hold the other, and checks by ear that both
// talk again.
func (s *scene) eachHolds(p *parkd, phones ...holder) {
	s.Helper()
	for i, by := range phones {
		by.hold()
		p.expect(s, "a=sendonly", 2*i+2)
		if !by.plays {
			s.still(p)
		}
		by.resume()
		for _, h := range phones {
			if h.heard != nil {
				s.more(h.name, h.heard, h.hears)
			}
		}
	}
}

func (s *scene) twinkleHolder(name string, tw *twinkle, hears float64) holder {
	held := 0
	return holder{name, func() {
		held++
		tw.say(s, "hold")
		tw.expect(s, "re-INVITE successful", 2*held-1)
	}, func() { tw.say(s, "retrieve") }, tw.heard, hears, false}
}

// Tina is fetched by Theo; both have Twinkle, and each holds the other.
func TestTwinkleHoldsWhileBridged(t *testing.T) {
	proxied(t, []string{"twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("twinkle", holdsWhileBridged, fetchesByCode)
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		tina, theo := s.tinaAndTheo(p, domain, registrar)
		s.eachHolds(p, s.twinkleHolder("theo", theo, toneCaller), s.twinkleHolder("tina", tina, toneRetriever))
		tina.say(s, "bye")
		p.empty()
	})
}

// tinaAndTheo are two Twinkles that parkd has joined.
func (s *scene) tinaAndTheo(p *parkd, domain, registrar string) (tina, theo *twinkle) {
	s.Helper()
	tina = s.twinkle("tina", toneCaller, registrar, "none")
	tina.say(s, "call "+uri("701", domain))
	p.holds("701", 1)
	theo = s.twinkle("theo", toneRetriever, registrar, "none")
	theo.say(s, "call "+uri("*4701", domain))
	s.more("tina", tina.heard, toneRetriever)
	s.more("theo", theo.heard, toneCaller)
	return tina, theo
}

// tinaAndLin are a Twinkle and the linphonec that has fetched it.
func (s *scene) tinaAndLin(p *parkd, domain, registrar string) (*twinkle, *linphone) {
	s.Helper()
	tina := s.twinkle("tina", toneCaller, registrar, "none")
	tina.say(s, "call "+uri("701", domain))
	p.holds("701", 1)
	lin := s.linphone("lin", hostPhone, toneRetriever, false, registrar, "")
	lin.say(s, "call "+uri("*4701", domain))
	s.more("tina", tina.heard, toneRetriever)
	return tina, lin
}

// Tina is fetched by Lin, who has linphonec: each holds the other.
func TestLinphoneHoldsWhileBridged(t *testing.T) {
	proxied(t, []string{"linphonec", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", holdsWhileBridged, fetchesByCode)
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		tina, lin := s.tinaAndLin(p, domain, registrar)
		s.eachHolds(p,
			holder{"lin", func() { lin.say(s, "pause"); lin.expect(s, "paused", 1) }, func() { lin.say(s, "resume 1") }, nil, 0, true},
			s.twinkleHolder("tina", tina, toneRetriever))
		tina.say(s, "bye")
		lin.expect(s, "ended", 1)
		s.eventually(func() bool { return lin.heard().hears(toneCaller) >= 5 }, "lin's recording has tina")
		p.empty()
	})
}

// Tina presses keys while she talks with Carol, whichever way her phone sends
// them: Carol's phone has them.
func TestKeysPassThroughABridge(t *testing.T) {
	for keys, way := range map[string]feature{"rfc2833": keysByRFC4733, "info": keysByINFO} {
		t.Run(keys, func(t *testing.T) {
			s := newScene(t, "baresip", "twinkle-console", "kamailio")
			s.shows("twinkle", way)
			p, proxy := s.parkd(config{}), s.kamailio()
			tina := s.twinkleWithKeys("tina", toneCaller, proxy, "none", keys)
			tina.say(s, "call "+uri("701", proxy))
			p.holds("701", 1)
			carol := s.fetch("701", proxy, proxy)
			s.more("tina", tina.heard, toneRetriever)
			tina.say(s, "dtmf 5")
			carol.expectEvent("CALL_DTMF_START", 1)
			carol.do("hangup", "")
			p.empty()
		})
	}
}

// Theo fetches Tina from an orbit whose media is to flow past parkd: both hear
// each other straight from their phones. (baresip sends from another address
// here than it describes, as from behind a NAT.)
func TestTwinkleTalksPastParkd(t *testing.T) {
	proxied(t, []string{"twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("twinkle", talksDirectly)
		p := s.parkd(config{defaults: "{retrieve: direct}"})
		domain, registrar := s.domain(p, proxied)
		tina, theo := s.tinaAndTheo(p, domain, registrar)
		s.past(p, "tina", tina.heard, toneRetriever)
		s.past(p, "theo", theo.heard, toneCaller)
		theo.say(s, "bye")
		tina.expect(s, "far end ended call", 1)
		p.empty()
	})
}

func TestLinphoneTalksPastParkd(t *testing.T) {
	proxied(t, []string{"linphonec", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", talksDirectly)
		p := s.parkd(config{defaults: "{retrieve: direct}"})
		domain, registrar := s.domain(p, proxied)
		tina, lin := s.tinaAndLin(p, domain, registrar)
		s.past(p, "tina", tina.heard, toneRetriever)
		tina.say(s, "bye")
		lin.expect(s, "ended", 1)
		s.eventually(func() bool { return lin.heard().hears(toneCaller) >= 5 }, "lin's recording has tina")
		p.empty()
	})
}

// past waits until somebody hears a tone for half a second while parkd passes
// nothing on.
func (s *scene) past(p *parkd, name string, heard func() sound, tone float64) {
	s.Helper()
	n, packets := 0, -1
	s.eventually(func() bool {
		now := heard().hears(tone)
		if now < n+5 {
			return false
		}
		was := packets
		n, packets = now, p.packets()
		return packets == was
	}, "%s hears %.0f Hz past parkd", name, tone)
}
