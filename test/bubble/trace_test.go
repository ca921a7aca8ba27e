package bubble

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/ladder"
	"parkd/test/kit/phone"
)

// runOperated runs a scenario at a site with an HTTP interface. The goroutines of
// its connections are no server's: one without it is left behind.
func runOperated(t *testing.T, configure kit.Configure, scenario func(*kit.Site)) {
	t.Helper()
	runWith(t, configure, func(s *kit.Site) {
		s.Stop()
		s.Operator = kit.NewOperator()
		s.Start()
		scenario(s)
		s.Stop()
		s.Operator = nil
		s.Start()
	})
}

// traced are the steps of a trace, a line each, with the ids of calls made plain.
func traced(s *kit.Site, data []string) string {
	s.T.Helper()
	type line struct{ at, who, text string }
	var lines []line
	var began time.Time
	calls := map[string]string{"": "none"}
	plain := func(kind, id string) string {
		if calls[id] == "" {
			calls[id] = fmt.Sprintf("%s-%d", kind, len(calls))
		}
		return calls[id]
	}
	for _, d := range data {
		var e struct {
			Type, Orbit, Call, State, Detail, List, Event, Watcher, Source, Shown string
			Time                                                                  time.Time
			CSeq, Code, Expires                                                   int
			Version                                                               *int
			Seconds                                                               float64
		}
		if err := json.Unmarshal([]byte(d), &e); err != nil {
			s.T.Fatalf("%v: %s", err, d)
		}
		if began.IsZero() {
			began = e.Time
		}
		var out strings.Builder
		at := fmt.Sprintf("%9.3fs", e.Time.Sub(began).Seconds())
		fmt.Fprintf(&out, "%s  %s %s", at, e.Orbit, e.Type)
		if e.Type == "lamp" {
			fmt.Fprintf(&out, " %s, call %s", e.State, plain("call", e.Call))
			lines = append(lines, line{at: at, text: out.String()})
			continue
		}
		fmt.Fprintf(&out, " %s from %s", e.Watcher, e.Source)
		if e.List != "" {
			fmt.Fprintf(&out, " by list %s", e.List)
		}
		if e.Event != "dialog" {
			s.T.Errorf("event %q", e.Event)
		}
		if e.CSeq != 0 {
			fmt.Fprintf(&out, ", CSeq %d", e.CSeq)
		}
		if e.Version != nil {
			fmt.Fprintf(&out, ", version %d shows %s", *e.Version, plain("alias", e.Shown))
		}
		if e.Code != 0 {
			fmt.Fprintf(&out, ", %d after %.3fs", e.Code, e.Seconds)
		}
		if e.Expires != 0 {
			fmt.Fprintf(&out, ", for %ds", e.Expires)
		}
		if e.Detail != "" {
			fmt.Fprintf(&out, ", %s", e.Detail)
		}
		lines = append(lines, line{at, e.Watcher, out.String()})
	}
	// What is at one moment is in no order, but for each watcher.
	for rest := lines; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(l line) bool { return l.at != rest[0].at })
		if n < 0 {
			n = len(rest)
		}
		slices.SortStableFunc(rest[:n], func(a, b line) int { return strings.Compare(a.who, b.who) })
		rest = rest[n:]
	}
	var all strings.Builder
	for _, l := range lines {
		fmt.Fprintln(&all, l.text)
	}
	return all.String()
}

// One lamp's story, as an operator follows it: who watches, each state, each NOTIFY
// and its answer, a watcher who falls silent and comes back, each end; and nothing of
// other lamps.
func TestALampIsFollowed(t *testing.T) {
	runOperated(t, nil, func(s *kit.Site) {
		alice, bob, carol, dave := s.Phone("alice"), s.Phone("bob"), s.Phone("carol"), s.Phone("dave")
		other := dave.Subscribe("702")
		watch := bob.Subscribe("701")
		s.Wait(time.Second)
		code, stop := s.Operator.Follow("/lamps/701/trace")
		if code != 200 {
			s.T.Fatalf("trace: %d", code)
		}
		second := carol.Subscribe("701")
		s.Wait(time.Second)
		parked := park(alice, bob)
		elsewhere := dave.Call("702", referred(bob))
		s.Wait(time.Second)
		fetched := bob.Call("*4701", phone.Opts{})
		s.Wait(time.Second)
		carol.Auto("NOTIFY", 0)
		goodbye(s, fetched, parked)
		again := park(alice, bob)
		s.Wait(40 * time.Second)
		carol.Auto("NOTIFY", 200)
		again.Hangup()
		s.Wait(5 * time.Second)
		second.Refresh(600).Expect(200)
		s.Wait(time.Second)
		second.Refresh(0).Expect(200)
		s.Wait(time.Second)
		watch.Drop()
		park(alice, bob).Hangup()
		s.Wait(5 * time.Second)
		elsewhere.Hangup()
		other.Refresh(0).Expect(200)
		s.Wait(time.Second)
		ladder.Golden(s.T, "trace", traced(s, stop()))
	})
}

// Whoever watches an orbit by an event list is in its trace, with what concerns it;
// and a list has a trace of its own.
func TestALampIsFollowedThroughLists(t *testing.T) {
	runOperated(t, desk, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		all := bob.SubscribeList("orbits")
		s.Wait(time.Second)
		_, orbit := s.Operator.Follow("/lamps/701/trace")
		_, list := s.Operator.Follow("/lamps/desk/trace")
		watch := carol.SubscribeList("desk")
		s.Wait(time.Second)
		parked := park(alice, bob)
		s.Wait(time.Second)
		elsewhere := alice.Call("703", referred(bob))
		s.Wait(time.Second)
		watch.Refresh(0).Expect(200)
		s.Wait(time.Second)
		ladder.Golden(s.T, "trace-701", traced(s, orbit()))
		ladder.Golden(s.T, "trace-desk", traced(s, list()))
		if code, body := s.Operator.Do("GET", "/lamps?resource=701"); code != 200 || strings.Count(body, `"resource"`) != 1 || !strings.Contains(body, `"resource":"orbits","list":true`) {
			s.T.Errorf("lamps of 701: %d %s", code, body)
		}
		if code, body := s.Operator.Do("GET", "/lamps?resource=799"); code != 200 || body != "[]\n" {
			s.T.Errorf("lamps of 799: %d %q", code, body)
		}
		parked.Hangup()
		elsewhere.Hangup()
		all.Refresh(0).Expect(200)
		s.Wait(time.Second)
	})
}

func TestOnlyLampsThatThereAreAreFollowed(t *testing.T) {
	runOperated(t, nil, func(s *kit.Site) {
		if code, body := s.Operator.Do("GET", "/lamps/799/trace"); code != 404 {
			s.T.Errorf("trace of 799: %d %s", code, body)
		}
	})
}
