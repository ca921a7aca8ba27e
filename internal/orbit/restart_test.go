package orbit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// restarted runs Restart on a restored state and carries out what is owed, and
// checks what that made of each call.
func (r *rig) restarted() error {
	before, legs := r.Snapshot()
	r.turned() // nobody has been told anything yet
	if err := r.step(Restart{}); err != nil {
		return err
	}
	owed := r.Owed()
	for range 2 { // twice does no harm
		for _, e := range owed {
			r.w.carry(e)
		}
	}
	if ch, err := r.Decide(r.now, Restart{}); err != nil || !ch.Empty() || len(ch.Events) > 0 {
		return fmt.Errorf("a second restart: %+v, %w", ch, err)
	}
	after := r.ordered()
	before = slices.DeleteFunc(before, func(c Call) bool { // nobody is there
		return c.Phase == Inviting && (c.Left == "" || c.Outside)
	})
	if len(after) != len(before) || len(r.legs) < len(legs) {
		return fmt.Errorf("%d calls and %d legs of %d and %d", len(after), len(r.legs), len(before), len(legs))
	}
	for i := range after {
		if want := r.resolved(before[i]); after[i] != want {
			return fmt.Errorf("restart made %+v\nof %+v\nwant %+v", after[i], before[i], want)
		}
	}
	return errors.Join(r.owes(owed), r.check())
}

// resolved is what a restart is to make of a call.
func (r *rig) resolved(c Call) Call {
	wait, returns := r.wait(&c)
	switch {
	case c.Phase == Returning:
		c.Phase, c.Other, c.With, c.Due = Parked, "", Identity{}, r.now.Add(callOff)
		c.Answered, c.Rung, c.Then = false, "", ""
		return c
	case c.Phase == Retrieving && !c.Due.After(r.now):
		c.Phase, c.Other, c.With, c.Guard, c.Due = Parked, "", Identity{}, time.Time{}, time.Time{}
		c.Turn++
	case c.Phase == Transferring && c.Left != "":
		c.Phase, c.Other, c.With, c.Left, c.By, c.Due = Bridged, c.Left, c.By, "", Identity{}, r.now.Add(transferRing)
		c.Told = true
		return c
	case c.Phase == Transferring:
		c.At, c.Turn, c.Since = c.Home, c.Turn+1, r.now
		if c.By.Self != "" {
			c.Parker, c.Tries = c.By.Self, 0
		}
		c.Phase, c.Other, c.With, c.By, c.Due = Parked, "", Identity{}, Identity{}, time.Time{}
		c.Due, c.Asked = r.now.Add(callOff), true
		return c
	case c.Phase == Inviting:
		c.Phase, c.Caller, c.Name, c.URI, c.Self, c.Codec = Parked, c.Left, c.By.Name, c.By.URI, c.By.Self, ""
		c.Left, c.By, c.Due = "", Identity{}, time.Time{}
		wait, returns = r.wait(&c)
	case c.Phase != Parked || !c.Due.IsZero():
		return c
	}
	if returns {
		c.Due = r.now.Add(wait)
	}
	return c
}

// owes: every leg is told where it belongs, or to end.
func (r *rig) owes(owed []Effect) error {
	told := map[string][]Effect{}
	for _, e := range owed {
		told[e.LegID()] = append(told[e.LegID()], e)
	}
	for id, l := range r.legs {
		var want []Effect
		switch e := r.calls[l.call]; {
		case e != nil && e.Handing == HandingOn:
		case e == nil:
			want = []Effect{Bye{id, "restarted"}}
		case e.Phase == Parked:
			music := r.settings(e.At).Music
			answer := Answer{Leg: id, Call: e.ID, Orbit: e.Home, Music: music}
			if e.Pool != "" {
				answer.Party = r.places[e.At].named()
			}
			want = []Effect{answer, Play{id, music}}
		case id == e.Caller:
			want = []Effect{Answer{Leg: id, Call: e.ID, Orbit: e.Home, Peer: e.Other}, Bridge{
				Leg: id, Peer: e.Other, Direct: e.Phase == Bridged && r.settings(e.Home).Retrieve == RetrieveDirect}}
		default:
			want = []Effect{Answer{Leg: id, Call: e.ID, Orbit: e.Home, Peer: e.Caller, Party: Party{e.Name, e.URI}}}
		}
		if e := r.calls[l.call]; e != nil && e.Told && (e.Phase == Retrieving || e.Phase == Bridged) && e.Handing != HandingOn {
			want = append(want, e.introduction(id))
		}
		if e := r.calls[l.call]; e != nil && e.Handing == HandingOff && id == e.Caller {
			want = append(want, HandOff{id, e.Other, e.Home})
		}
		if !slices.Equal(told[id], want) {
			return fmt.Errorf("leg %s is owed %+v, want %+v", id, told[id], want)
		}
	}
	return nil
}

// anything draws a call that a journal may hold, and its legs.
func anything(t *rapid.T, n, seq int, legs map[string][]byte) Call {
	ext := rapid.SampledFrom([]string{"1", "2", "3", "4", "gone", "gone too"}).Draw(t, "orbit")
	c := Call{ID: fmt.Sprint("c", n), At: ext, Home: ext, Caller: fmt.Sprint("L", n), Seq: uint64(seq)}
	c.Phase = Phase(rapid.IntRange(int(Parked), int(Inviting)).Draw(t, "phase"))
	moment := func(label string) time.Time {
		return start.Add(time.Duration(rapid.IntRange(-400, 40).Draw(t, label)) * time.Second)
	}
	c.Since = moment("since")
	c.Tries = rapid.IntRange(0, 3).Draw(t, "tries")
	c.Turn, c.Attempt = rapid.IntRange(0, 3).Draw(t, "turn"), c.Tries
	c.Told = rapid.Bool().Draw(t, "told")
	if rapid.Bool().Draw(t, "parker") {
		c.Parker = bob
	}
	if c.Phase == Bridged || c.Phase == Transferring {
		c.At = ""
	}
	if c.Phase != Bridged && rapid.Bool().Draw(t, "due") {
		c.Due = moment("due at")
	}
	if c.Phase != Parked && c.Phase != Inviting {
		c.Other = fmt.Sprint("M", n)
	}
	if c.Phase == Bridged {
		switch c.Handing = Handing(rapid.Uint8Range(0, uint8(HandingOn)).Draw(t, "handing")); c.Handing {
		case HandingOn:
			c.Other = ""
			fallthrough
		case HandingOff:
			c.Due = moment("handed off by")
		}
	}
	if c.Phase >= Transferring && rapid.Bool().Draw(t, "left") {
		c.Left = fmt.Sprint("N", n)
		c.Outside = c.Phase == Inviting && rapid.Bool().Draw(t, "outside")
	}
	if c.Phase >= Transferring && rapid.Bool().Draw(t, "by") {
		c.By = Identity{Self: carol}
	}
	for _, id := range legsOf(&c) {
		if rapid.IntRange(0, 5).Draw(t, "leg") > 0 { // else its record was damaged
			legs[id] = []byte(id)
		}
	}
	return c
}

// Whatever was restored, every call is then parked, being retrieved by somebody
// who may still confirm, or bridged; every leg belongs to a call or is being
// ended; and the deadlines that passed come, one after the other.
func TestRestartOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(small())
		r.changed = true
		legs := map[string][]byte{}
		var calls []Call
		for n, seq := range rapid.Permutation([]int{1, 2, 3, 5, 6, 7, 11, 12}).Draw(t, "places")[:rapid.IntRange(0, 8).Draw(t, "calls")] {
			calls = append(calls, anything(t, n, seq, legs))
		}
		for n := range rapid.IntRange(0, 3).Draw(t, "legs without a call") {
			legs[fmt.Sprint("stray", n)] = []byte{}
		}
		ids := slices.Collect(maps.Keys(legs))
		for _, c := range calls {
			r.disk.write(Change{Put: []Call{c}})
			ids = append(ids, legsOf(&c)...)
		}
		for _, id := range ids {
			r.w.legs[id] = &party{State: "asking"} // whatever became of them
		}
		delete(r.w.legs, "")
		r.disk.write(Change{Legs: legs})
		r.Restore(calls, legs)
		r.crowd = r.counts()
		if err := r.restarted(); err != nil {
			t.Fatal(err)
		}
		r.deliver()
		for _, c := range r.ordered() {
			if c.Phase == Returning || c.Phase == Retrieving && !c.Due.After(r.now) {
				t.Fatalf("half done: %+v", c)
			}
		}
		r.pass(0)
		if next := r.Next(); !next.IsZero() && !next.After(r.now) {
			t.Fatalf("overdue since %s", next)
		}
		r.pass(time.Hour)
		if err := r.check(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRestart(t *testing.T) {
	guard := start.Add(-30 * time.Second)
	parked := Call{ID: "a", At: "702", Home: "702", Caller: "a", Parker: bob, Seq: 1, Since: start.Add(-time.Hour), Due: start.Add(time.Minute), Tries: 1, Attempt: 1, Turn: 2}
	of := func(change func(*Call)) Call { c := parked; change(&c); return c }
	in := func(p Phase, due time.Duration) Call {
		return of(func(c *Call) {
			c.Phase, c.Other, c.Due = p, "b", start.Add(due)
			if p == Retrieving {
				c.Guard = guard
			}
		})
	}
	again := of(func(c *Call) { c.Due, c.Turn = start.Add(2*time.Minute), 3 })
	tests := []struct {
		name         string
		before, want Call
		event        Event
	}{
		{name: "parked", before: parked, want: parked},
		{name: "parked, overdue", before: of(func(c *Call) { c.Due = start.Add(-time.Hour) }), want: of(func(c *Call) { c.Due = start.Add(-time.Hour) })},
		{name: "parked while its orbit returned nobody", before: of(func(c *Call) { c.Due = time.Time{} }), want: of(func(c *Call) { c.Due = start.Add(2 * time.Minute) })},
		{name: "returning", before: in(Returning, time.Second), want: of(func(c *Call) { c.Due = start.Add(2 * time.Second) }), event: Event{KindKept, "702", "a", "restarted"}},
		{name: "retrieved just now", before: in(Retrieving, time.Nanosecond), want: in(Retrieving, time.Nanosecond)},
		{name: "retrieved too long ago", before: in(Retrieving, 0), want: again, event: Event{KindKept, "702", "a", "retriever did not confirm"}},
		{name: "retrieved at an unknown time", before: of(func(c *Call) { c.Phase, c.Other, c.Due = Retrieving, "b", time.Time{} }), want: again,
			event: Event{KindKept, "702", "a", "retriever did not confirm"}},
		{name: "bridged", before: of(func(c *Call) { c.Phase, c.At, c.Other, c.Due = Bridged, "", "b", time.Time{} }),
			want: of(func(c *Call) { c.Phase, c.At, c.Other, c.Due = Bridged, "", "b", time.Time{} })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.w.legs["a"], r.w.legs["b"] = &party{State: "asking"}, &party{State: "asking"}
			r.Restore([]Call{tt.before}, map[string][]byte{"a": {1}, "b": {2}})
			r.changed = true
			if err := r.restarted(); err != nil {
				t.Fatal(err)
			}
			if got := r.calls["a"].Call; got != tt.want {
				t.Errorf("call is\n%+v, want\n%+v", got, tt.want)
			}
			events := []Event{tt.event}
			if tt.event == (Event{}) {
				events = nil
			}
			if !slices.Equal(r.events, events) {
				t.Errorf("events %+v", r.events)
			}
			if ended := r.w.legs["b"].State == "ended"; ended != (tt.want.Other == "") {
				t.Errorf("the other leg is %+v", r.w.legs["b"])
			}
			r.deliver()
			if _, known := r.legs["b"]; known != (tt.want.Other != "") {
				t.Errorf("the other leg is known: %t", known)
			}
		})
	}
}

// A return that was cut off is tried again in a moment, by its old count.
func TestRestartReturnsAgain(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "701")
	alias := r.calls["a"].Alias()
	r.pass(2*time.Minute + 15*time.Second) // the first return fails
	r.pass(2*time.Minute + time.Second)
	r.is(t, "a", Returning)
	calls, legs := r.Snapshot()
	r.State = NewState(office())
	r.Restore(calls, legs)
	if err := r.restarted(); err != nil {
		t.Fatal(err)
	}
	r.deliver()
	r.pass(2 * time.Second)
	r.rings(t, bob, bob, bob)
	if e := r.is(t, "a", Returning); e.Tries != 1 || e.Other != "a.3" || e.Alias() != alias || r.w.legs["a.2"].State != "ended" || len(r.legs) != 2 {
		t.Errorf("call %+v, legs %v", e.Call, r.legs)
	}
	r.pass(15 * time.Second)
	if e := r.is(t, "a", Parked); e.Tries != 2 {
		t.Errorf("%d tries", e.Tries)
	}
}

// How long an ACK is waited for is kept, and is nobody's deadline.
func TestAckWait(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "701")
	r.must(t, Invite{Leg: "b", To: "*4701"})
	if e := r.is(t, "a", Retrieving); !e.Due.Equal(r.now.Add(32*time.Second)) || !r.Next().IsZero() || !r.Calls()[0].Returns.IsZero() {
		t.Errorf("call %+v, next %s", e.Call, r.Next())
	}
	r.pass(10 * time.Second)
	r.must(t, Invite{Leg: "c", To: "701", Replaces: &Replaces{Leg: "b"}})
	if e := r.is(t, "a", Retrieving); e.Other != "c" || !e.Due.Equal(r.now.Add(32*time.Second)) {
		t.Errorf("after a transfer: %+v", e.Call)
	}
	r.pass(time.Second)
	r.must(t, Invite{Leg: "d", To: "701", Replaces: &Replaces{Leg: "a"}})
	if e := r.is(t, "a", Retrieving); e.Caller != "d" || !e.Due.Equal(r.now.Add(31*time.Second)) {
		t.Errorf("with another caller: %+v", e.Call)
	}
	_ = r.do(Acked{Leg: "c"})
	if e := r.is(t, "a", Bridged); !e.Due.IsZero() {
		t.Errorf("bridged: %+v", e.Call)
	}
}

// A return whose answer may never have been acknowledged before the server went
// down, and whose phone is found gone, is undone: nobody is hung up on, and no
// failed return is counted.
func TestLostReturnIsUndone(t *testing.T) {
	s := NewState(small())
	do := func(c Command) Change {
		t.Helper()
		ch, err := s.Decide(start, c)
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(ch)
		return ch
	}
	do(Invite{Leg: "a", To: "1", Referred: true, Parker: "sip:bob@example.com", URI: "sip:a@example.com"})
	do(Return{Call: "a"})
	do(Answered{Leg: "a.1", Record: []byte("record")})
	before := s.calls["a"].Call
	ch := do(Hangup{Leg: "a.1", Lost: true})
	c := s.calls["a"].Call
	if c.Phase != Parked || c.At != "1" || c.Other != "" || c.Tries != before.Tries || !c.Due.Equal(start.Add(2*time.Second)) || c.Alias() == before.Alias() {
		t.Errorf("call is %+v", c)
	}
	if len(ch.Del) > 0 || !slices.Contains(ch.After, Effect(Play{"a", "one"})) {
		t.Errorf("change is %+v", ch)
	}
}

// Who waits for the end of a leg to be written down is told, first of all, also
// where the leg is not known.
func TestHangupReplies(t *testing.T) {
	s := NewState(small())
	ch, err := s.Decide(start, Invite{Leg: "a", To: "1", URI: "sip:a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(ch)
	for _, leg := range []string{"a", "nobody"} {
		ch, err := s.Decide(start, Hangup{Leg: leg, Reply: true})
		if err != nil || len(ch.After) == 0 || ch.After[0] != (Noted{leg}) {
			t.Errorf("%s: %+v, %v", leg, ch, err)
		}
	}
}
