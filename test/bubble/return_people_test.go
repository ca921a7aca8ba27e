package bubble

import (
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// What a rung phone shows, and how it rings.
func TestAReturnSaysWhoIsComingBack(t *testing.T) {
	const recall = "<urn:alert:service:recall:transfer>"
	for name, tt := range map[string]struct {
		display, alert, caller string
		from, ring             string
	}{
		"as shipped":           {"{orbit} {caller}", recall, `"Ann" <sip:ann@10.0.1.1>`, `"701 Ann" <sip:ann@10.0.1.1>`, recall},
		"the caller's number":  {"{name}: {number}", "", `"Ann" <sip:0815@10.0.1.1>`, `"Sales: 0815" <sip:0815@10.0.1.1>`, ""},
		"a name with quotes":   {"{caller}", "Bellcore-dr3", `"A \"B\" \\ C" <sip:ann@10.0.1.1>`, `"A \"B\" \\ C" <sip:ann@10.0.1.1>`, "Bellcore-dr3"},
		"a name with brackets": {"{caller}", "", `"{orbit} <sip:x>, y" <sip:ann@10.0.1.1>`, `"{orbit} <sip:x>, y" <sip:ann@10.0.1.1>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			configure := func(c *config.Config) {
				c.Return = config.Return{Display: tt.display, AlertInfo: tt.alert}
				kit.Orbit("701", func(o *config.Orbit) { o.Name = "Sales" })(c)
			}
			runWith(t, configure, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := alice.Call("701", phone.Opts{From: tt.caller, ReferredBy: bob.URI()})
				back := bob.Ringing(after + time.Second)
				from, _, _ := strings.Cut(back.Request().Get("From"), ";tag=")
				if identity := back.Request().Get("P-Asserted-Identity"); from != tt.from || identity != tt.from {
					s.T.Errorf("the phone shows %s, and %s asserted; want %s", from, identity, tt.from)
				}
				if got := strings.Join(back.Request().All("Alert-Info"), ", "); got != tt.ring {
					s.T.Errorf("Alert-Info %q, want %q", got, tt.ring)
				}
				back.Pickup()
				talk(s, back, parked)
				goodbye(s, back, parked)
			})
		})
	}
}

func TestDoNotDisturbIsBusy(t *testing.T) {
	for name, tt := range map[string]struct {
		ringing bool
		code    int
		detail  string
	}{
		"486":                        {false, 486, "answered 486"},
		"600":                        {false, 600, "answered 600"},
		"declined":                   {true, 603, "answered 603"},
		"unavailable at once":        {false, 480, "answered 480 at once"},
		"nobody came to the phone":   {true, 480, "answered 480"},
		"no such phone for a moment": {false, 408, "answered 408"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				back := bob.Ringing(after + time.Second)
				if tt.ringing {
					back.Reply(180)
					s.Wait(3 * time.Second)
				}
				back.Reply(tt.code)
				from := time.Now()
				hearsMusic(s, parked)
				if want := `"detail":"` + tt.detail + `","message":"call kept"`; !strings.Contains(s.Log.String(), want) {
					s.T.Errorf("the log does not say %s", want)
				}
				again := bob.Ringing(after + time.Second)
				about(s, "second return", time.Since(from), after)
				again.Pickup()
				talk(s, again, parked)
				goodbye(s, again, parked)
			})
		})
	}
}

func TestATimeoutMayCallTheFallbackAtOnce(t *testing.T) {
	reception := kit.Orbit("701", func(o *config.Orbit) { o.Timeout.Action, o.Timeout.Fallback = "fallback", "200" })
	runWith(t, reception, func(s *kit.Site) {
		pbx, bob := s.Phone("pbx"), s.Phone("bob")
		parked := park(pbx, bob)
		back := pbx.Ringing(after + time.Second)
		if got, want := back.Request().URI(), "sip:200@10.0.1.1:5060"; got != want {
			s.T.Errorf("%s is called, want %s", got, want)
		}
		back.Pickup()
		talk(s, back, parked)
		if n := len(bob.Got("INVITE")); n != 0 {
			s.T.Error("the parker was called")
		}
		s.Golden("fallback-at-once")
		goodbye(s, parked, back)
	})
}

func TestATimeoutMayCallNobody(t *testing.T) {
	kept := kit.Orbit("701", func(o *config.Orbit) {
		o.Timeout.Action, o.Timeout.Fallback = "keep", "200"
		o.Transfer = config.Transfer{Enabled: true, Key: "0"}
	})
	runWith(t, kept, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		s.Wait(3 * after)
		if n := len(alice.Got("INVITE")) + len(bob.Got("INVITE")); n != 0 {
			s.T.Errorf("%d calls by a time-out", n)
		}
		parked.Media.Press('0')
		bob.Ringing(time.Second).Reply(486)
		s.Wait(3 * after)
		if n := len(bob.Got("INVITE")); n != 1 {
			s.T.Errorf("%d calls; the key asked for one", n)
		}
		hearsMusic(s, parked)
		goodbye(s, retrieve(s, s.Phone("carol"), parked), parked)
	})
}

func TestSeveralParkersOfAQueueRingAtTheSameMoment(t *testing.T) {
	runWith(t, kit.Orbit("701", several), func(s *kit.Site) {
		alice, bob, carol, dave, eve := s.Phone("alice"), s.Phone("bob"), s.Phone("carol"), s.Phone("dave"), s.Phone("eve")
		parked := map[*phone.Phone]*phone.Call{}
		for caller, parker := range map[*phone.Phone]*phone.Phone{alice: bob, carol: dave} { // at one instant
			parked[parker] = caller.Invite("701", referred(parker))
		}
		for _, c := range parked {
			c.Expect(200)
			c.Ack()
		}
		s.Wait(10 * time.Second)
		third := park(eve, bob) // and bob has parked another one
		parked[bob].Media.Talk(0x51)
		parked[dave].Media.Talk(0x52)
		first, second := bob.Ringing(after), dave.Ringing(time.Second)
		if d := second.Since().Sub(first.Since()).Abs(); d > 50*time.Millisecond {
			s.T.Errorf("the two ring %v apart", d)
		}
		first.Reply(180)
		second.Reply(180)
		second.Pickup()
		second.Media.Talk(0x61)
		talk(s, second, parked[dave])
		another := bob.Ringing(15 * time.Second) // for eve, while the first still rings
		another.Reply(486)
		first.Pickup()
		first.Media.Talk(0x62)
		talk(s, first, parked[bob])
		hearsMusic(s, third)
		goodbye(s, second, parked[dave])
		talk(s, first, parked[bob])
		goodbye(s, parked[bob], first)
		last := bob.Ringing(after + time.Second)
		last.Pickup()
		talk(s, last, third)
		goodbye(s, third, last)
	})
}
