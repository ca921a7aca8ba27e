package bubble

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// TestAServerMayBeKilledAsItRecovers kills the server at batches of two scenes,
// and the next one at each batch and packet of its own, or at a sixth of them.
func TestAServerMayBeKilledAsItRecovers(t *testing.T) {
	var made, missed atomic.Int64
	t.Cleanup(func() {
		if made.Load() < 9*missed.Load() {
			t.Errorf("%d of %d cuts missed", missed.Load(), made.Load())
		}
	})
	for _, name := range []string{"retrieve by lamp", "return unanswered, fallback"} {
		sc := scenes[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range cutScene(t, sc, 0)[0][kit.Append] {
				first := kit.Cut{On: kit.Append, N: n, Side: kit.Side(n % 3), Down: 10 * time.Millisecond}
				t.Run(first.String(), func(t *testing.T) {
					t.Parallel()
					for _, second := range points(cutScene(t, sc, 0, first)[1]) {
						if (n+second.N+int(second.On))%6 != 0 && os.Getenv(soak) == "" {
							continue
						}
						second.Side, second.Down = kit.Side((n+second.N)%3), 40*time.Millisecond
						t.Run("then "+second.String(), func(t *testing.T) {
							made.Add(1)
							// How many NOTIFYs there are depends on what happens at one instant.
							p := scenePlan(sc, 0, first, second)
							p.Missed = func() { missed.Add(1) }
							kit.RunCut(t, p, func(s *kit.Site) { perform(s, sc) })
						})
					}
				})
			}
		})
	}
}

// TestServersMayBeKilledAgainAndAgain kills three servers in a row at points that
// are drawn, always the same ones.
func TestServersMayBeKilledAgainAndAgain(t *testing.T) {
	rounds := 3
	if os.Getenv(soak) != "" {
		rounds = 300
	}
	for name, sc := range scenes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := cutScene(t, sc, 0)[0]
			for seed := range rounds {
				var cuts []kit.Cut
				r := rand.New(rand.NewPCG(uint64(seed), uint64(draw(name, kit.Cut{}))))
				for range 3 {
					e := r.IntN(len(seen))
					cuts = append(cuts, kit.Cut{
						On: kit.Event(e), N: r.IntN(seen[e] / (1 + len(cuts))), Side: kit.Side(r.IntN(3)),
						Down: []time.Duration{10 * time.Millisecond, 700 * time.Millisecond, 1500 * time.Millisecond}[r.IntN(3)],
					})
				}
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					p := scenePlan(sc, disks[seed%2], cuts...)
					p.Missed = func() {}
					kit.RunCut(t, p, func(s *kit.Site) { perform(s, sc) })
				})
			}
		})
	}
}

// TestFiveRestartsInARow: two callers in a queue, two who talk, and a lamp.
func TestFiveRestartsInARow(t *testing.T) {
	for _, pause := range []time.Duration{3 * time.Second, 40 * time.Millisecond, 0} {
		t.Run(fmt.Sprint(pause, " apart"), func(t *testing.T) {
			crash(t, kit.Orbit("701", several), func(s *kit.Site) {
				ann, ben, cat, dave := s.Phone("ann"), s.Phone("ben"), s.Phone("cat"), s.Phone("dave")
				watch := dave.Subscribe("701")
				bridged := park(ann, dave)
				fetched := retrieve(s, dave, bridged)
				first, second := park(ben, dave), park(cat, dave)
				lamp := watch.Await(time.Second, "early")
				s.Wait(time.Second)
				for range 5 {
					before := watch.Newest()
					s.Crash(10 * time.Millisecond)
					s.Wait(pause)
					if pause < time.Second {
						continue
					}
					talk(s, bridged, fetched)
					hearsMusic(s, first)
					hearsMusic(s, second)
					if l := watch.Newest(); l.Version <= before.Version || l.CSeq <= before.CSeq || l.CallID != lamp.CallID {
						s.T.Errorf("after %+v the lamp shows %+v", before, l)
					}
				}
				s.Wait(2 * time.Second)
				goodbye(s, fetched, bridged)
				goodbye(s, retrieve(s, dave, first), first)
				goodbye(s, retrieve(s, dave, second), second)
				watch.Await(lit, "terminated")
				watch.Refresh(0).Expect(200)
				list := watch.Lamps()
				for i := 1; i < len(list); i++ {
					if a, b := list[i-1], list[i]; b.Version <= a.Version || b.CSeq <= a.CSeq {
						s.T.Errorf("%+v after %+v", b, a)
					}
				}
			})
		})
	}
}

// crash runs a scenario at a site whose servers it kills.
func crash(t *testing.T, configure kit.Configure, scenario func(*kit.Site)) {
	t.Helper()
	t.Parallel()
	kit.RunCut(t, kit.Plan{Configure: configure}, scenario)
}

// TestACrashedServerGoesOnWhereItWas is the sequence diagram of a restart.
func TestACrashedServerGoesOnWhereItWas(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(lit, "early")
		s.Wait(time.Second)
		s.Crash(1500 * time.Millisecond)
		s.Wait(time.Second)
		hearsMusic(s, parked)
		fetched := bob.Call("701", phone.Opts{})
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		watch.Await(lit, "terminated")
		watch.Refresh(0).Expect(200)
		s.Wait(time.Second)
		s.Golden("crash-park")
	})
}
