package bubble

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

func TestAConfiguredHeaderNamesTheParker(t *testing.T) {
	boss := func(c *config.Config) { c.Park.ParkerHeaders = []string{"X-Boss"} }
	for name, c := range map[string]struct {
		configure kit.Configure
		header    string
	}{
		"X-Parked-By by default": {nil, "X-Parked-By"}, "X-Boss if configured": {boss, "X-Boss"},
		"in lower case": {boss, "x-boss"},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, c.configure, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := alice.Call("701", phone.Opts{Headers: []string{c.header + ": <" + bob.URI() + ">"}})
				parked.Media.Talk(0x21)
				start := time.Now()
				back := bob.Ringing(after + time.Second)
				about(s, "return", time.Since(start), after)
				back.Pickup()
				talk(s, back, parked)
				goodbye(s, back, parked)
			})
		})
	}
}

// A parker who may not be called does not hide one who may.
func TestAnUnusableParkerDoesNotHideTheNext(t *testing.T) {
	runWith(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := alice.Call("701", phone.Opts{Headers: []string{
			"Referred-By: <sip:900123456789@toll.example>", "X-Parked-By: <" + bob.URI() + ">"}})
		parked.Media.Talk(0x21)
		back := bob.Ringing(after + time.Second)
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
	})
}

func TestAHeaderThatIsNotConfiguredNamesNobody(t *testing.T) {
	boss := func(c *config.Config) { c.Park.ParkerHeaders = []string{"X-Boss"} }
	for name, header := range map[string]string{
		"X-Boss by default": "X-Boss", "X-Parked-By if another is configured": "X-Parked-By",
		"Referred-By if another is configured": "Referred-By",
	} {
		t.Run(name, func(t *testing.T) {
			configure := boss
			if header == "X-Boss" {
				configure = nil
			}
			runWith(t, configure, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := alice.Call("701", phone.Opts{Headers: []string{header + ": <" + bob.URI() + ">"}})
				s.Wait(3 * after)
				if n := len(bob.Got("INVITE")); n != 0 {
					s.T.Errorf("bob was called %d times", n)
				}
				hearsMusic(s, parked)
				parked.Hangup()
			})
		})
	}
}

func TestALampIsSteadyIfConfirmed(t *testing.T) {
	steadily := kit.Orbit("701", func(o *config.Orbit) { o.Lamp.State = "confirmed" })
	for name, ids := range map[string]bool{"pressed with the ids": true, "pressed plainly": false} {
		t.Run(name, func(t *testing.T) {
			runWith(t, steadily, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				watch := bob.Subscribe("701")
				watch.Await(lit, "terminated")
				parked := park(alice, bob)
				lamp := watch.Await(lit, "confirmed")
				s.Wait(time.Second)
				press := phone.Opts{}
				if ids {
					press.Replaces = lamp.Replaces(false)
				}
				fetched := bob.Call("701", press)
				watch.Await(lit, "terminated")
				talk(s, fetched, parked)
				goodbye(s, fetched, parked)
				for _, l := range watch.Lamps() {
					if l.Dialog == "early" {
						s.T.Error("the lamp blinked")
					}
				}
				watch.Refresh(0).Expect(200)
			})
		})
	}
}

func TestAnybodysPlainCallIsAPressIfAlways(t *testing.T) {
	always := kit.Orbit("701", func(o *config.Orbit) { o.Lamp.Press = "always" })
	runWith(t, always, func(s *kit.Site) {
		alice, carol := s.Phone("alice"), s.Phone("carol")
		parked := alice.Call("701", phone.Opts{}) // nobody to fetch
		parked.Media.Talk(0x21)
		hearsMusic(s, parked)
		fetched := carol.Call("701", phone.Opts{})
		if got, want := fetched.Tx.All(200)[0].Get("P-Asserted-Identity"), `"alice" <sip:alice@10.0.1.1>`; got != want {
			s.T.Errorf("carol is shown %s, want %s", got, want)
		}
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		next := carol.Call("701", phone.Opts{})
		hearsMusic(s, next)
		next.Hangup()
	})
}

func TestATransferIsNeverAPress(t *testing.T) {
	always := kit.Orbit("701", func(o *config.Orbit) { o.Lamp.Press = "always" })
	runWith(t, always, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		carol.Invite("701", referred(bob)).Expect(486)
		hearsMusic(s, parked)
		parked.Hangup()
	})
}

func TestNobodysPlainCallIsAPressIfNever(t *testing.T) {
	never := kit.Orbit("701", func(o *config.Orbit) { o.Lamp.Press = "never" })
	runWith(t, never, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		lamp := watch.Await(lit, "early")
		s.Wait(time.Second)
		bob.Invite("701", phone.Opts{}).Expect(486)
		hearsMusic(s, parked)
		watch.Await(lit, "early")
		// With the ids it is no plain call.
		fetched := bob.Call("701", phone.Opts{Replaces: lamp.Replaces(false)})
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		watch.Refresh(0).Expect(200)
	})
}

func TestConfiguredCodesFetchAndNoOthers(t *testing.T) {
	hash := func(c *config.Config) { c.Park.RetrieveCodes = []string{"#9"} }
	for name, code := range map[string]string{"as dialled": "#9", "escaped": "%239"} {
		t.Run(name, func(t *testing.T) {
			runWith(t, hash, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				for _, old := range []string{"*4701", "*78701", "**701"} {
					bob.Invite(old, phone.Opts{}).Expect(404)
				}
				hearsMusic(s, parked)
				fetched := bob.Call(code+"701", phone.Opts{})
				talk(s, fetched, parked)
				goodbye(s, fetched, parked)
			})
		})
	}
}
