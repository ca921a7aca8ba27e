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

func TestDrainReturns(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "702")
	r.must(t, Invite{Leg: "fallback", To: "702"})
	r.must(t, Invite{Leg: "nobody", To: "703"})
	r.must(t, Invite{Leg: "off", To: "703", Referred: true, Parker: "sip:carol@example.com"}) // where nobody is returned by time
	r.park(t, "retrieved", "701")
	r.must(t, Invite{Leg: "x", To: "*4701"})
	r.park(t, "returning", "705")
	_ = r.do(Return{Call: "returning"})
	if ch, err := r.Decide(r.now, Drain{Return: true}); err != nil || len(ch.Put) != 3 {
		t.Fatalf("%+v, %v", ch, err)
	}
	if err := r.do(Drain{Return: true}); err != nil {
		t.Fatal(err)
	}
	r.rings(t, bob, bob, "900", "sip:carol@example.com")
	for call, want := range map[string]Phase{
		"a": Returning, "fallback": Returning, "nobody": Parked, "off": Returning, "retrieved": Retrieving, "returning": Returning,
	} {
		r.is(t, call, want)
	}
	if err := r.invite(Invite{Leg: "late", To: "702"}); !errors.Is(err, ErrDraining) {
		t.Errorf("a park: %v", err)
	}
	r.pass(15 * time.Second) // nobody answers
	if e := r.is(t, "a", Parked); e.Tries != 1 || !e.Due.Equal(r.now.Add(2*time.Minute)) {
		t.Errorf("after a failed return: %+v", e.Call)
	}
	if err := r.do(Drain{Return: true}); err != nil { // once more
		t.Fatal(err)
	}
	r.is(t, "a", Returning)
}
