package bubble

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// A softphone that knows only presence sees an orbit busy while somebody is parked
// there, and fetches them by calling it.
func TestPresenceShowsWhoIsParked(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Watch("701", 3600, "Event: presence", "Accept: application/pidf+xml")
		watch.Expect(200)
		free := watch.Await(lit, "open")
		if free.Entity != "sip:701@10.0.0.1:5060" || free.RemoteTarget != "sip:701@10.0.0.1:5060" || free.RemoteName != "" {
			s.T.Errorf("first document: %+v", free)
		}
		parked := park(alice, bob)
		if on := watch.Await(lit, "busy"); on.RemoteName != "alice" {
			s.T.Errorf("second document: %+v", on)
		}
		s.Wait(time.Second)
		fetched := carol.Call("701", phone.Opts{})
		talk(s, fetched, parked)
		watch.Await(lit, "open")
		goodbye(s, fetched, parked)
		watch.Refresh(0).Expect(200)
		if end := watch.AwaitEnd(lit); end.Reason != "timeout" || end.Dialog != "open" {
			s.T.Errorf("the end: %+v", end)
		}
		s.Wait(time.Second)
		s.Golden("presence")
	})
}

// A phone of before RFC 3863, one that takes either, and one that says nothing.
func TestPresenceInTheTypeThatAPhoneTakes(t *testing.T) {
	for _, tt := range []struct{ name, accept, want string }{
		{"old", "application/xpidf+xml", "application/xpidf+xml"},
		{"either", "application/xpidf+xml, application/pidf+xml", "application/pidf+xml"},
		{"any", "*/*", "application/pidf+xml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
				watch := carol.Watch("701", 3600, "Event: presence", "Accept: "+tt.accept)
				watch.Expect(200)
				parked := park(alice, bob)
				watch.Await(lit, "busy")
				for _, m := range carol.Got("NOTIFY") {
					if got := m.Get("Content-Type"); got != tt.want {
						s.T.Errorf("%s", got)
					}
				}
				parked.Hangup()
				watch.Await(lit, "open")
				watch.Refresh(0).Expect(200)
			})
		})
	}
}

// A pool is busy when it has no room, and an orbit that is gone is closed.
func TestPresenceOfAPoolAndOfAnOrbitThatGoes(t *testing.T) {
	pool := func(c *config.Config) {
		c.Pools = []config.Pool{{Extension: "700", Orbits: config.Extensions{"701"}, Pick: "first"}}
	}
	runWith(t, pool, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		of700, of702 := carol.Watch("700", 3600, "Event: presence", "Accept: */*"), carol.Watch("702", 3600, "Event: presence", "Accept: */*")
		of700.Expect(200)
		of702.Expect(200)
		of700.Await(lit, "open")
		parked := alice.Call("700", referred(bob))
		of700.Await(lit, "busy")
		s.Reloaded(removed("702"))
		if end := of702.AwaitEnd(time.Second); end.Reason != "noresource" || end.Dialog != "closed" {
			s.T.Errorf("the end: %+v", end)
		}
		parked.Hangup()
		of700.Await(lit, "open")
		of700.Refresh(0).Expect(200)
	})
}

// A softphone is told by the next server, in its old dialog and in the type that it
// takes, what it showed before, and refreshes as if nothing had been.
func TestPresenceOutlivesTheServer(t *testing.T) {
	t.Parallel()
	kit.RunCut(t, kit.Plan{}, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Watch("701", 3600, "Event: presence", "Accept: application/xpidf+xml")
		watch.Expect(200)
		parked := park(alice, bob)
		watch.Await(lit, "busy")
		before := len(watch.Lamps())
		s.Crash(time.Second)
		s.Wait(2 * time.Second)
		all := watch.Lamps()
		if len(all) <= before || all[len(all)-1].Dialog != "busy" || all[len(all)-1].CSeq <= all[before-1].CSeq {
			s.T.Errorf("told %+v", all[before-1:])
		}
		fetched := carol.Call("701", phone.Opts{})
		talk(s, fetched, parked)
		watch.Await(lit, "open")
		goodbye(s, fetched, parked)
		watch.Refresh(0).Expect(200)
	})
}

// Whoever asks what we can do hears of the same packages as whoever asked for another.
func TestEventPackagesAreNamedAlike(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		asked := alice.Request("OPTIONS", "701", nil, "").Expect(200).Get("Allow-Events")
		refused := alice.Watch("701", 3600, "Event: weather").Expect(489).Get("Allow-Events")
		if asked != refused || asked != "dialog, presence" {
			s.T.Errorf("%q in general, %q to whoever asked", asked, refused)
		}
	})
}
