package bubble

import (
	"slices"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// confirming has whoever answers a return of 701 press a key.
func confirming(o *config.Orbit) { o.Timeout.Confirm = true }

// asksFor is how long somebody who has answered is asked.
const asksFor = 30 * time.Second

// asked checks that somebody who has answered hears an announcement and not the
// caller, who goes on with the music.
func asked(s *kit.Site, back, parked *phone.Call) {
	s.T.Helper()
	voice := parked.Media.Talk(0x21)
	s.Wait(100 * time.Millisecond)
	start := time.Now()
	hearsMusic(s, parked)
	said := back.Media.Got(start)
	steady(s, said, time.Since(start))
	for _, r := range said {
		if r.First == voice && r.Second == voice {
			s.T.Error("hears the caller before they are joined")
			return
		}
	}
}

func TestWhoeverAnswersPressesOneFirst(t *testing.T) {
	for name, press := range map[string]func(*phone.Call, byte){
		"RFC 4733":        func(c *phone.Call, key byte) { c.Media.Press(key) },
		"INFO dtmf-relay": func(c *phone.Call, key byte) { c.Info("dtmf-relay", key).Expect(200) },
		"INFO dtmf":       func(c *phone.Call, key byte) { c.Info("dtmf", key).Expect(200) },
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, kit.Orbit("701", confirming), func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				start := time.Now()
				back := bob.Ringing(after + time.Second)
				back.Reply(180)
				s.Wait(time.Second)
				back.Pickup()
				asked(s, back, parked)
				steady(s, parked.Media.Got(time.Time{}), time.Since(start))
				press(back, '1')
				talk(s, back, parked)
				for _, r := range parked.Media.Got(start) {
					if r.PT == 101 {
						s.T.Error("the caller gets the key as well")
						break
					}
				}
				if n := len(parked.Got("INFO")); n != 0 {
					s.T.Errorf("the caller gets %d INFOs", n)
				}
				if name != "INFO dtmf" {
					s.Golden(map[string]string{"RFC 4733": "confirmed", "INFO dtmf-relay": "confirmed-by-info"}[name])
				}
				goodbye(s, back, parked)
				free(s, alice)
			})
		})
	}
}

func TestWhoeverAnswersMayNotTakeTheCaller(t *testing.T) {
	for name, tt := range map[string]struct {
		do     func(*kit.Site, *phone.Call)
		detail string
	}{
		"nothing is pressed": {func(s *kit.Site, back *phone.Call) { s.Wait(asksFor - 2*time.Second) }, "nobody pressed 1"},
		"two is pressed":     {func(_ *kit.Site, back *phone.Call) { back.Media.Press('2') }, "refused by a key"},
		"hung up":            {func(_ *kit.Site, back *phone.Call) { back.Hangup() }, "nobody pressed 1"},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, kit.Orbit("701", confirming), func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				start := time.Now()
				back := bob.Ringing(after + time.Second)
				back.Pickup()
				s.Wait(2 * time.Second)
				tt.do(s, back)
				back.ExpectEnd(time.Second)
				from := time.Now()
				s.Wait(time.Second)
				if want := `"detail":"` + tt.detail + `","message":"call kept"`; !strings.Contains(s.Log.String(), want) {
					s.T.Errorf("the log does not say %s", want)
				}
				if name == "nothing is pressed" {
					s.Golden("not-confirmed")
				}
				again := bob.Ringing(after)
				if d := time.Since(from); d < after-time.Second || d > after+time.Second {
					s.T.Errorf("second return after %v", d)
				}
				again.Pickup()
				steady(s, parked.Media.Got(time.Time{}), time.Since(start))
				again.Media.Press('1')
				talk(s, again, parked)
				goodbye(s, parked, again)
			})
		})
	}
}

func TestTheQuestionIsSaidThreeTimes(t *testing.T) {
	runWith(t, kit.Orbit("701", confirming), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		back.Pickup()
		start := time.Now()
		s.Wait(asksFor - 2*time.Second)
		const silence = 0xff // of PCMU
		said := slices.DeleteFunc(back.Media.Got(start), func(r phone.RTP) bool { return r.First == silence && r.Second == silence })
		if len(said) == 0 {
			s.T.Fatal("nothing is said")
		}
		took := said[len(said)-1].At.Sub(said[0].At)
		if took < 15*time.Second || took > asksFor-5*time.Second {
			s.T.Errorf("said for %v, of %v", took, asksFor)
		}
		hearsMusic(s, parked)
		back.Media.Press('1') // long after it was said
		talk(s, back, parked)
		goodbye(s, parked, back)
	})
}

func TestWhileSomebodyIsAsked(t *testing.T) {
	for name, do := range map[string]func(s *kit.Site, back, parked *phone.Call){
		"somebody else fetches the caller": func(s *kit.Site, back, parked *phone.Call) {
			fetched := retrieve(s, s.Phone("carol"), parked)
			back.ExpectEnd(time.Second)
			s.Golden("fetched-while-asked")
			goodbye(s, fetched, parked)
		},
		"the caller hangs up": func(s *kit.Site, back, parked *phone.Call) {
			goodbye(s, parked, back)
			s.Golden("caller-leaves-while-asked")
		},
		"a key comes as somebody else fetches": func(s *kit.Site, back, parked *phone.Call) {
			fetched := s.Phone("carol").Invite("*4701", phone.Opts{})
			back.Info("dtmf", '1')
			s.Wait(time.Second)
			r := fetched.Tx.Wait(time.Second)
			switch {
			case r == nil:
				s.T.Fatal("no answer")
			case r.Code() == 200:
				fetched.Ack()
				back.ExpectEnd(time.Second)
				talk(s, fetched, parked)
				goodbye(s, parked, fetched)
			default:
				talk(s, back, parked)
				goodbye(s, parked, back)
			}
		},
		"the call is put on hold": func(s *kit.Site, back, parked *phone.Call) {
			back.Change(phone.SDP{Direction: "sendonly"})
			s.Wait(time.Second)
			back.Change(phone.SDP{})
			back.Media.Press('1')
			talk(s, back, parked)
			goodbye(s, back, parked)
		},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, kit.Orbit("701", confirming), func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				back := bob.Ringing(after + time.Second)
				back.Pickup()
				s.Wait(2 * time.Second)
				do(s, back, parked)
				s.Wait(after + time.Minute)
				if n := len(bob.Got("INVITE")); n > 1 {
					s.T.Errorf("bob was called %d times", n)
				}
				free(s, alice)
			})
		})
	}
}

// Nobody has configured it: but the call went on to another number.
func TestAForwardedReturnIsConfirmed(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(s *kit.Site, back *phone.Call) *phone.Call // who answers
		asked  bool
	}{
		"181": {func(_ *kit.Site, back *phone.Call) *phone.Call {
			back.Reply(181)
			back.Reply(180)
			return back
		}, true},
		"Diversion": {func(_ *kit.Site, back *phone.Call) *phone.Call {
			back.Reply(180, "Diversion: <sip:bob@10.0.1.2>;reason=no-answer")
			return back
		}, true},
		"History-Info": {func(_ *kit.Site, back *phone.Call) *phone.Call {
			back.Reply(180, "History-Info: <sip:bob@10.0.1.2>;index=1", "History-Info: <sip:voicemail@10.0.1.2>;index=1.1;mp=1")
			return back
		}, true},
		"an identity": {func(_ *kit.Site, back *phone.Call) *phone.Call {
			back.Reply(180, `P-Asserted-Identity: "Mailbox" <sip:999@10.0.1.2>`)
			return back
		}, true},
		"302": {func(s *kit.Site, back *phone.Call) *phone.Call {
			carol := s.Phone("carol")
			back.Reply(302, elsewhere("<"+carol.URI()+">"))
			return carol.Ringing(time.Second)
		}, true},
		"302 to where the phone is": {func(s *kit.Site, back *phone.Call) *phone.Call {
			desk := s.Phone("bob")
			back.Reply(302, elsewhere("<"+desk.URI()+">"))
			return desk.Ringing(time.Second)
		}, false},
		"not at all": {func(_ *kit.Site, back *phone.Call) *phone.Call {
			back.Reply(180, `P-Asserted-Identity: "Bob" <sip:bob@10.0.1.2>`)
			return back
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				back := tt.answer(s, bob.Ringing(after+time.Second))
				s.Wait(time.Second)
				back.Pickup()
				if tt.asked {
					asked(s, back, parked)
					back.Media.Press('1')
				}
				talk(s, back, parked)
				if name == "181" {
					s.Golden("forwarded-then-confirmed")
				}
				goodbye(s, back, parked)
			})
		})
	}
}
