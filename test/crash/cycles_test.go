package crash

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"parkd/test/live"
)

// cyclesToDo says how many calls TestNothingGrows parks and fetches, instead of
// a few. With it, the server is left alone for 64*T1 before each look, so that
// memory is looked at as well.
const cyclesToDo = "PARKD_CYCLES"

const (
	fewCycles = 600
	looks     = 10 // of which the first two are the warm-up
	atOnce    = 20 // calls
)

// ephemeral are kinds of what is remembered of messages for 64*T1.
var ephemeral = map[string]bool{
	"requests_served": true, "requests_sent": true, "answered_invites": true, "merged": true, "refused_invites": true,
}

// Calls are parked and fetched, thousands of times. Between any two looks at
// the server nothing has become more: no memory, no socket, no goroutine, no
// byte of the journal; and each time that nobody calls, it holds nothing.
func TestNothingGrows(t *testing.T) {
	t.Parallel()
	cycles, whole := fewCycles, false
	if text := os.Getenv(cyclesToDo); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < looks*atOnce {
			t.Fatalf("%s: %q is no number of at least %d", cyclesToDo, text, looks*atOnce)
		}
		cycles, whole = n, true
	}
	s := newSite(t, "orbits: [{extension: 701-720}]\n")
	s.around = func(args ...string) *exec.Cmd { return exec.Command(binary, append(args, "--log-level", "info")...) }
	s.start()
	began := time.Now()
	var seen []look
	for i := range looks {
		for n := range cycles / looks / atOnce {
			s.wave(i*cycles + n)
		}
		l := s.look((i+1)*(cycles/looks/atOnce)*atOnce, whole)
		t.Log(l)
		seen = append(seen, l)
	}
	t.Logf("%d calls parked and fetched in %v", seen[looks-1].cycles, time.Since(began).Round(time.Second))
	for _, fault := range growth(seen[2:], whole) {
		t.Error(fault)
	}
}

// wave parks calls at all orbits at once, fetches them at once, and has one
// side or the other hang up. Watchers see the lamps go on and off.
func (s *site) wave(n int) {
	s.Helper()
	first := len(s.phones)
	callers, takers, desk := s.trunk(fmt.Sprintf("caller%d", n)), s.trunk(fmt.Sprintf("taker%d", n)), s.phone(fmt.Sprintf("desk%d", n))
	lamp := desk.Watch("701")
	lamp.Served()
	var parked, fetched []*live.Call
	for i := range atOnce {
		parked = append(parked, callers.Call(fmt.Sprint(701+i), live.Offer{}, live.By(desk)))
	}
	for _, c := range parked {
		c.Expect(200)
	}
	lamp.Shows("early")
	for i := range atOnce {
		fetched = append(fetched, takers.Call(fmt.Sprintf("*4%d", 701+i), live.Offer{}))
	}
	for _, c := range fetched {
		c.Expect(200)
	}
	for i, c := range parked {
		leaves, stays := c, fetched[i]
		if (n+i)%2 == 0 {
			leaves, stays = stays, leaves
		}
		leaves.Bye()
		stays.Over()
	}
	lamp.Leave()
	for _, p := range s.phones[first:] {
		p.Close()
	}
	s.phones = s.phones[:first]
}
