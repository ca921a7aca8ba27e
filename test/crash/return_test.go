package crash

import (
	"testing"
	"time"

	"parkd/test/live"
)

// timed has calls of 701 return after a while, and those of 702 sooner.
const timed = `
park: {timeout_range: [1s, 1h]}
orbits:
  - {extension: "701", timeout: {after: 4s, ring: 20s}}
  - {extension: "702", timeout: {after: 1s, ring: 20s}}
`

// Returns come at their time, or at once where that has passed while nobody was
// there.
func TestAReturnComesAtItsTime(t *testing.T) {
	t.Parallel()
	s := newSite(t, timed)
	s.start()
	ann, ben, bob, eve := s.phone("ann"), s.phone("ben"), s.phone("bob"), s.phone("eve")
	from := time.Now()
	later, soon := ann.Park("701", bob, live.Offer{}), ben.Park("702", eve, live.Offer{})
	to := time.Now()
	later.Media.First(5)
	soon.Media.First(5)
	o := s.kill()
	due := map[string]time.Time{}
	for _, c := range o.before {
		due[c.Orbit] = c.ReturnsAt
	}
	<-time.After(time.Until(to.Add(1200 * time.Millisecond))) // the times of the API are whole seconds
	o.restart()
	for _, c := range s.calls() { // one that is on its way back has no time any more
		if c.State == "parked" && !c.ReturnsAt.Equal(due[c.Orbit]) {
			t.Errorf("the call of %s returns at %v, and before the outage at %v", c.Orbit, c.ReturnsAt, due[c.Orbit])
		}
	}
	o.goesOn(later, soon)

	back := eve.Rung()
	t.Logf("overdue by %v, rung %v after ready", o.ready.Sub(to.Add(time.Second)).Round(time.Millisecond), back.Rang.Sub(o.ready).Round(time.Millisecond))
	back.Pickup(live.Offer{})
	bothHear(soon, back)
	o.silent(later, soon)

	back = bob.Rung()
	t.Logf("rung %v after its time", back.Rang.Sub(to.Add(4*time.Second)).Round(time.Millisecond))
	if wait := back.Rang.Sub(from); wait < 4*time.Second {
		t.Errorf("a return rings %v after the park", wait)
	}
	back.Pickup(live.Offer{})
	bothHear(later, back)
	soon.Bye()
	back.Bye()
	later.Over()
}

// The parker is being rung: whoever rang stops, and the parker is rung again.
func TestAReturnThatRingsIsBegunAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t, timed)
	s.start()
	ann, bob := s.phone("ann"), s.phone("bob")
	desk := s.phone("desk")
	lamp := desk.Watch("702")
	lamp.Served()
	c := ann.Park("702", bob, live.Offer{})
	c.Media.First(5)
	first := bob.Rung()
	s.states("returning")
	o := s.crashReturning()
	o.goesOn(c)
	bob.Await("the first call is taken back", func() bool { return first.Cancelled })
	second := bob.Rung()
	t.Logf("rung again %v after ready", second.Rang.Sub(o.ready).Round(time.Millisecond))
	second.Pickup(live.Offer{})
	bothHear(c, second)
	lamp.Shows("terminated")
	o.silent(c)
	s.states("bridged")
	c.Bye()
	second.Over()
}

// crashReturning is crash while a return rings, which begins anew.
func (s *site) crashReturning() *outage {
	s.Helper()
	o := s.kill()
	o.restart()
	after := s.calls()
	if len(after) != 1 || len(o.before) != 1 || after[0].ID != o.before[0].ID || !after[0].Since.Equal(o.before[0].Since) {
		s.Fatalf("calls after the outage: %+v\nbefore: %+v", after, o.before)
	}
	return o
}

// The parker has picked up, and nobody has taken the 200 yet.
func TestAReturnThatIsAnsweredMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t, timed)
	s.start()
	ann, bob := s.phone("ann"), s.phone("bob")
	c := ann.Park("702", bob, live.Offer{})
	c.Media.First(5)
	first := bob.Rung()
	s.states("returning")
	o := s.kill()
	first.PickupLate(live.Offer{})
	o.restart()
	o.goesOn(c)
	// The answer is for a server that is gone: its call is ended, and another rings.
	second := bob.Rung()
	second.Pickup(live.Offer{})
	bothHear(c, second)
	first.Over()
	o.silent(c)
	second.Bye()
	c.Over()
	s.states()
}
