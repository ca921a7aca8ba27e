package orbit

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDecision times what a park and its retrieve cost the one goroutine
// that decides: Decide and Apply of the park, the retrieve, the ACK and both
// ends. It must not grow with the number of calls that are parked already.
func BenchmarkDecision(b *testing.B) {
	for _, parked := range []int{10, 8000} {
		for _, where := range []string{"beside", "among"} {
			b.Run(fmt.Sprintf("%d parked/%s", parked, where), func(b *testing.B) { benchDecision(b, parked, where) })
		}
	}
}

func benchDecision(b *testing.B, parked int, where string) {
	timeout := Timeout{Enabled: true, After: 2 * time.Minute, Ring: 15 * time.Second}
	s := NewState(Settings{RetrieveCodes: []string{"*4"}, MaxTime: 24 * time.Hour, Orbits: []Orbit{
		{Extension: "701", Enabled: true, Multiple: true, Timeout: timeout},
		{Extension: "702", Enabled: true, Multiple: true, Timeout: timeout},
	}})
	now := start
	step := func(c Command) {
		ch, err := s.Decide(now, c)
		if err != nil {
			b.Fatal(err)
		}
		s.Apply(ch)
	}
	in := Invite{To: "702", Referred: true, Parker: bob, URI: "sip:ann@example.com", Codec: "PCMU", Record: []byte("snapshot")}
	for i := range parked {
		in.Leg = fmt.Sprint("p", i)
		step(in)
	}
	to := map[string]string{"beside": "701", "among": "702"}[where]
	code := "*4" + to
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		caller, retriever := fmt.Sprint("c", n), fmt.Sprint("r", n)
		now = now.Add(time.Millisecond)
		in.Leg, in.To = caller, to
		step(in)
		step(Invite{Leg: retriever, To: code})
		step(Acked{Leg: retriever})
		c := s.call(retriever)
		step(Hangup{Leg: c.Caller})
		step(Hangup{Leg: retriever})
	}
}

// BenchmarkPark times Decide and Apply of one park alone, and of its end.
func BenchmarkPark(b *testing.B) {
	for _, parked := range []int{10, 8000} {
		b.Run(fmt.Sprintf("%d parked", parked), func(b *testing.B) {
			s := NewState(Settings{Orbits: []Orbit{{Extension: "701", Enabled: true, Multiple: true,
				Timeout: Timeout{Enabled: true, After: 2 * time.Minute}}}})
			in := Invite{To: "701", Referred: true, Parker: bob, Record: []byte("snapshot")}
			for i := range parked {
				in.Leg = fmt.Sprint("p", i)
				ch, _ := s.Decide(start, in)
				s.Apply(ch)
			}
			in.Leg = "new"
			b.ReportAllocs()
			for b.Loop() {
				ch, err := s.Decide(start, in)
				if err != nil {
					b.Fatal(err)
				}
				s.Apply(ch)
				ch, _ = s.Decide(start, Hangup{Leg: "new"})
				s.Apply(ch)
			}
		})
	}
}

// BenchmarkReturn times what a key press of a caller amid a FIFO costs, and the
// return that fails after it: the call keeps its place, which nobody looks for.
func BenchmarkReturn(b *testing.B) {
	for _, parked := range []int{10, 8000} {
		b.Run(fmt.Sprintf("%d parked", parked), func(b *testing.B) {
			s := NewState(Settings{Orbits: []Orbit{{Extension: "701", Enabled: true, Multiple: true, TransferKey: '0',
				Timeout: Timeout{Enabled: true, After: 2 * time.Minute, Ring: 15 * time.Second}}}})
			step := func(c Command) {
				ch, err := s.Decide(start, c)
				if err != nil {
					b.Fatal(err)
				}
				s.Apply(ch)
			}
			in := Invite{To: "701", Referred: true, Parker: bob, Record: []byte("snapshot")}
			for i := range parked {
				in.Leg = fmt.Sprint("p", i)
				step(in)
			}
			caller := fmt.Sprint("p", parked/2)
			b.ReportAllocs()
			for b.Loop() {
				step(Key{Leg: caller, Digit: '0'})
				step(Hangup{Leg: s.call(caller).Other, Code: 486})
			}
		})
	}
}
