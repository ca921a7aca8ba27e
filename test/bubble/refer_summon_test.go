package bubble

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// first is a Replaces of a call between two phones that parkd knows nothing of.
const first = "first@alice;to-tag=alices;from-tag=bobs"

func TestAReferToAnOrbitParksWhomItNames(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		alice.Auto("Replaces", 200)
		r := bob.Refer("701", fmt.Sprintf("<%s?Replaces=%s>", alice.URI(), escape(first)), "Referred-By: <"+bob.URI()+">")
		res := r.Tx.Expect(202)
		if got := res.Get("Contact"); got != `<sip:701@10.0.0.1:5060>;automaton;+sip.rendering="no"` {
			s.T.Errorf("Contact %s", got) // RFC 5359 2.15
		}
		ring := alice.Ringing(time.Second)
		got := ring.Request()
		if got.Get("Replaces") != first || got.Get("Require") != "replaces" || got.Get("Referred-By") != "<"+bob.URI()+">" {
			s.T.Errorf("Replaces %q, Require %q, Referred-By %q", got.Get("Replaces"), got.Get("Require"), got.Get("Referred-By"))
		}
		ring.Pickup()
		r.Ends(time.Second, 200)
		hearsMusic(s, ring)
		watch.Await(lit, "early")
		s.Golden("refer-to-orbit")
		start := time.Now()
		back := bob.Ringing(after + time.Second)
		about(s, "return", time.Since(start), after-time.Second)
		back.Pickup()
		talk(s, back, ring)
		goodbye(s, back, ring)
		watch.Refresh(0).Expect(200)
	})
}

func TestWhoeverIsParkedByAReferIsFetched(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		r := bob.Refer("701", to(alice)).Accepted()
		ring := alice.Ringing(time.Second)
		ring.Reply(180)
		bob.Invite("*4701", phone.Opts{}).Expect(404) // not yet
		s.Phone("carol").Invite("701", phone.Opts{}).Expect(486)
		ring.Pickup()
		r.Ends(time.Second, 200)
		if told := r.Told(); len(told) != 3 || told[1].Code != 180 {
			s.T.Errorf("told %+v", told)
		}
		goodbye(s, retrieve(s, bob, ring), ring)
	})
}

func TestAReferToAnOrbitThatFailsLeavesNothing(t *testing.T) {
	for name, o := range map[string]struct {
		do   func(*phone.Phone)
		code int
		long time.Duration
	}{
		"busy":      {func(p *phone.Phone) { p.Ringing(time.Second).Reply(486) }, 486, time.Second},
		"no answer": {func(p *phone.Phone) { p.Ringing(time.Second).Reply(180) }, 408, time.Minute + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				watch := bob.Subscribe("701")
				r := bob.Refer("701", to(alice)).Accepted()
				o.do(alice)
				r.Ends(o.long, o.code)
				if name == "busy" {
					s.Golden("refer-to-orbit-busy")
				}
				if got := watch.Lamps(); len(got) != 1 {
					s.T.Errorf("the lamp showed %+v", got)
				}
				free(s, alice)
				watch.Refresh(0).Expect(200)
			})
		})
	}
}

func TestAReferToAnOrbitIsRefused(t *testing.T) {
	stranger := netip.MustParseAddrPort("203.0.113.7:5060")
	for name, o := range map[string]struct {
		at, to string
		code   int // of the REFER
		told   int // in the NOTIFY
	}{
		"no such orbit":        {"200", "<sip:alice@10.0.1.1>", 0, 404},
		"a full one":           {"702", "<sip:alice@10.0.1.1>", 0, 486},
		"a code":               {"*4701", "<sip:alice@10.0.1.1>", 0, 404},
		"a number outside":     {"701", "<sip:00900123456789@10.0.1.1>", 403, 0},
		"an untrusted address": {"701", "<sip:alice@192.0.2.1>", 403, 0},
		"an orbit of ours":     {"701", "<sip:702@10.0.0.1>", 403, 0},
		"no Refer-To":          {"701", "", 400, 0},
		"another method":       {"701", "<sip:alice@10.0.1.1;method=SUBSCRIBE>", 603, 0},
		"by a stranger":        {"701", "<sip:alice@10.0.1.1>", 403, 0},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				other := bob.Call("702", phone.Opts{})
				from := bob
				if name == "by a stranger" {
					from = s.PhoneAt("mallory", stranger)
				}
				r := from.Refer(o.at, o.to)
				if o.code != 0 {
					r.Refuses(o.code)
				} else {
					once(s, r.Accepted(), o.told)
				}
				s.Wait(time.Second)
				if n := len(alice.Got("INVITE")); n != 0 {
					s.T.Error("alice was called")
				}
				other.Hangup()
			})
		})
	}
}

func TestAStrangersReferIsChallenged(t *testing.T) {
	runWith(t, func(c *config.Config) {
		c.Access.Users = []config.User{{Username: "200", Password: "secret"}}
	}, func(s *kit.Site) {
		alice := s.Phone("alice")
		mallory := s.PhoneAt("mallory", netip.MustParseAddrPort("203.0.113.7:5060"))
		r := mallory.Refer("701", to(alice))
		if got := r.Refuses(401).Get("WWW-Authenticate"); got == "" {
			s.T.Error("no challenge")
		}
	})
}

// The phone that is to be parked is behind us itself: bob has fetched alice, and
// refers an orbit to the call that he has with parkd.
func TestAReferToAnOrbitParksWhoeverIsBehindUs(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, bob, parked, fetched := bridged(s)
		r := bob.Refer("702", replacing("701", fetched.Replaces())).Accepted()
		once(s, r, 200)
		fetched.ExpectEnd(time.Second)
		s.Wait(10 * time.Millisecond)
		hearsMusic(s, parked)
		back := bob.Ringing(after + time.Second)
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
	})
}

// RFC 4488: whoever wants no NOTIFYs gets none.
func TestAReferWithoutASubscriptionIsToldOfNothing(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, parked, fetched := bridged(s)
		r := fetched.Refer(ours("702"), "Refer-Sub: false", "Require: norefersub")
		if got := r.Tx.Expect(202).Get("Refer-Sub"); got != "false" {
			s.T.Errorf("Refer-Sub: %q", got)
		}
		s.Wait(10 * time.Millisecond)
		hearsMusic(s, parked)
		fetched.ExpectEnd(6 * time.Second)
		parked.Hangup()
		out := bob.Refer("701", to(alice), "Refer-Sub: false")
		out.Accepted()
		ring := alice.Ringing(time.Second)
		ring.Pickup()
		hearsMusic(s, ring)
		ring.Hangup()
		if n := len(r.Told()) + len(out.Told()) + len(bob.Got("NOTIFY")); n != 0 {
			s.T.Errorf("%d NOTIFYs", n)
		}
	})
}

func TestASubscriptionOfAReferEndsAlone(t *testing.T) {
	for name, o := range map[string]struct {
		notify int // how bob answers
		out    bool
	}{"481": {481, false}, "silence": {0, false}, "481, out of dialog": {481, true}, "silence, out of dialog": {0, true}} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob, dave := s.Phone("alice"), s.Phone("bob"), s.Phone("dave")
				bob.Auto("NOTIFY", o.notify)
				if o.out {
					bob.Refer("702", to(alice)).Tx.Expect(202)
					ring := alice.Ringing(time.Second)
					s.Wait(40 * time.Second)
					ring.Pickup()
					hearsMusic(s, ring)
					ring.Hangup()
					return
				}
				parked := park(alice, bob)
				fetched := retrieve(s, bob, parked)
				fetched.Refer(to(dave)).Tx.Expect(202)
				ring := dave.Ringing(time.Second)
				s.Wait(40 * time.Second)
				talk(s, fetched, parked) // the call goes on
				told := map[uint32]bool{}
				for _, n := range bob.Got("NOTIFY") {
					seq, _ := n.CSeq()
					told[seq] = true
				}
				if len(told) != 1 {
					s.T.Errorf("told %d times", len(told))
				}
				ring.Pickup()
				talk(s, ring, parked)
				fetched.ExpectEnd(6 * time.Second)
				goodbye(s, ring, parked)
			})
		})
	}
}

// RFC 3261 11: OPTIONS is answered in any dialog.
func TestTheDialogOfAReferTakesOptions(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		out := bob.Refer("701", to(alice)).Accepted()
		ring := alice.Ringing(time.Second)
		if got := out.Options().Expect(200).Get("Allow"); !strings.Contains(got, "SUBSCRIBE") {
			s.T.Errorf("Allow %q", got)
		}
		ring.Reply(486)
		out.Ends(time.Second, 486)
	})
}

func TestASubscriptionOfAReferCanBeEnded(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, _, parked, fetched := bridged(s)
		dave := s.Phone("dave")
		fetched.Do("SUBSCRIBE", "", "Event: refer", "Expires: 0").Expect(481)
		// RFC 6665 4.4.4: all that is served anywhere.
		if got := fetched.Do("SUBSCRIBE", "", "Event: dialog", "Expires: 0").Expect(489).Get("Allow-Events"); got != "dialog, presence, refer" {
			s.T.Errorf("Allow-Events: %s", got)
		}
		r := fetched.Refer(to(dave)).Accepted()
		ring := dave.Ringing(time.Second)
		if got := r.Subscribe(60).Expect(200).Get("Expires"); got != "60" { // RFC 6665 4.2.1.1: no longer
			s.T.Errorf("Expires %q, want 60", got)
		}
		if got := r.Subscribe(3600).Expect(200).Get("Expires"); got != "60" {
			s.T.Errorf("Expires %q, want what is left", got)
		}
		r.Subscribe(0).Expect(200)
		r.Ends(time.Second, 100)
		ring.Pickup()
		talk(s, ring, parked)
		fetched.ExpectEnd(6 * time.Second)
		goodbye(s, ring, parked)
	})
}

// Whoever asks for less time has its end when that is over, and not with what comes
// next.
func TestASubscriptionOfAReferThatWasMadeShorterEndsInTime(t *testing.T) {
	t.Run("within a call", func(t *testing.T) {
		run(t, func(s *kit.Site) {
			_, _, parked, fetched := bridged(s)
			dave := s.Phone("dave")
			r := fetched.Refer(to(dave)).Accepted()
			ring := dave.Ringing(time.Second)
			r.Subscribe(20).Expect(200)
			s.Wait(time.Second)
			r.Subscribe(5).Expect(200)
			start := time.Now()
			r.Ends(6*time.Second, 100)
			about(s, "end", time.Since(start), 5*time.Second)
			r.Subscribe(60).Expect(481)
			ring.Pickup()
			talk(s, ring, parked)
			fetched.ExpectEnd(6 * time.Second)
			goodbye(s, ring, parked)
		})
	})
	t.Run("outside of one", func(t *testing.T) {
		run(t, func(s *kit.Site) {
			bob, alice := s.Phone("bob"), s.Phone("alice")
			out := bob.Refer("701", to(alice)).Accepted()
			ring := alice.Ringing(time.Second)
			out.Subscribe(5).Expect(200)
			out.Ends(6*time.Second, 100)
			ring.Pickup()
			hearsMusic(s, ring)
			ring.Hangup()
		})
	})
}

func TestAnotherReferHasToWait(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, _, parked, fetched := bridged(s)
		dave := s.Phone("dave")
		r := fetched.Refer(to(dave)).Accepted()
		ring := dave.Ringing(time.Second)
		fetched.Refer(ours("702")).Refuses(491)
		parked.Refer(ours("702")).Refuses(491)
		r.Tx.Repeat() // the very same: it has been answered
		ring.Reply(486)
		r.Ends(time.Second, 486)
		once(s, fetched.Refer(ours("702")).Accepted(), 200)
		fetched.Refer(ours("703")).Refuses(481) // there is nobody any more
		hearsMusic(s, parked)
		parked.Hangup()
		fetched.ExpectEnd(6 * time.Second)
	})
}

// The BYE of whoever transferred crosses the NOTIFY that tells of the end.
func TestAByeThatCrossesTheLastNotifyDoesNoHarm(t *testing.T) {
	for name, late := range map[string]string{"the BYE is late": "BYE sip:701", "the NOTIFY is late": "NOTIFY"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				_, bob, parked, fetched := bridged(s)
				dave := s.Phone("dave")
				fetched.Refer(to(dave)).Accepted()
				ring := dave.Ringing(time.Second)
				s.Wait(time.Second)
				hook(s, 1, late, crossing)
				bob.Auto("NOTIFY", 481)
				ring.PickupLate()
				bye := fetched.Bye()
				bye.Expect(200)
				talk(s, ring, parked)
				goodbye(s, parked, ring)
			})
		})
	}
}

// crossing holds a packet up for as long as another takes to come the other way.
var crossing = fakenet.Verdict{Delay: 50 * time.Millisecond}
