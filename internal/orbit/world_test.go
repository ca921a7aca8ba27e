package orbit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// start is when every test begins.
var start = time.Date(2026, 11, 22, 19, 37, 0, 0, time.UTC)

// party is one leg as the network sees it.
type party struct {
	State   string // asking music joined ringing ended
	Peer    string // when joined
	Music   string // when music
	Orbit   string // whose caller it is or was, "" for the other kind
	arrival int    // callers: place in the order of parking, inherited by a transfer
	refused error
}

// world is the network: legs that carry effects out, twice without harm, and
// report the end of those they were told to end.
type world struct {
	legs     map[string]*party
	ended    []string // not yet reported as Hangup
	arrivals int
	rung     []Ring
	shown    map[string]View
}

func newWorld() *world {
	return &world{legs: map[string]*party{}, shown: map[string]View{}}
}

// ask is a new INVITE's leg.
func (w *world) ask(leg string) { w.legs[leg] = &party{State: "asking"} }

func (w *world) carry(e Effect) {
	p := w.legs[e.LegID()]
	if p == nil {
		if ring, ok := e.(Ring); ok {
			w.legs[ring.Leg] = &party{State: "ringing"}
			w.rung = append(w.rung, ring)
			return
		}
		p = &party{State: "ended"} // never came to be: its end is reported all the same
	}
	if p.State == "ended" {
		if _, ok := e.(Bye); ok {
			w.ended = append(w.ended, e.LegID())
		}
		return
	}
	switch e := e.(type) {
	case Answer:
		if p.State == "asking" {
			w.answer(e, p)
		}
	case Play:
		w.part(p)
		p.State, p.Music = "music", e.Music
	case Bridge:
		w.join(e.Leg, e.Peer)
	case Bye:
		w.end(e.Leg)
		w.ended = append(w.ended, e.Leg)
	case Refuse:
		w.end(e.Leg)
		p.refused = e.Err
	}
}

func (w *world) answer(e Answer, p *party) {
	if e.Peer != "" {
		w.join(e.Leg, e.Peer)
		return
	}
	p.State, p.Music, p.Orbit = "music", e.Music, e.Orbit
	if p.arrival == 0 {
		w.arrivals++
		p.arrival = w.arrivals
	}
}

func (w *world) join(a, b string) {
	p, q := w.legs[a], w.legs[b]
	if p == nil || q == nil || p.State == "ended" || q.State == "ended" {
		return
	}
	if p.Peer == b {
		return
	}
	w.part(p)
	w.part(q)
	p.State, p.Peer, p.Music = "joined", b, ""
	q.State, q.Peer, q.Music = "joined", a, ""
}

// part takes a leg away from its peer, who hears nothing until told.
func (w *world) part(p *party) {
	if q := w.legs[p.Peer]; q != nil {
		q.Peer = ""
	}
	p.Peer = ""
}

func (w *world) end(leg string) {
	p := w.legs[leg]
	w.part(p)
	p.State, p.Music = "ended", ""
}

// picture is the world in a form that can be compared.
func (w *world) picture() map[string]party {
	m := map[string]party{}
	for id, p := range w.legs {
		if p.State == "ended" || p.State == "asking" {
			m[id] = party{State: p.State}
			continue
		}
		m[id] = party{State: p.State, Peer: p.Peer, Music: p.Music}
	}
	return m
}

// rig is a state, its world, and the time.
type rig struct {
	*State
	w      *world
	now    time.Time
	events []Event
}

func newRig(set Settings) *rig {
	return &rig{State: NewState(set), w: newWorld(), now: start}
}

// do decides, applies and carries out, then reports what ended.
func (r *rig) do(c Command) error {
	err := r.step(c)
	r.deliver()
	return err
}

// deliver reports the legs that were ended.
func (r *rig) deliver() {
	for len(r.w.ended) > 0 {
		leg := r.w.ended[0]
		r.w.ended = r.w.ended[1:]
		_ = r.step(Hangup{Leg: leg})
	}
}

// step is do without what follows from it.
func (r *rig) step(c Command) error {
	before := r.Encode()
	ch, err := r.Decide(r.now, c)
	if string(r.Encode()) != string(before) {
		return fmt.Errorf("deciding %#v changed the state", c)
	}
	if err != nil {
		if !ch.Empty() || len(ch.Events) > 0 {
			return fmt.Errorf("refusal of %#v with a change: %w", c, err)
		}
		if in, ok := c.(Invite); ok {
			r.w.carry(Refuse{in.Leg, err})
		}
		return err
	}
	r.Apply(ch)
	for _, e := range slices.Concat(ch.Now, ch.After) {
		r.w.carry(e)
	}
	r.events = append(r.events, ch.Events...)
	return nil
}

// invite is a new leg's INVITE.
func (r *rig) invite(in Invite) error {
	r.w.ask(in.Leg)
	return r.do(in)
}

// hangup is a party's own.
func (r *rig) hangup(leg string) {
	r.w.end(leg)
	_ = r.do(Hangup{Leg: leg})
}

// pass lets time go by, deadline by deadline.
func (r *rig) pass(d time.Duration) {
	end := r.now.Add(d)
	for next := r.Next(); !next.IsZero() && !next.After(end); next = r.Next() {
		r.now = next
		_ = r.do(Due{})
	}
	r.now = end
}

// must is invite for a test that depends on it.
func (r *rig) must(t *testing.T, in Invite) {
	t.Helper()
	if err := r.invite(in); err != nil {
		t.Fatalf("INVITE %s to %s: %v", in.Leg, in.To, err)
	}
}

// park parks a caller with a parker.
func (r *rig) park(t *testing.T, leg, ext string) {
	t.Helper()
	r.must(t, Invite{Leg: leg, To: ext, Referred: true, Parker: "sip:bob@example.com", Name: "Ann", URI: "sip:" + leg + "@example.com", Codec: "PCMU"})
}

// check walks every index of the state, and compares it with the world.
func (r *rig) check() error {
	return errors.Join(r.checkPlaces(), r.checkHeap(), r.checkCalls(), r.checkLegs(), r.checkWorld())
}

func (r *rig) checkPlaces() error {
	parked := 0
	for ext, p := range r.places {
		count := 0
		for _, e := range r.calls {
			if e.At == ext {
				count++
			}
		}
		parked += count
		if count != p.count {
			return fmt.Errorf("orbit %s counts %d calls and has %d", ext, p.count, count)
		}
		if p.Extension == "" && count == 0 {
			return fmt.Errorf("removed orbit %s is still there", ext)
		}
		if limit := p.capacity(); p.Extension != "" && limit > 0 && count > limit {
			return fmt.Errorf("orbit %s has %d calls of at most %d", ext, count, limit)
		}
		linked := 0
		var prev *entry
		for e := p.head; e != nil; prev, e = e, e.next {
			linked++
			if e.prev != prev || !e.linked || e.At != ext || !e.fetchable() || prev != nil && prev.Seq >= e.Seq {
				return fmt.Errorf("orbit %s: call %s is linked wrongly", ext, e.ID)
			}
		}
		if p.tail != prev {
			return fmt.Errorf("orbit %s: tail is not the last", ext)
		}
		for _, e := range r.calls {
			if e.At == ext && e.fetchable() {
				linked--
			}
		}
		if linked != 0 {
			return fmt.Errorf("orbit %s links %d calls too many", ext, linked)
		}
	}
	if parked != r.parked {
		return fmt.Errorf("%d calls parked, %d counted", parked, r.parked)
	}
	return nil
}

func (r *rig) checkHeap() error {
	for i, e := range r.due {
		if e.index != i || r.calls[e.ID] != e {
			return fmt.Errorf("heap entry %d is not call %s's", i, e.ID)
		}
		if i > 0 && r.due[(i-1)/2].at.After(e.at) {
			return fmt.Errorf("heap entry %d is due before its parent", i)
		}
	}
	for id, e := range r.calls {
		at := e.deadline(r.set.MaxTime)
		if at.IsZero() != (e.index < 0) || !at.IsZero() && !at.Equal(e.at) {
			return fmt.Errorf("call %s is due at %s, in the heap at %d for %s", id, at, e.index, e.at)
		}
	}
	return nil
}

func (r *rig) checkCalls() error {
	aliases := 0
	for id, e := range r.calls {
		if e.ID != id || (e.At == "") != (e.Phase == Bridged) || (e.Other == "") != (e.Phase == Parked) || e.Seq > r.seq {
			return fmt.Errorf("call %s does not fit: %+v", id, e.Call)
		}
		if e.fetchable() {
			aliases++
			if r.alias[e.Alias().CallID] != e {
				return fmt.Errorf("call %s has no alias", id)
			}
		}
		if back, err := DecodeCall(EncodeCall(e.Call)); err != nil || back != e.Call {
			return fmt.Errorf("call %s reads back as %+v, %v", id, back, err)
		}
	}
	if aliases != len(r.alias) {
		return fmt.Errorf("%d aliases for %d calls that may be fetched", len(r.alias), aliases)
	}
	return nil
}

func (r *rig) checkLegs() error {
	owned := 0
	for id, e := range r.calls {
		for _, leg := range []string{e.Caller, e.Other} {
			if leg == "" {
				continue
			}
			owned++
			if l, ok := r.legs[leg]; !ok || l.call != id || l.record == nil {
				return fmt.Errorf("leg %s is not known as call %s's: %+v", leg, id, l)
			}
		}
	}
	for _, l := range r.legs {
		if l.call != "" {
			owned--
		}
	}
	if owned != 0 {
		return fmt.Errorf("legs of calls: %d more than legs that say so", owned)
	}
	return nil
}

// checkWorld: everybody alive is in exactly one place, and hears what belongs
// there.
func (r *rig) checkWorld() error {
	placed := map[string]string{}
	put := func(leg, call string) error {
		if placed[leg] != "" {
			return fmt.Errorf("leg %s is in calls %s and %s", leg, placed[leg], call)
		}
		placed[leg] = call
		return nil
	}
	for id, e := range r.calls {
		if err := put(e.Caller, id); err != nil {
			return err
		}
		caller := r.w.legs[e.Caller]
		if e.Other != "" {
			if err := put(e.Other, id); err != nil {
				return err
			}
		}
		switch other := r.w.legs[e.Other]; e.Phase {
		case Parked, Returning:
			if caller.State != "music" || caller.Music != r.settings(e.At).Music {
				return fmt.Errorf("call %s is %s and its caller %+v", id, e.Phase, caller)
			}
			if e.Phase == Returning && other.State != "ringing" {
				return fmt.Errorf("call %s is returning to %+v", id, other)
			}
		default:
			if caller.State != "joined" || caller.Peer != e.Other || other.State != "joined" || other.Peer != e.Caller {
				return fmt.Errorf("call %s is %s: caller %+v, other %+v", id, e.Phase, caller, other)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.w.legs)) {
		if p := r.w.legs[id]; p.State != "ended" && placed[id] == "" {
			return fmt.Errorf("leg %s is lost: %+v", id, p)
		}
	}
	return nil
}
