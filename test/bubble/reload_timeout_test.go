package bubble

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// of701 changes the time-out of 701.
func of701(change func(*config.Timeout)) kit.Configure {
	return kit.Orbit("701", func(o *config.Orbit) { change(&o.Timeout) })
}

func lasting(d time.Duration) kit.Configure { return of701(func(t *config.Timeout) { t.After = d }) }

func returning(on bool) kit.Configure { return of701(func(t *config.Timeout) { t.Enabled = on }) }

func acting(action string) kit.Configure {
	return of701(func(t *config.Timeout) { t.Action = action })
}

// onHold is the INVITE of a caller who wants no music: what is looked at takes
// minutes.
func onHold(parker *phone.Phone) phone.Opts {
	o := referred(parker)
	o.SDP.Direction = "sendonly"
	return o
}

// The return of a call that is parked already moves with the rule, but never
// into the past, and nobody hears of it.
func TestTheReturnOfAParkedCallFollowsTheRule(t *testing.T) {
	type step struct {
		at     time.Duration // since the park
		change kit.Configure
	}
	const shorter, longer = 50 * time.Second, 3 * time.Minute
	for name, o := range map[string]struct {
		start kit.Configure
		steps []step
		want  time.Duration // of the return
	}{
		"shorter":               {nil, []step{{20 * time.Second, lasting(shorter)}}, shorter},
		"shorter than it is":    {nil, []step{{70 * time.Second, lasting(shorter)}}, 70 * time.Second},
		"longer":                {nil, []step{{100 * time.Second, lasting(longer)}}, longer},
		"longer and back":       {nil, []step{{30 * time.Second, lasting(longer)}, {100 * time.Second, lasting(after)}}, after},
		"another ring":          {nil, []step{{30 * time.Second, of701(func(t *config.Timeout) { t.Ring = time.Minute })}}, after},
		"off and on":            {nil, []step{{time.Minute, returning(false)}, {4 * time.Minute, returning(true)}}, 6 * time.Minute},
		"on":                    {returning(false), []step{{3 * time.Minute, returning(true)}}, 5 * time.Minute},
		"off, and shorter then": {nil, []step{{time.Minute, returning(false)}, {2 * time.Minute, lasting(shorter)}, {4 * time.Minute, returning(true)}}, 4*time.Minute + shorter},
		"the orbit goes":        {nil, []step{{30 * time.Second, removed("701")}}, after},
		"the orbit goes, and comes with another rule": {nil, []step{{30 * time.Second, removed("701")}, {40 * time.Second, func(c *config.Config) {
			added("701")(c)
			lasting(longer)(c)
		}}}, longer},
		"all are gone":                        {nil, []step{{30 * time.Second, func(c *config.Config) { c.Orbits = nil }}}, after},
		"nobody is called, and then somebody": {nil, []step{{time.Minute, acting("keep")}, {4 * time.Minute, acting("parker")}}, 6 * time.Minute},
		"nothing":                             {nil, []step{{30 * time.Second, nil}, {31 * time.Second, nil}}, after},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, o.start, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				watch := bob.Subscribe("701")
				parked := alice.Call("701", onHold(bob))
				watch.Await(lit, "early")
				start := parked.Since()
				p := undisturbed(s, nil, watch)
				for _, st := range o.steps {
					s.Wait(st.at - time.Since(start))
					s.Reloaded(st.change)
					if time.Since(start) < o.want-lit { // else it is on its way back now
						s.Wait(lit)
						p.check()
					}
				}
				back := bob.Ringing(o.want)
				about(s, "return", back.Since().Sub(start), o.want)
				p.unasked(parked)
				back.Pickup()
				parked.Change(phone.SDP{})
				talk(s, back, parked)
				goodbye(s, back, parked)
				watch.Refresh(0).Wait(phone.Patience) // 481 where its orbit is gone
				watch.Drop()
			})
		})
	}
}

// A return that rings, rings as long as it was to.
func TestAReturnUnderWayIsNotDisturbed(t *testing.T) {
	for name, change := range map[string]kit.Configure{
		"shorter ring": of701(func(t *config.Timeout) { t.Ring = time.Second }),
		"no time-outs": returning(false), "another time": lasting(30 * time.Second), "the orbit goes": removed("701"),
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, lasting(40*time.Second), func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				watch := bob.Subscribe("701")
				parked := park(alice, bob)
				back := bob.Ringing(time.Minute)
				back.Reply(180)
				s.Wait(time.Second)
				p := undisturbed(s, []*phone.Call{parked}, watch)
				s.Reloaded(change)
				s.Wait(10 * time.Second)
				p.check()
				about(s, "cancel", back.ExpectCancel(time.Minute).Sub(back.Since()), rings)
				again := bob.Rings(2 * time.Minute)
				if wanted := name != "no time-outs"; (again != nil) != wanted {
					s.T.Fatalf("called again: %v", again != nil)
				} else if wanted {
					again.Pickup()
					talk(s, again, parked)
					again.Hangup()
				}
				parked.Bye()
				s.Wait(time.Second)
				watch.Refresh(0).Wait(phone.Patience)
				watch.Drop()
			})
		})
	}
}

func TestAnotherFallbackIsCalled(t *testing.T) {
	fallback := func(ext string, tries int) kit.Configure {
		return of701(func(t *config.Timeout) { t.Fallback, t.FallbackAfter = ext, tries })
	}
	t.Run("of a call that has failed returns", func(t *testing.T) {
		runWith(t, lasting(30*time.Second), func(s *kit.Site) {
			pbx, bob := s.Phone("pbx"), s.Phone("bob")
			parked := pbx.Call("701", onHold(bob))
			bob.Ringing(time.Minute).Reply(486)
			s.Wait(time.Second)
			keys(s, s.Reloaded(fallback("200", 2)), "orbits.701.timeout.fallback", "orbits.701.timeout.fallback_after")
			bob.Ringing(time.Minute).Reply(486)
			s.Wait(time.Second)
			s.Reloaded(fallback("300", 2))
			back := pbx.Ringing(time.Minute)
			if got, want := back.Request().URI(), "sip:300@10.0.1.1:5060"; got != want {
				s.T.Errorf("the fallback is %s, want %s", got, want)
			}
			back.Reply(486)
			s.Wait(time.Second)
			s.Reloaded(fallback("", 3)) // none any more: the parker again
			bob.Ringing(time.Minute).Reply(486)
			s.Wait(time.Second)
			parked.ExpectAlive()
			parked.Hangup()
		})
	})
	t.Run("of a call without a parker", func(t *testing.T) {
		runWith(t, lasting(30*time.Second), func(s *kit.Site) {
			pbx := s.Phone("pbx")
			parked := pbx.Call("701", phone.Opts{SDP: phone.SDP{Direction: "sendonly"}})
			s.Wait(time.Minute)
			start := time.Now()
			s.Reloaded(fallback("200", 3))
			back := pbx.Ringing(time.Minute)
			about(s, "return", back.Since().Sub(start), 30*time.Second)
			back.Reply(486)
			s.Wait(time.Second)
			s.Reloaded(fallback("", 3))
			if pbx.Rings(2*time.Minute) != nil {
				s.T.Error("somebody was called")
			}
			parked.ExpectAlive()
			parked.Hangup()
		})
	})
}

// The longest time counts by the newest rule, for who is parked already too.
func TestAnotherLongestTimeCounts(t *testing.T) {
	longest := func(d time.Duration) kit.Configure { return func(c *config.Config) { c.Park.MaxTime = d } }
	for name, o := range map[string]struct {
		start, next, want time.Duration
	}{
		"longer":  {2 * time.Minute, 4 * time.Minute, 4 * time.Minute},
		"shorter": {0, 2 * time.Minute, 2 * time.Minute},
		"passed":  {5 * time.Minute, 30 * time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, longest(o.start), func(s *kit.Site) {
				c := s.Phone("alice").Call("701", phone.Opts{SDP: phone.SDP{Direction: "sendonly"}})
				start := c.Since()
				s.Wait(time.Minute - time.Since(start))
				keys(s, s.Reloaded(longest(o.next)), "park.max_time")
				c.ExpectEnd(5 * time.Minute)
				about(s, "end", time.Since(start), o.want)
			})
		})
	}
}
