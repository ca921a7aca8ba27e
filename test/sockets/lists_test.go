package sockets

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"parkd/test/live"
)

// A list is told at once over a connection, be it the one that its phone came by or
// one that it asks for; on UDP in datagrams that are no longer than RFC 3261 18.1.1
// has them.
func TestAListGoesByConnectionWhereThereIsOne(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, network string
		asks          bool // for TCP, in its Contact
		pieces        bool
	}{
		{"TCP", "tcp", false, false}, {"TLS", "tls", false, false}, {"UDP", "udp", false, true}, {"UDP, Contact with TCP", "udp", true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			_, conf := s.certify()
			s.start(lampSite)
			ann := s.wide("udp", nil)("ann")
			var desk *live.Phone
			if row.asks {
				host := netip.MustParseAddr(s.host).Next() // nobody else's
				desk = live.New(s, live.Options{Name: "desk", Network: "udp", Server: s.host + ":5060", Host: host, Listen: true,
					Contact: "sip:desk@" + host.String() + ":5060;transport=tcp"})
				s.phones = append(s.phones, desk)
			} else {
				desk = s.wide(row.network, conf)("desk")
			}
			l := desk.WatchList("orbits")
			l.Served()
			key := func(user string) (state string) {
				for _, n := range l.Notes() {
					for _, m := range n.Roll.Members {
						if strings.HasPrefix(m.URI, "sip:"+user+"@") && m.Lamp != nil {
							state = m.Lamp.Dialog
						}
					}
				}
				return state
			}
			s.until("every key is dark", func() bool { return key("701") == "terminated" && key("710") == "terminated" })
			first := l.Notes()[0]
			whole := 0
			for _, m := range first.Roll.Members {
				if m.Lamp != nil {
					whole++
				}
			}
			if !first.Roll.Full || len(first.Roll.Members) != 10 || (whole == 10) == row.pieces {
				t.Errorf("the first NOTIFY has %d of %d members", whole, len(first.Roll.Members))
			}
			for _, n := range l.Notes() {
				if came := n.Conn == desk.Conn; came == row.asks {
					t.Errorf("by the way of the SUBSCRIBE: %v", came)
				}
				if row.pieces && len(n.Head.Body) > 900 {
					t.Errorf("a body of %d bytes", len(n.Head.Body))
				}
			}
			told := len(l.Notes())
			c := ann.Park("701", desk, live.Offer{})
			s.until("701 is lit", func() bool { return key("701") == "early" })
			if n := l.Notes()[told]; n.Roll.Full || len(n.Roll.Members) != 1 {
				t.Errorf("told of %d members", len(n.Roll.Members))
			}
			s.until("desk has answered", func() bool {
				_, body := s.http("GET", "/api/v1/lamps")
				var lamps []struct{ Lit int }
				return json.Unmarshal(body, &lamps) == nil && len(lamps) == 1 && lamps[0].Lit == 1
			})
			desk.Dial("701", live.Offer{}).Bye() // a press through the list
			c.Over()
			s.until("701 is dark", func() bool { return key("701") == "terminated" })
			l.Refresh(0)
			s.until("nobody watches", func() bool { return s.orbit("701").Watchers == 0 })
		})
	}
}
