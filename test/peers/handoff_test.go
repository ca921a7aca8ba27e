//go:build unix

package peers

import (
	"strings"
	"testing"
)

// Tina is fetched from an orbit that hands calls off: her Twinkle is sent to the
// phone that has fetched her, and parkd has nothing more to do with their call.
func TestHandOff(t *testing.T) {
	proxied(t, []string{"linphonec", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", isHandedOff)
		p := s.parkd(config{defaults: "{retrieve: refer}"})
		domain, registrar := s.domain(p, proxied)
		tina, lin := s.tinaAndLin(p, domain, registrar)
		p.expect(s, "REFER sip:", 1)
		p.empty()
		s.more("tina", tina.heard, toneRetriever)
		tina.say(s, "bye")
		s.eventually(func() bool { return strings.Contains(contents(lin.log), "ended") }, "lin's call is over")
	})
}
