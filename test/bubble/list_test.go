package bubble

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// desk makes "desk" a list of 703 and 701, in that order, and names 701.
func desk(c *config.Config) {
	c.Lists = []config.List{{Name: "desk", Orbits: config.Extensions{"703", "701"}}}
	kit.Orbit("701", func(o *config.Orbit) { o.Name = "Sales" })(c)
}

// rollText says what a NOTIFY of a list told: "full 3: 703 early, 701 -".
func rollText(r phone.Roll) string {
	var members []string
	for _, m := range r.Members {
		user, _, _ := strings.Cut(strings.TrimPrefix(m.URI, "sip:"), "@")
		state := "-"
		if m.Lamp != nil {
			state = m.Lamp.Dialog
		}
		members = append(members, user+" "+state)
	}
	kind := "part"
	if r.Full {
		kind = "full"
	}
	return fmt.Sprintf("%s %d: %s", kind, r.Version, strings.Join(members, ", "))
}

// rolls checks what the NOTIFYs of a list have told.
func rolls(s *kit.Site, watch *phone.Sub, want ...string) {
	s.T.Helper()
	var got []string
	for _, r := range watch.Rolls() {
		got = append(got, rollText(r))
	}
	if d := cmp.Diff(want, got); d != "" {
		s.T.Error(d)
	}
}

// A datagram has room for one member here, so what a SUBSCRIBE asks for comes in
// pieces: all names first, then member by member.
func TestAListIsToldInFullAndThenInPart(t *testing.T) {
	runWith(t, desk, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.SubscribeList("desk")
		s.Wait(lit)
		parked := park(alice, bob)
		on := watch.AwaitKey(lit, "701", "early")
		if on.RemoteName != "alice" || on.Entity != "sip:701@10.0.0.1:5060" || on.LocalTarget != "sip:701@10.0.0.1:5060" || on.CallID == "" {
			s.T.Errorf("701 shows %+v", on)
		}
		s.Wait(time.Second)
		fetched := bob.Call("*4701", phone.Opts{})
		watch.AwaitKey(lit, "701", "terminated")
		s.Wait(time.Second)
		goodbye(s, fetched, parked)
		s.Wait(time.Second)
		watch.Refresh(600).Expect(200)
		s.Wait(lit)
		watch.Refresh(0).Expect(200)
		if end := watch.AwaitEnd(lit); end.Reason != "timeout" {
			s.T.Errorf("ended by %+v", end)
		}
		if r := watch.Rolls()[8]; r.URI != "sip:desk@10.0.0.1:5060" || r.Members[1].Name != "Sales" {
			s.T.Errorf("%+v", r)
		}
		rolls(s, watch, "full 0: 703 -, 701 -", "part 1: 703 terminated", "part 2: 701 terminated",
			"part 3: 701 early", "part 4: 701 terminated",
			"full 5: 703 -, 701 -", "part 6: 703 terminated", "part 7: 701 terminated", "full 8: 703 -, 701 -")
		for _, r := range watch.Rolls() {
			for _, m := range r.Members {
				if m.Lamp != nil && m.Instance != "0" {
					s.T.Errorf("%s: instance %q", rollText(r), m.Instance)
				}
			}
		}
		s.Golden("list")
	})
}

// The versions of a member are its own, and rise by one.
func TestMembersOfAListHaveVersionsOfTheirOwn(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.SubscribeList("orbits")
		s.Wait(time.Second)
		for range 3 {
			parked := park(alice, bob)
			watch.AwaitKey(2*time.Second, "701", "early")
			s.Wait(3 * time.Second)
			parked.Hangup()
			watch.AwaitKey(2*time.Second, "701", "terminated")
			s.Wait(3 * time.Second)
		}
		versions := map[string][]int{}
		for i, r := range watch.Rolls() {
			if r.Version != i {
				s.T.Errorf("list version %d after %d", r.Version, i-1)
			}
			for _, m := range r.Members {
				if m.Lamp != nil {
					versions[m.URI] = append(versions[m.URI], m.Lamp.Version)
				}
			}
		}
		if len(versions) != 10 {
			s.T.Errorf("told of %d orbits", len(versions))
		}
		for uri, got := range versions {
			want := []int{0}
			if uri == "sip:701@10.0.0.1:5060" {
				want = []int{0, 1, 2, 3, 4, 5, 6}
			}
			if !slices.Equal(got, want) {
				s.T.Errorf("%s: versions %v", uri, got)
			}
		}
		watch.Refresh(0).Expect(200)
	})
}

func TestWhoCannotReadListsIsToldWhatItTakes(t *testing.T) {
	runWith(t, desk, func(s *kit.Site) {
		bob := s.Phone("bob")
		for _, to := range []string{"orbits", "desk"} {
			no := bob.Watch(to, 3600)
			if got := no.Expect(421).Get("Require"); got != "eventlist" { // RFC 4662 4.1
				s.T.Errorf("Require: %q", got)
			}
		}
		bob.WatchList("nobody", 3600).Expect(404)
		// RFC 4662 4.1 advises against requiring it; but it is supported.
		watch := bob.WatchList("desk", 3600, "Require: eventlist")
		watch.Expect(200)
		s.Wait(lit)
		watch.Refresh(0).Expect(200)
		s.Golden("list-refused")
	})
}

// A pool is a lamp for those who ask for one, and a list for whoever can read it.
func TestAPoolIsALampOrAList(t *testing.T) {
	runWith(t, pool(nil), func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		lamp, list := carol.Subscribe("700"), carol.SubscribeList("700")
		// Some phones say that they can read lists whatever they ask for.
		single := bob.Watch("700", 3600, "Supported: replaces", "Accept: application/dialog-info+xml")
		single.Expect(200)
		lamp.Await(lit, "terminated")
		single.Await(lit, "terminated")
		s.Wait(lit)
		parked := alice.Call("700", referred(bob))
		list.AwaitKey(lit, "701", "early")
		rolls(s, list, "full 0: 701 -, 702 -, 703 -", "part 1: 701 terminated", "part 2: 702 terminated", "part 3: 703 terminated", "part 4: 701 early")
		if n := len(lamp.Lamps()); n != 1 {
			s.T.Errorf("%d documents of a pool that is neither full nor was", n)
		}
		parked.Hangup()
		for _, w := range []*phone.Sub{lamp, list, single} {
			w.Refresh(0).Expect(200)
		}
	})
}

// A fetch is one NOTIFY, however large.
func TestAListIsFetchedAtOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetch := bob.WatchList("orbits", 0)
		fetch.Expect(200)
		end := fetch.AwaitEnd(lit)
		want := "full 0: 701 early"
		for n := 702; n <= 710; n++ {
			want += fmt.Sprintf(", %d terminated", n)
		}
		rolls(s, fetch, want)
		if r := fetch.Rolls()[0]; end.Reason != "timeout" || r.Size < 3000 {
			s.T.Errorf("%+v of %d bytes", end, r.Size)
		}
		parked.Hangup()
	})
}

// A plain call by a phone that watches an orbit through a list is a press, if its
// key showed the call.
func TestAPressThroughAList(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := bob.SubscribeList("orbits")
		s.Wait(lit)
		parked := park(alice, carol)
		watch.AwaitKey(lit, "701", "early")
		s.Wait(lit)
		other := bob.Call("702", phone.Opts{}) // shows no call: a direct call
		hearsMusic(s, other)
		other.Hangup()
		s.Wait(time.Second)
		fetched := bob.Call("701", phone.Opts{})
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		s.Wait(time.Second)
		next := park(alice, carol)
		lamp := watch.AwaitKey(2*time.Second, "701", "early")
		fetched = bob.Call("701", phone.Opts{Replaces: lamp.Replaces(false)})
		talk(s, fetched, next)
		goodbye(s, fetched, next)
		s.Wait(time.Second)
		watch.Refresh(0).Expect(200)
	})
}

// Lists follow the configuration: who watches is told of all that there is now.
func TestListsFollowTheConfiguration(t *testing.T) {
	runWith(t, desk, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch, all := carol.SubscribeList("desk"), bob.SubscribeList("orbits")
		s.Wait(time.Second)
		parked := park(alice, bob)
		watch.AwaitKey(lit, "701", "early")
		s.Wait(10 * time.Second)
		before := len(watch.Rolls())
		s.Reloaded(func(c *config.Config) {
			c.Lists = []config.List{{Name: "desk", Orbits: config.Extensions{"702", "711"}}}
			c.Orbits = append(c.Orbits[1:], config.Orbit{Extension: "711", Name: "New", Options: c.Defaults})
		})
		s.Wait(time.Second)
		members := func(sub *phone.Sub) (names []string) {
			for name := range sub.Keys() {
				names = append(names, name)
			}
			slices.Sort(names)
			return names
		}
		if got := members(watch); !slices.Equal(got, []string{"702", "711"}) {
			s.T.Errorf("the list has %v", got)
		}
		if r := watch.Rolls()[before]; !r.Full {
			s.T.Errorf("told %s", rollText(r))
		}
		// 701 is there until its caller has gone.
		if got := members(all); len(got) != 11 || all.Keys()["701"].Dialog != "early" || all.Keys()["711"].Dialog != "terminated" {
			s.T.Errorf("the list of all has %v", got)
		}
		parked.Hangup()
		s.Wait(time.Second)
		if got := members(all); len(got) != 10 || slices.Contains(got, "701") {
			s.T.Errorf("the list of all has %v", got)
		}
		told := len(watch.Rolls())
		s.Wait(10 * time.Second)
		s.Reloaded(func(c *config.Config) { c.Orbits[0].Name = "Front" }) // 702
		s.Wait(time.Second)
		if l := watch.Keys()["702"]; l.LocalName != "Front" {
			s.T.Errorf("702 is shown as %q", l.LocalName)
		}
		if r := watch.Rolls()[told]; r.Full || len(watch.Rolls()) != told+1 {
			s.T.Errorf("told %s", rollText(r))
		}
		bob.Request("OPTIONS", "desk", nil, "").Expect(200)
		s.Reloaded(func(c *config.Config) { c.Lists = nil })
		if end := watch.AwaitEnd(lit); end.Reason != "noresource" {
			s.T.Errorf("ended by %+v", end)
		}
		carol.WatchList("desk", 3600).Expect(404)
		bob.Request("OPTIONS", "desk", nil, "").Expect(404)
		all.Refresh(0).Expect(200)
	})
}

// An orbit that is switched off has no lamp of its own for whoever asks, so lists do
// not name it either, once nobody is in it who could be fetched.
func TestListsLeaveOutWhatIsSwitchedOff(t *testing.T) {
	switched := func(on bool) kit.Configure { return kit.Orbit("701", func(o *config.Orbit) { o.Enabled = on }) }
	runWith(t, desk, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.SubscribeList("desk")
		s.Wait(time.Second)
		parked := park(alice, bob)
		watch.AwaitKey(lit, "701", "early")
		s.Wait(time.Second)
		has := func(names ...string) {
			s.T.Helper()
			s.Wait(2 * time.Second)
			anew := bob.SubscribeList("desk")
			s.Wait(lit)
			for _, sub := range []*phone.Sub{watch, anew} {
				if got := slices.Sorted(maps.Keys(sub.Keys())); !slices.Equal(got, names) {
					s.T.Errorf("the list has %v, want %v", got, names)
				}
			}
			anew.Refresh(0).Expect(200)
		}
		s.Reloaded(switched(false))
		has("701", "703")
		goodbye(s, retrieve(s, bob, parked), parked)
		has("703")
		bob.Watch("701", 3600).Expect(404)
		s.Reloaded(switched(true))
		has("701", "703")
		s.Reloaded(switched(false))
		has("703")
		watch.Refresh(0).Expect(200)
	})
}

// A list of presence: the same members, in the documents of that event.
func TestAListOfPresence(t *testing.T) {
	runWith(t, desk, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Watch("desk", 3600, "Event: presence", "Supported: eventlist",
			"Accept: application/pidf+xml, multipart/related, application/rlmi+xml")
		watch.Expect(200)
		watch.AwaitKey(lit, "703", "open")
		watch.AwaitKey(lit, "701", "open")
		s.Wait(lit)
		parked := park(alice, bob)
		if l := watch.AwaitKey(lit, "701", "busy"); l.Entity != "sip:701@10.0.0.1:5060" {
			s.T.Errorf("%+v", l)
		}
		s.Wait(lit)
		parked.Hangup()
		watch.AwaitKey(lit, "701", "open")
		watch.Refresh(0).Expect(200)
	})
}
