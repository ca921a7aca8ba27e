package bubble

import (
	"hash/fnv"
	"os"
	"slices"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
)

// soak, when set, has the kill matrix tried with every side, every down time
// and both disks at every point, instead of one of each.
const soak = "PARKD_SOAK"

// disks are how long a batch takes.
var disks = []time.Duration{0, 5 * time.Millisecond}

// downs are how long there is no server, and how often of sixteen.
var downs = []struct {
	d     time.Duration
	share int
}{{10 * time.Millisecond, 7}, {1500 * time.Millisecond, 7}, {20 * time.Second, 1}, {5 * time.Minute, 1}}

// TestKillMatrix plays each scene once for each batch that goes to the journal
// and each SIP packet that parkd sends or gets, and there cuts the network and
// kills the server. Another starts from the durable bytes. Nobody may be lost,
// be in two places or be left in silence, lamps must be true, deadlines kept,
// and in the end nothing left over.
func TestKillMatrix(t *testing.T) {
	for name, sc := range scenes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, v := range plan(t, name, sc) {
				t.Run(v.String(), func(t *testing.T) {
					t.Parallel()
					cutScene(t, sc, v.disk, v.Cut)
				})
			}
		})
	}
}

// plan lists the cuts of a scene. What is there to be cut is seen when nothing
// is, on either disk.
func plan(t *testing.T, name string, sc scene) (list []variant) {
	t.Helper()
	for i, disk := range disks {
		for _, p := range points(cutScene(t, sc, disk)[0]) {
			all := variants(sc, p, disk)
			if os.Getenv(soak) != "" {
				list = append(list, slices.Compact(all)...)
				continue
			}
			if n := draw(name, p); n%len(disks) == i && n/64%cutStride == 0 {
				list = append(list, all[n/len(disks)%len(all)])
			}
		}
	}
	return list
}

// cutScene plays a scene with cuts.
func cutScene(t *testing.T, sc scene, disk time.Duration, cuts ...kit.Cut) []kit.Counts {
	t.Helper()
	return kit.RunCut(t, scenePlan(sc, disk, cuts...), func(s *kit.Site) { perform(s, sc) })
}

func scenePlan(sc scene, disk time.Duration, cuts ...kit.Cut) kit.Plan {
	p := kit.Plan{Disk: disk, Cuts: cuts, Operator: true}
	if sc.loose {
		p.Missed = func() {}
	}
	if sc.orbit != nil {
		p.Configure = kit.Orbit("701", sc.orbit)
	}
	if sc.pool != nil {
		p.Configure = pool(func(p *config.Pool) { p.Orbits = p.Orbits[:2]; sc.pool(p) })
	}
	return p
}

// points are all that a server can be cut at.
func points(counts kit.Counts) (list []kit.Cut) {
	for e, n := range counts {
		for i := range n {
			list = append(list, kit.Cut{On: kit.Event(e), N: i})
		}
	}
	return list
}

// variant is a cut on a disk.
type variant struct {
	kit.Cut
	disk time.Duration
}

// String names the subtest.
func (v variant) String() string { return v.Cut.String() + ", disk " + v.disk.String() }

// variants are the ways in which a point is cut, the usual ones several times.
func variants(sc scene, p kit.Cut, disk time.Duration) (list []variant) {
	sides := []kit.Side{kit.Before, kit.After}
	if p.On == kit.Append {
		sides = []kit.Side{kit.Before, kit.Between, kit.After}
	}
	for _, side := range sides {
		for _, down := range downs {
			if sc.short && down.d > time.Minute {
				continue
			}
			p.Side, p.Down = side, down.d
			list = append(list, slices.Repeat([]variant{{p, disk}}, down.share)...)
		}
	}
	return list
}

// draw is a number that is always the same for a point.
func draw(name string, p kit.Cut) int { return lot(name + p.String()) }

// lot is a number that is always the same for a name.
func lot(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32() >> 8)
}
