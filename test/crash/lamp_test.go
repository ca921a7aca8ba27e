package crash

import (
	"testing"

	"parkd/test/live"
)

// Watchers by UDP, by UDP behind a Contact that is not where they are, by TCP
// where they can be called, and by TCP where only they can call.
func TestLampsAreTrueAfterTheCrash(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	plain := s.phone("plain")
	nat := s.phoneOf(live.Options{Name: "nat", Network: "udp", Contact: "sip:nat@192.0.2.9:5062"})
	open := s.phoneOf(live.Options{Name: "open", Network: "tcp", Host: s.neighbour(20), Listen: true})
	shut := s.phoneOf(live.Options{Name: "shut", Network: "tcp", Host: s.neighbour(21)})
	c := s.phone("ann").Park("701", plain, live.Offer{})
	var lamps []*live.Lamp
	for _, p := range []*live.Phone{plain, nat, open, shut} {
		l := p.Watch("701")
		l.Served()
		l.Shows("early")
		lamps = append(lamps, l)
	}
	free := plain.Watch("702")
	free.Served()
	free.Shows("terminated")
	c.Media.First(5)

	o := s.crash()
	o.told("early", lamps[:3]...)
	o.told("terminated", free)
	told := len(lamps[3].Notes())
	if err := shut.Connect(); err != nil {
		t.Fatal(err)
	}
	lamps[3].Refresh(3600)
	if n := lamps[3].Next(told, lampsWithin); n == nil || n.State != "early" || n.Conn != shut.Conn {
		t.Errorf("told after a refresh by another connection: %+v", n)
	}
	if err := open.Connect(); err != nil {
		t.Fatal(err)
	}
	o.silent(c)
	c.Bye()
	for _, l := range lamps {
		l.Shows("terminated")
		l.Refresh(0)
	}
	free.Refresh(0)
	s.until("nobody watches", live.Patience, func() bool { return s.status().Subscriptions == 0 })
}

// A lamp's document names the parked call as before, so that a press on what
// was shown before the crash fetches the call.
func TestAPressOnWhatWasShownBeforeTheCrash(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	ann, bob := s.phone("ann"), s.phone("bob")
	lamp := bob.Watch("701")
	lamp.Served()
	c := ann.Park("701", s.phone("desk"), live.Offer{})
	shown := lamp.Shows("early")
	s.crash()
	fetched := bob.Dial("701", live.Offer{}, "Replaces: "+shown.Replaces)
	bothHear(c, fetched)
	lamp.Shows("terminated")
	fetched.Bye()
	c.Over()
}
