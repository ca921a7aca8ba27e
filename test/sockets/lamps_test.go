package sockets

import (
	"fmt"
	"testing"
	"time"

	"parkd/test/live"
)

const lampSite = `
sip:
  listen: [udp://HOST:5060, tcp://HOST:5060, tls://HOST:5061]
  tls: {cert: cert.pem, key: key.pem}
`

// A phone behind a connection listens nowhere: whatever it hears has come by
// the connection that it subscribed on.
func TestALampFollowsItsConnection(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			_, conf := s.certify()
			s.start(lampSite)
			desk, ann := s.wide(network, conf)("desk"), s.wide("udp", nil)("ann")
			l := desk.Watch("701")
			l.Served()
			if n := l.Shows("terminated"); n.Version != 0 {
				t.Errorf("first document has version %d, want 0 (RFC 4235 4.1.1)", n.Version)
			}
			c := ann.Park("701", desk, live.Offer{})
			n := l.Shows("early")
			t.Logf("lamp lit %v after the 200 of the park", n.At.Sub(c.Asked.At).Round(10*time.Microsecond))
			if n.Conn != desk.Conn {
				t.Error("NOTIFY came by another connection")
			}
			if got := s.orbit("701").Watchers; got != 1 {
				t.Errorf("%d watchers, want 1", got)
			}

			desk.Dial("*4701", live.Offer{}).Bye()
			c.Over()
			l.Shows("terminated")
			l.Refresh(0)
			s.until("nobody watches", func() bool { return s.orbit("701").Watchers == 0 })
		})
	}
}

// Phones that lost their server try again all the time: what they say is there
// before parkd reads it.
func TestAPhoneIsServedFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	srv := s.build(plain)
	var lamps []*live.Lamp
	for i := range 10 {
		p := s.phone(fmt.Sprintf("desk%d", i), "udp", s.host+":5060")
		lamps = append(lamps, p.Watch(fmt.Sprint(701+i)))
	}
	s.run(srv)
	for _, l := range lamps {
		l.Served()
		l.Shows("terminated")
	}
}

func TestARefreshMovesALampToANewConnection(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			_, conf := s.certify()
			s.start(lampSite)
			desk, ann := s.wide(network, conf)("desk"), s.wide("udp", nil)("ann")
			l := desk.Watch("701")
			l.Served()
			l.Shows("terminated")

			before := desk.Local()
			if err := desk.Connect(); err != nil { // closes the old connection
				t.Fatal(err)
			}
			if desk.Local() == before {
				t.Fatal("the phone has not moved")
			}
			l.Refresh(3600)
			ann.Park("701", desk, live.Offer{})
			n := l.Shows("early")
			if n.Conn != desk.Conn {
				t.Error("NOTIFY came by another connection")
			}
			if got := s.orbit("701").Watchers; got != 1 {
				t.Errorf("%d watchers, want 1", got)
			}
		})
	}
}
