package bubble

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/internal/store"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// runs checks whether the server still runs.
func runs(s *kit.Site, want bool) {
	s.T.Helper()
	s.Wait(0)
	if is := len(s.Net.Bound(kit.Server.Addr())) > 0; is != want {
		s.T.Fatalf("the server runs: %v", is)
	}
}

// over checks that the server ends by itself, soon, with nothing left to say.
func over(s *kit.Site) {
	s.T.Helper()
	s.Wait(time.Second)
	runs(s, false)
	s.Stopped()
	message := "stopping"
	if s.Config.Store.Kind != "memory" {
		message = "stopping, calls are kept"
	}
	if n, ok := s.Log.Number(message, "legs"); !ok || n != 0 {
		s.T.Errorf("stopped with %v legs", n)
	}
}

// empty checks that a journal has nothing but subscriptions.
func empty(s *kit.Site, subscriptions int) {
	s.T.Helper()
	all, err := s.Store.(*store.Memory).Reopen().Load("")
	if err != nil {
		s.T.Fatal(err)
	}
	if len(all) != subscriptions {
		s.T.Errorf("the journal holds %v", all)
	}
}

// With shutdown: drain nobody new is parked, everybody else is served, and the
// server ends when the last one has gone.
func TestAServerThatDrainsServesWhoIsThere(t *testing.T) {
	for name, configure := range map[string]kit.Configure{
		"with a journal": mode("drain"), "without": func(c *config.Config) { c.Shutdown = "drain" },
	} {
		t.Run(name, func(t *testing.T) {
			stopping(t, func(c *config.Config) {
				configure(c)
				allLasting(30 * time.Second)(c)
			}, func(s *kit.Site) {
				ann, ben, cat, bob, eve := s.Phone("ann"), s.Phone("ben"), s.Phone("cat"), s.Phone("bob"), s.Phone("eve")
				watch := bob.Subscribe("701")
				fetched, returns, alone := park(ann, bob), ben.Call("702", referred(eve)), cat.Call("703", phone.Opts{})
				watch.Await(lit, "early")
				p := undisturbed(s, []*phone.Call{fetched, returns, alone}, watch)
				s.Drain()
				s.Wait(10 * time.Second)
				runs(s, true)
				p.check()
				if r := bob.Invite("704", phone.Opts{}).Expect(480); r.Get("Retry-After") == "" {
					s.T.Error("refused without Retry-After")
				}
				other := bob.Subscribe("702") // lamps are served
				other.Await(lit, "early")
				watch.Refresh(3600).Expect(200)
				fetched.Change(phone.SDP{Direction: "sendonly"})
				fetched.Change(phone.SDP{})
				retriever := retrieve(s, bob, fetched)
				watch.Await(lit, "terminated")

				first := eve.Ringing(time.Minute)
				about(s, "return", first.Since().Sub(returns.Since()), 30*time.Second)
				first.Reply(486) // and again
				back := eve.Ringing(time.Minute)
				back.Pickup()
				talk(s, back, returns)
				other.Await(lit, "terminated")
				s.Wait(5 * time.Minute)
				goodbye(s, retriever, fetched)
				goodbye(s, returns, back)
				s.Wait(time.Minute)
				runs(s, true)
				alone.ExpectAlive()
				hearsMusic(s, alone)
				alone.Hangup()
				over(s)
				if name == "without" { // its lamps end with it
					empty(s, 0)
					if end := watch.AwaitEnd(0); end.Reason != "probation" {
						s.T.Errorf("the lamp: %+v", end)
					}
					return
				}
				empty(s, 2)
			})
		})
	}
}

func TestAServerWithoutCallsNeedNotDrain(t *testing.T) {
	for _, shutdown := range []string{"drain", "return"} {
		t.Run(shutdown, func(t *testing.T) {
			stopping(t, mode(shutdown), func(s *kit.Site) {
				watch := s.Phone("bob").Subscribe("701")
				words := said(s)
				s.Wait(time.Second)
				s.Drain()
				over(s)
				if len(*words) > 0 {
					s.T.Errorf("it said %q", *words)
				}
				if l := watch.Newest(); l.State != "active" {
					s.T.Errorf("the lamp: %+v", l)
				}
				empty(s, 1)
			})
		})
	}
}

// The last call ends, and the BYE for its other end is lost: it is sent again
// before the server goes.
func TestAServerThatDrainedHasHungUp(t *testing.T) {
	stopping(t, mode("drain"), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		s.Drain()
		s.Wait(time.Second)
		lose(s, 2, "BYE sip:alice")
		fetched.Hangup()
		parked.ExpectEnd(5 * time.Second)
		over(s)
		empty(s, 0)
	})
}

// A second signal ends the process at once: the journal has the rest.
func TestASecondStopWhileDrainingKeepsTheRest(t *testing.T) {
	for _, shutdown := range []string{"drain", "return"} {
		t.Run(shutdown, func(t *testing.T) {
			restarted(t, func(c *config.Config) {
				c.Shutdown = shutdown
				allLasting(30 * time.Second)(c)
			}, func(s *kit.Site) {
				ann, ben, cat, bob := s.Phone("ann"), s.Phone("ben"), s.Phone("cat"), s.Phone("bob")
				watch := bob.Subscribe("702")
				bridged, parked, alone := park(ann, bob), ben.Call("702", onHold(bob)), cat.Call("703", phone.Opts{})
				fetched := retrieve(s, bob, bridged)
				watch.Await(lit, "early")
				s.Drain()
				s.Wait(5 * time.Second)
				s.Crash(time.Second)
				if shutdown == "return" {
					bob.Ringing(time.Second).ExpectCancel(5 * time.Second) // of the server before
				}
				s.Wait(time.Second)
				talk(s, fetched, bridged)
				hearsMusic(s, alone)
				watch.Await(lit, "early")
				free(s, cat) // new ones are parked again
				back := bob.Ringing(time.Minute)
				back.Pickup()
				goodbye(s, back, parked)
				goodbye(s, fetched, bridged)
				alone.Hangup()
				watch.Refresh(0).Expect(200)
				s.Config.Shutdown = "keep"
			})
		})
	}
}

// With shutdown: return everybody goes back to whoever parked them, at once.
func TestAServerThatReturnsRingsEveryParker(t *testing.T) {
	stopping(t, func(c *config.Config) {
		mode("return")(c)
		allLasting(30 * time.Second)(c)
		kit.Orbit("705", func(o *config.Orbit) { o.Timeout.Fallback = "200" })(c)
	}, func(s *kit.Site) {
		pbx := s.Phone("pbx")
		bob, eve, joe := s.Phone("bob"), s.Phone("eve"), s.Phone("joe")
		answered := pbx.Call("701", referred(bob))
		refused := pbx.Call("702", referred(eve))
		silent := pbx.Call("703", onHold(joe))
		alone := pbx.Call("704", phone.Opts{})
		fallen := pbx.Call("705", phone.Opts{}) // no parker, but a fallback
		s.Wait(5 * time.Second)
		p := undisturbed(s, []*phone.Call{answered, refused, alone, fallen})
		s.Drain()
		start := time.Now()
		back, no, ignored, fallback := bob.Ringing(time.Second), eve.Ringing(time.Second), joe.Ringing(time.Second), pbx.Ringing(time.Second)
		if got, want := fallback.Request().URI(), "sip:200@10.0.1.1:5060"; got != want {
			s.T.Errorf("the fallback is %s, want %s", got, want)
		}
		back.Reply(180)
		no.Reply(486)
		ignored.Reply(180)
		fallback.Reply(180)
		s.Wait(2 * time.Second)
		p.check()
		pbx.Invite("706", phone.Opts{}).Expect(480)
		back.Pickup()
		talk(s, back, answered)
		fallback.Pickup()
		talk(s, fallback, fallen)
		goodbye(s, back, answered)
		goodbye(s, fallback, fallen)

		about(s, "cancel", ignored.ExpectCancel(time.Minute).Sub(start), rings)
		again := eve.Ringing(time.Minute)
		about(s, "second return of the one", again.Since().Sub(start), 30*time.Second)
		again.Pickup()
		talk(s, again, refused)
		goodbye(s, refused, again)
		again = joe.Ringing(time.Minute)
		about(s, "second return of the other", again.Since().Sub(start), rings+30*time.Second)
		again.Pickup()
		goodbye(s, again, silent)
		s.Wait(time.Second)
		runs(s, false) // for who is alone it does not wait
		s.Stopped()
		alone.ExpectAlive()
		empty(s, 2) // the call and its leg
	})
}

// For whom nobody is to be called, the stop does not wait: without a parker, or
// with one who was busy where calls never come back by themselves. They stay for
// the next server.
func TestAServerThatReturnsKeepsWhoHasNobodyToGoTo(t *testing.T) {
	restarted(t, func(c *config.Config) {
		c.Shutdown = "return"
		returning(false)(c)
	}, func(s *kit.Site) {
		ann, ben, bob := s.Phone("ann"), s.Phone("ben"), s.Phone("bob")
		busy, alone := park(ann, bob), ben.Call("702", phone.Opts{})
		s.Wait(time.Second)
		s.Config.Shutdown = "keep" // of the next one
		go func() {
			if c := bob.Rings(time.Second); c != nil {
				c.Reply(486)
			}
		}()
		s.RestartAnd(time.Second, func() {
			if n := len(bob.Got("INVITE")); n != 1 {
				s.T.Errorf("bob was called %d times", n)
			}
		})
		s.Wait(time.Second)
		for _, c := range []*phone.Call{busy, alone} {
			c.ExpectAlive()
			hearsMusic(s, c)
		}
		goodbye(s, retrieve(s, bob, busy), busy)
		alone.Hangup()
	})
}

// How a stop goes may be decided as late as the SIGTERM, and a reload meanwhile
// does not take it back.
func TestTheWayToStopFollowsTheConfiguration(t *testing.T) {
	stopping(t, mode("keep"), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		keys(s, s.Reloaded(mode("drain")), "shutdown")
		s.Drain()
		s.Wait(time.Second)
		runs(s, true)
		s.Reloaded(func(c *config.Config) {
			mode("keep")(c)
			added("711")(c)
		})
		bob.Invite("711", phone.Opts{}).Expect(480)
		s.Wait(time.Second)
		runs(s, true)
		hearsMusic(s, parked)
		goodbye(s, retrieve(s, bob, parked), parked)
		over(s)
	})
}

// Without a journal on disk nobody can be kept: everybody is hung up on.
func TestAStopWithoutAJournalEndsCalls(t *testing.T) {
	stopping(t, allLasting(30*time.Second), func(s *kit.Site) {
		ann, ben, cat, bob, eve := s.Phone("ann"), s.Phone("ben"), s.Phone("cat"), s.Phone("bob"), s.Phone("eve")
		watch := bob.Subscribe("701")
		returns := ben.Call("702", referred(eve))
		s.Wait(28 * time.Second)
		parked, fetched := park(ann, bob), cat.Call("703", phone.Opts{})
		retriever := bob.Call("*4703", phone.Opts{})
		ringing := eve.Ringing(time.Minute)
		ringing.Reply(180)
		half := bob.Invite("*4701", phone.Opts{})
		half.Expect(200) // and no ACK
		s.Drain()
		late := cat.Invite("704", phone.Opts{})
		s.Wait(5 * time.Second)
		half.Ack() // 3 s too late
		for name, c := range map[string]*phone.Call{"parked": parked, "fetched": fetched, "retriever": retriever, "returns": returns} {
			if c.Ended().IsZero() || !c.ByPeer() {
				s.T.Errorf("%s was not hung up on", name)
			}
		}
		ringing.ExpectCancel(0)
		late.Expect(480)
		if l := watch.Newest(); l.State != "terminated" || l.Reason != "probation" { // RFC 6665 4.1.3: come again later
			s.T.Errorf("the lamp: %+v", l)
		}
		s.Stopped()
	})
}
