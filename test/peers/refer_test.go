//go:build unix

package peers

import (
	"strings"
	"testing"
)

// referral is the data of testdata/refer.xml.
type referral struct{ URI, To string }

// Bob has Ann's baresip parked by a REFER to the orbit, outside of any call: parkd
// calls her, and tells him when she is there.
func TestReferToAnOrbit(t *testing.T) {
	s := newScene(t, "sipp", "baresip")
	s.shows("sipp", refersOutside)
	p := s.parkd(config{})
	a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneCaller})
	bob := s.sipp(sippOptions{name: "bob", scenario: "refer", host: hostPhone, to: p.sip, data: referral{uri("701", p.sip), a.aor}})
	bob.passes()
	if c := p.holds("701", 1).Calls[0]; c.State != "parked" || !strings.Contains(c.Caller.URI, "ann@") {
		t.Errorf("parked: %+v", c)
	}
	s.eventually(func() bool { return a.heard().hearsMusic() }, "ann hears music")
	a.do("hangup", "")
	p.empty()
}
