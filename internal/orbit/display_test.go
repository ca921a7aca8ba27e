package orbit

import (
	"testing"
	"time"
)

func TestDisplay(t *testing.T) {
	ann := Invite{Name: "Ann", URI: "sip:+4930123@example.com"}
	tests := []struct {
		name, display string
		orbit         string // its name
		in            Invite
		want          string
	}{
		{"as shipped", "{orbit} {caller}", "Sales", ann, "701 Ann"},
		{"everything", "{name}: {caller} <{number}> at {orbit}", "Sales", ann, "Sales: Ann <+4930123> at 701"},
		{"a caller without a name", "{orbit} {caller}", "", Invite{URI: "sip:200@example.com"}, "701 200"},
		{"an orbit without a name", "{name} {caller}", "", ann, "701 Ann"},
		{"a caller without anything", "{orbit} {caller}", "", Invite{}, "701"},
		{"a caller who writes braces", "{caller}", "", Invite{Name: "{number} {orbit}", URI: ann.URI}, "{number} {orbit}"},
		{"nothing", "", "Sales", ann, ""},
		{"no more than one space", "{caller}  {orbit} ", "", Invite{}, "701"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := office()
			set.Return.Display = tt.display
			set.Orbits[0].Name = tt.orbit
			r := newRig(set)
			tt.in.Leg, tt.in.To, tt.in.Referred, tt.in.Parker = "a", "701", true, bob
			r.must(t, tt.in)
			r.pass(2 * time.Minute)
			if got := r.w.rung[0].Party; got != (Party{tt.want, tt.in.URI}) {
				t.Errorf("shown %+v, want %q", got, tt.want)
			}
			if c := r.calls["a"]; c.Name != tt.in.Name {
				t.Errorf("the caller is called %q", c.Name)
			}
		})
	}
}

func TestAction(t *testing.T) {
	timeout := func(r *rig) { r.pass(2 * time.Minute) }
	key := func(r *rig) { _ = r.do(Key{Leg: "a", Digit: '0'}) }
	ask := func(r *rig) { _ = r.do(Return{Call: "a"}) }
	all := func(r *rig) { _ = r.do(Drain{Return: true}) }
	tests := []struct {
		name   string
		action Action
		parker string
		do     func(*rig)
		want   []string
	}{
		{"parker", ToParker, bob, timeout, []string{bob}},
		{"fallback, though there is a parker", ToFallback, bob, timeout, []string{"900"}},
		{"fallback without a parker", ToFallback, "", timeout, []string{"900"}},
		{"keep", Keep, bob, timeout, nil},
		{"keep without a parker", Keep, "", timeout, nil},
		{"fallback: the key is for the parker", ToFallback, bob, key, []string{bob}},
		{"keep: the key works", Keep, bob, key, []string{bob}},
		{"keep: an operator may", Keep, bob, ask, []string{bob}},
		{"keep: so may whoever stops the server", Keep, bob, all, []string{bob}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(with(func(o map[string]*Orbit, _ *Settings) { o["701"].Timeout.Action = tt.action }))
			r.must(t, Invite{Leg: "a", To: "701", Referred: true, Parker: tt.parker})
			tt.do(r)
			r.rings(t, tt.want...)
			if err := r.check(); err != nil {
				t.Fatal(err)
			}
			r.pass(time.Hour)
			if tt.action != Keep {
				return
			}
			if c := r.is(t, "a", Parked); !c.Due.IsZero() || len(r.w.rung) > len(tt.want) {
				t.Errorf("rung %v; %+v", r.w.rung, c.Call)
			}
		})
	}
	t.Run("a return that was asked for and cut off is tried again", func(t *testing.T) {
		set := with(func(o map[string]*Orbit, _ *Settings) { o["701"].Timeout.Action = Keep })
		r := newRig(set)
		r.park(t, "a", "701")
		key(r)
		calls, legs := r.Snapshot()
		again := NewState(set)
		again.Restore(calls, legs)
		r = around(again, r.w, r.now)
		r.disk = newDisk()
		_ = r.do(Restart{})
		r.pass(callOff)
		r.rings(t, bob, bob)
		r.pass(time.Hour)
		r.rings(t, bob, bob)
		if c := r.is(t, "a", Parked); !c.Due.IsZero() || c.Asked {
			t.Errorf("%+v", c.Call)
		}
	})
}
