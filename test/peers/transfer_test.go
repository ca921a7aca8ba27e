//go:build unix

package peers

import (
	"strings"
	"testing"
)

// A retriever is a phone that has fetched Tina, and can transfer her.
type retriever struct {
	column   string // of docs/interop.md
	programs []string
	// fetches has it fetch Tina from 701 and returns how it transfers her, and
	// how it sees that its call is over.
	fetches func(s *scene, domain, registrar string) (transfer func(to string), over func())
}

var retrievers = []retriever{
	{"baresip", []string{"baresip"}, func(s *scene, domain, registrar string) (func(string), func()) {
		carol := s.fetch("701", domain, registrar)
		return func(to string) { carol.do("transfer", to) }, func() { carol.expectEvent("CALL_CLOSED", 1) }
	}},
	{"linphone", []string{"linphonec"}, func(s *scene, domain, registrar string) (func(string), func()) {
		lin := s.linphone("lin", hostPhone, toneRetriever, false, registrar, "")
		lin.say(s, "call "+uri("*4701", domain))
		lin.expect(s, "Media streams established", 1)
		return func(to string) { lin.say(s, "transfer 1 "+to) }, func() { lin.expect(s, "ended", 1) }
	}},
	{"twinkle", []string{}, func(s *scene, domain, registrar string) (func(string), func()) {
		theo := s.twinkle("theo", toneRetriever, registrar, "none")
		theo.say(s, "call "+uri("*4701", domain))
		theo.expect(s, "far end answered call", 1)
		return func(to string) { theo.say(s, "transfer "+to) }, func() { theo.expect(s, "ended", 1) }
	}},
}

// eachTransfers has Tina's Twinkle parked and fetched by each of the phones.
func eachTransfers(t *testing.T, f feature, then func(s *scene, p *parkd, tina *twinkle, domain, registrar string, transfer func(string), over func())) {
	for _, r := range retrievers {
		t.Run(r.column, func(t *testing.T) {
			proxied(t, append([]string{"baresip", "twinkle-console"}, r.programs...), func(t *testing.T, s *scene, proxied bool) {
				s.shows(r.column, f)
				p := s.parkd(config{})
				domain, registrar := s.domain(p, proxied)
				tina := s.twinkle("tina", toneCaller, registrar, "none")
				tina.say(s, "call "+uri("701", domain))
				p.holds("701", 1)
				transfer, over := r.fetches(s, domain, registrar)
				s.more("tina", tina.heard, toneRetriever)
				then(s, p, tina, domain, registrar, transfer, over)
			})
		})
	}
}

// Whoever has fetched Tina transfers her to another orbit: she is parked there,
// and they are the parker.
func TestParkAgain(t *testing.T) {
	eachTransfers(t, parksAgain, func(s *scene, p *parkd, tina *twinkle, domain, registrar string, transfer func(string), over func()) {
		music := tina.heard().music().seconds()
		transfer(uri("702", domain))
		c := p.holds("702", 1).Calls[0]
		if c.State != "parked" || !strings.Contains(c.Caller.URI, "tina@") || c.ParkedBy == "" {
			s.Errorf("parked again: %+v", c)
		}
		over()
		s.eventually(func() bool { return tina.heard().music().seconds() >= music+1 }, "tina hears music again")
		tina.say(s, "bye")
		p.empty()
	})
}

// Whoever has fetched Tina transfers her to Dan's phone: he has her, and they
// are out of it.
func TestTransferOfAFetchedCaller(t *testing.T) {
	eachTransfers(t, transfersOn, func(s *scene, p *parkd, tina *twinkle, domain, registrar string, transfer func(string), over func()) {
		dan := s.baresip(baresipOptions{user: "dan", host: hostPhone + 6, tone: toneOther, registrar: registrar})
		transfer(address("dan", registrar, dan.aor))
		dan.expectEvent("CALL_ESTABLISHED", 1)
		over()
		s.more("tina", tina.heard, toneOther)
		s.eventually(func() bool { return dan.heard().hears(toneCaller) >= 3 }, "dan hears tina")
		dan.do("hangup", "")
		tina.expect(s, "far end ended call", 1)
		p.empty()
	})
}

// Lin has fetched Tina, and then Eve, and transfers the one to the other: they
// talk, and she is out of it.
func TestTwoFetchedCallersMeet(t *testing.T) {
	proxied(t, []string{"baresip", "linphonec", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", joinsTwo)
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		eve := s.baresip(baresipOptions{user: "eve", host: hostPhone + 1, tone: toneOther, registrar: registrar})
		eve.do("dial", uri("702", domain))
		p.holds("702", 1)
		tina, lin := s.tinaAndLin(p, domain, registrar)
		lin.second(s, uri("*4702", domain))
		lin.say(s, "transfer 1 --to-call 2")
		lin.expect(s, "ended", 2)
		s.more("tina", tina.heard, toneOther)
		s.eventually(func() bool { return eve.heard().hears(toneCaller) >= 3 }, "eve hears tina")
		eve.do("hangup", "")
		tina.expect(s, "far end ended call", 1)
		p.empty()
	})
}

// Lin has fetched Tina, asks whether 702 is free by calling it, and transfers
// her to that very call.
func TestFetchedCallerIsTransferredToAConsultation(t *testing.T) {
	proxied(t, []string{"linphonec", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", parksAttended)
		p := s.parkd(config{})
		domain, registrar := s.domain(p, proxied)
		tina, lin := s.tinaAndLin(p, domain, registrar)
		lin.second(s, uri("702", domain))
		since := p.holds("702", 1).Calls[0].Since
		lin.say(s, "transfer 1 --to-call 2")
		s.eventually(func() bool {
			o := p.orbit("702")
			return len(o.Calls) == 1 && strings.Contains(o.Calls[0].Caller.URI, "tina@")
		}, "tina has taken the place of lin on 702")
		if c := p.orbit("702").Calls[0]; c.State != "parked" || c.Since != since || !strings.Contains(c.ParkedBy, "lin@") {
			t.Errorf("parked: %+v, the consultation since %v", c, since)
		}
		lin.expect(s, "ended", 2)
		tina.say(s, "bye")
		p.empty()
	})
}
