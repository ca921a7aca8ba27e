package bubble

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// ours is a Refer-To of a user at parkd.
func ours(user string) string { return "<sip:" + user + "@" + kit.Server.Addr().String() + ">" }

// replacing is a Refer-To that asks to take the place of whoever a Replaces names,
// as a phone writes it that has that call with parkd.
func replacing(user, replaces string) string {
	return "<sip:" + user + "@" + kit.Server.String() + "?Replaces=" + escape(replaces) + ">"
}

func escape(s string) string {
	out := ""
	for _, b := range []byte(s) {
		switch b {
		case ';':
			out += "%3B"
		case '=':
			out += "%3D"
		case '@':
			out += "%40"
		default:
			out += string(b)
		}
	}
	return out
}

// bridged has alice parked by bob and fetched by him.
func bridged(s *kit.Site) (alice, bob *phone.Phone, parked, fetched *phone.Call) {
	s.T.Helper()
	alice, bob = s.Phone("alice"), s.Phone("bob")
	parked = park(alice, bob)
	return alice, bob, parked, retrieve(s, bob, parked)
}

// hearsSilence checks that a phone hears neither music nor anybody for a second:
// whoever has transferred somebody, until they hang up.
func hearsSilence(s *kit.Site, c *phone.Call) {
	s.T.Helper()
	time.Sleep(5 * time.Millisecond)
	start := time.Now()
	for _, r := range c.Media.Hear(time.Second) {
		if r.At.Sub(start) < dying {
			continue
		}
		if r.First != 0xff || r.Second != 0xff { // PCMU
			s.T.Errorf("heard %#x instead of silence", r.First)
			return
		}
	}
}

// once checks that a phone was told of the end alone.
func once(s *kit.Site, r *phone.Transfer, code int) {
	s.T.Helper()
	r.Ends(phone.Patience, code)
	if got := r.Told(); len(got) != 1 {
		s.T.Errorf("told %+v, want only the end", got)
	}
}

func TestTheRetrieverParksTheCallerAgain(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, bob, parked, fetched := bridged(s)
		r := fetched.Refer(ours("702")).Accepted()
		once(s, r, 200)
		hearsSilence(s, fetched)
		hearsMusic(s, parked)
		fetched.Hangup()
		s.Golden("park-again")
		start := time.Now()
		back := bob.Ringing(after + time.Second) // the parker is whoever parked last
		if time.Since(start) > after {
			s.T.Error("the return is late")
		}
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
	})
}

func TestTheParkedCallerIsFetchedFromWhereTheyAreNow(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, bob, parked, fetched := bridged(s)
		watch := s.Phone("carol").Subscribe("702")
		once(s, fetched.Refer(ours("702")).Accepted(), 200)
		lamp := watch.Await(lit, "early")
		if lamp.RemoteName != "alice" {
			s.T.Errorf("the lamp shows %q", lamp.RemoteName)
		}
		fetched.ExpectEnd(6 * time.Second)
		bob.Invite("*4701", phone.Opts{}).Expect(404)
		again := bob.Call("*4702", phone.Opts{})
		talk(s, again, parked)
		watch.Await(lit, "terminated")
		goodbye(s, again, parked)
		watch.Refresh(0).Expect(200)
	})
}

func TestTheCallerParksTheRetriever(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, _, parked, fetched := bridged(s)
		once(s, parked.Refer(ours("702")).Accepted(), 200)
		hearsMusic(s, fetched)
		parked.Hangup()
		back := alice.Ringing(after + time.Second)
		back.Pickup()
		talk(s, back, fetched)
		goodbye(s, fetched, back)
	})
}

func TestWhoTransfersAndNeverHangsUpIsLetGo(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, _, parked, fetched := bridged(s)
		r := fetched.Refer(ours("702")).Accepted()
		start := time.Now()
		r.Ends(time.Second, 200)
		fetched.ExpectEnd(6 * time.Second)
		about(s, "bye", time.Since(start), 5*time.Second)
		hearsMusic(s, parked)
		parked.Hangup()
	})
}

func TestATransferToAnOrbitThatTakesNobodyLeavesBothTalking(t *testing.T) {
	for name, o := range map[string]struct {
		to   string
		code int
	}{
		"full": {"702", 486}, "off": {"703", 404}, "a code, and nobody waits": {"*4704", 404}, "over the limit": {"705", 480},
	} {
		t.Run(name, func(t *testing.T) {
			configure := func(c *config.Config) {
				c.Orbits[2].Enabled = false
				if name == "over the limit" {
					c.Park.MaxCalls = 1
				}
			}
			runWith(t, configure, func(s *kit.Site) {
				_, bob, parked, fetched := bridged(s)
				other := s.Phone("dave").Call("702", phone.Opts{})
				once(s, fetched.Refer(ours(o.to)).Accepted(), o.code)
				talk(s, fetched, parked)
				s.Wait(10 * time.Second)
				fetched.ExpectAlive()
				if name == "full" {
					s.Golden("park-again-full")
				}
				other.Hangup()
				// Another try, of the same dialog: its NOTIFY says which REFER it is about.
				r := fetched.Refer(ours("704")).Accepted()
				once(s, r, 200)
				if told := r.Told()[0]; told.ID == "" {
					s.T.Errorf("told %+v", told)
				}
				hearsMusic(s, parked)
				fetched.Hangup()
				goodbye(s, bob.Call("*4704", phone.Opts{}), parked)
			})
		})
	}
}

func TestATransferToACodeFetches(t *testing.T) {
	for name, to := range map[string]func(*phone.Sub) string{
		"code":      func(*phone.Sub) string { return ours("*4702") },
		"operation": func(*phone.Sub) string { return "<sip:702@10.0.0.1;operation=retrieve>" },
		"alias": func(w *phone.Sub) string {
			lamp := w.Await(lit, "early")
			return replacing("702", lamp.Replaces(false))
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				_, bob, parked, fetched := bridged(s)
				watch := s.Phone("carol").Subscribe("702")
				dave := s.Phone("dave").Call("702", referred(bob))
				hearsMusic(s, dave)
				once(s, fetched.Refer(to(watch)).Accepted(), 200)
				fetched.Hangup()
				watch.Await(lit, "terminated")
				talk(s, parked, dave)
				goodbye(s, parked, dave)
				watch.Refresh(0).Expect(200)
			})
		})
	}
}

func TestAnAttendedTransferIntoAParkedConsultationParks(t *testing.T) {
	for name, refer := range map[string]func(fetched, consult *phone.Call) *phone.Transfer{
		"from the call": func(fetched, consult *phone.Call) *phone.Transfer {
			return fetched.Refer(replacing("702", consult.Replaces()))
		},
		"from the consultation": func(fetched, consult *phone.Call) *phone.Transfer {
			return consult.Refer(replacing("701", fetched.Replaces()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				_, bob, parked, fetched := bridged(s)
				fetched.Change(phone.SDP{Direction: "sendonly"})
				consult := bob.Call("702", phone.Opts{})
				hearsMusic(s, consult)
				once(s, refer(fetched, consult).Accepted(), 200)
				hearsMusic(s, parked)
				hearsSilence(s, consult)
				if fetched.Ended().IsZero() {
					fetched.ExpectEnd(6 * time.Second)
				}
				consult.ExpectEnd(6 * time.Second)
				if name == "from the call" {
					s.Golden("attended-into-consultation")
				}
				back := bob.Ringing(after + time.Second) // bob made the consultation
				back.Pickup()
				talk(s, back, parked)
				goodbye(s, back, parked)
			})
		})
	}
}

func TestAnAttendedTransferBetweenTwoBridgedCallsJoinsTheOthers(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, bob, parked, fetched := bridged(s)
		second := park(s.Phone("carol"), bob)
		consult := bob.Call("*4701", phone.Opts{})
		talk(s, consult, second)
		once(s, fetched.Refer(replacing("701", consult.Replaces())).Accepted(), 200)
		consult.ExpectEnd(time.Second)
		fetched.ExpectEnd(6 * time.Second)
		talk(s, parked, second)
		goodbye(s, second, parked)
	})
}

// A REFER may name a pool: within a call, and outside of any.
func TestATransferIntoAPoolParksInAFreeOrbit(t *testing.T) {
	small := pool(func(p *config.Pool) { p.Orbits, p.Message = config.Extensions{"701", "702"}, true })
	runWith(t, small, func(s *kit.Site) {
		alice, bob, parked, fetched := bridged(s)
		other := s.Phone("dave").Call("701", phone.Opts{})
		once(s, fetched.Refer(ours("700")).Accepted(), 200)
		fetched.Hangup()
		hearsMusic(s, parked)
		if told := bob.Got("MESSAGE"); len(told) != 1 || told[0].Body != "alice is parked on 702" {
			s.T.Errorf("bob was sent %v", told)
		}

		// Full: whoever transfers keeps the call, and nobody is called.
		eve, talks := s.Phone("eve"), s.Phone("frank").Call("703", phone.Opts{})
		kept := eve.Call("*4703", phone.Opts{})
		once(s, kept.Refer(ours("700")).Accepted(), 486)
		talk(s, kept, talks)
		once(s, eve.Refer("700", "<"+alice.URI()+">").Accepted(), 486)
		if n := len(alice.Got("INVITE")); n != 0 {
			s.T.Errorf("alice was called %d times", n)
		}

		goodbye(s, bob.Call("*4702", phone.Opts{}), parked)
		r := eve.Refer("700", "<"+alice.URI()+">", "Referred-By: <"+bob.URI()+">")
		r.Tx.Expect(202)
		ring := alice.Ringing(time.Second)
		ring.Pickup()
		r.Ends(time.Second, 200)
		hearsMusic(s, ring)
		again := bob.Call("*4702", phone.Opts{})
		talk(s, again, ring)
		goodbye(s, again, ring)
		goodbye(s, kept, talks)
		other.Hangup()
	})
}

// Whoever has fetched somebody, and hangs up before they can know that their transfer
// has failed, is called back.
func TestWhoHangsUpBeforeTheirTransferHasFailedLosesNobody(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, bob, parked, fetched := bridged(s)
		full := s.Phone("dave").Call("702", phone.Opts{})
		bob.Auto("NOTIFY", 0)
		fetched.Refer(ours("702")).Accepted()
		s.Wait(100 * time.Millisecond)
		fetched.Hangup()
		hearsMusic(s, parked)
		back := bob.Ringing(3 * time.Second)
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
		bob.Auto("NOTIFY", 200)
		full.Hangup()
	})
}

// The same of a caller who was fetched: whoever they were talking to is kept, and the
// caller is called back.
func TestACallerWhoHangsUpBeforeTheirTransferHasFailedLosesNobody(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, _, parked, fetched := bridged(s)
		full := s.Phone("dave").Call("702", phone.Opts{})
		alice.Auto("NOTIFY", 0)
		parked.Refer(ours("702")).Accepted()
		s.Wait(100 * time.Millisecond)
		parked.Hangup()
		hearsMusic(s, fetched)
		back := alice.Ringing(3 * time.Second)
		back.Pickup()
		talk(s, back, fetched)
		goodbye(s, back, fetched)
		alice.Auto("NOTIFY", 200)
		full.Hangup()
	})
}

// What is to be said of one REFER is said, whatever becomes of the one before.
func TestAReferIsReportedThoughTheOneBeforeWasNot(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, bob, parked, fetched := bridged(s)
		full := s.Phone("dave").Call("702", phone.Opts{})
		bob.Auto("NOTIFY", 0)
		fetched.Refer(ours("702")).Accepted()
		s.Wait(100 * time.Millisecond)
		eve := s.Phone("eve")
		r := fetched.Refer(to(eve)).Accepted()
		eve.Ringing(time.Second).Reply(486)
		s.Wait(31600 * time.Millisecond) // the NOTIFY before is not sent again after this
		bob.Auto("NOTIFY", 200)
		r.Ends(2*time.Second, 486)
		talk(s, fetched, parked)
		once(s, fetched.Refer(ours("703")).Accepted(), 200)
		hearsMusic(s, parked)
		if fetched.Ended().IsZero() {
			fetched.Hangup()
		}
		goodbye(s, bob.Call("*4703", phone.Opts{}), parked)
		full.Hangup()
	})
}
