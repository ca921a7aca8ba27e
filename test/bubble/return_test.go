package bubble

import (
	"fmt"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// Of the built-in defaults.
const (
	after = 2 * time.Minute
	rings = 15 * time.Second
)

func TestAnUnfetchedCallRingsItsParker(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		start := time.Now()
		back := bob.Ringing(after + time.Second)
		about(s, "return", time.Since(start), after)
		if got, want := back.Request().Get("From"), `"701 alice" <sip:alice@10.0.1.1>`; len(got) < len(want) || got[:len(want)] != want {
			s.T.Errorf("the phone shows %s, want %s", got, want)
		}
		if got, want := back.Request().Get("Reject-Contact"), `*;actor="msg-taker"`; got != want {
			s.T.Errorf("Reject-Contact %q, want %q", got, want)
		}
		back.Reply(180)
		s.Wait(5 * time.Second)
		steady(s, parked.Media.Got(time.Time{}), time.Since(start))
		back.Pickup()
		talk(s, back, parked)
		s.Golden("return")
		goodbye(s, back, parked)
		free(s, alice)
	})
}

func TestAParkerWhoDoesNotAnswerIsTriedAgainAndThenTheFallback(t *testing.T) {
	desk := kit.Orbit("701", func(o *config.Orbit) { o.Timeout.Fallback = "200" })
	runWith(t, desk, func(s *kit.Site) {
		// The PBX passes alice's call on; the fallback is one of its extensions.
		pbx, bob := s.Phone("pbx"), s.Phone("bob")
		parked := park(pbx, bob)
		start := time.Now()
		for range 3 {
			from := time.Now()
			back := bob.Ringing(after + time.Second)
			about(s, "return", time.Since(from), after)
			back.Reply(180)
			from = time.Now()
			about(s, "cancel", back.ExpectCancel(rings+time.Second).Sub(from), rings)
		}
		fallback := pbx.Ringing(after + time.Second)
		if got, want := fallback.Request().URI(), "sip:200@10.0.1.1:5060"; got != want {
			s.T.Errorf("the fallback is %s, want %s", got, want)
		}
		steady(s, parked.Media.Got(time.Time{}), time.Since(start))
		fallback.Pickup()
		talk(s, fallback, parked)
		s.Golden("no-answer-then-fallback")
		goodbye(s, parked, fallback)
	})
}

func TestABusyParkerIsTriedAgainATimeoutLater(t *testing.T) {
	for name, code := range map[string]int{"busy": 486, "declined": 603, "gone": 404, "server error": 500} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				start := time.Now()
				bob.Ringing(after + time.Second).Reply(code)
				from := time.Now()
				back := bob.Ringing(after + time.Second)
				about(s, "second return", time.Since(from), after)
				steady(s, parked.Media.Got(time.Time{}), time.Since(start))
				back.Pickup()
				talk(s, back, parked)
				goodbye(s, back, parked)
			})
		})
	}
}

func TestAParkerWhosePhoneIsOffTheNetworkIsTriedAgain(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		start := time.Now()
		bob.Close()
		s.Wait(10 * time.Minute)
		parked.ExpectAlive()
		steady(s, parked.Media.Got(time.Time{}), time.Since(start))
		goodbye(s, retrieve(s, s.Phone("carol"), parked), parked)
	})
}

func TestAFetchDuringTheReturnWins(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		back.Reply(180)
		s.Wait(time.Second)
		fetched := retrieve(s, carol, parked)
		back.ExpectCancel(time.Second)
		s.Golden("fetched-while-returning")
		goodbye(s, fetched, parked)
	})
}

func TestAnAnswerThatCrossesTheCancelIsEnded(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		back.Reply(180)
		s.Wait(time.Second)
		hook(s, 1, "CANCEL", fakenet.Verdict{Delay: 200 * time.Millisecond})
		fetched := carol.Call("*4701", phone.Opts{})
		back.PickupLate() // before the CANCEL is there
		back.ExpectEnd(time.Second)
		talk(s, fetched, parked)
		hearsNothing(s, back)
		s.Golden("answer-crosses-cancel")
		goodbye(s, fetched, parked)
	})
}

func TestAParkerWhoAnswersAtTheLastMomentGetsTheCallOrLosesItCleanly(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		back.Reply(180)
		hook(s, 1, "CANCEL", fakenet.Verdict{Delay: 200 * time.Millisecond})
		s.Wait(rings + 100*time.Millisecond) // parkd has given up, bob does not know
		back.PickupLate()
		back.ExpectEnd(time.Second)
		hearsMusic(s, parked)
		again := bob.Ringing(after + time.Second)
		again.Pickup()
		talk(s, again, parked)
		goodbye(s, parked, again)
	})
}

func TestACallerWhoHangsUpOnTheWayBackLeavesNobodyRinging(t *testing.T) {
	for name, meanwhile := range map[string]func(*kit.Site, *phone.Call){
		"while it rings":         func(s *kit.Site, back *phone.Call) { back.Reply(180); s.Wait(time.Second) },
		"as nothing rings yet":   func(*kit.Site, *phone.Call) {},
		"as the parker is busy":  func(_ *kit.Site, back *phone.Call) { back.Reply(486) },
		"as the parker picks up": func(_ *kit.Site, back *phone.Call) { back.PickupLate() },
		"just after the answer":  func(_ *kit.Site, back *phone.Call) { back.Pickup() },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				back := bob.Ringing(after + time.Second)
				meanwhile(s, back)
				parked.Hangup()
				back.ExpectEnd(time.Second)
				s.Wait(after + time.Minute)
				if n := len(bob.Got("INVITE")); n != 1 {
					s.T.Errorf("bob was called %d times for a caller who is gone", n)
				}
				free(s, alice)
			})
		})
	}
}

func TestTheTransferKeyBringsTheCallerBackAtOnce(t *testing.T) {
	withKey := kit.Orbit("701", func(o *config.Orbit) { o.Transfer = config.Transfer{Enabled: true, Key: "0"} })
	for name, press := range map[string]func(*phone.Call, byte){
		"RFC 4733":        func(c *phone.Call, key byte) { c.Media.Press(key) },
		"INFO dtmf-relay": func(c *phone.Call, key byte) { c.Info("dtmf-relay", key).Expect(200) },
		"INFO dtmf":       func(c *phone.Call, key byte) { c.Info("dtmf", key).Expect(200) },
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, withKey, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				s.Wait(10 * time.Second)
				press(parked, '5')
				s.Wait(time.Second)
				if n := len(bob.Got("INVITE")); n != 0 {
					s.T.Error("another key than the orbit's brought the call back")
				}
				press(parked, '0')
				back := bob.Ringing(time.Second)
				hearsMusic(s, parked)
				back.Pickup()
				talk(s, back, parked)
				goodbye(s, back, parked)
			})
		})
	}
}

func TestWithoutATransferKeyKeysDoNothing(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		parked.Media.Press('0')
		parked.Info("dtmf-relay", '0').Expect(200)
		s.Wait(time.Minute)
		if n := len(bob.Got("INVITE")); n != 0 {
			s.T.Error("the call came back")
		}
		parked.Hangup()
	})
}

// What carriers write is read where somebody chose it, and believed no more than
// Referred-By is.
func TestOtherHeadersNameTheParkerByChoice(t *testing.T) {
	chosen := func(c *config.Config) {
		c.Park.ParkerHeaders = append(c.Park.ParkerHeaders, "Diversion", "History-Info")
	}
	for name, header := range map[string]string{
		"Diversion":    "Diversion: \"Bob\" <sip:%s>;reason=unconditional",
		"History-Info": "History-Info: <sip:%s?Reason=SIP%%3Bcause%%3D302>;index=1, <sip:701@10.0.0.1>;index=1.1;mp=1",
	} {
		for whose, c := range map[string]struct {
			uri       string
			configure kit.Configure
			returned  bool
		}{
			"bob, chosen": {"bob@10.0.1.2", chosen, true}, "bob, not chosen": {"bob@10.0.1.2", nil, false},
			"a number outside": {"00900123456789@10.0.1.2", chosen, false}, "a stranger": {"bob@192.0.2.7", chosen, false},
		} {
			t.Run(name+" of "+whose, func(t *testing.T) {
				runWith(t, c.configure, func(s *kit.Site) {
					alice, bob := s.Phone("alice"), s.Phone("bob")
					parked := alice.Call("701", phone.Opts{Headers: []string{fmt.Sprintf(header, c.uri)}})
					if back := bob.Rings(after + time.Second); (back != nil) != c.returned {
						s.T.Errorf("bob is called back: %t, want %t", back != nil, c.returned)
					} else if back != nil {
						back.Reply(486)
					}
					parked.Hangup()
				})
			})
		}
	}
}

func TestAReturnCallsNobodyWhomAStrangerNamed(t *testing.T) {
	for name, referredBy := range map[string]string{
		"a number outside": "sip:00900123456789@10.0.1.2", "another domain": "sip:bob@elsewhere.example.com",
		"an untrusted address": "sip:bob@192.0.2.7", "an orbit of ours": "sip:702@10.0.0.1",
		"a code of ours": "sip:*4702@10.0.0.1", "no URI": "nobody",
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice := s.Phone("alice")
				s.Phone("bob")
				parked := alice.Call("701", phone.Opts{ReferredBy: referredBy})
				invites := 0
				s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
					if p.From == kit.Server && p.SIP() && string(p.Data[:6]) == "INVITE" {
						invites++
					}
					return fakenet.Verdict{}
				})
				s.Wait(5 * time.Minute)
				if invites != 0 {
					s.T.Errorf("%d INVITEs left", invites)
				}
				parked.ExpectAlive()
				parked.Hangup()
			})
		})
	}
}
