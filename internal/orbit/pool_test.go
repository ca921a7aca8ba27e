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

// effects are those of a kind that a command has.
func effects[E Effect](t *testing.T, r *rig, c Command) (list []E) {
	t.Helper()
	ch, err := r.Decide(r.now, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Concat(ch.Now, ch.After) {
		if e, ok := e.(E); ok {
			list = append(list, e)
		}
	}
	return list
}

func TestParkerIsTold(t *testing.T) {
	set := lots(func(p *Pool) { p.Announce, p.Message = true, true })
	set.Orbits[1].Name = "Sales"
	ann := Invite{Leg: "a", To: "700", Name: "Ann", URI: "sip:12@example.com", Self: "sip:12@example.com"}
	t.Run("in consultation, and after the transfer", func(t *testing.T) {
		r := newRig(set)
		in := Invite{Leg: "b", To: "700", Name: "Bob", URI: bob, Self: bob}
		if a := effects[Answer](t, r, in); len(a) != 1 || a[0].Party != (Party{Name: "Parked on 701"}) {
			t.Errorf("answered %+v", a)
		}
		if m := effects[Message](t, r, in); m != nil {
			t.Errorf("messages %+v before there is anybody to park", m)
		}
		r.must(t, in)
		if e := effects[Identify](t, r, Acked{Leg: "b"}); len(e) != 1 || e[0] != (Identify{"b", Party{Name: "Parked on 701"}}) {
			t.Errorf("identified %+v", e)
		}
		say := effects[Say](t, r, Acked{Leg: "b"})
		if len(say) != 1 || say[0].Leg != "b" || strings.Join(say[0].Words, " ") != "parked-on 7 0 1" || say[0].Then != "m701" {
			t.Errorf("said %+v", say)
		}
		_ = r.do(Acked{Leg: "b"})
		done := ann
		done.Replaces = &Replaces{CallID: "real", Leg: "b"}
		m := effects[Message](t, r, done)
		want := Message{Leg: "a", Call: "b", Orbit: "701", Target: bob, From: Party{Name: "Parked on 701"}, Text: "Ann 12 is parked on 701"}
		if len(m) != 1 || m[0] != want {
			t.Errorf("messages %+v, want %+v", m, want)
		}
		r.must(t, done)
		if s, i := effects[Say](t, r, Acked{Leg: "a"}), effects[Identify](t, r, Acked{Leg: "a"}); s != nil || i != nil {
			t.Errorf("the caller is told %v, %v", s, i)
		}
	})
	t.Run("of a transfer", func(t *testing.T) {
		r := newRig(set)
		r.script("x@701")
		in := ann
		in.Referred, in.Parker = true, bob
		m := effects[Message](t, r, in)
		if len(m) != 1 || m[0].Text != "Ann 12 is parked on 702" || m[0].Target != bob || m[0].From.Name != "Sales" {
			t.Errorf("messages %+v", m)
		}
		r.must(t, in)
		if s := effects[Say](t, r, Acked{Leg: "a"}); s != nil {
			t.Errorf("the caller is told %v", s)
		}
		in.Leg, in.Parker = "c", ""
		if m := effects[Message](t, r, in); m != nil {
			t.Errorf("messages %+v to nobody", m)
		}
	})
	t.Run("not if that is not configured", func(t *testing.T) {
		r := newRig(lots(nil))
		in := ann
		in.Referred, in.Parker = true, bob
		if m := effects[Message](t, r, in); m != nil {
			t.Errorf("messages %+v", m)
		}
		r.must(t, Invite{Leg: "b", To: "700"})
		if s, i := effects[Say](t, r, Acked{Leg: "b"}), effects[Identify](t, r, Acked{Leg: "b"}); s != nil || len(i) != 1 {
			t.Errorf("said %v, identified %v", s, i)
		}
	})
	t.Run("of an orbit nobody", func(t *testing.T) {
		r := newRig(set)
		r.must(t, Invite{Leg: "b", To: "701"})
		if s, i := effects[Say](t, r, Acked{Leg: "b"}), effects[Identify](t, r, Acked{Leg: "b"}); s != nil || i != nil {
			t.Errorf("said %v, identified %v", s, i)
		}
	})
	t.Run("by whom the orbit is known", func(t *testing.T) {
		for _, tt := range []struct{ name, uri, want string }{
			{"Ann", "sip:12@x", "Ann 12 is parked on 701"},
			{"", "sip:12@x", "12 is parked on 701"},
			{"12", "sip:12@x", "12 is parked on 701"},
			{"Ann", "", "Ann is parked on 701"},
			{"", "", "An unknown caller is parked on 701"},
		} {
			c := Call{Name: tt.name, URI: tt.uri, At: "701"}
			if got := c.says(); got != tt.want {
				t.Errorf("%q", got)
			}
		}
	})
}

// lamp is what a pool's lamp is told, once a change.
func (r *rig) lamp(t *testing.T, want string) {
	t.Helper()
	var told []string
	for _, ext := range r.lit {
		v, ok := r.Lamp(ext)
		switch {
		case !ok:
			told = append(told, ext+" gone")
		case v.Head != nil || v.Count != 0 || v.Full != (v.State == "full"):
			t.Errorf("pool %s looks like %+v", ext, v)
		default:
			told = append(told, ext+" "+v.State)
		}
	}
	r.lit = nil
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("lamps told %q, want %q", got, want)
	}
}

func TestPoolLamp(t *testing.T) {
	r := newRig(lots(func(p *Pool) { p.Orbits = p.Orbits[:2] }))
	r.script("a")
	r.lamp(t, "")
	r.script("b")
	r.lamp(t, "700 full")
	r.must(t, Invite{Leg: "r", To: "*4701"})
	r.lamp(t, "") // it may still come to nothing
	_ = r.do(Acked{Leg: "r"})
	r.lamp(t, "700 free")
	r.script("c")
	r.lamp(t, "700 full")
	r.hangup("c")
	r.hangup("b")
	r.lamp(t, "700 free")
}

func TestConfigurePools(t *testing.T) {
	change := func(f func(set *Settings, p *Pool)) Settings {
		set := lots(nil)
		f(&set, &set.Pools[0])
		return set
	}
	for _, tt := range []struct {
		name  string
		pick  Pick
		steps string
		to    func(set *Settings, p *Pool)
		lamps string
		then  string
		want  string
	}{
		{"the same", PickNext, "a b -a", func(_ *Settings, p *Pool) { p.Pick = PickNext }, "", "c d e", "703 704 701"},
		{"longest free goes on", PickLongestFree, "a b -b -a", func(_ *Settings, p *Pool) { p.Pick = PickLongestFree }, "", "c d e f", "703 704 702 701"},
		{"another way to pick", PickFirst, "a b -b -a", func(_ *Settings, p *Pool) { p.Pick = PickLongestFree }, "", "c", "703"},
		{"an orbit less", PickFirst, "a b c", func(_ *Settings, p *Pool) { p.Orbits = p.Orbits[:3] }, "700 full", "d -a e", "full 701"},
		{"an orbit more", PickFirst, "a b c d", func(set *Settings, p *Pool) {
			p.Orbits = append(p.Orbits, "705")
			set.Orbits = append(set.Orbits, Orbit{Extension: "705", Enabled: true})
		}, "700 free", "e", "705"},
		{"the last one taken is no more in it", PickNext, "a b", func(_ *Settings, p *Pool) {
			p.Pick, p.Orbits = PickNext, []string{"701", "703", "704"}
		}, "", "c d e", "703 704 full"},
		{"an orbit is switched off", PickFirst, "a b c", func(set *Settings, _ *Pool) { set.Orbits[3].Enabled = false }, "700 full", "d", "full"},
		{"an orbit is removed with a call", PickFirst, "a", func(set *Settings, p *Pool) {
			set.Orbits, p.Orbits = set.Orbits[1:], p.Orbits[1:]
		}, "", "b c d e", "702 703 704 full"},
		{"the pool is removed", PickFirst, "a", func(set *Settings, _ *Pool) { set.Pools = nil }, "700 gone", "b@702", "702"},
		{"another pool", PickFirst, "a", func(set *Settings, p *Pool) {
			set.Pools = append(set.Pools, Pool{Extension: "600", Orbits: []string{"701"}})
		}, "600 full", "b@600 c", "full 702"},
		{"an orbit becomes a pool, with its call", PickFirst, "a", func(set *Settings, p *Pool) {
			set.Orbits, p.Orbits = set.Orbits[1:], p.Orbits[1:]
			set.Pools = append(set.Pools, Pool{Extension: "701", Orbits: []string{"702"}})
		}, "701 free", "b@701", "702"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(lots(func(p *Pool) { p.Pick = tt.pick }))
			r.script(tt.steps)
			r.lit = nil
			r.configure(t, change(tt.to))
			r.lamp(t, tt.lamps)
			if got := r.script(tt.then); got != tt.want {
				t.Errorf("then %s, want %s", got, tt.want)
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A call stays to be fetched where its orbit has become a pool.
func TestRetrieveFromOrbitThatBecameAPool(t *testing.T) {
	r := newRig(lots(nil))
	r.script("a")
	set := lots(func(p *Pool) { p.Extension, p.Orbits = "701", p.Orbits[1:] })
	set.Orbits = set.Orbits[1:]
	r.configure(t, set)
	if err := r.invite(Invite{Leg: "r", To: "*4701"}); err != nil || r.w.legs["r"].Peer != "a" {
		t.Errorf("fetched %q, %v", r.w.legs["r"].Peer, err)
	}
}

// What a pool knows is derived from the calls: a restart changes nothing of it but
// in which order orbits became free.
func TestPoolRestart(t *testing.T) {
	set := lots(func(p *Pool) { p.Pick = PickNext })
	r := newRig(set)
	r.script("a b c -b")
	calls, legs, err := r.disk.load()
	if err != nil {
		t.Fatal(err)
	}
	r.State = NewState(set)
	r.Restore(calls, legs)
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	if got := r.script("d e f"); got != "704 702 full" {
		t.Errorf("%s", got)
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
