package bubble

import (
	"slices"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// peace is that of calls and lamps which nothing may disturb.
type peace struct {
	s     *kit.Site
	start time.Time
	calls []*phone.Call
	lamps map[*phone.Sub]int // how many documents it had
}

// undisturbed begins to look at calls that hear music, and at lamps.
func undisturbed(s *kit.Site, calls []*phone.Call, lamps ...*phone.Sub) *peace {
	s.Wait(0)
	p := &peace{s: s, start: time.Now(), calls: calls, lamps: map[*phone.Sub]int{}}
	for _, l := range lamps {
		p.lamps[l] = len(l.Lamps())
	}
	return p
}

// check checks that so far nobody was called, told or hung up on, and that the
// music was one stream without a gap.
func (p *peace) check() {
	p.s.T.Helper()
	p.s.Wait(0)
	for _, c := range p.calls {
		c.ExpectAlive()
		p.unasked(c)
		steady(p.s, c.Media.Got(p.start), time.Since(p.start))
	}
	for l, before := range p.lamps {
		if all := l.Lamps(); len(all) != before {
			p.s.T.Errorf("a lamp was told %+v", all[before:])
		}
	}
}

// unasked checks that parkd sent nothing within a call but keep-alives.
func (p *peace) unasked(c *phone.Call) {
	p.s.T.Helper()
	for _, method := range []string{"INVITE", "UPDATE", "BYE", "INFO"} {
		for _, r := range c.Got(method) {
			if !r.At.Before(p.start) {
				p.s.T.Errorf("%s within %s at %v", method, c.CallID(), r.At)
			}
		}
	}
}

// added is a configuration with one orbit more.
func added(ext string) kit.Configure {
	return func(c *config.Config) {
		c.Orbits = append(c.Orbits, config.Orbit{Extension: ext, Options: c.Defaults})
	}
}

// removed is one without some orbits.
func removed(exts ...string) kit.Configure {
	return func(c *config.Config) {
		c.Orbits = slices.DeleteFunc(c.Orbits, func(o config.Orbit) bool { return slices.Contains(exts, o.Extension) })
	}
}

// keys checks which keys a reload says have changed.
func keys(s *kit.Site, ch config.Changes, want ...string) {
	s.T.Helper()
	if !slices.Equal(ch.Keys, want) || len(ch.Restart) > 0 {
		s.T.Errorf("changed %q, at a restart %q, want %q", ch.Keys, ch.Restart, want)
	}
}

func TestAnOrbitThatIsAddedIsThereAtOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Subscribe("701")
		there := park(alice, carol)
		watch.Await(lit, "early")
		p := undisturbed(s, []*phone.Call{there}, watch)
		bob.Invite("711", phone.Opts{}).Expect(404)
		bob.Watch("711", 3600).Expect(404)
		bob.Request("OPTIONS", "711", nil, "").Expect(404)

		keys(s, s.Reloaded(added("711")), "orbits.711")
		next := bob.Subscribe("711")
		next.Await(lit, "terminated")
		parked := alice.Call("711", referred(bob))
		lamp := next.Await(lit, "early")
		bob.Request("OPTIONS", "711", nil, "").Expect(200)
		hearsMusic(s, parked)
		p.check()
		fetched := bob.Call("711", phone.Opts{Replaces: lamp.Replaces(false)})
		talk(s, fetched, parked)
		p.check()
		goodbye(s, fetched, parked)
		there.Hangup()
		watch.Refresh(0).Expect(200)
		next.Refresh(0).Expect(200)
	})
}

// On a disk that takes its time, too: whoever asked for the reload may tell the
// phones as soon as it is answered.
func TestAnOrbitThatIsAddedIsThereWhileTheDiskIsBusy(t *testing.T) {
	t.Parallel()
	kit.RunSlow(t, nil, time.Second, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		there := park(alice, bob)
		s.Wait(5 * time.Second)
		s.Reloaded(func(c *config.Config) {
			kit.Orbit("701", func(o *config.Orbit) { o.Timeout.After = time.Minute })(c)
			added("711")(c)
		})
		next := bob.Subscribe("711")
		next.Await(lit, "terminated")
		there.Hangup()
		next.Refresh(0).Expect(200)
	})
}

func TestMoreOrFewerCallsMayBeInAnOrbit(t *testing.T) {
	run(t, func(s *kit.Site) {
		ann, ben, desk := s.Phone("ann"), s.Phone("ben"), s.Phone("desk")
		watch := desk.Subscribe("701")
		first := park(ann, desk)
		watch.Await(lit, "early")
		ben.Invite("701", referred(desk)).Expect(486)
		p := undisturbed(s, []*phone.Call{first}, watch)

		keys(s, s.Reloaded(kit.Orbit("701", several)), "orbits.701.allow_multiple")
		p.check()
		second := park(ben, desk)
		third := park(ann, desk)
		s.Wait(2 * time.Second) // no more than one a second
		if l := watch.Await(0, "early"); l.RemoteName != "ann (+2)" {
			s.T.Errorf("the lamp shows %q", l.RemoteName)
		}

		p = undisturbed(s, []*phone.Call{first, second, third}, watch)
		keys(s, s.Reloaded(kit.Orbit("701", func(o *config.Orbit) { o.MaxCalls = 2 })), "orbits.701.max_calls")
		ben.Invite("701", referred(desk)).Expect(486)
		keys(s, s.Reloaded(kit.Orbit("701", func(o *config.Orbit) { o.MaxCalls = 4 })), "orbits.701.max_calls")
		p.check()
		ben.Call("701", referred(desk)).Hangup()
		s.Wait(3 * time.Second) // the lamp has counted them, and does not any more
		p = undisturbed(s, []*phone.Call{first, second, third}, watch)
		keys(s, s.Reloaded(kit.Orbit("701", func(o *config.Orbit) { o.AllowMultiple = false })), "orbits.701.allow_multiple")
		ben.Invite("701", referred(desk)).Expect(486)
		s.Wait(time.Second)
		p.check()

		for _, c := range []*phone.Call{first, second, third} { // in order, as they came
			goodbye(s, retrieve(s, desk, c), c)
		}
		watch.Await(lit, "terminated")
		free(s, ben)
		watch.Refresh(0).Expect(200)
	})
}

func TestMoreOrFewerCallsMayBeParkedInAll(t *testing.T) {
	runWith(t, func(c *config.Config) { c.Park.MaxCalls = 1 }, func(s *kit.Site) {
		ann, ben := s.Phone("ann"), s.Phone("ben")
		first := park(ann, ben)
		p := undisturbed(s, []*phone.Call{first})
		if r := ben.Invite("702", phone.Opts{}).Expect(480); r.Get("Retry-After") == "" {
			s.T.Error("no Retry-After")
		}
		keys(s, s.Reloaded(func(c *config.Config) { c.Park.MaxCalls = 2 }), "park.max_calls")
		second := ben.Call("702", phone.Opts{})
		s.Reloaded(func(c *config.Config) { c.Park.MaxCalls = 1 })
		ben.Invite("703", phone.Opts{}).Expect(480)
		s.Wait(time.Second)
		p.check()
		second.ExpectAlive()
		first.Hangup()
		second.Hangup()
	})
}

func TestOtherCodesFetch(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		p := undisturbed(s, []*phone.Call{parked})
		keys(s, s.Reloaded(func(c *config.Config) { c.Park.RetrieveCodes = []string{"*5", "*55"} }), "park.retrieve_codes")
		bob.Invite("*4701", phone.Opts{}).Expect(404)
		s.Wait(time.Second)
		p.check()
		fetched := bob.Call("*55701", phone.Opts{})
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
	})
}

func TestAnotherRuleSaysWhoPresses(t *testing.T) {
	press := func(rule string) kit.Configure {
		return kit.Orbit("701", func(o *config.Orbit) { o.Lamp.Press = rule })
	}
	runWith(t, kit.Orbit("701", several), func(s *kit.Site) {
		ann, ben, desk := s.Phone("ann"), s.Phone("ben"), s.Phone("desk")
		watch := desk.Subscribe("701")
		first := park(ann, desk)
		watch.Await(lit, "early")
		p := undisturbed(s, []*phone.Call{first}, watch)

		keys(s, s.Reloaded(press("never")), "orbits.701.lamp.press")
		s.Wait(time.Second)
		p.check()
		direct := desk.Call("701", phone.Opts{}) // a watcher's plain call: parks now
		s.Wait(time.Second)
		hearsMusic(s, direct)
		if l := watch.Await(0, "early"); l.RemoteName != "ann (+1)" {
			s.T.Errorf("the lamp shows %q", l.RemoteName)
		}
		direct.Hangup()
		s.Wait(3 * time.Second) // a burst is told at once again
		if l := watch.Await(0, "early"); l.RemoteName != "ann" {
			s.T.Errorf("the lamp shows %q", l.RemoteName)
		}

		s.Reloaded(press("always"))
		fetched := ben.Call("701", phone.Opts{}) // of somebody who watches nothing
		talk(s, fetched, first)
		goodbye(s, fetched, first)

		s.Reloaded(press("watchers"))
		second := park(ann, desk)
		watch.Await(lit, "early")
		other := ben.Call("701", phone.Opts{}) // parks again
		pressed := desk.Call("701", phone.Opts{})
		talk(s, pressed, second)
		goodbye(s, pressed, second)
		other.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestAnotherLampStateIsShownAtOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch, other := carol.Subscribe("701"), carol.Subscribe("702")
		parked := park(alice, bob)
		before := watch.Await(lit, "early")
		s.Wait(time.Second)
		p := undisturbed(s, []*phone.Call{parked}, other)
		keys(s, s.Reloaded(kit.Orbit("701", func(o *config.Orbit) { o.Lamp.State = "confirmed" })), "orbits.701.lamp.state")
		after := watch.Await(lit, "confirmed")
		if after.Version != before.Version+1 || after.CallID != before.CallID || after.State != "active" {
			s.T.Errorf("%+v after %+v", after, before)
		}
		fetched := carol.Call("701", phone.Opts{Replaces: after.Replaces(true)})
		p.calls = nil
		p.check()
		talk(s, fetched, parked)
		watch.Await(lit, "terminated")
		goodbye(s, fetched, parked)
		watch.Refresh(0).Expect(200)
		other.Refresh(0).Expect(200)
	})
}

func TestAnotherNameIsShownAtOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, carol := s.Phone("alice"), s.Phone("carol")
		watch, other := carol.Subscribe("701"), carol.Subscribe("702")
		parked := park(alice, carol)
		watch.Await(lit, "early")
		s.Wait(time.Second)
		p := undisturbed(s, []*phone.Call{parked}, other)
		keys(s, s.Reloaded(kit.Orbit("701", func(o *config.Orbit) { o.Name = "Sales" })), "orbits.701.name")
		s.Wait(lit)
		if l := watch.Newest(); l.LocalName != "Sales" || l.Dialog != "early" {
			s.T.Errorf("the lamp shows %q: %+v", l.LocalName, l)
		}
		p.check()
		parked.Hangup()
		watch.Refresh(0).Expect(200)
		other.Refresh(0).Expect(200)
	})
}

// A disabled orbit takes nobody; who is in it is served as before.
func TestAnOrbitIsSwitchedOffAndOn(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(lit, "early")
		p := undisturbed(s, []*phone.Call{parked})
		keys(s, s.Reloaded(kit.Orbit("701", func(o *config.Orbit) { o.Enabled = false })), "orbits.701.enabled")
		carol.Invite("701", referred(bob)).Expect(404)
		bob.Watch("701", 3600).Expect(404)
		watch.Refresh(3600).Expect(200)
		watch.Await(lit, "early")
		s.Wait(time.Second)
		p.check()
		goodbye(s, retrieve(s, bob, parked), parked)
		watch.Await(lit, "terminated")
		carol.Invite("701", referred(bob)).Expect(404)
		s.Reloaded(kit.Orbit("701", func(o *config.Orbit) { o.Enabled = true }))
		s.Wait(3 * time.Second) // a lamp is told three changes in a row, then one a second
		again := park(alice, bob)
		watch.Await(lit, "early")
		again.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestTheTransferKeyIsSwitchedOnAndOffWhileSomebodyWaits(t *testing.T) {
	key := func(on bool, key string) kit.Configure {
		return kit.Orbit("701", func(o *config.Orbit) { o.Transfer = config.Transfer{Enabled: on, Key: key} })
	}
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		p := undisturbed(s, []*phone.Call{parked})
		nobody := func(digit byte) {
			s.T.Helper()
			parked.Media.Press(digit)
			s.Wait(time.Second)
			if n := len(bob.Got("INVITE")); n != 0 {
				s.T.Fatalf("%c brought the call back", digit)
			}
		}
		nobody('0')
		keys(s, s.Reloaded(key(true, "*")), "orbits.701.transfer.enabled", "orbits.701.transfer.key")
		nobody('0')
		s.Reloaded(key(false, "*"))
		nobody('*')
		s.Reloaded(key(true, "5"))
		p.check()
		parked.Media.Press('5')
		back := bob.Ringing(time.Second)
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
	})
}
