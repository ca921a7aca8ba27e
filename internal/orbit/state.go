package orbit

import (
	"container/heap"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// State holds every call. One goroutine owns it, a Runner's or a test's.
// What a step costs does not grow with the number of calls, but for the
// logarithm of the deadline heap.
type State struct {
	set   Settings
	codes []string // longest first

	places map[string]*place // by extension; a removed orbit stays while it has calls
	calls  map[string]*entry // by call id
	legs   map[string]leg
	alias  map[string]*entry // by the alias's Call-ID
	due    deadlines
	parked int    // calls in an orbit
	seq    uint64 // of the last place given out
	drain  bool
}

// leg is what the state knows of a leg: whose it is, and its snapshot.
type leg struct {
	call   string // "" = it is being ended
	record []byte
}

// place is an orbit and the FIFO of those of its calls that may be fetched.
type place struct {
	Orbit
	head, tail *entry
	count      int // calls in the orbit, those being retrieved too
}

// removedRing is how long a return rings that an operator asks for when the
// call's orbit is configured no more.
const removedRing = 15 * time.Second

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
	return s
}

// Restore fills an empty state with what a journal held.
func (s *State) Restore(calls []Call, legs map[string][]byte) {
	calls = slices.SortedFunc(slices.Values(calls), func(a, b Call) int { return int(int64(a.Seq) - int64(b.Seq)) })
	s.Apply(Change{Put: calls, Legs: legs})
}

// Apply makes a change. It cannot fail.
func (s *State) Apply(ch Change) {
	for _, id := range ch.Del {
		if e := s.calls[id]; e != nil {
			s.remove(e)
			delete(s.calls, id)
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
		e.Call = c
		s.insert(e)
	}
	for id, record := range ch.Legs {
		if record == nil {
			delete(s.legs, id)
			continue
		}
		l := s.legs[id]
		l.record = record
		s.legs[id] = l
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
	if p.count == 0 && p.Orbit.Extension == "" {
		delete(s.places, e.At)
	}
}

// detach takes a call out of the indexes of legs, deadlines and aliases. Its
// legs stay, as ending ones.
func (s *State) detach(e *entry) {
	for _, id := range []string{e.Caller, e.Other} {
		if l, ok := s.legs[id]; ok {
			l.call = ""
			s.legs[id] = l
		}
	}
	if e.index >= 0 {
		heap.Remove(&s.due, e.index)
	}
	if e.linked {
		delete(s.alias, e.Alias().CallID)
	}
}

// insert puts a call into its orbit and every index.
func (s *State) insert(e *entry) {
	s.seq = max(s.seq, e.Seq)
	if e.At != "" {
		p := s.places[e.At]
		if p == nil { // its orbit is configured no more: retrievable until empty
			p = &place{Orbit: Orbit{Timeout: Timeout{Ring: removedRing}}}
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
	for _, id := range []string{e.Caller, e.Other} {
		if id != "" {
			l := s.legs[id]
			l.call = e.ID
			s.legs[id] = l
		}
	}
	if e.linked {
		s.alias[e.Alias().CallID] = e
	}
	if e.at = e.deadline(s.set.MaxTime); !e.at.IsZero() {
		heap.Push(&s.due, e)
	}
}

// link puts a call at its place in the FIFO: nearly always the tail, and the
// head when a retrieve of the oldest came to nothing.
func (p *place) link(e *entry) {
	after := p.tail
	if p.head != nil && e.Seq < p.head.Seq {
		after = nil
	}
	for after != nil && after.Seq > e.Seq {
		after = after.prev
	}
	e.prev, e.linked = after, true
	if after == nil {
		e.next, p.head = p.head, e
	} else {
		e.next, after.next = after.next, e
	}
	if e.next == nil {
		p.tail = e
	} else {
		e.next.prev = e
	}
}

func (p *place) unlink(e *entry) {
	if e.prev == nil {
		p.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		p.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.linked = nil, nil, false
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

// Snapshot returns the calls in order of their places, and the legs.
func (s *State) Snapshot() ([]Call, map[string][]byte) {
	calls := make([]Call, 0, len(s.calls))
	for _, e := range s.calls {
		calls = append(calls, e.Call)
	}
	slices.SortFunc(calls, func(a, b Call) int { return int(int64(a.Seq) - int64(b.Seq)) })
	legs := make(map[string][]byte, len(s.legs))
	for id, l := range s.legs {
		legs[id] = l.record
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

// View returns an orbit as lamps and operators see it.
func (s *State) View(ext string) (View, bool) {
	p := s.places[ext]
	if p == nil {
		return View{}, false
	}
	v := View{Orbit: ext, Name: p.Name, Music: p.Music, Enabled: p.Enabled, State: "free", Count: p.count}
	if p.count > 0 {
		v.State = "parked"
	}
	if p.head != nil {
		c := p.head.view()
		v.Head = &c
		if p.head.Phase == Returning {
			v.State = "returning"
		}
	}
	return v, true
}

// Calls lists every call, by place.
func (s *State) Calls() []CallView {
	calls, _ := s.Snapshot()
	views := make([]CallView, len(calls))
	for i := range calls {
		views[i] = calls[i].view()
	}
	return views
}

// Parked counts the calls in orbits, Held all calls.
func (s *State) Parked() int { return s.parked }

// Held counts the calls in orbits and the bridged ones.
func (s *State) Held() int { return len(s.calls) }

func (c *Call) view() CallView {
	v := CallView{
		ID: c.ID, State: c.Phase.String(), Orbit: c.Home, Caller: Party{c.Name, c.URI},
		Parker: c.Parker, Since: c.Since, Codec: c.Codec,
	}
	if c.fetchable() {
		v.Alias = c.Alias()
	}
	if c.Phase == Parked {
		v.Returns = c.Due
	}
	return v
}

// deadlines is a heap of calls by time, and by place where times are equal.
type deadlines []*entry

func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	if order := d[i].at.Compare(d[j].at); order != 0 {
		return order < 0
	}
	return d[i].Seq < d[j].Seq
}
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	e := x.(*entry)
	e.index = len(*d)
	*d = append(*d, e)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	old := *d
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	e.index = -1
	return e
}

// touched lists the orbits whose view a change may alter. Asked before Apply.
func (s *State) touched(ch *Change) []string {
	var exts []string
	add := func(ext string) {
		if ext != "" && !slices.Contains(exts, ext) {
			exts = append(exts, ext)
		}
	}
	for _, id := range ch.Del {
		if e := s.calls[id]; e != nil {
			add(e.At)
		}
	}
	for i := range ch.Put {
		if e := s.calls[ch.Put[i].ID]; e != nil {
			add(e.At)
		}
		add(ch.Put[i].At)
	}
	return exts
}
