package bubble

import (
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// elsewhere is the Contact of a 3xx.
func elsewhere(contacts ...string) string { return "Contact: " + strings.Join(contacts, ", ") }

func TestAPhoneThatHasMovedIsFollowed(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol, dave := s.Phone("alice"), s.Phone("bob"), s.Phone("carol"), s.Phone("dave")
		parked := park(alice, bob)
		start := time.Now()
		bob.Ringing(after+time.Second).Reply(302,
			elsewhere("<"+carol.URI()+">;q=0.2", "<sip:dave@10.0.1.4;transport=udp>;q=0.7", "<sip:00900123456@10.0.1.4>"))
		first := dave.Ringing(time.Second)
		if got, want := first.Request().URI(), "sip:dave@10.0.1.4;transport=udp"; got != want {
			s.T.Errorf("%s is called, want %s", got, want)
		}
		s.Wait(time.Second)
		first.Reply(486)
		second := carol.Ringing(time.Second)
		second.Reply(180)
		s.Wait(10 * time.Second) // it rings for as long as if it were the first
		second.Pickup()
		s.Wait(time.Second)
		steady(s, parked.Media.Got(time.Time{}), time.Since(start))
		second.Media.Press('1') // for it is another number
		talk(s, second, parked)
		s.Golden("moved")
		goodbye(s, second, parked)
		free(s, alice)
	})
}

func TestAPhoneThatHasMovedIsNotFollowedEverywhere(t *testing.T) {
	for name, contacts := range map[string][]string{
		"a number outside":     {"<sip:00900123456789@10.0.1.2>"},
		"another domain":       {"<sip:bob@elsewhere.example.com>"},
		"an untrusted address": {"<sip:bob@192.0.2.7>"},
		"an orbit":             {"<sip:701@10.0.0.1>", "<sip:702@10.0.0.1>"},
		"a code":               {"<sip:*4701@10.0.0.1>"},
		"itself":               {"<sip:bob@10.0.1.2>"},
		"no SIP":               {"<tel:+1900>", "<mailto:bob@10.0.1.2>"},
		"what nobody can read": {"<<>>;;q=,", "\x80"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				bob.Ringing(after+time.Second).Reply(302, elsewhere(contacts...))
				from := time.Now()
				hearsMusic(s, parked)
				again := bob.Ringing(after + time.Second)
				about(s, "second return", time.Since(from), after)
				again.Pickup()
				talk(s, again, parked)
				if n := len(bob.Got("INVITE")) + len(alice.Got("INVITE")); n != 2 {
					s.T.Errorf("%d calls", n)
				}
				if name == "a number outside" {
					s.Golden("moved-refused")
				}
				goodbye(s, again, parked)
			})
		})
	}
}

func TestPhonesThatForwardInACircle(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		bob.Ringing(after+time.Second).Reply(302, elsewhere("<"+carol.URI()+">"))
		carol.Ringing(time.Second).Reply(302, elsewhere("<"+bob.URI()+">"))
		s.Wait(10 * time.Second)
		if n := len(bob.Got("INVITE")) + len(carol.Got("INVITE")); n != 2 {
			s.T.Errorf("%d calls, want one for each", n)
		}
		hearsMusic(s, parked)
		s.Golden("moved-in-a-circle")
		goodbye(s, retrieve(s, s.Phone("dave"), parked), parked)
	})
}

func TestAFetchWhileAPhoneThatHasMovedRings(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol, dave := s.Phone("alice"), s.Phone("bob"), s.Phone("carol"), s.Phone("dave")
		parked := park(alice, bob)
		bob.Ringing(after+time.Second).Reply(302, elsewhere("<"+carol.URI()+">", "<sip:eve@10.0.1.2>"))
		back := carol.Ringing(time.Second)
		back.Reply(180)
		s.Wait(time.Second)
		fetched := retrieve(s, dave, parked)
		back.ExpectCancel(time.Second)
		s.Wait(time.Minute)
		if n := len(bob.Got("INVITE")); n != 1 {
			s.T.Errorf("bob was called %d times", n)
		}
		goodbye(s, parked, fetched)
	})
}

// An INVITE of ours that a phone forwards back to us is not answered by us in that
// phone's name.
func TestAReturnThatComesBackToUs(t *testing.T) {
	for name, to := range map[string]string{"to the same orbit": "701", "to another": "702", "to a code": "*4701", "to nothing of ours": "bob"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				back := bob.Ringing(after + time.Second)
				back.PassOn(to).Expect(482)
				back.Reply(482)
				from := time.Now()
				hearsMusic(s, parked)
				again := bob.Ringing(after + time.Second)
				about(s, "second return", time.Since(from), after)
				again.Pickup()
				again.PassOn(to).Expect(482) // late, and its call goes on
				talk(s, again, parked)
				if to == "701" {
					s.Golden("return-comes-back")
				}
				goodbye(s, again, parked)
				free(s, alice)
			})
		})
	}
}

func TestAMailboxDoesNotTakeTheCaller(t *testing.T) {
	for name, features := range map[string]string{
		"a mailbox": `;actor="msg-taker"`, "an announcement": ";automata", "RFC 5359": ";automaton",
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
				parked := park(alice, bob)
				start := time.Now()
				back := bob.Ringing(after + time.Second)
				back.Features(features)
				back.Pickup()
				back.ExpectEnd(time.Second)
				from := time.Now()
				if want := `"detail":"answered by a machine","message":"call kept"`; !strings.Contains(s.Log.String(), want) {
					s.T.Errorf("the log does not say %s", want)
				}
				back = bob.Ringing(after + time.Second)
				about(s, "second return", time.Since(from), after)
				steady(s, parked.Media.Got(time.Time{}), time.Since(start))
				if name == "a mailbox" {
					s.Golden("mailbox")
				}
				back.Reply(486)
				goodbye(s, retrieve(s, carol, parked), parked)
			})
		})
	}
	t.Run("unless it is the fallback", func(t *testing.T) {
		desk := kit.Orbit("701", func(o *config.Orbit) { o.Timeout.Action, o.Timeout.Fallback = "fallback", "200" })
		runWith(t, desk, func(s *kit.Site) {
			pbx, bob := s.Phone("pbx"), s.Phone("bob")
			parked := park(pbx, bob)
			back := pbx.Ringing(after + time.Second)
			if got := back.Request().Get("Reject-Contact"); got != "" {
				s.T.Errorf("Reject-Contact: %s", got)
			}
			back.Features(`;actor="msg-taker"`)
			back.Pickup()
			talk(s, back, parked)
			goodbye(s, parked, back)
		})
	})
}

// Several phones ring at once, as a forking proxy has them.
func TestTheFirstOfSeveralPhonesToAnswerHasTheCaller(t *testing.T) {
	for name, gap := range map[string]time.Duration{"at one instant": 0, "one after the other": 50 * time.Millisecond, "long after": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				desk := bob.Ringing(after + time.Second)
				forks := []*phone.Call{desk, desk.Fork(), desk.Fork()}
				for _, f := range forks {
					f.Reply(180)
				}
				s.Wait(2 * time.Second)
				for i, f := range []*phone.Call{forks[1], forks[0], forks[2]} {
					if i > 0 {
						time.Sleep(gap)
					}
					f.PickupLate()
				}
				s.Wait(time.Second)
				var first *phone.Call
				for _, f := range forks {
					switch {
					case f.Ended().IsZero() && first == nil:
						first = f
					case !f.Answered() || !f.ByPeer():
						s.T.Error("a fork that came too late was not acknowledged and ended")
					}
				}
				if gap > 0 && first != forks[1] {
					s.T.Error("another one than the first has the caller")
				}
				if n := len(bob.Got("BYE")); n != 2 {
					s.T.Errorf("%d BYEs to two who came too late", n)
				}
				talk(s, first, parked)
				if gap == 50*time.Millisecond {
					s.Golden("forks")
				}
				goodbye(s, parked, first)
				free(s, alice)
			})
		})
	}
	t.Run("and one that hears no ACK", func(t *testing.T) {
		run(t, func(s *kit.Site) {
			alice, bob := s.Phone("alice"), s.Phone("bob")
			parked := park(alice, bob)
			desk := bob.Ringing(after + time.Second)
			late := desk.Fork()
			desk.Pickup()
			lose(s, 2, "ACK")
			late.PickupLate()
			talk(s, desk, parked)
			s.Wait(5 * time.Second)
			if n := len(bob.Got("BYE")); n != 1 || !late.Answered() {
				s.T.Errorf("%d BYEs; acknowledged: %t", n, late.Answered())
			}
			goodbye(s, desk, parked)
		})
	})
}

func TestNobodyIsFetchedByForksOfWhoeverIsTooLate(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		desk := bob.Ringing(after + time.Second)
		mobile := desk.Fork()
		desk.Reply(180)
		mobile.Reply(180)
		fetched := carol.Call("*4701", phone.Opts{})
		desk.PickupLate()
		mobile.PickupLate()
		desk.ExpectEnd(time.Second)
		mobile.ExpectEnd(time.Second)
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
	})
}
