package bubble

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// An orbit that is configured no more takes nobody in, keeps who is there until
// they are fetched, and its lamps until then.
func TestAnOrbitThatIsRemovedEmptiesItself(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(lit, "early")
		s.Wait(time.Second)
		p := undisturbed(s, []*phone.Call{parked}, watch)
		keys(s, s.Reloaded(removed("701")), "orbits.701")
		s.Wait(time.Second)
		p.check()
		alice.Invite("701", referred(bob)).Expect(404)
		fetched := bob.Call("*4701", phone.Opts{})
		talk(s, fetched, parked)
		if end := watch.AwaitEnd(lit); end.Reason != "noresource" || end.Dialog != "terminated" {
			s.T.Errorf("the last document: %+v", end)
		}
		watch.Refresh(3600).Expect(481)
		bob.Watch("701", 3600).Expect(404)
		bob.Invite("*4701", phone.Opts{}).Expect(404)
		fetched.Hangup()
		parked.ExpectEnd(time.Second)
		s.Wait(time.Second)
		s.Golden("reload-removed")
	})
}

func TestAnOrbitWithoutCallsIsGoneAtOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch, other := bob.Subscribe("701"), bob.Subscribe("702")
		watch.Await(lit, "terminated")
		other.Await(lit, "terminated")
		p := undisturbed(s, nil, other)
		s.Reloaded(removed("701"))
		if end := watch.AwaitEnd(lit); end.Reason != "noresource" {
			s.T.Errorf("ended because of %q", end.Reason)
		}
		alice.Invite("701", phone.Opts{}).Expect(404)
		bob.Watch("701", 3600).Expect(404)
		bob.Request("OPTIONS", "701", nil, "").Expect(404)
		p.check()
		s.Reloaded(added("701"))
		again := bob.Subscribe("701")
		c := alice.Call("701", phone.Opts{})
		again.Await(lit, "early")
		c.Hangup()
		again.Refresh(0).Expect(200)
		other.Refresh(0).Expect(200)
	})
}

// Who is left in an orbit that is configured no more can be fetched in every way.
func TestWhoIsLeftInARemovedOrbitIsFetched(t *testing.T) {
	for name, fetch := range map[string]func(*kit.Site, *phone.Phone, phone.Lamp) *phone.Call{
		"by a code": func(_ *kit.Site, p *phone.Phone, _ phone.Lamp) *phone.Call { return p.Call("*4701", phone.Opts{}) },
		"by ;operation": func(_ *kit.Site, p *phone.Phone, _ phone.Lamp) *phone.Call {
			return p.Call("701;operation=retrieve", phone.Opts{})
		},
		"by the lamp": func(_ *kit.Site, p *phone.Phone, l phone.Lamp) *phone.Call {
			return p.Call("701", phone.Opts{Replaces: l.Replaces(false)})
		},
		"by a plain press": func(_ *kit.Site, p *phone.Phone, _ phone.Lamp) *phone.Call { return p.Call("701", phone.Opts{}) },
		"after a retrieve that came to nothing": func(s *kit.Site, p *phone.Phone, _ phone.Lamp) *phone.Call {
			p.Auto("OPTIONS", 0) // an answer would be as good as an ACK
			half := p.Invite("*4701", phone.Opts{})
			half.Expect(200)
			half.ExpectEnd(64*t1 + time.Second)
			s.Wait(time.Second)
			return p.Call("*4701", phone.Opts{})
		},
		"by an operator's return": func(s *kit.Site, p *phone.Phone, _ phone.Lamp) *phone.Call {
			back := p.Ringing(after) // of the time-out that the orbit had
			back.Pickup()
			return back
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				watch := bob.Subscribe("701")
				parked := park(alice, bob)
				lamp := watch.Await(lit, "early")
				s.Wait(time.Second)
				s.Reloaded(removed("701"))
				s.Wait(time.Second)
				fetched := fetch(s, bob, lamp)
				talk(s, fetched, parked)
				if end := watch.AwaitEnd(2 * time.Second); end.Reason != "noresource" {
					s.T.Errorf("the lamp ended because of %q", end.Reason)
				}
				goodbye(s, parked, fetched)
				bob.Watch("701", 3600).Expect(404)
			})
		})
	}
}

// The lamp of an orbit that empties itself looks as it did.
func TestTheLampOfARemovedOrbitLooksAsItDid(t *testing.T) {
	steady := func(o *config.Orbit) {
		several(o)
		o.Lamp.State, o.Name = "confirmed", "Sales"
	}
	runWith(t, kit.Orbit("701", steady), func(s *kit.Site) {
		ann, ben, desk := s.Phone("ann"), s.Phone("ben"), s.Phone("desk")
		watch := desk.Subscribe("701")
		first, second := park(ann, desk), park(ben, desk)
		watch.Await(lit, "confirmed")
		s.Reloaded(removed("701"))
		s.Wait(3 * time.Second)
		watch.Refresh(3600).Expect(200)
		s.Wait(lit)
		if l := watch.Await(lit, "confirmed"); l.RemoteName != "ann (+1)" || l.LocalName != "Sales" {
			s.T.Errorf("the lamp shows %+v", l)
		}
		s.Reloaded(added("711")) // another reload does not change that
		fetched := retrieve(s, desk, first)
		if l := watch.Await(lit, "confirmed"); l.RemoteName != "ben" || l.State != "active" {
			s.T.Errorf("the lamp shows %+v", l)
		}
		goodbye(s, fetched, first)
		second.Hangup()
		watch.AwaitEnd(time.Second)
	})
}

// An orbit comes back while somebody is still in it: as any other one with a call.
func TestARemovedOrbitComesBackWithItsCalls(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		lamp := watch.Await(lit, "early")
		s.Wait(time.Second)
		p := undisturbed(s, []*phone.Call{parked}, watch)
		s.Reloaded(removed("701"))
		s.Wait(time.Second)
		s.Reloaded(added("701"))
		s.Wait(time.Second)
		p.check()
		carol.Invite("701", referred(bob)).Expect(486)
		next := carol.Subscribe("701")
		if l := next.Await(lit, "early"); l.CallID != lamp.CallID {
			s.T.Errorf("another call is shown: %+v", l)
		}
		fetched := carol.Call("701", phone.Opts{Replaces: lamp.Replaces(true)})
		talk(s, fetched, parked)
		watch.Await(lit, "terminated")
		goodbye(s, fetched, parked)
		again := park(alice, bob)
		watch.Await(2*time.Second, "early")
		next.Await(2*time.Second, "early")
		again.Hangup()
		watch.Refresh(0).Expect(200)
		next.Refresh(0).Expect(200)
	})
}

// Who talks already, and who was fetched from an orbit, does not depend on it.
func TestABridgedCallDoesNotNeedItsOrbit(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		s.Reloaded(removed("701"))
		s.Wait(time.Second)
		talk(s, fetched, parked)
		taken := carol.Call("701", phone.Opts{Replaces: fetched.Replaces()}) // a transfer
		fetched.ExpectEnd(time.Second)
		talk(s, taken, parked)
		goodbye(s, taken, parked)
	})
}

// A retrieve is under way as the orbit goes.
func TestAnOrbitIsRemovedWhileACallIsFetched(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(lit, "early")
		s.Wait(time.Second)
		fetched := bob.Invite("*4701", phone.Opts{})
		fetched.Expect(200)
		s.Reloaded(removed("701"))
		s.Wait(100 * time.Millisecond)
		if l := watch.Newest(); l.State != "active" { // it may come back still
			s.T.Errorf("the lamp: %+v", l)
		}
		fetched.Ack()
		talk(s, fetched, parked)
		watch.AwaitEnd(2 * time.Second)
		goodbye(s, fetched, parked)
	})
}

// Two orbits become one call's story: the one is removed, and its number becomes
// that of whom the call was to go back to.
func TestAParkerWhoseNumberBecomesAnOrbitIsNotCalled(t *testing.T) {
	runWith(t, lasting(30*time.Second), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("711")
		parked := alice.Call("701", onHold(bob))
		s.Reloaded(added("711"))
		if bob.Rings(time.Minute) != nil {
			s.T.Error("an orbit's number was called")
		}
		start := time.Now()
		s.Reloaded(removed("711"))
		back := bob.Ringing(time.Minute)
		about(s, "return", back.Since().Sub(start), 30*time.Second)
		back.Reply(486)
		s.Wait(time.Second)
		parked.Hangup()
	})
}
