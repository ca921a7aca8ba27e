package orbit

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

// All yields a copy of every call, in no order: what it costs the goroutine
// that owns the state is the copying.
func (s *State) All() iter.Seq[Call] {
	return func(yield func(Call) bool) {
		for _, e := range s.calls {
			if !yield(e.Call) {
				return
			}
		}
	}
}

// CallsAt copies the calls in an orbit, the oldest first. It walks the orbit's
// FIFO, and all calls only while one of the orbit's is being retrieved.
func (s *State) CallsAt(ext string) []Call {
	p := s.places[ext]
	if p == nil || p.count == 0 {
		return nil
	}
	calls := make([]Call, 0, p.count)
	for e := p.head; e != nil; e = e.next {
		calls = append(calls, e.Call)
	}
	if len(calls) == p.count {
		return calls
	}
	for _, e := range s.calls {
		if e.At == ext && !e.linked {
			calls = append(calls, e.Call)
		}
	}
	slices.SortFunc(calls, bySeq)
	return calls
}

// Lamp returns what a lamp shows that watches an orbit or a pool.
func (s *State) Lamp(ext string) (View, bool) {
	if p := s.pools[ext]; p != nil {
		return p.view(), true
	}
	return s.View(ext)
}

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
		v.Head, v.Behind = &c, p.waiting-1
		if p.head.Phase == Returning {
			v.State = "returning"
		}
	}
	return v, true
}

// Calls lists every call, by place.
func (s *State) Calls() []CallView {
	calls := s.ordered()
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

// Sizes counts what the state holds, by kind; without calls all are 0.
func (s *State) Sizes() map[string]int {
	return map[string]int{"calls": len(s.calls), "call_legs": len(s.legs), "aliases": len(s.alias), "deadlines": len(s.due)}
}

func (c *Call) view() CallView {
	v := CallView{
		ID: c.ID, State: c.Phase.String(), Orbit: c.Home, Caller: Party{c.Name, c.URI},
		With: Party{c.With.Name, c.With.URI}, Parker: c.Parker, Since: c.Since, Codec: c.Codec,
	}
	if c.fetchable() {
		v.Alias = c.Alias()
	}
	if c.Phase == Parked {
		v.Returns = c.Due
	}
	return v
}

// Call returns the call with an id.
func (s *State) Call(id string) (Call, bool) {
	e := s.calls[id]
	if e == nil {
		return Call{}, false
	}
	return e.Call, true
}

// View returns the call as operators see it.
func (c *Call) View() CallView { return c.view() }

// Result says how a return ended: answered, busy, no_answer, mailbox, unconfirmed or failed; "" if
// the event is not the end of one.
func (e Event) Result() string {
	switch {
	case e.Kind == KindReturned:
		return "answered"
	case e.Kind != KindKept || e.Detail == unconfirmed || e.Detail == restarted:
		return ""
	case e.Detail == unavailable:
		return "busy"
	case e.Detail == machine:
		return "mailbox"
	case e.Detail == notConfirmed || e.Detail == refusedByKey:
		return "unconfirmed"
	}
	code, _ := strconv.Atoi(strings.TrimPrefix(e.Detail, answeredWith))
	switch code {
	case 486, 600, 603: // RFC 3261 21.4.24, 21.6.1, 21.6.2
		return "busy"
	case 0, 408, 480, 487: // 0: no answer to our INVITE that counts
		return "no_answer"
	}
	return "failed"
}
