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

// BenchmarkRestart times what a start on a journal costs the state: Restore,
// Restart and Owed, a call in twenty half done.
func BenchmarkRestart(b *testing.B) {
	for _, parked := range []int{1000, 8000} {
		b.Run(fmt.Sprintf("%d parked", parked), func(b *testing.B) {
			set := Settings{Orbits: []Orbit{{Extension: "701", Enabled: true, Multiple: true,
				Timeout: Timeout{Enabled: true, After: 2 * time.Minute}}}}
			var calls []Call
			legs := map[string][]byte{}
			for i := range parked {
				id := fmt.Sprint("c", i)
				c := Call{ID: id, At: "701", Home: "701", Caller: id, Parker: bob, Seq: uint64(i), Since: start, Due: start.Add(time.Minute)}
				legs[id] = []byte(id)
				if i%20 == 0 {
					c.Phase, c.Other = Returning, id+".1"
					legs[c.Other] = []byte{}
				}
				calls = append(calls, c)
			}
			b.ReportAllocs()
			for b.Loop() {
				s := NewState(set)
				s.Restore(calls, legs)
				ch, _ := s.Decide(start, Restart{})
				s.Apply(ch)
				if owed := s.Owed(); len(owed) != 2*parked+parked/20 {
					b.Fatalf("%d effects owed", len(owed))
				}
			}
		})
	}
}

// BenchmarkConfigure times other settings with many calls, whose time-outs and
// music all change: the one decision that walks them all.
func BenchmarkConfigure(b *testing.B) {
	set := Settings{Orbits: []Orbit{{Extension: "701", Enabled: true, Multiple: true, Music: "a",
		Timeout: Timeout{Enabled: true, After: 2 * time.Minute}}}}
	other := Settings{MaxTime: time.Hour, Orbits: []Orbit{{Extension: "701", Enabled: true, Multiple: true, Music: "b",
		Timeout: Timeout{Enabled: true, After: 3 * time.Minute}}}}
	s := NewState(set)
	in := Invite{To: "701", Referred: true, Parker: bob, Record: []byte("snapshot")}
	for i := range 10000 {
		in.Leg = fmt.Sprint("p", i)
		ch, _ := s.Decide(start, in)
		s.Apply(ch)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, set := range []Settings{other, set} {
			ch, _ := s.Decide(start, Configure{set})
			if len(ch.Put) != 10000 || len(ch.After) != 10000 || len(s.touched(&ch)) != 1 {
				b.Fatalf("%d calls, %d effects", len(ch.Put), len(ch.After))
			}
			s.Apply(ch)
		}
	}
}
