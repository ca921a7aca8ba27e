package orbit

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"parkd/internal/shrink"
)

// State holds every call. One goroutine owns it, a Runner's or a test's.
// What a step costs does not grow with the number of calls, but for the
// logarithm of the deadline heap.
type State struct {
	set   Settings
	codes []string // longest first

	places map[string]*place // by extension
	pools  map[string]*pool  // by extension
	calls  map[string]*entry // by call id
	legs   map[string]leg
	alias  map[string]*entry                // by the alias's Call-ID
	most   struct{ calls, legs, alias int } // shrink's
	due    deadlines
	parked int    // calls in an orbit
	seq    uint64 // of the last place given out
	drain  bool

	stirred []*pool // their lamps may have to be told otherwise
}

// leg is what the state knows of a leg: whose it is. Its snapshot is the journal's.
type leg struct {
	call string // "" = it is being ended
}

// entry is a call and its links.
type entry struct {
	Call
	prev, next *entry
	linked     bool
	index      int // in the deadline heap, -1 if not there
	at         time.Time
}

// NewState returns a state without calls.
func NewState(set Settings) *State {
	s := &State{
		set:    set,
		codes:  slices.Clone(set.RetrieveCodes),
		places: make(map[string]*place, len(set.Orbits)),
		calls:  map[string]*entry{},
		legs:   map[string]leg{},
		alias:  map[string]*entry{},
	}
	slices.SortStableFunc(s.codes, func(a, b string) int { return len(b) - len(a) })
	for _, o := range set.Orbits {
		s.places[o.Extension] = &place{Orbit: o}
	}
	s.pools = newPools(set.Pools, s.places, nil)
	return s
}

// Restore fills an empty state with what a journal held. Restart is to be the
// first command then.
func (s *State) Restore(calls []Call, legs map[string][]byte) {
	calls = slices.SortedFunc(slices.Values(calls), bySeq)
	s.Apply(Change{Put: calls, Legs: legs})
}

// Apply makes a change. It cannot fail.
func (s *State) Apply(ch Change) {
	if ch.Settings != nil {
		s.configure(*ch.Settings)
	}
	for _, id := range ch.Del {
		if e := s.calls[id]; e != nil {
			s.remove(e)
			s.calls = shrink.Delete(s.calls, &s.most.calls, id)
			s.sit(s.places[e.At])
			s.sweep(e.At)
		}
	}
	for _, c := range ch.Put {
		e := s.calls[c.ID]
		if e == nil {
			e = &entry{index: -1}
			s.calls[c.ID] = e
		} else if e.linked && c.fetchable() && c.At == e.At && c.Seq == e.Seq {
			s.detach(e) // it stays where it is in the FIFO: no search for its place
			e.Call = c
			s.attach(e)
			continue
		} else {
			s.remove(e)
		}
		before := e.At
		e.Call = c
		s.insert(e)
		if before != c.At {
			s.sit(s.places[before])
			s.sweep(before)
		}
		s.sit(s.places[c.At])
	}
	for id, record := range ch.Legs {
		if record == nil {
			s.legs = shrink.Delete(s.legs, &s.most.legs, id)
			continue
		}
		if _, there := s.legs[id]; !there {
			s.legs[id] = leg{} // until its call is put in
		}
	}
	s.drain = s.drain || ch.Drain
}

// remove takes a call out of its orbit and every index.
func (s *State) remove(e *entry) {
	s.detach(e)
	if e.At == "" {
		return
	}
	p := s.places[e.At]
	if e.linked {
		p.unlink(e)
	}
	p.count--
	s.parked--
}

// sweep forgets an orbit that is configured no more once it is empty.
func (s *State) sweep(ext string) {
	if p := s.places[ext]; p != nil && p.removed && p.count == 0 {
		delete(s.places, ext)
	}
}

// detach takes a call out of the indexes of legs, deadlines and aliases. Its
// legs stay, as ending ones.
func (s *State) detach(e *entry) {
	for _, id := range e.Legs() {
		if _, ok := s.legs[id]; ok {
			s.legs[id] = leg{}
		}
	}
	if e.index >= 0 {
		heap.Remove(&s.due, e.index)
	}
	if e.linked {
		s.alias = shrink.Delete(s.alias, &s.most.alias, e.Alias().CallID)
	}
}

// insert puts a call into its orbit and every index.
func (s *State) insert(e *entry) {
	s.seq = max(s.seq, e.Seq)
	if e.At != "" {
		p := s.places[e.At]
		if p == nil {
			p = unknown(e.At)
			s.places[e.At] = p
		}
		p.count++
		s.parked++
		if e.fetchable() {
			p.link(e)
		}
	}
	s.attach(e)
}

// attach puts a call into the indexes of legs, deadlines and aliases.
func (s *State) attach(e *entry) {
	for _, id := range e.Legs() {
		if id != "" {
			s.legs[id] = leg{call: e.ID}
		}
	}
	if e.linked {
		s.alias[e.Alias().CallID] = e
	}
	if e.at = e.deadline(s.set.MaxTime); !e.at.IsZero() {
		heap.Push(&s.due, e)
	}
}

// Next returns the earliest deadline; zero = there is none.
func (s *State) Next() time.Time {
	if len(s.due) == 0 {
		return time.Time{}
	}
	return s.due[0].at
}

// Encode returns the durable part of the state in a canonical form.
func (s *State) Encode() []byte {
	calls, legs := s.Snapshot()
	b, err := json.Marshal(struct {
		Calls []Call
		Legs  map[string][]byte
		Drain bool
	}{calls, legs, s.drain})
	if err != nil {
		panic(err) // plain values: cannot happen
	}
	return b
}

// ordered copies every call, in order of their places.
func (s *State) ordered() []Call {
	calls := make([]Call, 0, len(s.calls))
	for _, e := range s.calls {
		calls = append(calls, e.Call)
	}
	slices.SortFunc(calls, bySeq)
	return calls
}

func bySeq(a, b Call) int { return cmp.Compare(a.Seq, b.Seq) }

// Snapshot returns the calls in order of their places, and the legs, as Restore takes
// them: without what only the journal knows of them.
func (s *State) Snapshot() ([]Call, map[string][]byte) {
	calls := s.ordered()
	legs := make(map[string][]byte, len(s.legs))
	for id := range s.legs {
		legs[id] = []byte{}
	}
	return calls, legs
}

// ending lists the legs that belong to no call any more but have not reported
// their end.
func (s *State) ending() []string {
	var ids []string
	for id, l := range s.legs {
		if l.call == "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Extensions lists the orbits that there are, sorted.
func (s *State) Extensions() []string { return slices.Sorted(maps.Keys(s.places)) }

// touched lists the orbits whose view a change may alter, sorted. Asked before
// Apply.
func (s *State) touched(ch *Change) []string {
	var exts []string
	if ch.Settings != nil {
		exts = s.altered(*ch.Settings)
	}
	for _, id := range ch.Del {
		if e := s.calls[id]; e != nil {
			exts = append(exts, e.At)
		}
	}
	for i := range ch.Put {
		if e := s.calls[ch.Put[i].ID]; e != nil {
			exts = append(exts, e.At)
		}
		exts = append(exts, ch.Put[i].At)
	}
	slices.Sort(exts)
	exts = slices.Compact(exts)
	if len(exts) > 0 && exts[0] == "" { // of bridged calls
		return exts[1:]
	}
	return exts
}
