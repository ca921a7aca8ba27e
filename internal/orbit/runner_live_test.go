package orbit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A restored state first does what it owes and shows every lamp.
func TestRunnerRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewState(pair())
		now := time.Now()
		s.Restore([]Call{
			{ID: "b", At: "2", Home: "2", Caller: "b", Seq: 2, Since: now},
			{ID: "a", At: "2", Home: "2", Caller: "a", Seq: 1, Since: now, Parker: bob, Due: now.Add(time.Second)},
		}, map[string][]byte{"a": {}, "b": {}, "old": {}})
		_, w := run(t, s, prompt{})
		w.want(t, "Answer a", "Play a", "Answer b", "Play b", "Bye old", "Show 1 free 0", "Show 2 parked 2")
		time.Sleep(time.Second)
		w.want(t, "Ring a.1", "Show 2 returning 2", "Tell returning a")
	})
}

// What was half done is resolved first, and music does not wait for the disk.
func TestRunnerRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		call := func(id string, seq uint64, p Phase, due time.Duration) Call {
			c := Call{ID: id, At: "2", Home: "2", Caller: id, Parker: bob, Phase: p, Seq: seq, Since: now, Due: now.Add(due), Attempt: 1}
			if p != Parked {
				c.Other = id + ".1"
			}
			return c
		}
		s := NewState(pair())
		s.Restore([]Call{
			call("a", 1, Returning, 10*time.Second), call("b", 2, Retrieving, -time.Second), call("c", 3, Retrieving, time.Second),
		}, map[string][]byte{"a": {}, "b": {}, "c": {}, "a.1": {}, "b.1": {}, "c.1": {}})
		j := &slow{}
		r, w := run(t, s, j)
		w.want(t, "Answer a", "Play a", "Answer b", "Play b", "Answer c", "Answer c.1", "Bridge c", "Bye a.1", "Bye b.1",
			"Show 1 free 0", "Show 2 parked 3")
		if j.waiting() != 1 { // the restart
			t.Fatalf("%d appends are pending", j.waiting())
		}
		do(t, r, Hangup{Leg: "a.1"}, Hangup{Leg: "b.1"})
		j.commit(0, nil)
		w.want(t, "Bye a.1", "Bye b.1", "Play b", "Show 2 parked 3", "Tell kept a", "Tell kept b")
		j.commit(0, nil)
		j.commit(0, nil)
		time.Sleep(2 * time.Second) // the return that was cut off
		synctest.Wait()
		j.commit(0, nil)
		w.want(t, "Ring a.2", "Show 2 returning 3", "Tell returning a")
	})
}

func TestRunnerConfigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := run(t, NewState(pair()), prompt{})
		do(t, r, Invite{Leg: "a", To: "2", Referred: true, Parker: bob})
		w.got()
		set := pair()
		set.Orbits[0].Name = "Sales"
		do(t, r, Configure{set})
		w.want(t, "Show 1 free 0")
		do(t, r, Configure{set}, Configure{set}) // the same again
		w.want(t)
		set = pair()
		set.Orbits[1].Timeout.After = time.Minute
		set.Orbits[1].Music = "new"
		set.Orbits = append(set.Orbits, Orbit{Extension: "3", Enabled: true})
		do(t, r, Configure{set})
		w.want(t, "Show 3 free 0", "Play a", "Show 1 free 0", "Show 2 parked 1") // what is new at once
		time.Sleep(time.Minute)
		w.want(t, "Ring a.1", "Show 2 returning 1", "Tell returning a")
		do(t, r, Configure{Settings{}}) // none is left
		w.want(t, "Show 1 free 0", "Show 2 returning 1", "Show 3 free 0")
		for ext, want := range map[string]View{
			"1": {Orbit: "1", State: "free", Gone: true}, "3": {Orbit: "3", State: "free", Gone: true},
		} {
			if got := w.views[ext]; got != want {
				t.Errorf("orbit %s: %+v", ext, got)
			}
		}
		if v := w.views["2"]; v.Gone || v.Enabled || v.Head == nil {
			t.Errorf("orbit 2: %+v", v)
		}
		do(t, r, Answered{Leg: "a.1"})
		w.want(t, "Bridge a", "Show 2 free 0", "Tell returned a")
		if v := w.views["2"]; !v.Gone {
			t.Errorf("orbit 2, empty: %+v", v)
		}
	})
}

// A disk that fails for a while: parks of that time are refused, one by one and
// in order, all else is carried out, and then parks are taken again.
func TestRunnerDiskComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		j := &slow{}
		r, w := run(t, NewState(pair()), j)
		do(t, r, Invite{Leg: "a", To: "2"}, Invite{Leg: "b", To: "2"})
		j.commit(0, nil)
		j.commit(0, nil)
		w.got()
		const parks = 100
		var refused, gone []string
		for i := range parks {
			leg := fmt.Sprintf("p%02d", i)
			do(t, r, Invite{Leg: leg, To: "2"})
			refused = append(refused, "Refuse "+leg+": journal cannot be written")
			gone = append(gone, "Show 2 parked 1", "Tell ended "+leg)
		}
		do(t, r, Invite{Leg: "x", To: "*42"}, Acked{Leg: "x", Record: []byte("x")},
			Note{Leg: "b", Record: []byte("b"), Reply: true}, Invite{Leg: "late", To: "2"})
		for range parks {
			j.commit(0, full)
		}
		w.want(t, refused...)
		for range 4 {
			j.commit(0, full)
		}
		w.want(t, "Answer x", "Show 2 parked 2", "Show 2 parked 2", "Tell retrieved a", "Noted b",
			"Refuse late: journal cannot be written")
		for j.waiting() > 1 { // that they are gone
			j.commit(0, full)
		}
		j.commit(0, nil)
		w.want(t, slices.Concat(gone, []string{"Show 2 parked 1", "Tell ended late"})...)
		do(t, r, Invite{Leg: "new", To: "2"})
		j.commit(0, nil)
		w.want(t, "Answer new", "Show 2 parked 2", "Tell parked new")
	})
}

// A journal that reports at once, and fails, is no reason to decide within a
// decision without end.
func TestRunnerFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := run(t, NewState(pair()), broken{errors.New("read-only file system")})
		w.got()
		for i := range 3 {
			do(t, r, Invite{Leg: fmt.Sprint(i), To: "2"})
			w.want(t, fmt.Sprintf("Refuse %d: journal cannot be written", i), "Show 2 free 0", fmt.Sprintf("Tell ended %d", i))
		}
	})
}

// Returns that came due while no server ran are not all rung in one instant.
func TestRunnerSpreadsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []Call
		legs := map[string][]byte{}
		for i := range 200 {
			id := fmt.Sprintf("c%03d", i)
			calls = append(calls, Call{ID: id, At: "2", Home: "2", Caller: id, Parker: bob, Seq: uint64(i + 1), Since: time.Now(), Due: time.Now().Add(-time.Minute)})
			legs[id] = []byte{}
		}
		s := NewState(pair())
		s.Restore(calls, legs)
		_, w := run(t, s, prompt{})
		rung := func() (n int) {
			for _, what := range w.got() {
				if strings.HasPrefix(what, "Ring ") {
					n++
				}
			}
			return n
		}
		if n := rung(); n > 1 {
			t.Errorf("%d rung at once", n)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := rung(); n < 90 || n > 110 {
			t.Errorf("%d rung in 100 ms", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := rung(); n < 80 {
			t.Errorf("%d rung in the rest", n)
		}
	})
}
