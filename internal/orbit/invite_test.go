package orbit

import (
	"errors"
	"testing"
	"time"
)

// office is a configuration with one orbit of each kind.
func office() Settings {
	timeout := Timeout{Enabled: true, After: 2 * time.Minute, Ring: 15 * time.Second, Fallback: "900", FallbackAfter: 3}
	return Settings{
		RetrieveCodes: []string{"*4", "**", "*8", "*87"},
		MaxTime:       24 * time.Hour,
		Return:        Recall{Display: "{orbit} {caller}", AlertInfo: "<urn:x>"},
		Orbits: []Orbit{
			{Extension: "701", Enabled: true, Music: "sales", Timeout: timeout, TransferKey: '0'},
			{Extension: "702", Enabled: true, Music: "queue", Multiple: true, Timeout: timeout},
			{Extension: "703", Enabled: true, Music: "two", Multiple: true, MaxCalls: 2},
			{Extension: "704", Enabled: false, Music: "off"},
			{Extension: "705", Enabled: true, Music: "always", Multiple: true, Press: PressAlways},
			{Extension: "706", Enabled: true, Music: "never", Multiple: true, Press: PressNever},
			{Extension: "01", Enabled: true, Music: "short"},
			{Extension: "*4702", Enabled: true, Music: "star"},
		},
	}
}

func replaces(a Alias, swap bool) *Replaces {
	if swap {
		a.LocalTag, a.RemoteTag = a.RemoteTag, a.LocalTag
	}
	return &Replaces{CallID: a.CallID, ToTag: a.LocalTag, FromTag: a.RemoteTag}
}

func TestInviteOrder(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, r *rig)
		in    func(r *rig) Invite
		err   error
		peer  string // whom the new leg is joined with; "" = it hears music
		music string
	}{
		{name: "Replaces of an alias retrieves that very call",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702"); r.park(t, "b", "702") },
			in:    func(r *rig) Invite { return Invite{To: "702", Replaces: replaces(r.calls["b"].Alias(), false)} }, peer: "b"},
		{name: "and with its tags the other way round",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702"); r.park(t, "b", "702") },
			in:    func(r *rig) Invite { return Invite{To: "702", Replaces: replaces(r.calls["b"].Alias(), true)} }, peer: "b"},
		{name: "and with early-only",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in: func(r *rig) Invite {
				re := replaces(r.calls["a"].Alias(), false)
				re.EarlyOnly = true
				return Invite{To: "701", Replaces: re}
			}, peer: "a"},
		{name: "and whatever was dialled, and although it came with a parker",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in: func(r *rig) Invite {
				return Invite{To: "*4702", Referred: true, Replaces: replaces(r.calls["a"].Alias(), false)}
			}, peer: "a"},
		{name: "Replaces of an alias with one wrong tag",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in: func(r *rig) Invite {
				re := replaces(r.calls["a"].Alias(), false)
				re.FromTag = re.ToTag
				return Invite{To: "701", Replaces: re}
			}, err: ErrReplaces},
		{name: "Replaces of an alias that ended with its parking",
			setup: func(t *testing.T, r *rig) {
				r.park(t, "a", "701")
				r.must(t, Invite{Leg: "b", To: "*4701"})
			},
			in: func(r *rig) Invite { return Invite{To: "701", Replaces: replaces(r.calls["a"].Alias(), false)} }, err: ErrReplaces},
		{name: "Replaces of the alias before, once the call is parked again",
			setup: func(t *testing.T, r *rig) {
				r.park(t, "a", "701")
				r.must(t, Invite{Leg: "b", To: "*4701"})
				r.hangup("b")
			},
			in: func(*rig) Invite {
				return Invite{To: "701", Replaces: replaces((&Call{ID: "a"}).Alias(), false)}
			}, err: ErrReplaces},
		{name: "Replaces of nothing of ours never parks",
			in: func(*rig) Invite {
				return Invite{To: "701", Referred: true, Replaces: &Replaces{CallID: "x", ToTag: "y", FromTag: "z"}}
			}, err: ErrReplaces},
		{name: "Replaces of a real dialog takes its place",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in:    func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "a"}} }, music: "sales"},
		{name: "Replaces of a real dialog that is confirmed, early-only",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in:    func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "a", EarlyOnly: true}} }, err: ErrEarly},
		{name: "Replaces of a retriever's dialog joins with the caller",
			setup: func(t *testing.T, r *rig) {
				r.park(t, "a", "701")
				r.must(t, Invite{Leg: "b", To: "*4701"})
				_ = r.do(Acked{Leg: "b"})
			},
			in: func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "b"}} }, peer: "a"},
		{name: "Replaces of a bridged caller's dialog joins with the retriever",
			setup: func(t *testing.T, r *rig) {
				r.park(t, "a", "701")
				r.must(t, Invite{Leg: "b", To: "*4701"})
				_ = r.do(Acked{Leg: "b"})
			},
			in: func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "a"}} }, peer: "b"},
		{name: "Replaces of a leg that rings for a return",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701"); r.pass(2 * time.Minute) },
			in:    func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "a.1"}} }, err: ErrReplaces},
		{name: "guard: a presser's place cannot be taken for ten seconds",
			setup: func(t *testing.T, r *rig) {
				r.park(t, "a", "701")
				r.must(t, Invite{Leg: "b", To: "701", Shown: r.calls["a"].Alias().CallID})
				_ = r.do(Acked{Leg: "b"})
				r.pass(10*time.Second - time.Nanosecond)
			},
			in: func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "b"}} }, err: ErrGuarded},
		{name: "guard: after ten seconds it can",
			setup: func(t *testing.T, r *rig) {
				r.park(t, "a", "701")
				r.must(t, Invite{Leg: "b", To: "701", Shown: r.calls["a"].Alias().CallID})
				_ = r.do(Acked{Leg: "b"})
				r.pass(10 * time.Second)
			},
			in: func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "b"}} }, peer: "a"},
		{name: "guard: whoever dialled a code has none",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701"); r.must(t, Invite{Leg: "b", To: "*4701"}) },
			in:    func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "b"}} }, peer: "a"},

		{name: "a code retrieves the oldest",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702"); r.park(t, "b", "702") },
			in:    func(*rig) Invite { return Invite{To: "**702"} }, peer: "a"},
		{name: "even in a transfer",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in:    func(*rig) Invite { return Invite{To: "*4701", Referred: true} }, peer: "a"},
		{name: "longest code first, as long as an orbit stands behind it",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701"); r.park(t, "b", "01") },
			in:    func(*rig) Invite { return Invite{To: "*8701"} }, peer: "b"},
		{name: "the shorter code where behind the longer there is no orbit",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "703") },
			in:    func(*rig) Invite { return Invite{To: "*8703"} }, peer: "a"},
		{name: "an orbit whose extension begins like a code",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702") },
			in:    func(*rig) Invite { return Invite{To: "*4702"} }, music: "star"},
		{name: "a code before that orbit",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702"); r.park(t, "b", "*4702") },
			in:    func(*rig) Invite { return Invite{To: "*4*4702"} }, peer: "b"},
		{name: "a code on an empty orbit", in: func(*rig) Invite { return Invite{To: "*4703"} }, err: ErrNothing},
		{name: "a code before nothing", in: func(*rig) Invite { return Invite{To: "*4"} }, err: ErrUnknown},
		{name: "operation=retrieve",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702"); r.park(t, "b", "702") },
			in:    func(*rig) Invite { return Invite{To: "702", Retrieve: true} }, peer: "a"},
		{name: "operation=retrieve on an empty orbit never parks",
			in: func(*rig) Invite { return Invite{To: "702", Retrieve: true, Referred: true} }, err: ErrNothing},
		{name: "a call that is being retrieved is not there for others",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "703"); r.must(t, Invite{Leg: "b", To: "*4703"}) },
			in:    func(*rig) Invite { return Invite{To: "*4703"} }, err: ErrNothing},

		{name: "a transfer parks", in: func(*rig) Invite { return Invite{To: "701", Referred: true} }, music: "sales"},
		{name: "a transfer to an occupied orbit, by its watcher",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in: func(r *rig) Invite {
				return Invite{To: "701", Referred: true, Shown: r.calls["a"].Alias().CallID}
			}, err: ErrFull},
		{name: "a transfer to an orbit whose call is being retrieved",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701"); r.must(t, Invite{Leg: "b", To: "*4701"}) },
			in:    func(*rig) Invite { return Invite{To: "701", Referred: true} }, err: ErrFull},
		{name: "a transfer where every INVITE is a press still parks",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "705") },
			in:    func(*rig) Invite { return Invite{To: "705", Referred: true} }, music: "always"},

		{name: "a watcher's press retrieves the call it saw",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702"); r.park(t, "b", "702") },
			in:    func(r *rig) Invite { return Invite{To: "702", Shown: r.calls["b"].Alias().CallID} }, peer: "b"},
		{name: "a watcher's press whose call is gone is never parked",
			in: func(*rig) Invite { return Invite{To: "702", Shown: (&Call{ID: "gone"}).Alias().CallID} }, err: ErrNothing},
		{name: "nor given somebody else",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702") },
			in:    func(*rig) Invite { return Invite{To: "702", Shown: (&Call{ID: "gone"}).Alias().CallID} }, err: ErrNothing},
		{name: "nor the call of another orbit",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in:    func(r *rig) Invite { return Invite{To: "702", Shown: r.calls["a"].Alias().CallID} }, err: ErrNothing},

		{name: "a direct dial parks", in: func(*rig) Invite { return Invite{To: "702"} }, music: "queue"},
		{name: "a direct dial to an occupied orbit", err: ErrFull,
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in:    func(*rig) Invite { return Invite{To: "701"} }},
		{name: "press always: anybody retrieves",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "705"); r.park(t, "b", "705") },
			in:    func(*rig) Invite { return Invite{To: "705"} }, peer: "a"},
		{name: "press always: where there is nothing, it parks",
			in: func(*rig) Invite { return Invite{To: "705"} }, music: "always"},
		{name: "press always: a watcher still gets the call it saw",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "705"); r.park(t, "b", "705") },
			in:    func(r *rig) Invite { return Invite{To: "705", Shown: r.calls["b"].Alias().CallID} }, peer: "b"},
		{name: "press never: a watcher parks as well",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "706") },
			in:    func(r *rig) Invite { return Invite{To: "706", Shown: r.calls["a"].Alias().CallID} }, music: "never"},

		{name: "barred: a code", err: ErrBarred,
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in:    func(*rig) Invite { return Invite{To: "*4701", Barred: true} }},
		{name: "barred: a code, where nobody is", err: ErrBarred,
			in: func(*rig) Invite { return Invite{To: "*4701", Barred: true} }},
		{name: "barred: operation=retrieve", err: ErrBarred,
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in:    func(*rig) Invite { return Invite{To: "701", Retrieve: true, Barred: true} }},
		{name: "barred: Replaces of an alias", err: ErrBarred,
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in: func(r *rig) Invite {
				return Invite{To: "701", Barred: true, Replaces: replaces(r.calls["a"].Alias(), false)}
			}},
		{name: "barred: a watcher's press is never parked", err: ErrBarred,
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "702") },
			in: func(r *rig) Invite {
				return Invite{To: "702", Barred: true, Shown: r.calls["a"].Alias().CallID}
			}},
		{name: "barred: press always", err: ErrBarred,
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "705") },
			in:    func(*rig) Invite { return Invite{To: "705", Barred: true} }},
		{name: "barred: a direct dial parks", in: func(*rig) Invite { return Invite{To: "702", Barred: true} }, music: "queue"},
		{name: "barred: a transfer parks", in: func(*rig) Invite { return Invite{To: "701", Barred: true, Referred: true} }, music: "sales"},
		{name: "barred: a consultation is completed",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701") },
			in:    func(*rig) Invite { return Invite{To: "701", Barred: true, Replaces: &Replaces{Leg: "a"}} }, music: "sales"},

		{name: "an unknown orbit", in: func(*rig) Invite { return Invite{To: "799", Referred: true} }, err: ErrUnknown},
		{name: "no user at all", in: func(*rig) Invite { return Invite{} }, err: ErrUnknown},
		{name: "a disabled orbit", in: func(*rig) Invite { return Invite{To: "704", Referred: true} }, err: ErrUnknown},
		{name: "a full FIFO", err: ErrFull,
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "703"); r.park(t, "b", "703") },
			in:    func(*rig) Invite { return Invite{To: "703"} }},
		{name: "a FIFO with a place free again",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "703"); r.park(t, "b", "703"); r.hangup("a") },
			in:    func(*rig) Invite { return Invite{To: "703"} }, music: "two"},
		{name: "draining: no new parks", err: ErrDraining,
			setup: func(_ *testing.T, r *rig) { _ = r.do(Drain{}) },
			in:    func(*rig) Invite { return Invite{To: "701", Referred: true} }},
		{name: "draining: retrieves go on",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701"); _ = r.do(Drain{}) },
			in:    func(*rig) Invite { return Invite{To: "*4701"} }, peer: "a"},
		{name: "draining: a consultation is completed",
			setup: func(t *testing.T, r *rig) { r.park(t, "a", "701"); _ = r.do(Drain{}) },
			in:    func(*rig) Invite { return Invite{To: "701", Replaces: &Replaces{Leg: "a"}} }, music: "sales"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			if tt.setup != nil {
				tt.setup(t, r)
			}
			in := tt.in(r)
			in.Leg = "new"
			before := r.Encode()
			if err := r.invite(in); !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if tt.err != nil && string(r.Encode()) != string(before) {
				t.Error("the refusal changed the state")
			}
			if p := r.w.legs["new"]; p.Peer != tt.peer || p.Music != tt.music || !errors.Is(p.refused, tt.err) {
				t.Errorf("new leg is %+v", p)
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMaxCalls(t *testing.T) {
	set := office()
	set.MaxCalls = 2
	r := newRig(set)
	r.park(t, "a", "701")
	r.park(t, "b", "702")
	if err := r.invite(Invite{Leg: "c", To: "702"}); !errors.Is(err, ErrLimit) {
		t.Fatalf("third park: %v", err)
	}
	r.must(t, Invite{Leg: "d", To: "**702"})
	_ = r.do(Acked{Leg: "d"}) // bridged calls do not count
	r.must(t, Invite{Leg: "e", To: "702"})
}

// An orbit taken out of the configuration keeps its calls until they are
// fetched, and is gone then.
func TestRemovedOrbit(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "702")
	r.park(t, "b", "702")
	set := office()
	set.Orbits = set.Orbits[:1]
	calls, legs := r.Snapshot()
	next := NewState(set)
	next.Restore(calls, legs)
	r.State = next
	for _, e := range next.Owed() {
		r.w.carry(e)
	}

	if err := r.invite(Invite{Leg: "c", To: "702", Referred: true}); !errors.Is(err, ErrUnknown) {
		t.Errorf("park: %v", err)
	}
	if v, ok := r.View("702"); !ok || v.Enabled || v.Count != 2 || v.State != "parked" || v.Head == nil || v.Head.ID != "a" {
		t.Errorf("view: %+v, %t", v, ok)
	}
	if err := r.do(Return{Call: "b"}); err != nil {
		t.Errorf("return: %v", err)
	}
	if r.pass(time.Second); r.w.legs["b.1"].State != "ringing" {
		t.Errorf("a return rings: %+v", r.w.legs["b.1"])
	}
	r.must(t, Invite{Leg: "d", To: "**702"})
	if p := r.w.legs["d"]; p.Peer != "a" {
		t.Errorf("retriever is %+v", p)
	}
	r.must(t, Invite{Leg: "e", To: "702", Shown: r.calls["b"].Alias().CallID})
	_ = r.do(Acked{Leg: "d"})
	_ = r.do(Acked{Leg: "e"})
	if err := r.check(); err != nil {
		t.Error(err)
	}
	if _, ok := r.View("702"); ok {
		t.Error("the empty orbit is still there")
	}
}
