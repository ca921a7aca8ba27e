package orbit

import (
	"strings"
	"testing"
)

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
