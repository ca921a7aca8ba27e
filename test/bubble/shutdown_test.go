package bubble

import (
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/config"
	"parkd/internal/store"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// stopping runs a scenario that stops its server itself.
func stopping(t *testing.T, configure kit.Configure, scenario func(*kit.Site)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := kit.NewSite(t, configure)
		defer s.Close()
		defer func() {
			if t.Failed() {
				s.Kill() // it may wait for calls
			}
		}()
		s.Store = store.NewMemory()
		s.Start()
		scenario(s)
	})
}

// mode is a configuration with a way to stop, and a journal that is kept.
func mode(shutdown string) kit.Configure {
	return func(c *config.Config) {
		kit.Kept(c)
		c.Shutdown = shutdown
	}
}

// restarted is a site whose servers are stopped and started.
func restarted(t *testing.T, configure kit.Configure, scenario func(*kit.Site)) {
	t.Helper()
	t.Parallel()
	kit.RunCut(t, kit.Plan{Configure: func(c *config.Config) {
		kit.Kept(c)
		if configure != nil {
			configure(c)
		}
	}}, scenario)
}

// said lists what a server has said from now on.
func said(s *kit.Site) *[]string {
	lines := new([]string)
	s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
		if p.From == kit.Server && p.SIP() {
			*lines = append(*lines, string(p.Data[:min(len(p.Data), 40)]))
		}
		return fakenet.Verdict{}
	})
	return lines
}

// By default a stop says nothing to anybody, and the next server goes on.
func TestAStopKeepsEverybody(t *testing.T) {
	restarted(t, lasting(30*time.Second), func(s *kit.Site) {
		ann, ben, bob, carol := s.Phone("ann"), s.Phone("ben"), s.Phone("bob"), s.Phone("carol")
		watch := bob.Subscribe("701")
		parked := ann.Call("701", referred(bob))
		bridged := ben.Call("702", phone.Opts{})
		fetched := bob.Call("*4702", phone.Opts{})
		talk(s, fetched, bridged)
		lamp := watch.Await(lit, "early")
		told := len(watch.Lamps())
		words := said(s)
		s.RestartAnd(5*time.Second, func() {
			if len(*words) > 0 {
				s.T.Errorf("the server that stops says %q", *words)
			}
			s.Net.Hook(nil)
		})
		s.Wait(time.Second)
		hearsMusic(s, parked)
		talk(s, fetched, bridged)
		if l := watch.Newest(); len(watch.Lamps()) != told+1 || l.CallID != lamp.CallID || l.Dialog != "early" {
			s.T.Errorf("the lamp was told %+v", watch.Lamps()[told:])
		}
		for _, c := range []*phone.Call{parked, bridged, fetched} {
			if n := len(c.Got("INVITE")) + len(c.Got("BYE")); n > 0 {
				s.T.Errorf("%s got %d requests", c.CallID(), n)
			}
		}
		back := bob.Ringing(time.Minute) // at its time
		about(s, "return", back.Since().Sub(parked.Since()), 30*time.Second)
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
		goodbye(s, fetched, bridged)
		free(s, carol)
		watch.Refresh(0).Expect(200)
	})
}

// What is half done at the SIGTERM is brought to its end by the next server.
func TestWhatIsHalfDoneAtAStopIsFinished(t *testing.T) {
	const gap = 300 * time.Millisecond
	t.Run("an INVITE", func(t *testing.T) {
		restarted(t, nil, func(s *kit.Site) {
			alice, bob := s.Phone("alice"), s.Phone("bob")
			c := alice.Invite("701", referred(bob))
			s.RestartAnd(gap, func() {
				if len(c.Tx.All(200)) > 0 {
					s.T.Error("it was not half done")
				}
			})
			c.Expect(200)
			c.Ack()
			s.Wait(time.Second)
			hearsMusic(s, c)
			c.Hangup()
		})
	})
	t.Run("a 200 without ACK", func(t *testing.T) {
		restarted(t, nil, func(s *kit.Site) {
			alice, bob := s.Phone("alice"), s.Phone("bob")
			c := alice.Invite("701", referred(bob))
			first := c.Expect(200)
			s.Restart(gap)
			s.Wait(time.Second)
			all := c.Tx.All(200)
			if len(all) < 2 || all[len(all)-1].Body != first.Body || all[len(all)-1].ToTag() != first.ToTag() {
				s.T.Errorf("%d answers", len(all))
			}
			c.Ack()
			s.Wait(time.Second)
			hearsMusic(s, c)
			c.Hangup()
		})
	})
	t.Run("a retrieve", func(t *testing.T) {
		restarted(t, nil, func(s *kit.Site) {
			alice, bob := s.Phone("alice"), s.Phone("bob")
			watch := bob.Subscribe("701")
			parked := park(alice, bob)
			watch.Await(lit, "early")
			c := bob.Invite("*4701", phone.Opts{})
			c.Expect(200)
			s.Restart(gap)
			s.Wait(time.Second)
			c.Ack()
			s.Wait(time.Second)
			talk(s, c, parked)
			goodbye(s, c, parked)
			watch.Await(lit, "terminated")
			watch.Refresh(0).Expect(200)
		})
	})
	t.Run("a return that rings", func(t *testing.T) {
		restarted(t, lasting(30*time.Second), func(s *kit.Site) {
			alice, bob := s.Phone("alice"), s.Phone("bob")
			parked := park(alice, bob)
			ringing := bob.Ringing(time.Minute)
			ringing.Reply(180)
			s.Wait(time.Second)
			s.Restart(gap)
			ringing.ExpectCancel(time.Second)
			back := bob.Ringing(3 * time.Second) // and not a time-out later
			back.Pickup()
			talk(s, back, parked)
			goodbye(s, back, parked)
		})
	})
	t.Run("a hang-up", func(t *testing.T) {
		restarted(t, nil, func(s *kit.Site) {
			alice, bob := s.Phone("alice"), s.Phone("bob")
			parked := park(alice, bob)
			fetched := retrieve(s, bob, parked)
			bye := fetched.Bye()
			s.Restart(gap)
			// The next server may happen to ask bob's phone whether it is still there
			// before the BYE comes again: then it has learnt that it is not, and the
			// dialog is over (RFC 3261 12.2.1.2).
			if r := bye.Wait(phone.Patience); r == nil || r.Code() != 200 && r.Code() != 481 {
				s.T.Errorf("BYE answered with %v", r)
			}
			parked.ExpectEnd(5 * time.Second)
		})
	})
	t.Run("a SUBSCRIBE", func(t *testing.T) {
		restarted(t, nil, func(s *kit.Site) {
			watch := s.Phone("bob").Watch("701", 3600)
			s.Restart(gap)
			watch.Expect(200)
			watch.Await(time.Second, "terminated")
			watch.Refresh(0).Expect(200)
		})
	})
}

// A park that waits for the disk at the SIGTERM is either kept or was refused.
func TestAParkThatWaitsForTheDiskAtAStop(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]time.Duration{"a slow one": 500 * time.Millisecond, "a very slow one": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit.RunCut(t, kit.Plan{Configure: kit.Kept, Disk: disk}, func(s *kit.Site) {
				c := s.Phone("alice").Invite("701", phone.Opts{})
				s.Wait(100 * time.Millisecond)
				s.Restart(time.Second)
				c.Tx.ExpectWithin(2*disk+10*time.Second, 200)
				c.Ack()
				s.Wait(time.Second)
				hearsMusic(s, c)
				c.Hangup()
				s.Wait(2 * disk)
			})
		})
	}
}

// Whose phone hung up while there was no server is not kept for ever.
func TestSomebodyHangsUpWhileThereIsNoServer(t *testing.T) {
	restarted(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(lit, "early")
		s.RestartAnd(time.Minute, func() { parked.Bye() }) // nobody hears it
		watch.Await(40*time.Second, "terminated")
		free(s, alice)
		s.Wait(time.Second)
		watch.Refresh(0).Expect(200)
	})
}

// The next server has another configuration: what a stop and a start are for.
func TestTheNextServerHasAnotherConfiguration(t *testing.T) {
	restarted(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(lit, "early")
		s.RestartAnd(time.Second, func() {
			s.Config.Media.Ports = config.PortRange{Low: 20000, High: 20019}
			removed("701")(&s.Config)
			added("711")(&s.Config)
		})
		s.Wait(time.Second)
		watch.Await(time.Second, "early")
		hearsMusic(s, parked)
		if from := parked.Media.Hear(100 * time.Millisecond)[0].From.Port(); from >= 20000 {
			s.T.Errorf("an old call's media moved to %d", from)
		}
		alice.Invite("701", referred(bob)).Expect(404)
		c := alice.Call("711", phone.Opts{})
		if p := c.Media.Remote().Port(); p < 20000 {
			s.T.Errorf("a new call has the port %d", p)
		}
		c.Hangup()
		goodbye(s, retrieve(s, bob, parked), parked)
		if end := watch.AwaitEnd(2 * time.Second); end.Reason != "noresource" {
			s.T.Errorf("the lamp ended because of %q", end.Reason)
		}
	})
}
