package orbit

import (
	"slices"
	"testing"
	"time"
)

// who is a party of the switch that names it.
func who(name string) Identity {
	return Identity{Name: name, URI: "sip:" + name + "@pbx", Self: "sip:" + name + "@pbx"}
}

// A parked call whose party becomes somebody else without a word of Replaces.
func TestIdentified(t *testing.T) {
	direct := Invite{Leg: "a", To: "701", Name: "bob", URI: "sip:bob@pbx", Self: "sip:bob@pbx"}
	tests := []struct {
		name      string
		in        Invite
		steps     func(r *rig)
		who       Identity
		caller    Identity
		parker    string
		completed bool // another alias, another time-out
	}{
		{name: "a consultation call is completed", in: direct, who: who("ann"),
			caller: who("ann"), parker: "sip:bob@pbx", completed: true},
		{name: "the same party", in: direct, who: who("bob"), caller: who("bob")},
		{name: "the same party without its name", in: direct, who: Identity{URI: "sip:bob@pbx"}, caller: who("bob")},
		{name: "the same party at another host", in: direct, who: Identity{Name: "Bob B", URI: "sip:BOB@10.0.0.1"},
			caller: Identity{Name: "Bob B", URI: "sip:BOB@10.0.0.1"}},
		{name: "nobody in particular", in: direct, who: Identity{Name: "ann"}, caller: who("bob")},
		{name: "whoever consulted may not be called back", in: Invite{Leg: "a", To: "701", URI: "sip:+4930@trunk"}, who: who("ann"),
			caller: who("ann"), completed: true},
		{name: "whoever consulted is an orbit of ours", in: Invite{Leg: "a", To: "701", URI: "sip:702@pbx", Self: "sip:702@pbx"}, who: who("ann"),
			caller: who("ann"), completed: true},
		{name: "a parker is known: only the name changes",
			in: Invite{Leg: "a", To: "701", Referred: true, Parker: "sip:carl@pbx", Name: "bob", URI: "sip:bob@pbx", Self: "sip:bob@pbx"}, who: who("ann"),
			caller: who("ann"), parker: "sip:carl@pbx"},
		{name: "transferred by somebody who may not be called back: only the name changes",
			in: Invite{Leg: "a", To: "701", Referred: true, Name: "bob", URI: "sip:bob@pbx", Self: "sip:bob@pbx"}, who: who("ann"), caller: who("ann")},
		{name: "once more, after it was completed", in: direct,
			steps: func(r *rig) { _ = r.do(Identified{"a", who("zoe")}) }, who: who("ann"), caller: who("ann"), parker: "sip:bob@pbx"},
		{name: "while the fallback is rung", in: direct,
			steps: func(r *rig) { _ = r.do(Return{Call: "a"}) }, who: who("ann"), caller: who("ann"), parker: "sip:bob@pbx", completed: true},
		{name: "when it has been retrieved it is no consultation call any more", in: direct,
			steps: func(r *rig) { _ = r.invite(Invite{Leg: "b", To: "*4701"}) }, who: who("ann"), caller: who("ann")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.must(t, tt.in)
			if tt.steps != nil {
				tt.steps(r)
			}
			before := r.calls["a"].Call
			r.pass(timeoutOf(before.At, r) / 4)
			if err := r.do(Identified{"a", tt.who}); err != nil {
				t.Fatal(err)
			}
			c := r.calls["a"].Call
			if got := (Identity{c.Name, c.URI, c.Self}); got != tt.caller || c.Parker != tt.parker {
				t.Errorf("caller %+v, parker %q; want %+v and %q", got, c.Parker, tt.caller, tt.parker)
			}
			if done := c.Turn != before.Turn; done != tt.completed {
				t.Errorf("completed: %t, want %t", done, tt.completed)
			}
			if tt.completed {
				if _, known := r.alias[before.Alias().CallID]; known {
					t.Error("a press on the old lamp would fetch the new caller")
				}
				if want := r.now.Add(timeoutOf("701", r)); !c.Due.Equal(want) || c.Phase != Parked {
					t.Errorf("%s, returned at %s, want %s", c.Phase, c.Due, want)
				}
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func timeoutOf(ext string, r *rig) time.Duration { return r.settings(ext).Timeout.After }

// Whoever talks to somebody who is somebody else now is told so, and nobody else.
func TestIdentifiedWhileBridged(t *testing.T) {
	ann := Party{"ann", "sip:ann@pbx"}
	for _, tt := range []struct {
		name string
		c    Command
		want []Effect
	}{
		{"the caller", Identified{"a", who("ann")}, []Effect{Identify{"b", ann}}},
		{"the retriever", Identified{"b", who("ann")}, []Effect{Identify{"a", ann}}},
		{"a leg of nobody", Identified{"x", who("ann")}, nil},
		{"another takes the retriever's place", Invite{Leg: "n", To: "x", Replaces: &Replaces{Leg: "b"}, Name: "ann", URI: "sip:ann@pbx"},
			[]Effect{Identify{"a", ann}}},
		{"another takes the caller's place", Invite{Leg: "n", To: "x", Replaces: &Replaces{Leg: "a"}, Name: "ann", URI: "sip:ann@pbx"},
			[]Effect{Identify{"b", ann}, Identify{"n", Party{"ben", "sip:ben@pbx"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.park(t, "a", "701")
			r.must(t, Invite{Leg: "b", To: "*4701", Name: "ben", URI: "sip:ben@pbx"})
			_ = r.do(Acked{Leg: "b"})
			ch, err := r.Decide(r.now, tt.c)
			if err != nil {
				t.Fatal(err)
			}
			told := slices.DeleteFunc(ch.After, func(e Effect) bool { _, ok := e.(Identify); return !ok })
			if !slices.Equal(told, tt.want) {
				t.Errorf("told %+v, want %+v", told, tt.want)
			}
		})
	}
}

// Whoever was told once whom they talk to is told of everybody who comes next.
func TestIdentifiedAndRetrievedAgain(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "701")
	r.must(t, Invite{Leg: "b", To: "*4701", Name: "ben", URI: "sip:ben@pbx"})
	_ = r.do(Identified{"b", who("ann")}) // before the ACK
	r.hangup("b")
	r.must(t, Invite{Leg: "c", To: "*4701", Name: "cat", URI: "sip:cat@pbx"})
	_ = r.do(Acked{Leg: "c"})
	if got := r.w.legs["a"].Shown; got != (Party{"cat", "sip:cat@pbx"}) {
		t.Errorf("the caller's phone shows %+v", got)
	}
}
