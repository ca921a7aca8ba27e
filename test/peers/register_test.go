//go:build unix

package peers

import (
	"fmt"
	"strings"
	"testing"
)

// An orbit is an extension of a registrar that asks for a password, and that sits at
// an address which nobody trusts: it is called through it, and whoever a call goes
// back to is called through it, with the extension's password.
func TestOrbitIsAnExtensionOfKamailio(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s := newScene(t, "baresip", "kamailio")
			s.shows("baresip", reachesRegistered)
			proxy := s.hosted()
			p := s.parkd(config{
				access: "{trusted: []}",
				sip: fmt.Sprintf(`, register: [{orbits: 701, registrar: "sip:%s;transport=%s", password: geheim, expires: 5m, keepalive: 5s}]`,
					proxy, transport),
				orbits: `[{extension: 701, timeout: {fallback: "200"}}]`,
			})
			s.eventually(func() bool { return strings.Contains(p.get("/api/v1/registrations"), `"state":"registered"`) }, "701 is registered")
			ann := s.baresip(baresipOptions{user: "ann", host: hostPhone, tone: toneCaller, registrar: proxy})
			desk := s.baresip(baresipOptions{user: "200", host: hostPhone + 1, tone: toneRetriever, registrar: proxy})
			ann.do("dial", uri("701", proxy))
			c := p.holds("701", 1).Calls[0]
			if !strings.Contains(c.Caller.URI, "ann@") {
				t.Errorf("the caller is %s", c.Caller.URI)
			}
			s.eventually(func() bool { return ann.heard().hearsMusic() }, "ann hears the orbit")
			p.giveBack(c.ID)
			s.eventually(func() bool { return desk.heard().hears(toneCaller) >= 5 }, "200 hears ann")
			s.eventually(func() bool { return ann.heard().hears(toneRetriever) >= 5 }, "ann hears 200")
			ann.do("hangup", "")
			p.empty()
		})
	}
}

// The lamp of an orbit that has registered is subscribed to at the registrar, too,
// and its documents are about what the phone knows, not about our Contact.
func TestLampOfARegisteredOrbit(t *testing.T) {
	s := newScene(t, "sipp", "kamailio")
	s.shows("sipp", watchesRegistered)
	proxy := s.hosted()
	p := s.parkd(config{sip: fmt.Sprintf(`, register: [{orbits: 701, registrar: "sip:%s", password: geheim}]`, proxy)})
	s.eventually(func() bool { return p.metric(`parkd_registrations{state="registered"}`) == 1 }, "701 is registered")
	lampAndPress(s, p, dialects[0], proxy)
}
