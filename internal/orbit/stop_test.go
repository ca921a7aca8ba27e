package orbit

import (
	"errors"
	"testing"
	"time"
)

func TestStopEndsEveryCall(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := NewState(Settings{Orbits: []Orbit{{Extension: "701", Enabled: true, Multiple: true}}, RetrieveCodes: []string{"*4"}})
	do := func(c Command) Change {
		t.Helper()
		ch, err := s.Decide(now, c)
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(ch)
		return ch
	}
	do(Invite{Leg: "a", To: "701"})
	do(Invite{Leg: "b", To: "701"})
	do(Invite{Leg: "r", To: "*4701"})
	do(Acked{Leg: "r"})
	byes := map[string]int{}
	for _, e := range do(Drain{End: true}).After {
		byes[e.(Bye).Leg]++
	}
	if len(byes) != 3 || byes["a"] != 1 || byes["b"] != 1 || byes["r"] != 1 {
		t.Errorf("ended %v, want a, b and r once each", byes)
	}
	if s.Held() != 0 || s.Parked() != 0 {
		t.Errorf("%d calls held, %d parked", s.Held(), s.Parked())
	}
	for dialled, want := range map[string]error{"701": ErrDraining, "*4701": ErrNothing} {
		if _, err := s.Decide(now, Invite{Leg: "x", To: dialled}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", dialled, err, want)
		}
	}
}
