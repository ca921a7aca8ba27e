package orbit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// lots is a configuration with orbits 701-704 and a pool of them.
func lots(change func(p *Pool)) Settings {
	set := Settings{RetrieveCodes: []string{"*4"}}
	p := Pool{Extension: "700"}
	for n := 701; n <= 704; n++ {
		ext := fmt.Sprint(n)
		set.Orbits = append(set.Orbits, Orbit{Extension: ext, Enabled: true, Music: "m" + ext})
		p.Orbits = append(p.Orbits, ext)
	}
	if change != nil {
		change(&p)
	}
	set.Pools = []Pool{p}
	return set
}

// at is where a caller is parked, "" if they are not.
func (r *rig) at(leg string) string {
	if e := r.call(leg); e != nil {
		return e.At
	}
	return ""
}

// script parks and hangs up: "a" is a new caller in the pool, "a@702" one in an
// orbit, "-a" their end. It returns where each new one came to be, or why not.
func (r *rig) script(steps string) string {
	var out []string
	for _, step := range strings.Fields(steps) {
		if leg, ends := strings.CutPrefix(step, "-"); ends {
			r.hangup(leg)
			continue
		}
		leg, to, direct := strings.Cut(step, "@")
		if !direct {
			to = "700"
		}
		if err := r.invite(Invite{Leg: leg, To: to, Referred: true, Parker: bob}); err != nil {
			out = append(out, "full")
			if !errors.Is(err, ErrFull) {
				out[len(out)-1] = err.Error()
			}
			continue
		}
		out = append(out, r.at(leg))
	}
	return strings.Join(out, " ")
}

func TestPoolPick(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pick  Pick
		steps string
		want  string
	}{
		{"first", PickFirst, "a b -a c d e f", "701 702 701 703 704 full"},
		{"first, around those taken directly", PickFirst, "x@702 a b", "702 701 703"},
		{"next", PickNext, "a b -a c d e f", "701 702 703 704 701 full"},
		{"next, around those taken", PickNext, "a b c d -b -c e -d f", "701 702 703 704 702 703"},
		{"next, behind one taken directly", PickNext, "a x@703 b c", "701 703 704 702"},
		{"longest free", PickLongestFree, "a b -b -a c d e f g", "701 702 703 704 702 701 full"},
		{"longest free, one amid them taken directly", PickLongestFree, "x@702 a -x b c d", "702 701 703 704 702"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(lots(func(p *Pool) { p.Pick = tt.pick }))
			if got := r.script(tt.steps); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.steps, got, tt.want)
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPoolPickRandom(t *testing.T) {
	set := lots(func(p *Pool) { p.Pick = PickRandom })
	seen := map[string]int{}
	for i := range 4000 {
		leg := fmt.Sprint("leg", i)
		r, again := newRig(set), newRig(set)
		got := r.script(leg)
		seen[got]++
		if got != again.script(leg) {
			t.Fatal("decided again, it is another orbit")
		}
	}
	for _, ext := range set.Pools[0].Orbits {
		if n := seen[ext]; n < 850 || n > 1150 {
			t.Errorf("%s was drawn %d times of 4000", ext, n)
		}
	}
	r := newRig(set)
	got := strings.Fields(r.script("a b c d e"))
	slices.Sort(got)
	if want := "701 702 703 704 full"; strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
}

// An orbit is not free while anybody is in it, or may come back to it.
func TestPoolTakesFreeOrbits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(set *Settings)
		setup  func(t *testing.T, r *rig)
		want   string
	}{
		{"switched off", func(set *Settings) { set.Orbits[0].Enabled = false }, nil, "702"},
		{"configured no more", func(set *Settings) { set.Orbits = set.Orbits[1:] }, nil, "702"},
		{"a queue with one call", func(set *Settings) { set.Orbits[0].Multiple = true },
			func(t *testing.T, r *rig) { r.park(t, "x", "701") }, "702"},
		{"being retrieved", nil, func(t *testing.T, r *rig) {
			r.park(t, "x", "701")
			r.must(t, Invite{Leg: "y", To: "*4701"})
		}, "702"},
		{"retrieved", nil, func(t *testing.T, r *rig) {
			r.park(t, "x", "701")
			r.must(t, Invite{Leg: "y", To: "*4701"})
			_ = r.do(Acked{Leg: "y"})
		}, "701"},
		{"on its way back", func(set *Settings) {
			set.Orbits[0].Timeout = Timeout{Enabled: true, After: time.Minute, Ring: time.Minute}
		}, func(t *testing.T, r *rig) {
			r.park(t, "x", "701")
			r.pass(90 * time.Second)
		}, "702"},
		{"the caller hung up", nil, func(t *testing.T, r *rig) {
			r.park(t, "x", "701")
			r.hangup("x")
		}, "701"},
		{"the park could not be written down", nil, func(t *testing.T, r *rig) {
			r.park(t, "x", "701")
			_ = r.do(Undo{"x"})
		}, "701"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := lots(nil)
			if tt.change != nil {
				tt.change(&set)
			}
			r := newRig(set)
			if tt.setup != nil {
				tt.setup(t, r)
			}
			if got := r.script("a"); got != tt.want {
				t.Errorf("in %s, want %s", got, tt.want)
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPoolOverflow(t *testing.T) {
	for _, tt := range []struct {
		name      string
		overflow  string   // of 700
		others    []string // extension, overflow and orbits of more pools
		orbits    string   // besides
		steps     string
		want      string
		elsewhere string // where the last is sent
	}{
		{"nowhere", "", nil, "", "a b c", "701 702 full", ""},
		{"a pool", "600", []string{"600", "", "601"}, "601", "a b c d", "701 702 601 full", ""},
		{"a pool and from there an orbit", "600", []string{"600", "800", "601"}, "601 800", "a b c d e", "701 702 601 800 full", ""},
		{"a pool that shares orbits", "600", []string{"600", "", "702 601"}, "601", "a b c d", "701 702 601 full", ""},
		{"an orbit", "601", nil, "601", "a b c d", "701 702 601 full", ""},
		{"an extension of the switch", "200", nil, "", "a b c", "701 702 pool full, calls go to 200", "200"},
		{"a ring, which is not valid", "600", []string{"600", "700", "601"}, "601", "a b c d", "701 702 601 full", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := Settings{Pools: []Pool{{Extension: "700", Orbits: []string{"701", "702"}, Overflow: tt.overflow}}}
			for _, ext := range strings.Fields("701 702 " + tt.orbits) {
				set.Orbits = append(set.Orbits, Orbit{Extension: ext, Enabled: true})
			}
			if o := tt.others; o != nil {
				set.Pools = append(set.Pools, Pool{Extension: o[0], Overflow: o[1], Orbits: strings.Fields(o[2])})
			}
			r := newRig(set)
			got := r.script(tt.steps)
			if got = strings.ReplaceAll(got, "park on 700: ", ""); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			_, err := r.Decide(r.now, Invite{Leg: "z", To: "700"})
			var away *Elsewhere
			if errors.As(err, &away); tt.elsewhere != "" && (away == nil || away.Extension != tt.elsewhere) {
				t.Errorf("refused with %v", err)
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPoolLimits(t *testing.T) {
	set := lots(nil)
	set.MaxCalls = 2
	r := newRig(set)
	r.script("a b")
	if err := r.invite(Invite{Leg: "c", To: "700"}); !errors.Is(err, ErrLimit) {
		t.Errorf("over the limit: %v", err)
	}
	r.hangup("a")
	_ = r.do(Drain{})
	if err := r.invite(Invite{Leg: "d", To: "700"}); !errors.Is(err, ErrDraining) {
		t.Errorf("draining: %v", err)
	}
	if err := r.invite(Invite{Leg: "e", To: "*4700"}); err != nil {
		t.Errorf("a retrieve: %v", err)
	}
}

func TestRetrieveFromPool(t *testing.T) {
	set := lots(nil)
	set.Orbits[3].Multiple = true
	r := newRig(set)
	fetch := func(leg, to string, operation bool, want string) {
		t.Helper()
		err := r.invite(Invite{Leg: leg, To: to, Retrieve: operation})
		if want == "" {
			if !errors.Is(err, ErrNothing) {
				t.Errorf("nothing there: %v", err)
			}
			return
		}
		if got := r.w.legs[leg].Peer; err != nil || got != want {
			t.Errorf("fetched %q, %v; want %s", got, err, want)
		}
	}
	fetch("r0", "*4700", false, "")
	r.script("a@704 b@702 c@704 d")
	fetch("r1", "*4700", false, "a")
	r.hangup("r1") // not confirmed: a is parked again, in its place
	fetch("r2", "700", true, "a")
	_ = r.do(Acked{Leg: "r2"})
	fetch("r3", "*4700", false, "b")
	fetch("r4", "*4700", false, "c")
	fetch("r5", "*4700", false, "d")
	fetch("r6", "*4700", false, "")
	if err := r.check(); err != nil {
		t.Error(err)
	}
}

// A pool's key is no orbit's: whoever watches it and calls it parks.
func TestPoolIsNotPressed(t *testing.T) {
	set := lots(nil)
	set.Orbits[0].Press = PressAlways
	r := newRig(set)
	r.script("a")
	if err := r.invite(Invite{Leg: "b", To: "700", Shown: r.calls["a"].Alias().CallID}); err != nil || r.at("b") != "702" {
		t.Errorf("in %q, %v", r.at("b"), err)
	}
	// Nor does a return go to one.
	r.must(t, Invite{Leg: "c", To: "700", Referred: true, Parker: "sip:700@example.com"})
	r.must(t, Invite{Leg: "d", To: "700", Referred: true, Parker: "sip:*4700@example.com"})
	if r.calls["c"].Parker != "" || r.calls["d"].Parker != "" {
		t.Errorf("parked by %q and %q", r.calls["c"].Parker, r.calls["d"].Parker)
	}
}

func BenchmarkPoolPark(b *testing.B) {
	for _, pick := range []Pick{PickFirst, PickNext, PickRandom, PickLongestFree} {
		for _, taken := range []int{10, 8000} {
			b.Run(fmt.Sprintf("%s/%d taken", [...]string{"first", "next", "random", "longest-free"}[pick], taken), func(b *testing.B) {
				set := Settings{Pools: []Pool{{Extension: "700", Pick: pick}}}
				for i := range 8002 {
					ext := fmt.Sprint(10000 + i)
					set.Orbits = append(set.Orbits, Orbit{Extension: ext, Enabled: true})
					set.Pools[0].Orbits = append(set.Pools[0].Orbits, ext)
				}
				s := NewState(set)
				in := Invite{To: "700", Referred: true, Parker: bob, Record: []byte("snapshot")}
				for i := range taken {
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
}
