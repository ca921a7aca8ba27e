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

// fetchers are who may retrieve.
func fetchers(pattern string) kit.Configure {
	return func(c *config.Config) { c.Access.RetrieveUsers = regexp.MustCompile(pattern) }
}

// Whoever may not retrieve sees the lamp and nothing of the caller, and fetches them
// in no way; nor are they parked, who wanted to fetch somebody.
func TestWhoMayNotRetrieveSeesALampWithoutACaller(t *testing.T) {
	runWith(t, fetchers("^desk"), func(s *kit.Site) {
		alice, bob, desk, guest := s.Phone("alice"), s.Phone("bob"), s.Phone("desk"), s.Phone("guest")
		named, nameless := desk.Subscribe("701"), guest.Subscribe("701")
		nameless.Await(lit, "terminated")
		parked := park(alice, bob) // bob may not fetch, but parks
		on, dim := named.Await(lit, "early"), nameless.Await(lit, "early")
		if on.RemoteName != "alice" || on.CallID == "" {
			s.T.Errorf("the desk's lamp: %+v", on)
		}
		if dim.RemoteName != "" || dim.RemoteURI != "sip:anonymous@anonymous.invalid" || dim.ID != "701" ||
			dim.CallID+dim.LocalTag+dim.RemoteTag != "" || dim.Direction != "recipient" || dim.RemoteTarget != on.RemoteTarget {
			s.T.Errorf("the guest's lamp: %+v", dim)
		}
		for _, m := range guest.Got("NOTIFY") {
			if strings.Contains(m.Body, "alice") {
				s.T.Errorf("the guest is told of alice:\n%s", m.Body)
			}
		}
		guest.Invite("*4701", phone.Opts{}).Expect(403)
		guest.Invite("701;operation=retrieve", phone.Opts{}).Expect(403)
		guest.Invite("701", phone.Opts{Replaces: on.Replaces(false)}).Expect(403)
		guest.Invite("701", phone.Opts{}).Expect(403)   // the press of a watcher
		guest.Invite("*4702", phone.Opts{}).Expect(403) // where nobody is, just so
		parked.ExpectAlive()
		s.Wait(time.Second)
		fetched := desk.Call("701", phone.Opts{})
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		named.Refresh(0).Expect(200)
		nameless.Refresh(0).Expect(200)
		s.Wait(time.Second)
		s.Golden("privacy")
	})
}

// Whoever was fetched a caller by somebody else does not fetch the next by a transfer.
func TestWhoMayNotRetrieveDoesNotByTransfer(t *testing.T) {
	runWith(t, fetchers("^desk"), func(s *kit.Site) {
		alice, ben, desk := s.Phone("alice"), s.Phone("ben"), s.Phone("desk")
		parked := park(alice, desk)
		other := ben.Call("702", phone.Opts{})
		fetched := desk.Call("*4701", phone.Opts{})
		talk(s, fetched, parked)
		parked.Do("REFER", "", "Refer-To: <sip:*4702@10.0.0.1>").Expect(403)
		s.Wait(time.Second)
		other.ExpectAlive()
		fetched.Do("REFER", "", "Refer-To: <sip:*4702@10.0.0.1>").Expect(202)
		s.Wait(time.Second)
		talk(s, parked, other) // the desk joined them
		goodbye(s, parked, other)
	})
}

// A reload says who may retrieve from now on; each lamp is told at once, and after a
// crash it is as it was.
func TestAnotherRuleSaysWhoMayRetrieve(t *testing.T) {
	t.Parallel()
	kit.RunCut(t, kit.Plan{}, func(s *kit.Site) {
		alice, bob, guest := s.Phone("alice"), s.Phone("bob"), s.Phone("guest")
		watch := guest.Subscribe("701")
		watch.Await(lit, "terminated")
		parked := park(alice, bob)
		if l := watch.Await(lit, "early"); l.RemoteName != "alice" {
			s.T.Errorf("the lamp: %+v", l)
		}
		s.Wait(time.Second)
		keys(s, s.Reloaded(fetchers("^desk")), "access.retrieve_users")
		s.Wait(lit)
		if l := watch.Await(0, "early"); l.RemoteName != "" || l.CallID != "" {
			s.T.Errorf("the lamp: %+v", l)
		}
		s.Crash(time.Second)
		s.Wait(2 * time.Second)
		if l := watch.Await(0, "early"); l.RemoteName != "" || l.CallID != "" {
			s.T.Errorf("the lamp after a crash: %+v", l)
		}
		guest.Invite("701", phone.Opts{}).Expect(403)
		s.Reloaded(fetchers(""))
		s.Wait(lit)
		l := watch.Await(0, "early")
		if l.RemoteName != "alice" || l.CallID == "" {
			s.T.Errorf("the lamp: %+v", l)
		}
		fetched := guest.Call("701", phone.Opts{Replaces: l.Replaces(true)})
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		watch.Refresh(0).Expect(200)
	})
}

// How much of a caller is shown is an orbit's choice.
func TestIdentityOfALamp(t *testing.T) {
	for _, tt := range []struct{ identity, name, uri string }{
		{"full", "alice", "sip:alice@10.0.1.1"},
		{"number", "", "sip:alice@10.0.1.1"},
		{"none", "", "sip:anonymous@anonymous.invalid"},
	} {
		t.Run(tt.identity, func(t *testing.T) {
			runWith(t, kit.Orbit("701", func(o *config.Orbit) { o.Lamp.Identity = tt.identity }), func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				watch := bob.Subscribe("701")
				parked := park(alice, bob)
				l := watch.Await(lit, "early")
				if l.RemoteName != tt.name || l.RemoteURI != tt.uri {
					s.T.Errorf("the lamp: %+v", l)
				}
				fetched := bob.Call("701", phone.Opts{Replaces: l.Replaces(false)}) // in any case
				talk(s, fetched, parked)
				goodbye(s, fetched, parked)
				watch.Refresh(0).Expect(200)
			})
		})
	}
}

// A list says no more of a caller than its orbit's lamp, to whoever it is and in the
// way of their phone.
func TestAListShowsNoCallersToWhoMayNotRetrieve(t *testing.T) {
	rules := func(c *config.Config) {
		fetchers("^desk")(c)
		acme(config.Phone{State: "confirmed"})(c)
	}
	runWith(t, rules, func(s *kit.Site) {
		alice, bob, desk, guest := s.Phone("alice"), s.Phone("bob"), s.Phone("desk"), s.Phone("guest")
		named, nameless := desk.SubscribeList("orbits", "User-Agent: Acme 9/1.0"), guest.SubscribeList("orbits")
		s.Wait(3 * time.Second)
		parked := park(alice, bob)
		on, dim := named.AwaitKey(lit, "701", "confirmed"), nameless.AwaitKey(lit, "701", "early")
		if on.RemoteName != "alice" || on.CallID == "" {
			s.T.Errorf("the desk's key: %+v", on)
		}
		if dim.RemoteName != "" || dim.RemoteURI != "sip:anonymous@anonymous.invalid" || dim.CallID+dim.LocalTag+dim.RemoteTag != "" {
			s.T.Errorf("the guest's key: %+v", dim)
		}
		s.Wait(time.Second) // their answers have come
		guest.Invite("701", phone.Opts{}).Expect(403)
		fetched := desk.Call("701", phone.Opts{})
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		named.Refresh(0).Expect(200)
		nameless.Refresh(0).Expect(200)
	})
}
