package orbit

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// talking is an office in which Carol has retrieved Ann, as c1, and Eve has Dan, as
// d1; Fay waits in 702.
func talking(t *testing.T) *rig {
	t.Helper()
	r := newRig(office())
	fetch := func(caller, by, ext string) {
		r.must(t, Invite{Leg: caller, To: ext, Referred: true, Parker: bob, Name: caller, URI: "sip:" + caller + "@x", Self: "sip:" + caller + "@x", Codec: "PCMU"})
		r.must(t, Invite{Leg: by, To: "*4" + ext, Name: by, URI: "sip:" + by + "@x", Self: "sip:" + by + "@x", Codec: "PCMA"})
		_ = r.do(Acked{Leg: by})
	}
	fetch("ann", "carol", "701")
	fetch("dan", "eve", "703")
	r.must(t, Invite{Leg: "fay", To: "702", Name: "fay", URI: "sip:fay@x", Self: "sip:fay@x", Codec: "PCMU"})
	r.events = nil
	return r
}

// told is the last report that a leg had.
func (r *rig) told(leg string) Report {
	if list := r.w.reports[leg]; len(list) > 0 {
		return list[len(list)-1]
	}
	return Report{}
}

const dave = "sip:dave@example.com"

func TestReferToWhatIsOurs(t *testing.T) {
	alias := func(r *rig, call string) *Replaces { a := r.calls[call].Alias(); return replaces(a, false) }
	tests := []struct {
		name    string
		refer   func(r *rig) Refer
		call    string // what is left of it
		phase   Phase
		caller  string
		other   string
		at      string
		parker  string
		music   string
		gone    []string // calls
		retired []string // legs
	}{
		{name: "the retriever parks the caller again", refer: func(*rig) Refer { return Refer{Leg: "carol", To: "705", Ours: true} },
			call: "ann", phase: Parked, caller: "ann", at: "705", parker: "sip:carol@x", music: "always", retired: []string{"carol"}},
		{name: "the caller parks the retriever", refer: func(*rig) Refer { return Refer{Leg: "ann", To: "705", Ours: true} },
			call: "ann", phase: Parked, caller: "carol", at: "705", parker: "sip:ann@x", music: "always", retired: []string{"ann"}},
		{name: "a code", refer: func(*rig) Refer { return Refer{Leg: "carol", To: "**702", Ours: true} },
			call: "fay", phase: Bridged, caller: "fay", other: "ann", gone: []string{"ann"}, retired: []string{"carol"}},
		{name: "an operation", refer: func(*rig) Refer { return Refer{Leg: "ann", To: "702", Ours: true, Retrieve: true} },
			call: "fay", phase: Bridged, caller: "fay", other: "carol", gone: []string{"ann"}, retired: []string{"ann"}},
		{name: "an alias", refer: func(r *rig) Refer { return Refer{Leg: "carol", To: "702", Ours: true, Replaces: alias(r, "fay")} },
			call: "fay", phase: Bridged, caller: "fay", other: "ann", gone: []string{"ann"}, retired: []string{"carol"}},
		{name: "an alias, seen from elsewhere", refer: func(r *rig) Refer { return Refer{Leg: "carol", To: "x", Replaces: alias(r, "fay")} },
			call: "fay", phase: Bridged, caller: "fay", other: "ann", gone: []string{"ann"}, retired: []string{"carol"}},
		{name: "a consultation that is parked", refer: func(*rig) Refer { return Refer{Leg: "carol", To: "702", Ours: true, Replaces: &Replaces{Leg: "fay"}} },
			call: "fay", phase: Parked, caller: "ann", at: "702", parker: "sip:carol@x", music: "queue", gone: []string{"ann"}, retired: []string{"carol", "fay"}},
		{name: "the same from within the consultation", refer: func(*rig) Refer { return Refer{Leg: "fay", To: "x", Replaces: &Replaces{Leg: "carol"}} },
			call: "fay", phase: Parked, caller: "ann", at: "702", parker: "sip:carol@x", music: "queue", gone: []string{"ann"}, retired: []string{"carol", "fay"}},
		{name: "two retrievers", refer: func(*rig) Refer { return Refer{Leg: "carol", To: "x", Replaces: &Replaces{Leg: "eve"}} },
			call: "dan", phase: Bridged, caller: "dan", other: "ann", gone: []string{"ann"}, retired: []string{"carol", "eve"}},
		{name: "a caller and a retriever", refer: func(*rig) Refer { return Refer{Leg: "carol", To: "x", Replaces: &Replaces{Leg: "dan"}} },
			call: "dan", phase: Bridged, caller: "eve", other: "ann", gone: []string{"ann"}, retired: []string{"carol", "dan"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := talking(t)
			in := tt.refer(r)
			if err := r.do(in); err != nil {
				t.Fatal(err)
			}
			e := r.is(t, tt.call, tt.phase)
			if e.Caller != tt.caller || e.Other != tt.other || e.At != tt.at || tt.phase == Parked && e.Parker != tt.parker {
				t.Errorf("call is %+v", e.Call)
			}
			if p := r.w.legs[tt.caller]; tt.phase == Parked && (p.State != "music" || p.Music != tt.music) || tt.phase == Bridged && p.Peer != tt.other {
				t.Errorf("caller is %+v", p)
			}
			if got := r.told(in.Leg); got != (Report{Leg: in.Leg, Code: 200}) {
				t.Errorf("told %+v", got)
			}
			for _, id := range tt.gone {
				if _, there := r.Call(id); there {
					t.Errorf("call %s goes on", id)
				}
			}
			for _, leg := range tt.retired {
				if r.w.legs[leg].State != "ended" {
					t.Errorf("leg %s is %+v", leg, r.w.legs[leg])
				}
			}
			if e.URI != "sip:"+tt.caller+"@x" || tt.other != "" && e.With.URI != "sip:"+tt.other+"@x" {
				t.Errorf("caller is %s, with %s", e.URI, e.With.URI)
			}
		})
	}
}

func TestReferIsRefused(t *testing.T) {
	ours := func(leg, to string, r *Replaces) Refer { return Refer{Leg: leg, To: to, Ours: true, Replaces: r} }
	tests := []struct {
		name  string
		setup func(r *rig)
		refer Refer
		want  error
	}{
		{"of a call that is gone", nil, ours("nobody", "701", nil), ErrGone},
		{"to a full orbit", func(r *rig) { _ = r.invite(Invite{Leg: "x", To: "701"}) }, ours("carol", "701", nil), ErrFull},
		{"to an orbit that is off", nil, ours("carol", "704", nil), ErrUnknown},
		{"while shutting down", func(r *rig) { _ = r.do(Drain{}) }, ours("carol", "701", nil), ErrDraining},
		{"to a code without a call", nil, ours("carol", "*4705", nil), ErrNothing},
		{"to somebody who may not be called", nil, ours("carol", "00900123", nil), ErrTarget},
		{"an orbit to an orbit", nil, ours("fay", "701", nil), ErrRefer},
		{"an orbit to a code", nil, ours("fay", "**702", nil), ErrRefer},
		{"to itself", nil, ours("carol", "x", &Replaces{Leg: "carol"}), ErrRefer},
		{"to the other end", nil, ours("carol", "x", &Replaces{Leg: "ann"}), ErrRefer},
		{"two orbits together", func(r *rig) { _ = r.invite(Invite{Leg: "x", To: "705"}) }, ours("fay", "x", &Replaces{Leg: "x"}), ErrRefer},
		{"to a dialog of ours that is over", func(r *rig) { r.hangup("dan") }, ours("carol", "x", &Replaces{Leg: "dan"}), ErrReplaces},
		{"to a dialog that never was, at an orbit", nil, ours("carol", "702", &Replaces{CallID: "x"}), ErrReplaces},
		{"barred, to a code", nil, Refer{Leg: "carol", To: "**702", Ours: true, Barred: true}, ErrBarred},
		{"barred, to an operation", nil, Refer{Leg: "carol", To: "702", Ours: true, Retrieve: true, Barred: true}, ErrBarred},
		{"barred, to an alias", nil, Refer{Leg: "carol", To: "702", Ours: true, Barred: true, Replaces: replaces((&Call{ID: "fay"}).Alias(), false)}, ErrBarred},
		{"early only", nil, ours("carol", "x", &Replaces{Leg: "dan", EarlyOnly: true}), ErrEarly},
		{"of a retriever who has not confirmed", func(r *rig) { _ = r.invite(Invite{Leg: "x", To: "**702"}) }, ours("x", "701", nil), ErrPending},
		{"of a caller who is being retrieved", func(r *rig) { _ = r.invite(Invite{Leg: "x", To: "**702"}) }, ours("fay", "701", nil), ErrPending},
		{"to a retriever who has not confirmed", func(r *rig) { _ = r.invite(Invite{Leg: "x", To: "**702"}) }, ours("carol", "x", &Replaces{Leg: "x"}), ErrPending},
		{"while another one is under way", func(r *rig) { _ = r.do(Refer{Leg: "carol", Target: dave}) }, ours("ann", "701", nil), ErrPending},
		{"to a leg with one under way", func(r *rig) { _ = r.do(Refer{Leg: "carol", Target: dave}) }, ours("eve", "x", &Replaces{Leg: "ann"}), ErrPending},
		{"with Replaces, by a presser", func(r *rig) {
			_ = r.invite(Invite{Leg: "x", To: "702", Shown: r.calls["fay"].Alias().CallID})
			_ = r.do(Acked{Leg: "x"})
		}, Refer{Leg: "x", Target: dave, Replaces: &Replaces{CallID: "elsewhere"}}, ErrGuarded},
		{"with Replaces, by a presser whose transfer has just failed", func(r *rig) {
			_ = r.invite(Invite{Leg: "x", To: "702", Shown: r.calls["fay"].Alias().CallID})
			_ = r.do(Acked{Leg: "x"})
			_ = r.do(Refer{Leg: "x", Target: dave})
			r.w.end("fay.1")
			_ = r.do(Hangup{Leg: "fay.1", Code: 486})
		}, Refer{Leg: "x", Target: dave, Replaces: &Replaces{CallID: "elsewhere"}}, ErrGuarded},
		{"to a presser's leg", func(r *rig) {
			_ = r.invite(Invite{Leg: "x", To: "702", Shown: r.calls["fay"].Alias().CallID})
			_ = r.do(Acked{Leg: "x"})
		}, ours("carol", "x", &Replaces{Leg: "x"}), ErrGuarded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := talking(t)
			if tt.setup != nil {
				tt.setup(r)
			}
			before := string(r.Encode())
			err := r.do(tt.refer)
			if !errors.Is(err, tt.want) {
				t.Errorf("refused with %v, want %v", err, tt.want)
			}
			if string(r.Encode()) != before {
				t.Error("a refusal changed the state")
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
			if got := r.told(tt.refer.Leg); r.w.legs[tt.refer.Leg] != nil && !errors.Is(got.Err, tt.want) {
				t.Errorf("told %+v", got)
			}
		})
	}
}

// called is a transfer of Ann to Dave by Carol, under way.
func called(t *testing.T) (*rig, string) {
	t.Helper()
	r := talking(t)
	carries := Reference{ReferredBy: "<sip:carol@x>", Replaces: "x;to-tag=1;from-tag=2"}
	if err := r.do(Refer{Leg: "carol", To: "dave", Target: dave, Carries: carries}); err != nil {
		t.Fatal(err)
	}
	e := r.is(t, "ann", Transferring)
	ring := Ring{Leg: "ann.1", Call: "ann", Target: dave, Caller: "ann", Orbit: "701", Party: Party{"ann", "sip:ann@x"}, Refer: carries}
	if got := r.w.rung[len(r.w.rung)-1]; got != ring || e.Left != "carol" || r.told("carol").Code != 100 {
		t.Fatalf("rung %+v, call %+v, told %+v", got, e.Call, r.told("carol"))
	}
	if err := r.do(Progress{Leg: "ann.1", Code: 180}); err != nil || r.told("carol").Code != 180 {
		t.Fatalf("told %+v, %v", r.told("carol"), err)
	}
	return r, ring.Leg
}

func TestTransferToSomebodyElse(t *testing.T) {
	leaves := func(r *rig) { r.hangup("carol") }
	answers := func(r *rig) { _ = r.do(Answered{Leg: "ann.1"}) }
	busy := func(r *rig) { r.w.end("ann.1"); _ = r.do(Hangup{Leg: "ann.1", Code: 486}) }
	tests := []struct {
		name   string
		steps  []func(*rig)
		phase  Phase
		other  string
		told   int
		parker string
		soon   bool // whoever transferred is called back in a moment
	}{
		{name: "answered", steps: []func(*rig){answers}, phase: Bridged, other: "ann.1", told: 200},
		{name: "busy", steps: []func(*rig){busy}, phase: Bridged, other: "carol", told: 486},
		{name: "not reachable", steps: []func(*rig){func(r *rig) { r.hangup("ann.1") }}, phase: Bridged, other: "carol", told: 503},
		{name: "no answer", steps: []func(*rig){func(r *rig) { r.pass(transferRing) }}, phase: Bridged, other: "carol", told: 408},
		{name: "a restart", steps: []func(*rig){func(r *rig) { _ = r.do(Restart{}) }}, phase: Bridged, other: "carol", told: 180},
		{name: "left alone", steps: []func(*rig){leaves}, phase: Transferring, other: "ann.1", told: 180},
		{name: "left alone, answered", steps: []func(*rig){leaves, answers}, phase: Bridged, other: "ann.1", told: 180},
		{name: "left alone, busy", steps: []func(*rig){leaves, busy}, phase: Parked, told: 180, parker: "sip:carol@x", soon: true},
		{name: "left alone, no answer", steps: []func(*rig){leaves, func(r *rig) { r.pass(transferRing) }}, phase: Parked, told: 180, parker: "sip:carol@x", soon: true},
		{name: "left alone, a restart", steps: []func(*rig){leaves, func(r *rig) { _ = r.do(Restart{}) }}, phase: Parked, told: 180, parker: "sip:carol@x", soon: true},
		{name: "left alone, the place is taken, busy", steps: []func(*rig){leaves, func(r *rig) { _ = r.invite(Invite{Leg: "x", To: "701"}) }, busy},
			phase: Parked, told: 180, parker: "sip:carol@x", soon: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := called(t)
			for _, step := range tt.steps {
				step(r)
			}
			e := r.is(t, "ann", tt.phase)
			if e.Other != tt.other || e.Caller != "ann" || r.told("carol").Code != tt.told {
				t.Errorf("call is %+v, told %+v", e.Call, r.told("carol"))
			}
			if tt.phase == Parked && (e.Parker != tt.parker || e.At != "701" || tt.soon && !e.Due.Equal(r.now.Add(callOff)) || r.w.legs["ann"].Music != "sales") {
				t.Errorf("call is %+v, caller %+v", e.Call, r.w.legs["ann"])
			}
			if tt.other == "ann.1" && tt.phase == Bridged && (e.With.URI != dave || r.w.legs["carol"].State != "ended") {
				t.Errorf("with %+v, carol is %+v", e.With, r.w.legs["carol"])
			}
			if tt.other == "carol" && e.With.URI != "sip:carol@x" {
				t.Errorf("with %+v", e.With)
			}
		})
	}
	for name, hangup := range map[string]func(*rig){
		"before she is told":     func(r *rig) { _ = r.do(Hangup{Leg: "carol", Early: true}) },
		"soon after a restart":   func(r *rig) { r.pass(30 * time.Second); r.hangup("carol") },
		"as she has been told":   func(r *rig) { r.hangup("carol") },
		"long after the restart": func(r *rig) { r.pass(2 * time.Minute); r.hangup("carol") },
	} {
		t.Run("she hangs up "+name, func(t *testing.T) {
			r, _ := called(t)
			if strings.Contains(name, "restart") {
				_ = r.do(Restart{})
			} else {
				busy(r)
			}
			r.w.end("carol")
			hangup(r)
			c, there := r.Call("ann")
			if kept := !strings.Contains(name, "has") && !strings.Contains(name, "long"); there != kept || kept && (c.Parker != "sip:carol@x" || !c.Due.Equal(r.now.Add(callOff))) {
				t.Errorf("there %t: %+v", there, c)
			}
		})
	}
	t.Run("answered, and never confirmed, long after the caller was parked", func(t *testing.T) {
		set := office()
		set.MaxTime = time.Hour
		r, leg := called(t)
		r.configure(t, set)
		r.pass(transferRing / 2)
		r.now = r.now.Add(2 * time.Hour)
		_ = r.do(Answered{Leg: leg})
		r.w.end(leg)
		_ = r.do(Hangup{Leg: leg, Lost: true})
		_ = r.do(Due{})
		if e := r.is(t, "ann", Parked); e.Parker != "sip:carol@x" || !e.Since.Equal(r.now) {
			t.Errorf("call is %+v", e.Call)
		}
	})
	t.Run("the caller hangs up", func(t *testing.T) {
		r, leg := called(t)
		r.hangup("ann")
		if _, there := r.Call("ann"); there || r.w.legs["carol"].State != "ended" || r.w.legs[leg].State != "ended" {
			t.Errorf("carol is %+v, dave %+v", r.w.legs["carol"], r.w.legs[leg])
		}
	})
	t.Run("dropped", func(t *testing.T) {
		r, leg := called(t)
		_ = r.do(Drop{Call: "ann"})
		for _, id := range []string{"ann", "carol", leg} {
			if r.w.legs[id].State != "ended" {
				t.Errorf("%s is %+v", id, r.w.legs[id])
			}
		}
	})
	t.Run("nobody takes a place meanwhile", func(t *testing.T) {
		r, leg := called(t)
		for _, id := range []string{"ann", "carol", leg} {
			err := r.invite(Invite{Leg: "x", To: "x", Replaces: &Replaces{Leg: id}})
			if want := map[bool]error{true: ErrReplaces, false: ErrPending}[id == leg]; !errors.Is(err, want) {
				t.Errorf("%s replaced: %v, want %v", id, err, want)
			}
		}
	})
}

// A consultation call that is parked sends for the party who is to be parked.
func TestTransferIntoAnOrbitFromWithin(t *testing.T) {
	tests := []struct {
		name   string
		steps  []func(*rig)
		phase  Phase
		caller string
		told   int
	}{
		{"answered", []func(*rig){func(r *rig) { _ = r.do(Answered{Leg: "fay.1", Codec: "G722"}) }}, Parked, "fay.1", 200},
		{"busy", []func(*rig){func(r *rig) {
			r.w.end("fay.1")
			r.w.end("fay.1")
			_ = r.do(Hangup{Leg: "fay.1", Code: 486})
		}}, Parked, "fay", 486},
		{"no answer", []func(*rig){func(r *rig) { r.pass(transferRing) }}, Parked, "fay", 408},
		{"a restart", []func(*rig){func(r *rig) { _ = r.do(Restart{}) }}, Parked, "fay", 100},
		{"she hangs up, answered", []func(*rig){func(r *rig) { r.hangup("fay") }, func(r *rig) { _ = r.do(Answered{Leg: "fay.1"}) }}, Parked, "fay.1", 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := talking(t)
			if err := r.do(Refer{Leg: "fay", To: "dave", Target: dave}); err != nil {
				t.Fatal(err)
			}
			before := r.is(t, "fay", Inviting)
			if _, there := r.View("702"); !there || r.places["702"].head != nil {
				t.Error("a call that somebody is called for can be fetched")
			}
			alias := before.Alias()
			for _, step := range tt.steps {
				step(r)
			}
			e := r.is(t, "fay", tt.phase)
			if e.Caller != tt.caller || r.told("fay").Code != tt.told || e.Seq != 3 {
				t.Errorf("call is %+v, told %+v", e.Call, r.told("fay"))
			}
			if tt.caller == "fay.1" && (e.Parker != "sip:fay@x" || e.URI != dave || e.Alias() == alias) {
				t.Errorf("call is %+v", e.Call)
			}
			if tt.caller == "fay" && (e.URI != "sip:fay@x" || e.Self != "sip:fay@x") {
				t.Errorf("call is %+v", e.Call)
			}
		})
	}
	t.Run("she hangs up, busy", func(t *testing.T) {
		r := talking(t)
		_ = r.do(Refer{Leg: "fay", To: "dave", Target: dave})
		r.hangup("fay")
		r.hangup("fay.1")
		if _, there := r.Call("fay"); there {
			t.Error("nobody is parked")
		}
	})
}

func TestSummon(t *testing.T) {
	in := Summon{Refer: Refer{Leg: "r", To: "dave", Target: dave, Carries: Reference{Replaces: "x;to-tag=1;from-tag=2"}}, At: "705", Parker: bob}
	summoned := func(t *testing.T) *rig {
		t.Helper()
		r := talking(t)
		r.w.legs["r"] = &party{State: "referring"}
		if err := r.do(in); err != nil {
			t.Fatal(err)
		}
		e := r.is(t, "r", Inviting)
		want := Ring{Leg: "r.1", Call: "r", Target: dave, Caller: "r", Orbit: "705", Refer: in.Carries}
		if got := r.w.rung[len(r.w.rung)-1]; got != want || e.At != "705" || r.told("r").Code != 100 {
			t.Fatalf("rung %+v, call %+v, told %+v", got, e.Call, r.told("r"))
		}
		return r
	}
	t.Run("answered", func(t *testing.T) {
		r := summoned(t)
		r.now = r.now.Add(3 * time.Second)
		_ = r.do(Answered{Leg: "r.1", Codec: "PCMU"})
		e := r.is(t, "r", Parked)
		if e.Caller != "r.1" || e.Parker != bob || e.URI != dave || !e.Since.Equal(r.now) || e.Codec != "PCMU" || e.Outside ||
			r.told("r").Code != 200 || r.w.legs["r.1"].Music != "always" {
			t.Errorf("call is %+v, told %+v", e.Call, r.told("r"))
		}
	})
	t.Run("called first, then told", func(t *testing.T) { // a REFER without reports is over with its 202
		ch, err := talking(t).Decide(time.Time{}, in)
		if err != nil || len(ch.After) != 2 {
			t.Fatalf("%v, %v", ch.After, err)
		}
		_, ring := ch.After[0].(Ring)
		if _, report := ch.After[1].(Report); !ring || !report {
			t.Errorf("%#v", ch.After)
		}
	})
	t.Run("answered, and nobody wants to know", func(t *testing.T) {
		r := summoned(t)
		r.hangup("r")
		_ = r.do(Answered{Leg: "r.1"})
		if e := r.is(t, "r", Parked); e.Parker != bob {
			t.Errorf("call is %+v", e.Call)
		}
	})
	for name, end := range map[string]struct {
		f    func(*rig)
		code int
	}{
		"busy":      {func(r *rig) { r.w.end("r.1"); _ = r.do(Hangup{Leg: "r.1", Code: 486}) }, 486},
		"no answer": {func(r *rig) { r.pass(transferRing) }, 408},
		"a restart": {func(r *rig) { _ = r.do(Restart{}) }, 100},
	} {
		t.Run(name, func(t *testing.T) {
			r := summoned(t)
			end.f(r)
			if _, there := r.Call("r"); there || r.told("r").Code != end.code || r.places["705"].count != 0 {
				t.Errorf("told %+v", r.told("r"))
			}
			if err := r.check(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("somebody who is behind us", func(t *testing.T) {
		r := talking(t)
		r.w.legs["r"] = &party{State: "referring"}
		in := Summon{Refer: Refer{Leg: "r", Replaces: &Replaces{Leg: "carol"}}, At: "705", Parker: bob}
		if err := r.do(in); err != nil {
			t.Fatal(err)
		}
		e := r.is(t, "ann", Parked)
		if e.Parker != bob || e.At != "705" || r.w.legs["carol"].State != "ended" || r.told("r").Code != 200 {
			t.Errorf("call is %+v, told %+v", e.Call, r.told("r"))
		}
	})
	for name, refused := range map[string]struct {
		in   Summon
		want error
	}{
		"an orbit of ours":               {Summon{Refer: Refer{Leg: "r", To: "702", Ours: true, Target: dave}, At: "705"}, ErrRefer},
		"who waits in one":               {Summon{Refer: Refer{Leg: "r", Replaces: &Replaces{Leg: "fay"}}, At: "705"}, ErrRefer},
		"a dialog of nobody's":           {Summon{Refer: Refer{Leg: "r", Replaces: &Replaces{Leg: "nobody"}}, At: "705"}, ErrReplaces},
		"somebody who may not be called": {Summon{Refer: Refer{Leg: "r"}, At: "705"}, ErrTarget},
		"no orbit":                       {Summon{Refer: Refer{Leg: "r", Target: dave}, At: "200"}, ErrUnknown},
		"a code":                         {Summon{Refer: Refer{Leg: "r", Target: dave}, At: "**702"}, ErrUnknown},
		"an orbit that is off":           {Summon{Refer: Refer{Leg: "r", Target: dave}, At: "704"}, ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			r := talking(t)
			r.w.legs["r"] = &party{State: "referring"}
			if err := r.do(refused.in); !errors.Is(err, refused.want) || !errors.Is(r.told("r").Err, refused.want) {
				t.Errorf("refused with %v, told %+v", err, r.told("r"))
			}
		})
	}
}
