package sockets

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"parkd/test/live"
)

// perOrbit is how many callers wait in each orbit.
const perOrbit = 4

// TestReloadsWithManyCalls changes hundreds of orbits with thousands of callers in
// them at once, and listens to a few: it reports how long each change takes and
// the longest pause in anybody's music. It runs alone.
func TestReloadsWithManyCalls(t *testing.T) {
	s := newSite(t)
	s.file("music/other.wav", stereo(8000, 2, 440, 440))
	many := func(orbit string) string {
		return fmt.Sprintf("sip: {listen: [udp://HOST:5060]}\ndata_dir: DIR/data\nadmin: {listen: \"HOST:8080\"}\norbits:\n"+
			"  - {extension: \"700\"}\n  - {extension: 1000-%d, allow_multiple: true%s}\n", 999+crowded, orbit)
	}
	s.startAs(many(""))
	tr := newTrunk(s)
	began := time.Now()
	calls := 0
	for i := range perOrbit {
		for n := range crowded {
			tr.park(fmt.Sprint(1000+n), fmt.Sprintf("c%dx%d", n, i))
			calls++
		}
	}
	tr.parked(s, calls)
	t.Logf("%d calls parked in %d orbits in %v", calls, crowded, time.Since(began).Round(time.Millisecond))

	desk := s.phone("desk", "udp", s.host+":5060")
	var lamps []*live.Lamp
	for n := range 20 {
		w := desk.Watch(fmt.Sprint(1000 + n*crowded/20))
		w.Served()
		w.Shows("early")
		lamps = append(lamps, w)
	}
	var heard []*live.Call
	for n := range 8 {
		p := s.phone(fmt.Sprint("ear", n), "udp", s.host+":5060")
		heard = append(heard, p.Park(fmt.Sprint(1000+n*crowded/8), desk, live.Offer{}))
	}
	calls += len(heard)
	heard[0].Media.Hear(30)

	for _, step := range []struct {
		name, orbit string
		gone        bool
	}{
		{"nothing", "", false},
		{"time-outs", ", timeout: {after: 3m}", false},
		{"names", ", timeout: {after: 3m}, name: Sales", false},
		{"music", ", timeout: {after: 3m}, name: Sales, music: other", false},
		{"lamps", ", timeout: {after: 3m}, name: Sales, music: other, lamp: {state: confirmed}", false},
		{"all removed", "", true},
		{"all added again", "", false},
		{"everything", ", timeout: {after: 4m}, name: Other, music: other, lamp: {state: confirmed}, transfer: {enabled: true}", false},
	} {
		yaml := many(step.orbit)
		if step.gone {
			yaml = strings.Join(strings.Split(yaml, "\n")[:5], "\n") + "\n"
		}
		first, notes := make([]int, len(heard)), 0
		for i, c := range heard {
			first[i] = c.Media.Heard()
		}
		for _, w := range lamps {
			notes += len(w.Notes())
		}
		began := time.Now()
		if code, body := s.reload(yaml); code != 200 {
			t.Fatalf("%s: %d %s", step.name, code, body)
		}
		took := time.Since(began)
		heard[0].Media.Hear(30)
		told := -notes
		for _, w := range lamps {
			told += len(w.Notes())
		}
		pause, missed := listened(t, heard, first)
		t.Logf("%-16s %8v, longest pause in the music %v, %d frames left out, %d of %d lamps told", step.name,
			took.Round(100*time.Microsecond), pause.Round(time.Millisecond), missed, told, len(lamps))
		if took > patience || pause > 2*time.Second {
			t.Errorf("%s: the reload took %v, and somebody's music paused for %v", step.name, took, pause)
		}
		s.all(calls)
	}
	if n := tr.got("INVITE", "UPDATE", "BYE"); n > 0 {
		t.Errorf("%d callers were disturbed", n)
	}
	for i, c := range heard {
		undisturbed(t, c, 0, time.Time{})
		for range perOrbit { // they came before
			desk.Dial(fmt.Sprint("*4", 1000+i*crowded/8), live.Offer{}).Bye()
		}
		fetched := desk.Dial(fmt.Sprint("*4", 1000+i*crowded/8), live.Offer{})
		bothHear(t, c, fetched)
		fetched.Bye()
		c.Over()
	}
	t.Logf("stopped in %v", s.finish().Round(time.Millisecond))
}

// listened returns the longest pause between two packets of anybody's music since
// the first-th of each, and how many frames were left out in all.
func listened(t *testing.T, heard []*live.Call, first []int) (pause time.Duration, missed int) {
	t.Helper()
	for i, c := range heard {
		all := c.Media.From(first[i] - 1)
		for k := 1; k < len(all); k++ {
			a, b := all[k-1], all[k]
			if b.SSRC != a.SSRC || b.Seq != a.Seq+1 || (b.TS-a.TS)%160 != 0 {
				t.Fatalf("music: %d of %x at %d after %d of %x at %d", b.Seq, b.SSRC, b.TS, a.Seq, a.SSRC, a.TS)
			}
			pause = max(pause, b.At.Sub(a.At))
			missed += int(b.TS-a.TS)/160 - 1
		}
	}
	return pause, missed
}

// all checks how many calls are parked.
func (s *site) all(want int) {
	s.Helper()
	code, body := s.http("GET", "/api/v1/calls")
	var calls []struct{ State string }
	if err := json.Unmarshal(body, &calls); err != nil || code != 200 {
		s.Fatalf("GET calls: %d %v", code, err)
	}
	n := 0
	for _, c := range calls {
		if c.State == "parked" {
			n++
		}
	}
	if n != want || len(calls) != want {
		s.Errorf("%d calls, %d of them parked, want %d", len(calls), n, want)
	}
}
