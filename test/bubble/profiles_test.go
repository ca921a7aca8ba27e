package bubble

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// acme is a rule for phones of Acme's, with a default for all others.
func acme(p config.Phone) kit.Configure {
	p.UserAgent = regexp.MustCompile("^Acme")
	return func(c *config.Config) {
		c.Phones = []config.Phone{p, {UserAgent: regexp.MustCompile("^Never"), State: "confirmed"}}
	}
}

// A make of phone is shown a lamp in its own way; every other one as before.
func TestARuleForAMakeOfPhone(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule config.Phone
		has  string // in the document
		not  string
		look func(l phone.Lamp) bool
	}{
		{"confirmed", config.Phone{State: "confirmed"}, "<state>confirmed</state>", "early", func(l phone.Lamp) bool { return l.CallID != "" }},
		{"pvalue", config.Phone{Rendering: "pvalue"}, `pvalue="no"`, "pval=", func(l phone.Lamp) bool { return l.Dialog == "early" }},
		{"no rendering", config.Phone{Rendering: "none"}, "<state>early</state>", "rendering", func(l phone.Lamp) bool { return l.CallID != "" }},
		{"without ids", config.Phone{IDs: "none"}, `id="701"`, "call-id", func(l phone.Lamp) bool { return l.RemoteName == "alice" }},
		{"a code to dial", config.Phone{Target: "code"}, "sip:*4701@10.0.0.1", "sip:*4alice", func(l phone.Lamp) bool { return l.LocalTarget == "sip:701@10.0.0.1:5060" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runWith(t, acme(tt.rule), func(s *kit.Site) {
				alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
				odd, plain := bob.Watch("701", 3600, "User-Agent: Acme 9/1.0"), carol.Watch("701", 3600, "User-Agent: Other 9/1.0")
				odd.Expect(200)
				plain.Expect(200)
				s.Wait(lit)
				parked := park(alice, bob)
				s.Wait(lit)
				got := bob.Got("NOTIFY")
				if body := got[len(got)-1].Body; !strings.Contains(body, tt.has) || strings.Contains(body, tt.not) || !tt.look(odd.Newest()) {
					s.T.Errorf("bob is shown\n%s", body)
				}
				other := carol.Got("NOTIFY")
				if body := other[len(other)-1].Body; !strings.Contains(body, "<state>early</state>") || !strings.Contains(body, `pval="no"`) ||
					strings.Contains(body, "*4701") || plain.Newest().CallID == "" {
					s.T.Errorf("carol is shown\n%s", body)
				}
				// Whatever it is shown: its plain call is a press.
				fetched := bob.Call("701", phone.Opts{})
				talk(s, fetched, parked)
				goodbye(s, fetched, parked)
				odd.Refresh(0).Expect(200)
				plain.Refresh(0).Expect(200)
			})
		})
	}
}

// A rule beats what an orbit says, and a changed rule is seen at once. Early is how
// any phone sees a call that is on its way back.
func TestARuleForAMakeAndAnOrbitsOwn(t *testing.T) {
	orbits := kit.Orbit("701", func(o *config.Orbit) { o.Lamp.State = "confirmed" })
	both := func(p config.Phone) kit.Configure {
		return func(c *config.Config) { orbits(c); acme(p)(c) }
	}
	runWith(t, both(config.Phone{State: "early"}), func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		odd, plain := bob.Watch("701", 3600, "User-Agent: Acme 9/1.0"), carol.Subscribe("701")
		odd.Expect(200)
		parked := park(alice, bob)
		odd.Await(lit, "early")
		plain.Await(lit, "confirmed")
		s.Wait(time.Second)
		keys(s, s.Reloaded(both(config.Phone{})), "phones")
		odd.Await(lit, "confirmed")
		back := bob.Ringing(after + time.Second)
		if l := odd.Await(lit, "early"); l.RemoteName != "alice (returning)" {
			s.T.Errorf("the lamp: %+v", l)
		}
		back.Pickup()
		odd.Await(lit, "terminated")
		s.Wait(time.Second)
		goodbye(s, back, parked)
		odd.Refresh(0).Expect(200)
		plain.Refresh(0).Expect(200)
	})
}

// Twinkle knows online and offline only.
func TestPresenceOfAPhoneThatKnowsNoBusy(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Watch("701", 3600, "User-Agent: Twinkle/1.10.2", "Event: presence", "Accept: application/pidf+xml")
		watch.Expect(200)
		watch.Await(lit, "open")
		parked := park(alice, bob)
		watch.Await(lit, "closed")
		parked.Hangup()
		watch.Await(lit, "open")
		watch.Refresh(0).Expect(200)
	})
}
