//go:build unix

package peers

import (
	"fmt"
	"strings"
	"testing"
)

// eachWay runs a scenario without and with kamailio between phones and parkd; domain
// is that of both, and registrar is "" or kamailio's.
func eachWay(t *testing.T, program string, scenario func(s *scene, p *parkd, domain, registrar string)) {
	t.Run("direct", func(t *testing.T) {
		s := newScene(t, program, "sipp")
		p := s.parkd(config{})
		scenario(s, p, p.sip, "")
	})
	t.Run("behind kamailio", func(t *testing.T) {
		s := newScene(t, program, "sipp", "kamailio")
		p := s.parkd(config{})
		proxy := s.kamailio()
		scenario(s, p, proxy, proxy)
	})
}

// parkAndEnd has a caller parked until parkd ends the call, and looks at what
// somebody sees before, meanwhile, and after.
func (s *scene) parkAndEnd(p *parkd, domain string, free, busy, freeAgain func()) {
	s.Helper()
	free()
	parked := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone + 1, to: domain, data: ann("701", domain, "")})
	busy()
	p.remove(p.holds("701", 1).Calls[0].ID)
	parked.passes()
	freeAgain()
}

func TestBaresipSeesPresence(t *testing.T) {
	eachWay(t, "baresip", func(s *scene, p *parkd, domain, registrar string) {
		s.shows("baresip", seesPresence)
		b := s.baresip(baresipOptions{user: "bob", host: hostPhone, tone: toneParker, registrar: registrar, watches: uri("701", domain)})
		shows := func(what string) func() {
			return func() {
				s.Helper()
				s.eventually(func() bool { return strings.Contains(b.ask("contacts", ""), what) }, "baresip shows %s", what)
			}
		}
		s.parkAndEnd(p, domain, shows("Online"), shows("Busy"), shows("Online"))
	})
}

func TestLinphoneSeesPresence(t *testing.T) {
	eachWay(t, "linphonec", func(s *scene, p *parkd, domain, registrar string) {
		s.shows("linphone", seesPresence)
		l := s.linphoneWith("lin", hostPhone, toneParker, false, registrar, "", fmt.Sprintf(linphoneFriend, uri("701", domain)))
		shows := func(what string, n int) func() {
			return func() {
				s.Helper()
				l.expect(s, `Friend "Park" <`+uri("701", domain)+"> is "+what, n)
			}
		}
		s.parkAndEnd(p, domain, shows("Online", 1), shows("On the phone", 1), shows("Online", 2))
	})
}
