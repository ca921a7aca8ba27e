package orbit

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// with is a copy of the office with a change.
func with(change func(orbits map[string]*Orbit, set *Settings)) Settings {
	set := office()
	orbits := map[string]*Orbit{}
	for i := range set.Orbits {
		orbits[set.Orbits[i].Extension] = &set.Orbits[i]
	}
	change(orbits, &set)
	return set
}

// without is the office without an orbit.
func without(ext string) Settings {
	return with(func(_ map[string]*Orbit, set *Settings) {
		set.Orbits = slices.DeleteFunc(set.Orbits, func(o Orbit) bool { return o.Extension == ext })
	})
}

// configure puts settings in force.
func (r *rig) configure(t *testing.T, set Settings) {
	t.Helper()
	if err := r.do(Configure{set}); err != nil {
		t.Fatal(err)
	}
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
}

func TestConfigureTimeout(t *testing.T) {
	const before = 100 * time.Second // parked for so long as the settings come
	referred := Invite{To: "702", Referred: true, Parker: bob}
	var none time.Duration
	tests := []struct {
		name   string
		in     Invite
		change func(o map[string]*Orbit, set *Settings)
		left   time.Duration // until the return; 0 = none
	}{
		{"longer", referred, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.After = 5 * time.Minute }, 5*time.Minute - before},
		{"shorter", referred, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.After = 110 * time.Second }, 10 * time.Second},
		{"shorter than what is past", referred, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.After = 30 * time.Second }, -1},
		{"off", referred, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Enabled = false }, none},
		{"on", Invite{To: "703", Referred: true, Parker: bob}, func(o map[string]*Orbit, _ *Settings) { o["703"].Timeout = o["702"].Timeout }, 2 * time.Minute},
		{"on, with nobody to go back to", Invite{To: "703"}, func(o map[string]*Orbit, _ *Settings) {
			o["703"].Timeout = Timeout{Enabled: true, After: time.Minute}
		}, none},
		{"nobody is to be called any more", referred, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Action = Keep }, none},
		{"the fallback at once", referred, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Action = ToFallback }, 2*time.Minute - before},
		{"the fallback at once, and there is none", referred, func(o map[string]*Orbit, _ *Settings) {
			o["702"].Timeout.Action, o["702"].Timeout.Fallback = ToFallback, ""
		}, none},
		{"of another orbit", referred, func(o map[string]*Orbit, _ *Settings) { o["701"].Timeout.After = 5 * time.Minute }, 2*time.Minute - before},
		{"ringing only", referred, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Ring = time.Second }, 2*time.Minute - before},
		{"of an orbit that is removed", referred, func(_ map[string]*Orbit, set *Settings) { set.Orbits = set.Orbits[:1] }, 2*time.Minute - before},
		{"the fallback goes, nobody is left", Invite{To: "702"}, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Fallback = "" }, none},
		{"the fallback goes, the parker is left", referred, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Fallback = "" }, 2*time.Minute - before},
		{"another fallback", Invite{To: "702"}, func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Fallback = "901" }, 2*time.Minute - before},
		{"the parker's number is an orbit now", referred, func(o map[string]*Orbit, set *Settings) {
			o["702"].Timeout.Fallback = ""
			set.Orbits = append(set.Orbits, Orbit{Extension: "bob", Enabled: true})
		}, none},
		{"and there is a fallback", referred, func(_ map[string]*Orbit, set *Settings) {
			set.Orbits = append(set.Orbits, Orbit{Extension: "bob", Enabled: true})
		}, 2*time.Minute - before},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			tt.in.Leg = "a"
			r.must(t, tt.in)
			r.pass(before)
			r.configure(t, with(tt.change))
			e := r.is(t, "a", Parked)
			want := r.now.Add(max(tt.left, 0))
			if tt.left == none {
				want = time.Time{}
			}
			if !e.Due.Equal(want) || !e.Since.Equal(start) {
				t.Fatalf("due %s, want %s; since %s", e.Due, want, e.Since)
			}
			if kept, _, err := r.disk.load(); err != nil || !kept[0].Due.Equal(want) {
				t.Errorf("on disk: %+v, %v", kept, err)
			}
			if tt.left != none {
				r.pass(max(tt.left, 0))
				r.is(t, "a", Returning)
			}
		})
	}
	t.Run("somebody is to be called after all", func(t *testing.T) {
		r := newRig(with(func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Action = Keep }))
		r.park(t, "a", "702")
		r.pass(time.Hour)
		r.configure(t, office())
		r.pass(2 * time.Minute)
		r.rings(t, bob)
	})
	t.Run("a fallback comes for whoever had nobody", func(t *testing.T) {
		r := newRig(with(func(o map[string]*Orbit, _ *Settings) { o["702"].Timeout.Fallback = "" }))
		r.must(t, Invite{Leg: "a", To: "702"})
		r.pass(time.Hour)
		r.configure(t, office())
		r.pass(2 * time.Minute)
		r.rings(t, "900")
	})
}

// Whoever is not parked is not touched: a return rings on, a retrieve is
// confirmed, and what then fails goes by the new rules.
func TestConfigureBusyCalls(t *testing.T) {
	r := newRig(office())
	for _, leg := range []string{"returning", "retrieved", "bridged"} {
		r.park(t, leg, "702")
	}
	press := func(call string) {
		r.must(t, Invite{Leg: call + " by", To: "702", Shown: r.calls[call].Alias().CallID})
	}
	press("bridged")
	_ = r.do(Acked{Leg: "bridged by"})
	_ = r.do(Return{Call: "returning"})
	press("retrieved")
	r.pass(time.Second)
	before := r.Encode()
	r.configure(t, with(func(o map[string]*Orbit, set *Settings) {
		o["702"].Timeout = Timeout{Enabled: true, After: time.Minute, Ring: time.Second}
		o["702"].Music = "new"
	}))
	if got := r.Encode(); string(got) != string(before) {
		t.Fatalf("calls are\n%s\nwere\n%s", got, before)
	}
	if got := r.w.legs["returning"].Music; got != "new" {
		t.Errorf("whoever is on their way back hears %q", got)
	}
	r.hangup("retrieved by")
	if e := r.is(t, "retrieved", Parked); !e.Due.Equal(r.now.Add(time.Minute)) || r.w.legs["retrieved"].Music != "new" {
		t.Errorf("after a failed retrieve: %+v, %+v", e.Call, r.w.legs["retrieved"])
	}
	r.pass(14 * time.Second)
	if e := r.is(t, "returning", Parked); !e.Due.Equal(r.now.Add(time.Minute)) {
		t.Errorf("after a failed return: %+v", e.Call)
	}
}

func TestConfigureMusic(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "702")
	r.park(t, "b", "703")
	set := with(func(o map[string]*Orbit, _ *Settings) { o["702"].Music = "new" })
	ch, err := r.Decide(r.now, Configure{set})
	if err != nil || len(ch.After) != 1 || ch.After[0] != (Play{"a", "new"}) || len(ch.Put) != 0 {
		t.Fatalf("%+v, %v", ch, err)
	}
	r.configure(t, set)
	r.must(t, Invite{Leg: "c", To: "702"})
	if got := r.w.legs["c"].Music; got != "new" {
		t.Errorf("a new caller hears %q", got)
	}
}

func TestOrbitRemoved(t *testing.T) {
	set := without("702")
	removed := func(t *testing.T, legs ...string) *rig {
		t.Helper()
		r := newRig(office())
		for _, leg := range legs {
			r.park(t, leg, "702")
		}
		r.configure(t, set)
		if err := r.invite(Invite{Leg: "late", To: "702"}); !errors.Is(err, ErrUnknown) {
			t.Errorf("a new park: %v", err)
		}
		if v, ok := r.View("702"); !ok || v.Enabled || v.Count != len(legs) || v.Music != "queue" || v.Head.ID != legs[0] {
			t.Errorf("view %+v, %t", v, ok)
		}
		return r
	}
	empty := func(t *testing.T, r *rig) {
		t.Helper()
		if v, ok := r.View("702"); ok || slices.Contains(r.Extensions(), "702") {
			t.Errorf("it is there still: %+v", v)
		}
		if err := r.check(); err != nil {
			t.Error(err)
		}
	}
	t.Run("its calls are retrieved in order, by code and by press", func(t *testing.T) {
		r := removed(t, "a", "b", "c")
		r.must(t, Invite{Leg: "x", To: "*8702"})
		r.must(t, Invite{Leg: "y", To: "702", Shown: r.calls["c"].Alias().CallID})
		r.must(t, Invite{Leg: "z", To: "702", Replaces: replaces(r.calls["b"].Alias(), false)})
		for leg, caller := range map[string]string{"x": "a", "y": "c", "z": "b"} {
			if r.w.legs[leg].Peer != caller {
				t.Errorf("%s has %q, want %s", leg, r.w.legs[leg].Peer, caller)
			}
		}
		_ = r.do(Acked{Leg: "x"})
		_ = r.do(Acked{Leg: "y"})
		if _, ok := r.View("702"); !ok {
			t.Error("gone before the last retrieve was confirmed")
		}
		_ = r.do(Acked{Leg: "z"})
		empty(t, r)
	})
	t.Run("the last one, whose retrieve fails, keeps music and time-out", func(t *testing.T) {
		r := removed(t, "a")
		r.must(t, Invite{Leg: "x", To: "*8702"})
		r.hangup("x")
		if e := r.is(t, "a", Parked); !e.Due.Equal(r.now.Add(2*time.Minute)) || r.w.legs["a"].Music != "queue" {
			t.Errorf("call %+v, caller %+v", e.Call, r.w.legs["a"])
		}
	})
	t.Run("its calls return", func(t *testing.T) {
		r := removed(t, "a")
		r.pass(2*time.Minute + 15*time.Second) // nobody answers
		r.pass(2 * time.Minute)
		r.rings(t, bob, bob)
		_ = r.do(Answered{Leg: "a.2"})
		empty(t, r)
	})
	t.Run("its callers hang up", func(t *testing.T) {
		r := removed(t, "a")
		r.hangup("a")
		empty(t, r)
	})
	t.Run("it comes back", func(t *testing.T) {
		r := removed(t, "a")
		r.configure(t, with(func(o map[string]*Orbit, _ *Settings) {
			o["702"].Music, o["702"].Timeout.After = "new", 3*time.Minute
		}))
		if e := r.is(t, "a", Parked); !e.Due.Equal(start.Add(3*time.Minute)) || r.w.legs["a"].Music != "new" {
			t.Errorf("call %+v, caller %+v", e.Call, r.w.legs["a"])
		}
		r.park(t, "b", "702")
	})
	t.Run("it is empty", func(t *testing.T) {
		r := newRig(office())
		r.configure(t, set)
		empty(t, r)
		if err := r.invite(Invite{Leg: "late", To: "702"}); !errors.Is(err, ErrUnknown) {
			t.Errorf("a park: %v", err)
		}
	})
	t.Run("and parkd is restarted, and it comes back", func(t *testing.T) {
		r := removed(t, "a", "b")
		r.pass(time.Minute)
		calls, legs := r.Snapshot()
		r.State = NewState(set)
		r.Restore(calls, legs)
		r.changed = true
		if err := r.restarted(); err != nil {
			t.Fatal(err)
		}
		if err := r.invite(Invite{Leg: "late", To: "702"}); !errors.Is(err, ErrUnknown) {
			t.Errorf("a new park: %v", err)
		}
		r.configure(t, office())
		if e := r.is(t, "a", Parked); !e.Due.Equal(start.Add(2*time.Minute)) || r.w.legs["a"].Music != "queue" {
			t.Errorf("call %+v, caller %+v", e.Call, r.w.legs["a"])
		}
		r.must(t, Invite{Leg: "x", To: "*8702"})
		if r.w.legs["x"].Peer != "a" {
			t.Errorf("retrieved %q", r.w.legs["x"].Peer)
		}
	})
}

func TestConfigureRules(t *testing.T) {
	tests := []struct {
		name   string
		change func(o map[string]*Orbit, set *Settings)
		in     Invite // with a and b parked in 702, c in 706
		err    error
		peer   string // "" = parked
	}{
		{"an orbit is added", func(_ map[string]*Orbit, set *Settings) {
			set.Orbits = append(set.Orbits, Orbit{Extension: "799", Enabled: true})
		}, Invite{To: "799"}, nil, ""},
		{"an orbit is switched off", func(o map[string]*Orbit, _ *Settings) { o["702"].Enabled = false }, Invite{To: "702"}, ErrUnknown, ""},
		{"but retrieved from", func(o map[string]*Orbit, _ *Settings) { o["702"].Enabled = false }, Invite{To: "*8702"}, nil, "a"},
		{"an orbit is switched on", func(o map[string]*Orbit, _ *Settings) { o["704"].Enabled = true }, Invite{To: "704"}, nil, ""},
		{"less room than calls", func(o map[string]*Orbit, _ *Settings) { o["702"].Multiple = false }, Invite{To: "702"}, ErrFull, ""},
		{"and retrieved from", func(o map[string]*Orbit, _ *Settings) { o["702"].Multiple = false }, Invite{To: "*8702"}, nil, "a"},
		{"fewer calls over all", func(_ map[string]*Orbit, set *Settings) { set.MaxCalls = 2 }, Invite{To: "701"}, ErrLimit, ""},
		{"another code", func(_ map[string]*Orbit, set *Settings) { set.RetrieveCodes = []string{"7", "77"} }, Invite{To: "77702"}, nil, "a"},
		{"a code is gone", func(_ map[string]*Orbit, set *Settings) { set.RetrieveCodes = []string{"7"} }, Invite{To: "*8702"}, ErrUnknown, ""},
		{"a plain call is a press now", func(o map[string]*Orbit, _ *Settings) { o["706"].Press = PressAlways }, Invite{To: "706"}, nil, "c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.park(t, "a", "702")
			r.park(t, "b", "702")
			r.park(t, "c", "706")
			r.configure(t, with(tt.change))
			tt.in.Leg = "x"
			if err := r.invite(tt.in); !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if got := r.w.legs["x"]; got.Peer != tt.peer || tt.err == nil && tt.peer == "" && got.State != "music" {
				t.Errorf("leg %+v, want it joined with %q", got, tt.peer)
			}
		})
	}
	t.Run("a key", func(t *testing.T) {
		r := newRig(office())
		r.park(t, "a", "702")
		r.configure(t, with(func(o map[string]*Orbit, _ *Settings) { o["702"].TransferKey = '#' }))
		_ = r.do(Key{Leg: "a", Digit: '#'})
		r.rings(t, bob)
	})
	t.Run("how old a call may grow", func(t *testing.T) {
		r := newRig(with(func(_ map[string]*Orbit, set *Settings) { set.MaxTime = 0 }))
		for i, leg := range []string{"a", "b", "c"} {
			r.must(t, Invite{Leg: leg, To: "703"})
			if i == 1 {
				r.hangup("b")
			}
			r.pass(time.Minute)
		}
		r.configure(t, with(func(_ map[string]*Orbit, set *Settings) { set.MaxTime = 150 * time.Second }))
		r.pass(0)
		if r.w.legs["a"].State != "ended" || r.w.legs["c"].State != "music" {
			t.Errorf("a is %+v, c %+v", r.w.legs["a"], r.w.legs["c"])
		}
		r.pass(90 * time.Second)
		if r.w.legs["c"].State != "ended" {
			t.Errorf("c is %+v", r.w.legs["c"])
		}
	})
	t.Run("draining goes on", func(t *testing.T) {
		r := newRig(office())
		_ = r.do(Drain{})
		r.configure(t, without("702"))
		if err := r.invite(Invite{Leg: "a", To: "701"}); !errors.Is(err, ErrDraining) {
			t.Errorf("a park: %v", err)
		}
	})
}
