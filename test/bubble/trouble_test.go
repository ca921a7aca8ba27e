package bubble

import (
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// t1 and t2 are those of RFC 3261 17.1.1.1.
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
)

func TestACallerWhoGivesUpBeforeTheAnswerIsNotParked(t *testing.T) {
	t.Parallel()
	kit.RunSlow(t, nil, time.Second, func(s *kit.Site) { // the answer waits for the disk
		alice := s.Phone("alice")
		c := alice.Invite("701", phone.Opts{})
		s.Wait(100 * time.Millisecond)
		c.Cancel().Expect(200)
		c.Expect(487)
		s.Wait(5 * time.Second)
		if n := len(c.Tx.All(200)); n != 0 {
			s.T.Error("answered after the CANCEL")
		}
		s.Golden("cancel")
		free(s, alice)
	})
}

func TestACancelThatOvertakesItsInviteStillEndsIt(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		hook(s, 1, "INVITE", fakenet.Verdict{Delay: 10 * time.Millisecond})
		c := alice.Invite("701", phone.Opts{})
		cancel := c.Cancel()
		c.Expect(487)
		cancel.Expect(200)
		s.Net.Hook(nil)
		free(s, alice)
	})
}

func TestACancelAtTheVeryMomentOfTheAnswerEndsEitherWay(t *testing.T) {
	for range 20 { // goroutines decide who is first
		t.Run("", func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice := s.Phone("alice")
				c := alice.Invite("701", phone.Opts{})
				c.Cancel().Expect(200)
				switch r := c.Tx.Wait(time.Second); {
				case r == nil:
					s.T.Fatal("no final response")
				case r.Code() == 200:
					c.Ack()
					c.Hangup()
				case r.Code() != 487:
					s.T.Errorf("answered %s", r.Start)
				}
				free(s, alice)
			})
		})
	}
}

func TestACancelOfNothingIsAnswered481(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		lose(s, 1, "INVITE")
		c := alice.Invite("701", phone.Opts{})
		c.Cancel().Expect(481)
		s.Net.Hook(nil)
		c.Expect(200) // the retransmission
		c.Ack()
		c.Hangup()
	})
}

func TestACallerMayHangUpBeforeTheAck(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Invite("701", phone.Opts{})
		c.Expect(200)
		c.Hangup()
		s.Wait(time.Minute)
		if n := len(c.Tx.All(200)); n != 1 {
			s.T.Errorf("200 came %d times after the BYE", n-1)
		}
		free(s, alice)
	})
}

func TestAnAnswerWithoutAckIsRepeatedAndThenEnded(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		c := alice.Invite("701", phone.Opts{})
		c.Expect(200)
		start := time.Now()
		c.ExpectEnd(64*t1 + time.Second)
		about(s, "BYE", time.Since(start), 64*t1)
		// RFC 3261 13.3.1.4: T1, doubling to T2, until 64*T1 have passed.
		want, gap := []time.Duration{0}, t1
		for at := gap; at < 64*t1; at += gap {
			want = append(want, at)
			gap = min(2*gap, t2)
		}
		got := c.Tx.All(200)
		if len(got) != len(want) {
			s.T.Fatalf("200 came %d times, want %d", len(got), len(want))
		}
		for i, r := range got {
			about(s, "200", r.At.Sub(start), want[i])
		}
		s.Golden("no-ack")
		free(s, bob)
	})
}

func TestARetrieverWithoutAckLeavesTheCallParked(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		watch := carol.Subscribe("701")
		lamp := watch.Await(time.Second, "early")
		c := bob.Invite("*4701", phone.Opts{})
		c.Expect(200)
		bob.Auto("BYE", 0)
		s.Wait(time.Second)
		bob.Close() // the phone has lost power
		s.Wait(40 * time.Second)
		parked.ExpectAlive()
		hearsMusic(s, parked)
		if again := watch.Await(time.Second, "early"); again.CallID == lamp.CallID {
			s.T.Error("a dialog that had ended came back under its old ids")
		}
		s.Wait(40 * time.Second)
		goodbye(s, retrieve(s, carol, parked), parked)
		watch.Refresh(0).Expect(200)
	})
}

func TestALostAckIsNotMissed(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		lose(s, 3, "ACK")
		c := park(alice, bob) // acknowledges each 200 again
		s.Wait(time.Minute)
		c.ExpectAlive()
		if n := len(c.Tx.All(200)); n != 4 {
			s.T.Errorf("200 came %d times, want 4", n)
		}
		c.Hangup()
	})
}

func TestARepeatedInviteIsAnsweredAlikeAndParkedOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		lose(s, 2, "SIP/2.0 200")
		c := alice.Invite("701", phone.Opts{})
		c.Expect(200)
		c.Tx.Repeat()
		// RFC 6026 7.1: the answer comes again by its own timer.
		s.Wait(t2)
		got := c.Tx.All(200)
		if len(got) < 2 {
			s.T.Fatal("the repeated INVITE was not answered")
		}
		for _, r := range got[1:] {
			if r.Body != got[0].Body || r.ToTag() != got[0].ToTag() || r.Get("Contact") != got[0].Get("Contact") {
				s.T.Errorf("answered differently:\n%v\n%v", got[0], r)
			}
		}
		c.Ack()
		if n := len(s.MediaPorts()); n != 1 {
			s.T.Errorf("%d legs, want 1", n)
		}
		c.Hangup()
		c.Tx.Repeat() // very late
		s.Wait(time.Second)
		if n := len(s.MediaPorts()); n != 0 {
			s.T.Errorf("%d legs after the call", n)
		}
	})
}

func TestARepeatedByeIsAnsweredAgain(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		lose(s, 2, "SIP/2.0 200")
		parked.Bye().Expect(200)
		fetched.ExpectEnd(2 * time.Second)
		again := parked.Do("BYE", "") // a new request in a dialog that is over
		again.Expect(481)
	})
}

func TestBothMayHangUpAtOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		a, b := parked.Bye(), fetched.Bye()
		a.Expect(200)
		b.Expect(200)
		free(s, alice)
	})
}

func TestEveryFirstPacketMayBeLost(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		seen := map[string]bool{}
		s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
			if !p.SIP() || seen[string(p.Data)] {
				return fakenet.Verdict{}
			}
			seen[string(p.Data)] = true
			return fakenet.Verdict{Drop: true}
		})
		watch := carol.Subscribe("701")
		parked := park(alice, bob)
		s.Wait(5 * time.Second)
		watch.Await(5*time.Second, "early")
		fetched := bob.Call("*4701", phone.Opts{})
		s.Wait(5 * time.Second)
		talk(s, fetched, parked)
		watch.Await(5*time.Second, "terminated")
		fetched.Hangup()
		parked.ExpectEnd(5 * time.Second)
		watch.Refresh(0).Expect(200)
	})
}

func TestEveryPacketMayComeTwice(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
			if p.SIP() {
				return fakenet.Verdict{Extra: 1}
			}
			return fakenet.Verdict{}
		})
		watch := carol.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(time.Second, "early")
		back := bob.Ringing(after + time.Second)
		back.Pickup()
		talk(s, back, parked)
		watch.Await(time.Second, "terminated")
		goodbye(s, back, parked)
		watch.Refresh(0).Expect(200)
	})
}
