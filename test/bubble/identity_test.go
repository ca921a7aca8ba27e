package bubble

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// byReinvite and byUpdate are how switches say that somebody else is on a call.
var ways = map[string]func(c *phone.Call, headers ...string){
	"re-INVITE": func(c *phone.Call, headers ...string) {
		c.Reinvite(phone.SDP{}, headers...).Expect(200)
		c.Ack()
	},
	"UPDATE": func(c *phone.Call, headers ...string) { c.Update(headers...).Expect(200) },
}

const ann = "sip:ann@10.0.1.9"

// saysCaller checks whom a lamp shows as parked.
func saysCaller(s *kit.Site, sub *phone.Sub, want string) {
	s.T.Helper()
	s.Wait(time.Second)
	if l := sub.Newest(); l.RemoteURI != want {
		s.T.Errorf("the lamp shows %q, want %q", l.RemoteURI, want)
	}
}

// A switch that is a back-to-back user agent: bob calls the orbit through it, and
// when he completes the transfer it is ann who is on that call.
func TestAConsultationIsCompletedWithoutReplaces(t *testing.T) {
	for way, say := range ways {
		t.Run(way, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				bob, desk := s.Phone("bob"), s.Phone("desk")
				lamp := desk.Subscribe("701")
				c := bob.Call("701", phone.Opts{})
				c.Media.Talk(0x21)
				before := lamp.Await(time.Second, "early")
				s.Wait(10 * time.Second)
				say(c, phone.Asserted("Ann", ann))
				done := time.Now()
				saysCaller(s, lamp, ann)
				// A press on the lamp as it was must not fetch ann.
				desk.Invite("701", phone.Opts{Replaces: before.Replaces(false)}).Expect(481)
				hearsMusic(s, c)
				back := bob.Ringing(after + time.Second)
				about(s, "the return", time.Since(done), after)
				if from := back.Request().Get("From"); !strings.Contains(from, ann) {
					s.T.Errorf("the return is from %s, want %s", from, ann)
				}
				back.Pickup()
				talk(s, back, c)
				goodbye(s, back, c)
				s.Golden("identity-" + strings.ToLower(way))
				lamp.Refresh(0).Expect(200)
			})
		})
	}
}

func TestAnIdentityThatSaysNothingNewChangesNothing(t *testing.T) {
	for name, headers := range map[string][]string{
		"none":           nil,
		"the same":       {phone.Asserted("bob", "sip:bob@10.0.1.1")},
		"anonymous":      {phone.Asserted("Anonymous", "sip:anonymous@anonymous.invalid")},
		"hidden":         {phone.Party("", "sip:anonymous@10.0.1.1")},
		"unreadable":     {"P-Asserted-Identity: \"Ann <sip:"},
		"unreadable too": {"Remote-Party-ID: <ann>;;"},
	} {
		for way, say := range ways {
			t.Run(name+" by "+way, func(t *testing.T) {
				run(t, func(s *kit.Site) {
					bob := s.Phone("bob")
					lamp := s.Phone("desk").Subscribe("701")
					c := bob.Call("701", phone.Opts{})
					s.Wait(time.Second)
					before := len(lamp.Lamps())
					say(c, headers...)
					s.Wait(after + time.Second) // nobody is called back
					if n := len(lamp.Lamps()); n != before {
						s.T.Errorf("%d NOTIFYs, want %d", n, before)
					}
					if n := len(bob.Got("INVITE")); n != 0 {
						s.T.Errorf("%d calls came back", n)
					}
					c.Hangup()
					lamp.Refresh(0).Expect(200)
				})
			})
		}
	}
}

// What a stranger says of who they are is not believed.
func TestAnIdentityOfAStrangerIsIgnored(t *testing.T) {
	for way, say := range ways {
		t.Run(way, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				bob := s.Phone("bob")
				lamp := s.Phone("desk").Subscribe("701")
				c := bob.Call("701", phone.Opts{})
				desk := netip.MustParsePrefix("10.0.1.2/32") // may see the lamp still
				s.Reloaded(func(c *config.Config) { c.Access.Trusted = []netip.Prefix{desk} })
				c.Rename(`"Ann" <` + ann + ">")
				say(c, phone.Asserted("Ann", ann), phone.Party("Ann", ann))
				saysCaller(s, lamp, bob.URI())
				s.Wait(after)
				if n := len(bob.Got("INVITE")); n != 0 {
					s.T.Errorf("%d calls came back", n)
				}
				c.Hangup()
				lamp.Refresh(0).Expect(200)
			})
		})
	}
}

func TestOtherHeadersNameThePartyToo(t *testing.T) {
	for name, change := range map[string]func(c *phone.Call) []string{
		"Remote-Party-ID": func(*phone.Call) []string { return []string{phone.Party("Ann", ann)} },
		"From": func(c *phone.Call) []string {
			c.Rename(`"Ann" <` + ann + ">")
			return []string{"Supported: from-change"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				bob := s.Phone("bob")
				lamp := s.Phone("desk").Subscribe("701")
				c := bob.Call("701", phone.Opts{})
				c.Update(change(c)...).Expect(200)
				saysCaller(s, lamp, ann)
				bob.Ringing(after + time.Second).Reply(486)
				c.Hangup()
				lamp.Refresh(0).Expect(200)
			})
		})
	}
}

// A caller who was transferred has a parker: another name is only that.
func TestANewNameOfATransferredCaller(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		lamp := s.Phone("desk").Subscribe("701")
		start := time.Now()
		c := park(alice, bob)
		before := lamp.Await(time.Second, "early")
		s.Wait(time.Minute)
		c.Update(phone.Asserted("Ann", ann)).Expect(200)
		saysCaller(s, lamp, ann)
		if now := lamp.Newest(); now.CallID != before.CallID {
			s.T.Error("the lamp names another call")
		}
		back := bob.Ringing(after)
		about(s, "the return", time.Since(start), after)
		back.Pickup()
		talk(s, back, c)
		goodbye(s, back, c)
		lamp.Refresh(0).Expect(200)
	})
}

// Each of two who are joined is told when the other is somebody else.
func TestTheConnectedLineFollows(t *testing.T) {
	for name, opts := range map[string]phone.Opts{"INVITE": {}, "UPDATE": {Headers: []string{phone.Updates}}} {
		t.Run("by "+name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
				opts.ReferredBy = bob.URI()
				parked := alice.Call("701", opts)
				parked.Media.Talk(0x21)
				fetch := opts
				fetch.ReferredBy = ""
				fetched := bob.Call("*4701", fetch)
				talk(s, fetched, parked)
				quiet(s, parked, fetched)

				parked.Update(phone.Asserted("Ann", ann)).Expect(200)
				shows(s, fetched, name, ann)
				fetched.Update(phone.Asserted("Dora", "sip:dora@10.0.1.9")).Expect(200)
				shows(s, parked, name, "sip:dora@10.0.1.9")

				taken := carol.Call("701", phone.Opts{Replaces: fetched.Replaces(), Headers: opts.Headers})
				fetched.ExpectEnd(time.Second)
				shows(s, parked, name, carol.URI())
				talk(s, taken, parked)
				s.Golden("connected-line-" + strings.ToLower(name))
				goodbye(s, taken, parked)
			})
		})
	}
}

// quiet checks that nothing was said within calls that goes without saying.
func quiet(s *kit.Site, calls ...*phone.Call) {
	s.T.Helper()
	for _, c := range calls {
		if n := len(c.Got("UPDATE")) + len(c.Got("INVITE")); n > 0 {
			s.T.Errorf("%d changes of the session that nobody wanted", n)
		}
	}
}

// shows checks that a phone was told by the last request of a method whom it talks to.
func shows(s *kit.Site, c *phone.Call, method, uri string) {
	s.T.Helper()
	s.Wait(100 * time.Millisecond)
	got := c.Got(method)
	if len(got) == 0 {
		s.T.Fatalf("%s was not told by %s", c.CallID(), method)
	}
	m := got[len(got)-1].Message
	for _, h := range []string{"P-Asserted-Identity", "Remote-Party-ID"} {
		if !strings.Contains(m.Get(h), "<"+uri+">") {
			s.T.Errorf("%s: %s says %q, want %s", method, h, m.Get(h), uri)
		}
	}
}

// A peer that is busy with a change of its own, refuses, or is silent, is told in
// the end or not at all, and goes on talking.
func TestAConnectedLineThatIsNotTaken(t *testing.T) {
	for _, code := range []int{491, 488, 603, 0} {
		for _, method := range []string{"INVITE", "UPDATE"} {
			t.Run(fmt.Sprint(method, " ", code), func(t *testing.T) {
				run(t, func(s *kit.Site) {
					alice, bob := s.Phone("alice"), s.Phone("bob")
					opts := phone.Opts{}
					if method == "UPDATE" {
						opts.Headers = []string{phone.Updates}
					}
					parked := park(alice, bob)
					fetched := bob.Call("*4701", opts)
					talk(s, fetched, parked)
					bob.Auto(method, code)
					parked.Update(phone.Asserted("Ann", ann)).Expect(200)
					s.Wait(time.Second)
					bob.Auto(method, 200)
					s.Wait(10 * time.Second)
					if n := len(fetched.Got(method)); code == 491 && n < 2 || code != 491 && n != 1 {
						s.T.Errorf("told %d times", n)
					}
					s.Wait(40 * time.Second)
					talk(s, fetched, parked)
					goodbye(s, fetched, parked)
				})
			})
		}
	}
}
