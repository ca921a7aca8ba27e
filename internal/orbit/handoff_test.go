package orbit

import (
	"slices"
	"testing"
	"time"
)

// handing is an office that hands off, with a call at 702 that ben has retrieved.
func handing(t *testing.T) *rig {
	set := office()
	for i := range set.Orbits {
		set.Orbits[i].Retrieve = RetrieveRefer
	}
	r := newRig(set)
	r.park(t, "a", "702")
	r.must(t, Invite{Leg: "b", To: "**702", URI: "sip:ben@pbx"})
	_ = r.do(Acked{Leg: "b"})
	return r
}

// How a hand-off can end, and what is left of the call then.
func TestHandOff(t *testing.T) {
	result := func(code int) Command { return HandedOff{Leg: "a", Peer: "b", Code: code} }
	for _, c := range []struct {
		name  string
		steps []Command
		wait  time.Duration
		left  []string // legs of the call; nil = it has ended
	}{
		{"under way", nil, 0, []string{"a", "b"}},
		{"done", []Command{result(200)}, 0, nil},
		{"refused", []Command{result(603)}, 0, []string{"a", "b"}},
		{"silence", nil, time.Hour, []string{"a", "b"}},
		{"done after all", []Command{result(486), result(200)}, 0, nil},
		{"the retriever is replaced", []Command{Hangup{Leg: "b"}}, 0, []string{"a", ""}},
		{"and the caller's phone says so", []Command{Hangup{Leg: "b"}, result(202)}, 0, nil},
		{"and the caller hangs up", []Command{Hangup{Leg: "b"}, Hangup{Leg: "a"}}, 0, nil},
		{"the retriever hangs up, and it failed", []Command{Hangup{Leg: "b"}, result(481)}, 0, nil},
		{"and nothing is heard", []Command{Hangup{Leg: "b"}}, time.Minute, nil},
		{"it failed, and the retriever hangs up", []Command{result(486), Hangup{Leg: "b"}}, 0, nil},
		{"silence, and the retriever hangs up", []Command{Due{}, Hangup{Leg: "b"}}, 0, []string{"a", ""}},
		{"the caller hangs up", []Command{Hangup{Leg: "a"}}, 0, nil},
		{"of another peer", []Command{HandedOff{Leg: "a", Peer: "x", Code: 200}}, 0, []string{"a", "b"}},
		{"of the other leg", []Command{HandedOff{Leg: "b", Peer: "a", Code: 200}}, 0, []string{"a", "b"}},
		{"somebody takes the retriever's place", []Command{Invite{Leg: "n", To: "x", Replaces: &Replaces{Leg: "b"}}, result(200)}, 0, []string{"a", "n"}},
		{"nobody takes the place of a caller who is on their way",
			[]Command{Hangup{Leg: "b"}, Invite{Leg: "n", To: "x", Replaces: &Replaces{Leg: "a"}}}, 0, []string{"a", ""}},
		{"a restart", []Command{Restart{}}, 0, []string{"a", "b"}},
		{"dropped", []Command{Hangup{Leg: "b"}, Drop{Call: "a"}}, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := handing(t)
			for _, cmd := range c.steps {
				if in, ok := cmd.(Invite); ok {
					_ = r.invite(in)
					continue
				}
				if h, ok := cmd.(Hangup); ok {
					r.w.end(h.Leg)
				}
				_ = r.do(cmd)
			}
			r.pass(c.wait)
			var left []string
			if call, ok := r.Call("a"); ok {
				left = []string{call.Caller, call.Other}
			}
			if !slices.Equal(left, c.left) {
				t.Errorf("left are %q, want %q", left, c.left)
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A call is handed off once its two are joined for good, by a retrieve or a return,
// and again by a server that does not know whether the former one did.
func TestHandOffBegins(t *testing.T) {
	r := handing(t)
	want := HandOff{Leg: "a", Peer: "b", Orbit: "702"}
	if r.w.legs["a"].Sent != "b" || !slices.Contains(r.Owed(), Effect(want)) {
		t.Errorf("the caller is sent to %q, owed is %v", r.w.legs["a"].Sent, r.Owed())
	}
	r.park(t, "c", "702")
	_ = r.do(Return{Call: "c"})
	ch, _ := r.Decide(r.now, Answered{Leg: "c.1"})
	if !slices.Contains(ch.After, Effect(HandOff{Leg: "c", Peer: "c.1", Orbit: "702"})) {
		t.Errorf("a return does %v", ch.After)
	}
}
