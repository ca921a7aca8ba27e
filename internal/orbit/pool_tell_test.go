package orbit

import (
	"slices"
	"strings"
	"testing"
)

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
