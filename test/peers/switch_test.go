//go:build unix

package peers

import (
	"strings"
	"testing"
)

// consultation is the data of testdata/switch.xml.
type consultation struct{ URI, Domain, Method string }

// Bob's switch sends no Replaces when he transfers Ann into the orbit that he
// has called: it says that she is on his call now. She is the caller from then
// on, and he the parker.
func TestTransferByASwitch(t *testing.T) {
	for method, way := range map[string]feature{"INVITE": changesByReinvite, "UPDATE": changesByUpdate} {
		t.Run(method, func(t *testing.T) {
			directAndProxied(t, []string{"sipp", "baresip"}, func(t *testing.T, s *scene, proxied bool) {
				s.shows("sipp", way)
				p := s.parkd(config{})
				domain, registrar := s.domain(p, proxied)
				x := s.sipp(sippOptions{name: "switch", scenario: "switch", host: hostPhone, to: domain, data: consultation{uri("701", domain), domain, method}})
				x.step("consulting")
				before := p.holds("701", 1).Calls[0]
				if !strings.Contains(before.Caller.URI, "bob@") || before.ParkedBy != "" {
					t.Errorf("while he consults: %+v", before)
				}
				x.step("transferred")
				after := p.holds("701", 1).Calls[0]
				if !strings.Contains(after.Caller.URI, "ann@") || !strings.Contains(after.ParkedBy, "sip:bob@") || after.ID != before.ID {
					t.Errorf("transferred: %+v, before %+v", after, before)
				}
				carol := s.fetch("701", domain, registrar)
				if n := p.printed(`P-Asserted-Identity: \"Ann\" <sip:ann@`); n == 0 {
					t.Error("carol is not told of ann")
				}
				carol.do("hangup", "")
				x.passes()
				p.empty()
			})
		})
	}
}
