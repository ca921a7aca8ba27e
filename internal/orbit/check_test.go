package orbit

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// check walks every index of the state, and compares it with the world.
func (r *rig) check() error {
	return errors.Join(r.checkPlaces(), r.checkPools(), r.checkHeap(), r.checkCalls(), r.checkReturns(), r.checkLegs(), r.checkWorld())
}

// foundLegs: a leg that is new comes with the call that it belongs to, so that
// whoever writes it down knows the call's orbit.
func (r *rig) foundLegs(ch *Change) error {
	for id, record := range ch.Legs {
		if _, known := r.legs[id]; known || record == nil {
			continue
		}
		if !slices.ContainsFunc(ch.Put, func(c Call) bool { return slices.Contains(legsOf(&c), id) }) {
			return fmt.Errorf("leg %s comes from nowhere", id)
		}
	}
	return nil
}

// views is every orbit and pool as lamps and operators see it.
func (r *rig) views() map[string]View {
	m := map[string]View{}
	for _, ext := range slices.Concat(r.Extensions(), r.PoolExtensions()) {
		m[ext], _ = r.Lamp(ext)
	}
	return m
}

// shown: an orbit that looks otherwise than before is shown again.
func (r *rig) shown(touched []string, before map[string]View) error {
	after := r.views()
	for _, ext := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
		if !reflect.DeepEqual(before[ext], after[ext]) && !slices.Contains(touched, ext) {
			return fmt.Errorf("orbit %s is not shown: it was %+v and is %+v", ext, before[ext], after[ext])
		}
	}
	return nil
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
		if p.removed && (count == 0 || p.Enabled) {
			return fmt.Errorf("removed orbit %s is still there: %+v", ext, p)
		}
		r.crowd[ext] = min(r.crowd[ext], count)
		if limit := p.capacity(); limit > 0 && count > max(limit, r.crowd[ext]) {
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

// checkPools compares what pools keep with what there is in their orbits.
func (r *rig) checkPools() error {
	for ext, p := range r.pools {
		free, oldest := []int{}, -1
		for i, o := range p.Orbits {
			at := r.places[o]
			switch {
			case at == nil || at.removed:
			case at.free():
				free = append(free, i)
			case at.head != nil && (oldest < 0 || at.head.Seq < r.places[p.Orbits[oldest]].head.Seq):
				oldest = i
			}
		}
		if got := p.tree.oldest(); got != oldest {
			return fmt.Errorf("pool %s has its oldest call at %d, not %d", ext, got, oldest)
		}
		if p.tree.count() != len(free) {
			return fmt.Errorf("pool %s counts %d, free are %v", ext, p.tree.count(), free)
		}
		for k, i := range free {
			if p.tree.choose(k) != i || p.tree.before(i) != k {
				return fmt.Errorf("pool %s: free orbit %d is %d, and %d of %v", ext, k, p.tree.choose(k), p.tree.before(i), free)
			}
		}
		var idle []int
		for i := p.queue.first(); i >= 0; i = p.queue.after(i) {
			idle = append(idle, i)
		}
		slices.Sort(idle)
		if !slices.Equal(idle, free) {
			return fmt.Errorf("pool %s has %v in its queue, free are %v", ext, idle, free)
		}
		if i := p.pick("leg"); (i < 0) != (len(free) == 0) || i >= 0 && !slices.Contains(free, i) {
			return fmt.Errorf("pool %s picks %d of %v", ext, i, free)
		}
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
		if e.ID != id || !e.fits() || e.Seq > r.seq {
			return fmt.Errorf("call %s does not fit: %+v", id, e.Call)
		}
		if e.Phase == Parked && e.With != (Identity{}) {
			return fmt.Errorf("call %s is parked with %+v", id, e.With)
		}
		if err := r.checkRung(&e.Call); err != nil {
			return err
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

// checkRung: a return calls nobody twice, and only so many.
func (r *rig) checkRung(c *Call) error {
	rung := strings.Fields(c.Rung)
	if c.Phase != Returning {
		if c.Phase == Parked && c.Rung+c.Then != "" {
			return fmt.Errorf("call %s is parked and returns: %+v", c.ID, c)
		}
		return nil
	}
	if len(rung) == 0 || len(rung) > maxRung || rung[len(rung)-1] != c.With.Self {
		return fmt.Errorf("call %s has called %q", c.ID, rung)
	}
	for i, uri := range rung {
		if slices.ContainsFunc(rung[:i], func(s string) bool { return strings.EqualFold(s, uri) }) {
			return fmt.Errorf("call %s has called %q", c.ID, rung)
		}
	}
	return nil
}

// checkReturns: whoever is parked where calls are returned will be, no later
// than a time-out from now; and nobody else.
func (r *rig) checkReturns() error {
	for id, e := range r.calls {
		if e.Phase != Parked {
			continue
		}
		wait, returns := r.wait(&e.Call)
		if returns && e.Due.IsZero() {
			return fmt.Errorf("call %s is forgotten", id)
		}
		if r.changed || e.Asked { // those of an orbit that was unknown then return as they would have
			continue
		}
		if !returns && e.Due.After(r.now.Add(callOff)) || e.Due.After(r.now.Add(max(wait, callOff))) {
			return fmt.Errorf("call %s returns at %s, it is %s and the time-out %s (%t)", id, e.Due, r.now, wait, returns)
		}
	}
	return nil
}

func (r *rig) checkLegs() error {
	owned := 0
	for id, e := range r.calls {
		for _, leg := range legsOf(&e.Call) {
			owned++
			if l, ok := r.legs[leg]; !ok || l.call != id {
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
		for _, leg := range legsOf(&e.Call) {
			if err := put(leg, id); err != nil {
				return err
			}
		}
		if err := r.checkHears(&e.Call); err != nil {
			return fmt.Errorf("call %s is %s: %w", id, e.Phase, err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.w.legs)) {
		if p := r.w.legs[id]; p.State != "ended" && placed[id] == "" {
			return fmt.Errorf("leg %s is lost: %+v", id, p)
		}
	}
	return nil
}

// legsOf are the legs that a call has.
func legsOf(c *Call) []string {
	legs := c.Legs()
	return slices.DeleteFunc(legs[:], func(id string) bool { return id == "" })
}

// checkHears: who waits hears the music, who is called rings, and everybody else of
// a call is joined with another.
func (r *rig) checkHears(c *Call) error {
	if p := r.w.legs[c.Caller]; c.Handing == HandingOn {
		if p.State == "ended" || p.Peer != "" {
			return fmt.Errorf("who is handed off is %+v", p)
		}
		return nil
	}
	waits, ext := c.waiting()
	music := r.settings(ext).Music
	if place := r.places[ext]; c.Phase == Transferring && waits != "" && (place == nil || place.removed) {
		music = r.w.legs[waits].Music // of an orbit that may be gone by now: it goes on
	}
	if p := r.w.legs[waits]; waits != "" && (p.State != "music" || p.Music != music) {
		return fmt.Errorf("who waits is %+v", p)
	}
	state := "ringing"
	if c.Answered {
		state = "asked"
	}
	if p := r.w.legs[c.called()]; c.called() != "" && p.State != state {
		return fmt.Errorf("who is called is %+v", p)
	}
	pair := slices.DeleteFunc(legsOf(c), func(id string) bool { return id == waits || id == c.called() || c.Outside && id == c.Left })
	if len(pair) == 0 {
		return nil
	}
	if len(pair) != 2 {
		return fmt.Errorf("%v hear nothing", pair)
	}
	a, b := r.w.legs[pair[0]], r.w.legs[pair[1]]
	if a.State != "joined" || a.Peer != pair[1] || b.State != "joined" || b.Peer != pair[0] {
		return fmt.Errorf("%s is %+v, %s %+v", pair[0], a, pair[1], b)
	}
	if c.Phase == Transferring {
		return nil
	}
	// A return shows the orbit before the name.
	if b.Shown.URI != c.URI || !strings.HasSuffix(b.Shown.Name, c.Name) || c.Phase == Bridged && a.Shown != (Party{}) && (a.Shown.URI != c.With.URI || !strings.HasSuffix(a.Shown.Name, c.With.Name)) {
		return fmt.Errorf("%s with %+v: shown are %+v and %+v", c.URI, c.With, a.Shown, b.Shown)
	}
	return nil
}
