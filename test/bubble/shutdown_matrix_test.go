package bubble

import (
	"os"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// TestAServerMayBeStoppedAnywhere plays the scenes of the kill matrix once for
// each batch and packet and there stops the server, as SIGTERM does where calls
// are kept. Another starts from its journal. All that holds after a kill must
// hold: in the middle of INVITE, 200 and ACK, while a return rings, while a
// retrieve or a transfer is under way.
func TestAServerMayBeStoppedAnywhere(t *testing.T) {
	for name, sc := range scenes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, disk := range disks {
				for _, p := range points(stopScene(t, sc, disk)[0]) {
					n := draw(name, p)
					if os.Getenv(soak) == "" && (n%len(disks) != i || n/len(disks)%stopStride != 0) {
						continue
					}
					p.Side, p.Down = kit.Side(n%3), 10*time.Millisecond
					if n&64 != 0 {
						p.Down = 1500 * time.Millisecond
					}
					v := variant{p, disk}
					t.Run(v.String(), func(t *testing.T) {
						t.Parallel()
						stopScene(t, sc, disk, p)
					})
				}
			}
		})
	}
}

// stopStride: one in so many points is tried, fewer with the race detector.
const stopStride = 2 + stride

// stopScene plays a scene whose server is stopped.
func stopScene(t *testing.T, sc scene, disk time.Duration, cuts ...kit.Cut) []kit.Counts {
	t.Helper()
	p := scenePlan(sc, disk, cuts...)
	configure := p.Configure
	p.Stop, p.Configure = true, func(c *config.Config) {
		kit.Kept(c)
		if configure != nil {
			configure(c)
		}
	}
	return kit.RunCut(t, p, func(s *kit.Site) { perform(s, sc) })
}

// Whatever moment of a park and of a fetch a stop meets, both are served, by the
// next server if not by this one: nobody is told to come again.
func TestAnInviteThatMeetsAStopIsServed(t *testing.T) {
	t.Parallel()
	play := func(s *kit.Site) {
		caller, retriever := s.Phone("alice"), s.Phone("bob")
		parked := caller.Call("701", phone.Opts{})
		fetched := retriever.Call("*4701", phone.Opts{})
		s.Wait(2 * time.Second)
		fetched.Bye().Wait(phone.Patience) // 481 if the stop met it
		parked.ExpectEnd(2 * time.Second)
	}
	for _, disk := range disks {
		stop := func(t *testing.T, cuts ...kit.Cut) []kit.Counts {
			return kit.RunCut(t, kit.Plan{Configure: kit.Kept, Disk: disk, Stop: true, Cuts: cuts}, play)
		}
		for _, p := range points(stop(t)[0]) {
			for _, side := range []kit.Side{kit.Before, kit.After} {
				p.Side, p.Down = side, 300*time.Millisecond
				t.Run(variant{p, disk}.String(), func(t *testing.T) {
					t.Parallel()
					stop(t, p)
				})
			}
		}
	}
}
