package sockets

import (
	"fmt"
	"testing"
	"time"
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
			l := desk.watch("701")
			l.served()
			if n := l.shows("terminated"); n.version != 0 {
				t.Errorf("first document has version %d, want 0 (RFC 4235 4.1.1)", n.version)
			}
			c := ann.park("701", desk, offer{})
			n := l.shows("early")
			t.Logf("lamp lit %v after the 200 of the park", n.at.Sub(c.asked.at).Round(10*time.Microsecond))
			if n.conn != desk.conn {
				t.Error("NOTIFY came by another connection")
			}
			if got := s.orbit("701").Watchers; got != 1 {
				t.Errorf("%d watchers, want 1", got)
			}

			desk.dial("*4701", offer{}).bye()
			c.over()
			l.shows("terminated")
			l.refresh(0)
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
	var lamps []*lamp
	for i := range 10 {
		p := s.phone(fmt.Sprintf("desk%d", i), "udp", s.host+":5060")
		lamps = append(lamps, p.watch(fmt.Sprint(701+i)))
	}
	s.run(srv)
	for _, l := range lamps {
		l.served()
		l.shows("terminated")
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
			l := desk.watch("701")
			l.served()
			l.shows("terminated")

			before := desk.local()
			if err := desk.connect(); err != nil { // closes the old connection
				t.Fatal(err)
			}
			if desk.local() == before {
				t.Fatal("the phone has not moved")
			}
			l.refresh(3600)
			ann.park("701", desk, offer{})
			n := l.shows("early")
			if n.conn != desk.conn {
				t.Error("NOTIFY came by another connection")
			}
			if got := s.orbit("701").Watchers; got != 1 {
				t.Errorf("%d watchers, want 1", got)
			}
		})
	}
}
