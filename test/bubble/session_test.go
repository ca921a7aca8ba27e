package bubble

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

func TestAHeldCallerHearsNothingUntilTheyResume(t *testing.T) {
	for name, hold := range map[string]phone.SDP{
		"sendonly": {Direction: "sendonly"}, "inactive": {Direction: "inactive"}, "0.0.0.0": {Address: "0.0.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				hearsMusic(s, parked)
				answer := parked.Change(hold)
				if want := map[string]string{"sendonly": "a=recvonly", "inactive": "a=inactive"}[name]; !strings.Contains(answer.Body, want) {
					s.T.Errorf("hold answered without %s:\n%s", want, answer.Body)
				}
				hearsNothing(s, parked)
				before := parked.Media.Got(time.Time{})
				parked.Change(phone.SDP{})
				s.Wait(30 * time.Millisecond)
				hearsMusic(s, parked)
				if all := parked.Media.Got(time.Time{}); all[len(before)].SSRC != before[0].SSRC {
					s.T.Error("music goes on as another stream")
				}
				if name == "sendonly" {
					s.Golden("hold-and-resume")
				}
				goodbye(s, retrieve(s, bob, parked), parked)
			})
		})
	}
}

func TestAReinviteWithoutAnOfferGetsOurs(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		r := c.AskOffer().Expect(200)
		if !strings.Contains(r.Body, "m=audio") {
			s.T.Fatalf("no offer in\n%s", r.Body)
		}
		c.Ack()
		hearsMusic(s, c)
		c.Hangup()
	})
}

func TestAReinviteWithoutACommonCodecChangesNothing(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		r := c.Reinvite(phone.SDP{Formats: "18"}).Expect(488)
		if r.Get("Warning") == "" {
			s.T.Error("488 without Warning")
		}
		c.ExpectAlive()
		hearsMusic(s, c)
		c.Hangup()
	})
}

func TestAnOfferlessCallIsParked(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := alice.Invite("701", phone.Opts{Offerless: true, ReferredBy: bob.URI()})
		r := parked.Expect(200)
		for _, codec := range []string{"PCMU/8000", "PCMA/8000", "G722/8000", "telephone-event/8000"} {
			if !strings.Contains(r.Body, codec) {
				s.T.Errorf("%s is not offered:\n%s", codec, r.Body)
			}
		}
		parked.Ack()
		s.Wait(30 * time.Millisecond)
		hearsMusic(s, parked)
		s.Golden("offerless")
		fetched := bob.Invite("*4701", phone.Opts{Offerless: true})
		fetched.Expect(200)
		fetched.Ack()
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
	})
}

func TestAnOfferlessCallWithoutACommonCodecIsEnded(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Invite("701", phone.Opts{Offerless: true, SDP: phone.SDP{Formats: "18"}})
		c.Expect(200)
		c.Ack()
		c.ExpectEnd(time.Second)
		free(s, s.Phone("bob"))
	})
}

func TestAnOfferlessRetrieverWithoutACommonCodecLeavesTheCallParked(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		c := bob.Invite("*4701", phone.Opts{Offerless: true, SDP: phone.SDP{Formats: "18"}})
		c.Expect(200)
		c.Ack()
		c.ExpectEnd(time.Second)
		s.Wait(30 * time.Millisecond)
		hearsMusic(s, parked)
		goodbye(s, retrieve(s, bob, parked), parked)
	})
}

func timed(value string) phone.Opts {
	return phone.Opts{Headers: []string{"Supported: timer", "Session-Expires: " + value, "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS"}}
}

func TestASessionThatThePhoneDoesNotRefreshExpires(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", timed("300;refresher=uac"))
		r := c.Tx.All(200)[0]
		if got := r.Get("Session-Expires"); got != "300;refresher=uac" || !strings.Contains(r.Get("Require"), "timer") {
			s.T.Errorf("Session-Expires %q, Require %q", got, r.Get("Require"))
		}
		s.Wait(2 * time.Minute)
		refresh := c.Reinvite(phone.SDP{}, "Supported: timer", "Session-Expires: 300;refresher=uac")
		if got := refresh.Expect(200).Get("Session-Expires"); got != "300;refresher=uac" {
			s.T.Errorf("refresh answered with Session-Expires %q", got)
		}
		c.Ack()
		start := time.Now()
		s.Wait(4 * time.Minute)
		c.ExpectAlive()
		c.ExpectEnd(time.Minute)
		about(s, "end of the session", time.Since(start), 5*time.Minute-32*time.Second) // RFC 4028 10
	})
}

func TestParkdRefreshesASessionWhenItIsTheRefresher(t *testing.T) {
	for method, allow := range map[string]string{"INVITE": "INVITE, ACK, BYE, CANCEL", "UPDATE": "INVITE, ACK, BYE, CANCEL, UPDATE"} {
		t.Run(method, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice := s.Phone("alice")
				c := alice.Call("701", phone.Opts{Headers: []string{
					"Supported: timer", "Session-Expires: 90;refresher=uas", "Allow: " + allow,
				}})
				if got := c.Tx.All(200)[0].Get("Session-Expires"); got != "90;refresher=uas" {
					s.T.Errorf("Session-Expires %q", got)
				}
				start := time.Now()
				s.Wait(6 * time.Minute)
				c.ExpectAlive()
				got := c.Got(method)
				if len(got) < 7 || len(got) > 8 {
					s.T.Errorf("%d refreshes in six minutes, want 8", len(got))
				}
				about(s, "first refresh", got[0].At.Sub(start), 45*time.Second)
				hearsMusic(s, c)
				c.Hangup()
			})
		})
	}
}

// RFC 4028 7.4: what parkd tells a phone for another reason is no end of its timer,
// whoever refreshes.
// RFC 3311 5.2: an UPDATE that overtakes the ACK waits, or gives way to an offer of ours.
func TestAnUpdateBeforeTheACKWaits(t *testing.T) {
	for name, o := range map[string]struct {
		begin func(*phone.Call) *phone.Tx
		code  int
	}{
		"their offer": {func(c *phone.Call) *phone.Tx { return c.Reinvite(phone.SDP{}) }, 500},
		"our offer":   {func(c *phone.Call) *phone.Tx { return c.AskOffer() }, 491},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				c := s.Phone("alice").Call("701", phone.Opts{})
				o.begin(c).Expect(200)
				r := c.UpdateTo(phone.SDP{}).Expect(o.code)
				if retry := r.Get("Retry-After") != ""; retry != (o.code == 500) {
					s.T.Errorf("Retry-After: %q", r.Get("Retry-After"))
				}
				c.Ack()
				c.UpdateTo(phone.SDP{}).Expect(200)
				c.Hangup()
			})
		})
	}
}

func TestAChangeOfOursKeepsTheSessionTimer(t *testing.T) {
	for method, allow := range map[string]string{"INVITE": "INVITE, ACK, BYE, CANCEL", "UPDATE": "INVITE, ACK, BYE, CANCEL, UPDATE"} {
		for asked, want := range map[string]string{"1800;refresher=uac": "1800;refresher=uas", "1800;refresher=uas": "1800;refresher=uac"} {
			t.Run(method+", "+asked, func(t *testing.T) {
				run(t, func(s *kit.Site) {
					alice, bob := s.Phone("alice"), s.Phone("bob")
					a := park(alice, bob)
					b := bob.Call("*4701", phone.Opts{Headers: []string{"Supported: timer", "Session-Expires: " + asked, "Allow: " + allow}})
					talk(s, a, b)
					a.Update(phone.Asserted("Ann", ann)).Expect(200)
					s.Wait(100 * time.Millisecond)
					told := b.Got(method)
					if len(told) != 1 || told[0].Get("Session-Expires") != want {
						s.T.Fatalf("%d times told, with Session-Expires %q, want %q", len(told), told[0].Get("Session-Expires"), want)
					}
					goodbye(s, b, a)
				})
			})
		}
	}
}

// RFC 4028 7.2: a 2xx without Session-Expires says that the session does not expire.
func TestASessionWhoseTimerIsTakenOffDoesNotExpire(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		a := park(alice, bob)
		b := bob.Call("*4701", timed("300;refresher=uac"))
		talk(s, a, b)
		a.Change(phone.SDP{Direction: "sendonly"})
		isTold(s, b, "sendonly") // the kit's phones say nothing of a timer then
		a.Change(phone.SDP{})
		s.Wait(6 * time.Minute)
		b.ExpectAlive()
		talk(s, a, b)
		goodbye(s, b, a)
	})
}

func TestARefusedRefreshEndsADeadSessionOnly(t *testing.T) {
	for code, alive := range map[int]bool{481: false, 408: false, 500: true, 488: true} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice := s.Phone("alice")
				c := alice.Call("701", timed("90;refresher=uas"))
				alice.Auto("INVITE", code)
				s.Wait(time.Minute)
				if ended := !c.Ended().IsZero(); ended == alive {
					s.T.Errorf("ended: %v", ended)
				}
				if alive {
					c.Hangup()
				}
			})
		})
	}
}

func TestATooShortSessionIsRefused(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		r := alice.Invite("701", timed("60")).Expect(422)
		if got := r.Get("Min-SE"); got != "90" {
			s.T.Errorf("Min-SE %q, want 90", got)
		}
		free(s, alice)
	})
}

func TestWhenBothChangeTheSessionOneWaits(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", timed("90;refresher=uas"))
		alice.Auto("INVITE", 0)
		s.Wait(45*time.Second + 100*time.Millisecond) // parkd's re-INVITE is under way
		c.Reinvite(phone.SDP{}).Expect(491)
		s.Wait(time.Second)
		c.Late(200, "INVITE")
		s.Wait(time.Second)
		c.Reinvite(phone.SDP{}, timed("90;refresher=uas").Headers...).Expect(200)
		c.Ack()
		hearsMusic(s, c)

		alice.Auto("INVITE", 491)
		s.Wait(45 * time.Second)
		alice.Auto("INVITE", 200)
		s.Wait(10 * time.Second)
		c.ExpectAlive()
		// One late, one refused, and its repetitions, which come 0 to 2 s later each
		// (RFC 3261 14.1), until one is taken.
		asked := c.Got("INVITE")
		if len(asked) < 3 {
			s.T.Fatalf("%d re-INVITEs", len(asked))
		}
		for i := 2; i < len(asked); i++ {
			if d := asked[i].At.Sub(asked[i-1].At); d > 2100*time.Millisecond {
				s.T.Errorf("repeated after %v", d)
			}
		}
		s.Wait(20 * time.Second)
		if n := len(c.Got("INVITE")); n != len(asked) {
			s.T.Errorf("%d re-INVITEs after one was taken", n-len(asked))
		}
		c.Hangup()
	})
}
