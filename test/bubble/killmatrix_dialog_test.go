package bubble

import (
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// down is how long there is no server in these tests.
const down = 200 * time.Millisecond

// record keeps the packets from parkd whose text begins with start, and drops
// the first so many.
func record(s *kit.Site, start string, drop int) *[]string {
	list := new([]string)
	s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
		if p.From != kit.Server || !strings.HasPrefix(string(p.Data), start) {
			return fakenet.Verdict{}
		}
		*list = append(*list, string(p.Data))
		return fakenet.Verdict{Drop: len(*list) <= drop}
	})
	return list
}

func TestAnInviteWhose200WasLostIsAnsweredAlikeAfterARestart(t *testing.T) {
	for name, to := range map[string]string{"park": "701", "retrieve": "*4702"} {
		t.Run(name, func(t *testing.T) {
			crash(t, nil, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				other := bob.Call("702", phone.Opts{})
				answers := record(s, "SIP/2.0 200", 1)
				c := alice.Invite(to, phone.Opts{})
				s.Wait(50 * time.Millisecond)
				s.Crash(down)
				s.Wait(100 * time.Millisecond)
				c.Tx.Repeat()
				c.Expect(200)
				s.Wait(100 * time.Millisecond)
				for i, a := range *answers {
					if a != (*answers)[0] {
						s.T.Errorf("answer %d differs from the first:\n%s\n%s", i, a, (*answers)[0])
					}
				}
				if len(*answers) < 2 {
					s.T.Errorf("answered %d times", len(*answers))
				}
				s.Net.Hook(nil)
				c.Ack()
				s.Wait(40 * time.Second)
				c.ExpectAlive()
				if to == "701" {
					hearsMusic(s, c)
					c.Hangup()
					other.Hangup()
					return
				}
				talk(s, c, other)
				goodbye(s, c, other)
			})
		})
	}
}

func TestA200IsSentUntilItsAckAcrossARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Invite("701", phone.Opts{})
		c.Expect(200)
		s.Wait(time.Second)
		s.Crash(down)
		before := len(c.Tx.All(200))
		s.Wait(5 * time.Second)
		if n := len(c.Tx.All(200)) - before; n < 3 {
			s.T.Errorf("%d repetitions in 5 s after the restart", n)
		}
		c.Ack()
		s.Wait(50 * time.Millisecond)
		before = len(c.Tx.All(200))
		s.Wait(40 * time.Second)
		if n := len(c.Tx.All(200)); n != before {
			s.T.Errorf("%d repetitions after the ACK", n-before)
		}
		hearsMusic(s, c)
		c.Hangup()
	})
}

func TestA200WithoutAnAckIsEndedAcrossARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		alice.Auto("OPTIONS", 0) // an answer would be as good as an ACK
		c := alice.Invite("701", phone.Opts{})
		c.Expect(200)
		start := time.Now()
		s.Wait(10 * time.Second)
		s.Crash(down)
		c.ExpectEnd(64*t1 + time.Second)
		if d := time.Since(start); d < 64*t1-time.Second {
			s.T.Errorf("ended after %v, want 64*T1", d)
		}
		free(s, bob)
	})
}

func TestRequestsWithinOldDialogsWorkAfterARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		bridged := park(alice, bob)
		fetched := retrieve(s, bob, bridged)
		parked := park(carol, bob)
		s.Wait(time.Second)
		for range 2 {
			s.Crash(down)
			for _, c := range []*phone.Call{parked, fetched, bridged} {
				c.Do("OPTIONS", "").Expect(200)
				c.Info("dtmf-relay", '5').Expect(200)
				c.Change(phone.SDP{})
				c.AskOffer().Expect(200)
				c.Ack()
				c.Do("UPDATE", "", "Contact: "+alice.Contact()).Expect(200)
			}
			talk(s, fetched, bridged)
			hearsMusic(s, parked)
		}
		s.Crash(down)
		goodbye(s, fetched, bridged)
		parked.Hangup()
		s.Wait(time.Second)
		parked.Do("OPTIONS", "").Expect(481)
	})
}

func TestCSeqRisesAcrossRestarts(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{}) // silent: asked every 30 s
		for range 3 {
			s.Wait(70 * time.Second)
			s.Crash(down)
		}
		s.Wait(70 * time.Second)
		asked := c.Got("OPTIONS")
		if len(asked) < 6 {
			s.T.Errorf("asked %d times", len(asked))
		}
		for i := 1; i < len(asked); i++ {
			a, _ := asked[i-1].CSeq()
			b, _ := asked[i].CSeq()
			if b <= a {
				s.T.Errorf("CSeq %d after %d", b, a)
			}
		}
		c.Hangup()
		if by := c.Got("BYE"); len(by) > 0 {
			s.T.Error("parkd hung up")
		}
	})
}

// Each server is killed as soon as it has said something, before it can have
// written down that it did.
func TestCSeqRisesAlthoughEachServerIsKilledAsItSpeaks(t *testing.T) {
	t.Parallel()
	kit.RunCut(t, kit.Plan{Disk: 5 * time.Millisecond}, func(s *kit.Site) {
		c := s.Phone("alice").Call("701", phone.Opts{})
		s.Wait(time.Second)
		var last uint32
		for n := range 5 {
			var other *fakenet.Conn
			s.CrashAnd(down, func() { other, _ = s.Net.Listen(c.Media.Remote()) }) // it has to say that it moved
			for range 2000 {
				if s.Wait(time.Millisecond); len(c.Got("INVITE")) > n {
					break
				}
			}
			other.Close()
			list := c.Got("INVITE")
			if len(list) != n+1 {
				s.T.Fatalf("%d re-INVITEs after %d restarts", len(list), n+1)
			}
			if seq, _ := list[n].CSeq(); seq <= last {
				s.T.Errorf("CSeq %d after %d", seq, last)
			} else {
				last = seq
			}
		}
		s.Wait(2 * time.Second)
		hearsMusic(s, c)
		c.Hangup()
	})
}

// A keep-alive writes nothing; the next process takes numbers of its own.
func TestKeepAlivesOfManyServersHaveRisingCSeq(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		c := s.Phone("alice").Call("701", phone.Opts{}) // silent: it is asked soon
		var last uint32
		for n := range 4 {
			s.Crash(down)
			for range 120 {
				if s.Wait(time.Second); len(c.Got("OPTIONS")) > n {
					break
				}
			}
			asked := c.Got("OPTIONS")
			if len(asked) <= n {
				s.T.Fatalf("%d keep-alives of %d servers", len(asked), n+1)
			}
			seq, _ := asked[len(asked)-1].CSeq()
			if seq <= last {
				s.T.Errorf("CSeq %d after %d", seq, last)
			}
			last = seq
		}
		c.Hangup()
	})
}

// It is told when it ends as the journal has it, and lives for another interval: a
// refresh may have been answered that the journal does not have yet.
func TestASubscriptionExpiresAcrossARestartWhenItShould(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		left := bob.Watch("701", 120)
		left.Expect(200)
		start := time.Now()
		s.Wait(30 * time.Second)
		s.Crash(down)
		parked := park(alice, bob)
		left.Await(lit, "early")
		if l := left.Newest(); l.Expires < 85 || l.Expires > 90 {
			s.T.Errorf("said to expire in %d s, want 90", l.Expires)
		}
		parked.Hangup()
		end := left.AwaitEnd(4 * time.Minute)
		about(s, "expiry", end.At.Sub(start), 4*time.Minute)
	})
}

func TestASubscriptionThatEndedMeanwhileIsNotToldAnew(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		bob := s.Phone("bob")
		left := bob.Watch("701", 120)
		left.Expect(200)
		s.Wait(time.Second)
		s.Crash(10 * time.Minute)
		s.Wait(time.Second)
		if l := left.Newest(); l.State == "active" && l.At.After(time.Now().Add(-5*time.Second)) {
			s.T.Errorf("still told: %+v", l)
		}
	})
}

// A phone that has lost its memory, as by a power cut of the whole office.
func TestALegWhosePhoneKnowsNothingOfItIsLetGoAfterARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		bridged := park(alice, bob)
		fetched := retrieve(s, bob, bridged)
		parked := park(carol, bob)
		s.Wait(time.Second)
		s.CrashAnd(down, func() {
			bob.Forget(fetched)
			carol.Forget(parked)
		})
		bridged.ExpectEnd(40 * time.Second)
		s.Wait(40 * time.Second)
		free(s, alice)
	})
}

func TestAPhoneThatIsGoneIsLetGoAfterARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		gone := park(alice, bob)
		s.Wait(time.Second)
		s.CrashAnd(down, func() { alice.Close(); alice.Forget(gone) })
		s.Wait(time.Minute) // a switch that boots again loses nobody
		bob.Invite("701", phone.Opts{}).Expect(486)
		s.Wait(7 * time.Minute)
		free(s, bob)
	})
}
