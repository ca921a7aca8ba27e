package bubble

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// behindNAT is a lamp of a phone whose Contact is not where it comes from.
func behindNAT(s *kit.Site, p *phone.Phone) *phone.Sub {
	watch := p.Watch("701", 3600, "Contact: <sip:"+p.Name+"@192.168.7.7:5060>")
	watch.Expect(200)
	watch.Await(lit, "terminated")
	return watch
}

func TestTheWayToAPhoneBehindNatIsKeptOpen(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := behindNAT(s, carol)
		open := bob.Subscribe("701")
		s.Wait(30 * time.Second)
		parked := park(alice, bob)
		watch.Await(lit, "early")
		parked.Hangup()
		watch.Await(lit, "terminated")
		watch.Refresh(0).Expect(200)
		s.Wait(time.Second)
		if n := len(bob.Got("OPTIONS")); n != 0 {
			s.T.Errorf("%d OPTIONS to a phone that needs none", n)
		}
		open.Refresh(0).Expect(200)
		s.Wait(time.Minute)
		if n := len(carol.Got("OPTIONS")); n != 1 && n != 2 { // by chance: in half a minute once or twice
			s.T.Errorf("%d OPTIONS in half a minute", n)
		}
	})
}

func TestTheWayIsKeptOpenAfterACrash(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		carol := s.Phone("carol")
		watch := behindNAT(s, carol)
		s.CrashAnd(time.Second, func() {})
		s.Wait(26 * time.Second)
		n := len(carol.Got("OPTIONS"))
		s.Wait(100 * time.Second)
		if got := len(carol.Got("OPTIONS")); n == 0 || got != n+4 {
			s.T.Errorf("%d OPTIONS, then %d", n, got-n)
		}
		watch.Refresh(0).Expect(200)
	})
}

func TestKeepAlivesMayBeTurnedOffAndOn(t *testing.T) {
	every := func(d time.Duration) kit.Configure {
		return func(c *config.Config) { c.SIP.NATKeepalive = d }
	}
	runWith(t, every(0), func(s *kit.Site) {
		carol := s.Phone("carol")
		carol.Auto("OPTIONS", 0) // what it answers does not matter
		watch := behindNAT(s, carol)
		s.Wait(10 * time.Minute)
		if n := len(carol.Got("OPTIONS")); n != 0 {
			s.T.Errorf("%d OPTIONS", n)
		}
		keys(s, s.Reloaded(every(10*time.Second)), "sip.nat_keepalive")
		s.Wait(100*time.Second + 100*time.Millisecond)
		sent := carol.Got("OPTIONS")
		if n := len(sent); n != 10 && n != 11 { // by chance the first comes at once
			s.T.Errorf("%d OPTIONS in a hundred seconds", n)
		}
		for i := range len(sent) - 1 {
			if gap := sent[i+1].At.Sub(sent[i].At); gap != 10*time.Second {
				s.T.Errorf("%v between two OPTIONS", gap)
			}
		}
		keys(s, s.Reloaded(every(0)), "sip.nat_keepalive")
		s.Wait(10 * time.Minute)
		if n := len(carol.Got("OPTIONS")); n != len(sent) {
			s.T.Errorf("%d OPTIONS after they were turned off, %d before", n, len(sent))
		}
		watch.Refresh(0).Expect(200)
	})
}
