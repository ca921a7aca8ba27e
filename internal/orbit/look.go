package orbit

import (
	"cmp"
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
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Compare(a.Seq, b.Seq) })
	return calls
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

// Result says how a return ended: answered, busy, no_answer or failed; "" if
// the event is not the end of one.
func (e Event) Result() string {
	switch {
	case e.Kind == KindReturned:
		return "answered"
	case e.Kind != KindKept || e.Detail == unconfirmed:
		return ""
	}
	code, _ := strconv.Atoi(strings.TrimPrefix(e.Detail, answeredWith))
	switch code {
	case 486, 600: // RFC 3261 21.4.24, 21.6.1
		return "busy"
	case 0, 408, 480, 487: // 0: no answer to our INVITE that counts
		return "no_answer"
	}
	return "failed"
}
