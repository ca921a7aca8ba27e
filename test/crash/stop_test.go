package crash

import (
	"testing"
	"time"

	"parkd/test/live"
)

// SIGTERM, and shutdown as it is by default: nobody is told anything, and
// everything goes on in the next server.
func TestAStopKeepsCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	ann, ben, bob := s.phone("ann"), s.phone("ben"), s.phone("bob")
	lamp := bob.Watch("701")
	lamp.Served()
	parked, bridged := ann.Park("701", bob, live.Offer{}), ben.Park("702", bob, live.Offer{})
	fetched := bob.Dial("*4702", live.Offer{})
	bothHear(bridged, fetched)
	parked.Media.First(5)
	lamp.Shows("early")
	s.states("parked", "bridged")

	o := &outage{s: s, before: s.calls(), struck: time.Now()}
	s.now.terminate()
	s.now.stops(live.Patience)
	t.Logf("stopped in %v", time.Since(o.struck).Round(time.Millisecond))
	o.restart()
	o.same()
	o.goesOn(parked, bridged, fetched)
	o.told("early", lamp)
	hearStill(bridged, fetched)
	o.silent(parked, bridged, fetched)
	parked.Bye()
	lamp.Shows("terminated")
	fetched.Bye()
	bridged.Over()
}

// SIGTERM with shutdown: drain. Who is parked stays, is heard and can be
// fetched, nobody new is parked, and the server ends when all have gone.
func TestAStopWaitsForCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, "shutdown: drain\n")
	p := s.start()
	ann, ben, bob := s.phone("ann"), s.phone("ben"), s.phone("bob")
	a, b := ann.Dial("701", live.Offer{}), ben.Dial("702", live.Offer{})
	a.Media.First(5)
	p.terminate()
	if p.says("draining", live.Patience) == nil {
		t.Fatal("nothing is said of draining")
	}
	late := bob.Invite("703", live.Offer{})
	if m := late.Expect(480); m.Get("Retry-After") == "" {
		t.Errorf("refused without Retry-After:\n%+v", m)
	}
	if code, _ := s.http("GET", "/readyz"); code != 503 {
		t.Errorf("ready: %d", code)
	}
	fetched := bob.Dial("*4702", live.Offer{})
	bothHear(b, fetched)
	a.Media.Hear(10)
	if !p.runs() {
		t.Fatal("ended with a caller parked")
	}
	fetched.Bye()
	b.Over()
	a.Media.Hear(10)
	a.Bye()
	p.stops(live.Patience)
}

// SIGTERM with shutdown: return. Every parker is rung at once; who has nobody
// to go back to stays until they hang up.
func TestAStopReturnsCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, "shutdown: return\n")
	p := s.start()
	ann, ben, bob, eve := s.phone("ann"), s.phone("ben"), s.phone("bob"), s.phone("eve")
	a, b := ann.Park("701", bob, live.Offer{}), ben.Park("702", eve, live.Offer{})
	a.Media.First(5)
	b.Media.First(5)
	p.terminate()
	toBob, toEve := bob.Rung(), eve.Rung()
	toBob.Pickup(live.Offer{})
	toEve.Pickup(live.Offer{})
	bothHear(a, toBob)
	bothHear(b, toEve)
	if !p.runs() {
		t.Fatal("ended while callers talk")
	}
	a.Bye()
	toBob.Over()
	toEve.Bye()
	b.Over()
	p.stops(live.Patience)
}
