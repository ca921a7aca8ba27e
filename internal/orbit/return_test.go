package orbit

import (
	"errors"
	"testing"
	"time"
)

// rings asserts who has been called so far.
func (r *rig) rings(t *testing.T, targets ...string) {
	t.Helper()
	var got []string
	for _, ring := range r.w.rung {
		got = append(got, ring.Target)
	}
	if len(got) != len(targets) {
		t.Fatalf("called %q, want %q", got, targets)
	}
	for i := range got {
		if got[i] != targets[i] {
			t.Fatalf("called %q, want %q", got, targets)
		}
	}
}

// is asserts the phase of a call, and that all is consistent.
func (r *rig) is(t *testing.T, call string, want Phase) *entry {
	t.Helper()
	e := r.calls[call]
	if e == nil || e.Phase != want {
		t.Fatalf("call %s is %+v, want it %s", call, e, want)
	}
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	return e
}

const bob = "sip:bob@example.com"

func TestReturnAnswered(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "701")
	r.pass(2*time.Minute - time.Nanosecond)
	r.rings(t)
	r.pass(time.Nanosecond)
	r.rings(t, bob)
	r.is(t, "a", Returning)
	if ring := r.w.rung[0]; ring.Caller != "a" || ring.Orbit != "701" || ring.Party != (Party{"701 Ann", "sip:a@example.com"}) || ring.Alert != "<urn:x>" {
		t.Errorf("ring: %+v", ring)
	}
	if v, _ := r.View("701"); v.State != "returning" || v.Head.State != "returning" {
		t.Errorf("view: %+v", v)
	}
	_ = r.do(Answered{Leg: "a.1"}) // an answer without a snapshot is one all the same
	if e := r.is(t, "a", Bridged); r.w.legs["a"].Peer != "a.1" || e.At != "" {
		t.Errorf("caller: %+v", r.w.legs["a"])
	}
	if r.Parked() != 0 || r.Held() != 1 {
		t.Errorf("parked %d, held %d", r.Parked(), r.Held())
	}
	r.hangup("a.1")
	if r.w.legs["a"].State != "ended" || len(r.legs) != 0 || len(r.calls) != 0 {
		t.Errorf("after the end: %+v, %v", r.w.legs["a"], r.legs)
	}
}

func TestReturnFails(t *testing.T) {
	tests := []struct {
		name   string
		fail   func(r *rig, leg string)
		detail string
	}{
		{"busy", func(r *rig, leg string) { r.w.end(leg); _ = r.do(Hangup{Leg: leg, Code: 486}) }, "answered 486"},
		{"do not disturb", func(r *rig, leg string) { r.w.end(leg); _ = r.do(Hangup{Leg: leg, Code: 480}) }, "answered 480 at once"},
		{"rang in vain", func(r *rig, leg string) { r.w.end(leg); _ = r.do(Hangup{Leg: leg, Code: 480, Rang: true}) }, "answered 480"},
		{"no answer", func(r *rig, _ string) { r.pass(15 * time.Second) }, "no answer"},
		{"no such place", func(r *rig, leg string) { r.hangup(leg) }, "no answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.park(t, "a", "701")
			want := []string{bob, bob, bob, "900", "900"}
			for i, leg := range []string{"a.1", "a.2", "a.3", "a.4", "a.5"} {
				r.pass(2 * time.Minute)
				r.rings(t, want[:i+1]...)
				tt.fail(r, leg)
				e := r.is(t, "a", Parked)
				if e.Tries != i+1 || !e.Due.Equal(r.now.Add(2*time.Minute)) {
					t.Fatalf("after failure %d: %d tries, due %s", i+1, e.Tries, e.Due)
				}
				if r.w.legs[leg].State != "ended" {
					t.Fatalf("leg %s is %+v", leg, r.w.legs[leg])
				}
				if last := r.events[len(r.events)-1]; last != (Event{KindKept, "701", "a", tt.detail}) {
					t.Fatalf("event %+v", last)
				}
			}
			if e := r.calls["a"]; !e.Since.Equal(start) {
				t.Errorf("parked since %s", e.Since)
			}
		})
	}
}

func TestReturnTo(t *testing.T) {
	office := office()
	office.Orbits[0].Timeout.Fallback = ""
	tests := []struct {
		name, parker string
		referred     bool
		want         []string
	}{
		{"the parker", bob, true, []string{bob}},
		{"a parker with an address", "sips:bob:secret@192.0.2.1:5061;transport=tcp", true, []string{"sips:bob:secret@192.0.2.1:5061;transport=tcp"}},
		{"nobody: no parker", "", true, nil},
		{"nobody: a direct dial has no parker", bob, false, nil},
		{"nobody: the parker is our own orbit", "sip:702@example.com", true, nil},
		{"nobody: and a disabled one", "sip:704@example.com", true, nil},
		{"nobody: in disguise", "sip:%37%302@example.com", true, nil},
		{"nobody: with a password", "sip:702:x@example.com", true, nil},
		{"nobody: with parameters", "sip:702;x=y@example.com", true, nil},
		{"nobody: the parker is a code before an orbit", "sip:*4702@example.com", true, nil},
		{"nobody: and written otherwise", "sip:%2a8701@example.com", true, nil},
		{"a parker who only looks like a code", "sip:*4999@example.com", true, []string{"sip:*4999@example.com"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office)
			r.must(t, Invite{Leg: "a", To: "701", Referred: tt.referred, Parker: tt.parker})
			r.pass(2 * time.Minute)
			r.rings(t, tt.want...)
			err := r.do(Return{Call: "a"})
			if tt.want == nil && !errors.Is(err, ErrNobody) {
				t.Errorf("return on request: %v", err)
			}
		})
	}
	t.Run("the fallback at once where there is no parker", func(t *testing.T) {
		office.Orbits[0].Timeout.Fallback = "900"
		r := newRig(office)
		r.must(t, Invite{Leg: "a", To: "701"})
		r.pass(2 * time.Minute)
		r.rings(t, "900")
	})
}

func TestRetrieveDuringReturn(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "701")
	alias := r.calls["a"].Alias()
	r.pass(2 * time.Minute)
	r.w.ask("b")
	if err := r.step(Invite{Leg: "b", To: "701", Replaces: replaces(alias, false)}); err != nil {
		t.Fatal(err) // the lamp still shows the same dialog
	}
	r.is(t, "a", Retrieving)
	if r.w.legs["a.1"].State != "ended" || r.w.legs["b"].Peer != "a" {
		t.Fatalf("return %+v, retriever %+v", r.w.legs["a.1"], r.w.legs["b"])
	}
	// The parker answered while our CANCEL was on its way.
	before := r.Encode()
	r.w.ended = nil
	r.w.legs["a.1"].State = "ringing"
	if err := r.step(Answered{Leg: "a.1", Record: []byte("late")}); err != nil {
		t.Fatal(err)
	}
	if p := r.w.legs["a.1"]; p.State != "ended" || string(r.Encode()) != string(before) {
		t.Errorf("late answer: %+v", p)
	}
	r.deliver()
	_ = r.do(Acked{Leg: "b"})
	r.is(t, "a", Bridged)
	if len(r.legs) != 2 {
		t.Errorf("legs: %v", r.legs)
	}
}

func TestRetrieverWithoutACK(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "702")
	r.pass(time.Second)
	r.park(t, "b", "702")
	r.park(t, "c", "702")
	r.must(t, Invite{Leg: "x", To: "**702"})
	r.must(t, Invite{Leg: "y", To: "**702"})
	old := (&Call{ID: "b"}).Alias()
	r.pass(32 * time.Second)
	r.hangup("y") // leg sends its BYE after 64*T1 and reports the end
	e := r.is(t, "b", Parked)
	if e.Alias() == old {
		t.Error("the alias came back")
	}
	if !e.Since.Equal(start.Add(time.Second)) || !e.Due.Equal(r.now.Add(2*time.Minute)) {
		t.Errorf("since %s, due %s", e.Since, e.Due)
	}
	r.hangup("x")
	for _, want := range []string{"a", "b", "c"} {
		leg := "next-" + want
		r.must(t, Invite{Leg: leg, To: "**702"})
		if r.w.legs[leg].Peer != want {
			t.Errorf("retrieved %s, want %s", r.w.legs[leg].Peer, want)
		}
	}
}

func TestCallerHangsUp(t *testing.T) {
	for _, phase := range []Phase{Parked, Retrieving, Returning, Bridged} {
		t.Run(phase.String(), func(t *testing.T) {
			r := newRig(office())
			r.park(t, "a", "701")
			if phase == Returning {
				r.pass(2 * time.Minute)
			} else if phase != Parked {
				r.must(t, Invite{Leg: "b", To: "*4701"})
			}
			if phase == Bridged {
				_ = r.do(Acked{Leg: "b"})
			}
			r.is(t, "a", phase)
			r.hangup("a")
			if err := r.check(); err != nil {
				t.Error(err)
			}
			if len(r.calls)+len(r.legs)+len(r.alias)+len(r.due)+r.parked != 0 {
				t.Errorf("left over: %s", r.Encode())
			}
			if last := r.events[len(r.events)-1]; last.Kind != KindEnded {
				t.Errorf("event %+v", last)
			}
		})
	}
}

func TestTransferKey(t *testing.T) {
	tests := []struct {
		name string
		ext  string
		key  byte
		leg  string
		want []string
	}{
		{"the key", "701", '0', "a", []string{bob}},
		{"another key", "701", '1', "a", nil},
		{"an orbit without one", "702", '0', "a", nil},
		{"and no key at all", "702", 0, "a", nil},
		{"a leg that is not parked", "701", '0', "x", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.park(t, "a", tt.ext)
			_ = r.do(Key{Leg: tt.leg, Digit: tt.key})
			r.rings(t, tt.want...)
			_ = r.do(Key{Leg: tt.leg, Digit: tt.key}) // a second press changes nothing
			r.rings(t, tt.want...)
		})
	}
	t.Run("the retriever's key is not the caller's", func(t *testing.T) {
		r := newRig(office())
		r.park(t, "a", "701")
		r.must(t, Invite{Leg: "b", To: "*4701"})
		_ = r.do(Key{Leg: "b", Digit: '0'})
		_ = r.do(Key{Leg: "a", Digit: '0'})
		r.rings(t)
	})
}

func TestConsultation(t *testing.T) {
	tests := []struct {
		name string
		in   Invite
		self string
		want string
	}{
		{"the parker is whom Referred-By names", Invite{Referred: true, Parker: "sip:carol@example.com"}, bob, "sip:carol@example.com"},
		{"else whose call it was", Invite{}, bob, bob},
		{"else nobody", Invite{}, "", ""},
		{"never an orbit", Invite{Referred: true, Parker: "sip:702@example.com"}, bob, bob},
		{"in neither way", Invite{}, "sip:702@example.com", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.must(t, Invite{Leg: "bob", To: "702", Self: tt.self, Name: "Bob", URI: bob})
			r.pass(30 * time.Second)
			r.park(t, "later", "702")
			old := r.calls["bob"].Alias()
			tt.in.Leg, tt.in.To, tt.in.Replaces = "ann", "702", &Replaces{Leg: "bob"}
			tt.in.Name, tt.in.URI, tt.in.Codec = "Ann", "sip:ann@example.com", "PCMA"
			r.must(t, tt.in)
			e := r.is(t, "bob", Parked)
			if e.Parker != tt.want || !e.Since.Equal(start) || e.Caller != "ann" || e.Codec != "PCMA" || !e.Due.Equal(r.now.Add(2*time.Minute)) {
				t.Errorf("call %+v", e.Call)
			}
			if v, _ := r.View("702"); v.Head == nil || v.Head.ID != "bob" || v.Head.Caller.Name != "Ann" || v.Count != 2 {
				t.Errorf("view %+v", v)
			}
			if r.w.legs["bob"].State != "ended" || e.Alias() == old {
				t.Errorf("replaced leg %+v, alias %+v", r.w.legs["bob"], e.Alias())
			}
		})
	}
	t.Run("during a return, which is given up", func(t *testing.T) {
		r := newRig(office())
		r.park(t, "a", "701")
		r.pass(2*time.Minute + 15*time.Second) // the first return fails
		r.pass(2 * time.Minute)
		r.rings(t, bob, bob)
		r.must(t, Invite{Leg: "b", To: "701", Replaces: &Replaces{Leg: "a"}})
		if e := r.is(t, "a", Parked); e.Tries != 0 || r.w.legs["a.2"].State != "ended" {
			t.Errorf("call %+v, return %+v", e.Call, r.w.legs["a.2"])
		}
	})
}

func TestMaxTime(t *testing.T) {
	set := office()
	set.MaxTime = 10 * time.Minute
	t.Run("a parked call", func(t *testing.T) {
		r := newRig(set)
		r.must(t, Invite{Leg: "a", To: "703"})
		r.pass(10*time.Minute - time.Nanosecond)
		r.is(t, "a", Parked)
		r.pass(time.Nanosecond)
		if r.w.legs["a"].State != "ended" || len(r.legs) != 0 {
			t.Errorf("caller %+v, legs %v", r.w.legs["a"], r.legs)
		}
	})
	t.Run("while the parker rings", func(t *testing.T) {
		r := newRig(set)
		r.park(t, "a", "701")
		r.pass(9*time.Minute + 50*time.Second)
		_ = r.do(Return{Call: "a"})
		r.is(t, "a", Returning)
		r.pass(10 * time.Second)
		for _, leg := range []string{"a", "a.1"} {
			if r.w.legs[leg].State != "ended" {
				t.Errorf("leg %s is %+v", leg, r.w.legs[leg])
			}
		}
	})
	t.Run("not while it is being retrieved", func(t *testing.T) {
		r := newRig(set)
		r.park(t, "a", "703")
		r.pass(10*time.Minute - time.Second)
		r.must(t, Invite{Leg: "b", To: "*4703"})
		r.pass(2 * time.Second)
		r.is(t, "a", Retrieving)
		_ = r.do(Acked{Leg: "b"})
		r.pass(time.Hour)
		r.is(t, "a", Bridged)
	})
}

func TestOperators(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "701")
	for _, c := range []Command{Return{Call: "x"}, Drop{Call: "x"}} {
		if err := r.do(c); !errors.Is(err, ErrGone) {
			t.Errorf("%#v: %v", c, err)
		}
	}
	if err := r.do(Return{Call: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := r.do(Return{Call: "a"}); !errors.Is(err, ErrGone) {
		t.Errorf("a second return: %v", err)
	}
	if err := r.do(Drop{Call: "a"}); err != nil {
		t.Fatal(err)
	}
	if len(r.calls)+len(r.legs) != 0 || r.w.legs["a"].State != "ended" || r.w.legs["a.1"].State != "ended" {
		t.Errorf("left over: %s", r.Encode())
	}
}

// An offerless INVITE brings its codec with the ACK.
func TestCodecWithACK(t *testing.T) {
	r := newRig(office())
	r.must(t, Invite{Leg: "a", To: "701"})
	_ = r.do(Acked{Leg: "a", Codec: "G722"})
	if got := r.Calls()[0].Codec; got != "G722" {
		t.Errorf("codec %q", got)
	}
	before := r.Encode()
	_ = r.do(Acked{Leg: "a", Codec: "G722"})
	_ = r.do(Acked{Leg: "nobody"})
	if string(r.Encode()) != string(before) {
		t.Error("an ACK again changed the state")
	}
}
