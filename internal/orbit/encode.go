package orbit

import (
	"encoding/json"
	"fmt"
	"iter"
)

// EncodeCall returns a call as a journal keeps it.
func EncodeCall(c Call) []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain values: cannot happen
	}
	return b
}

// DecodeCall reads what EncodeCall wrote. It refuses a record that no State
// could have written.
func DecodeCall(b []byte) (Call, error) {
	var c Call
	if err := json.Unmarshal(b, &c); err != nil {
		return Call{}, fmt.Errorf("call record: %w", err)
	}
	switch {
	case c.ID == "", c.Caller == "", c.Phase > Bridged,
		(c.At == "") != (c.Phase == Bridged), (c.Other == "") != (c.Phase == Parked):
		return Call{}, fmt.Errorf("call record: call %q, phase %d, at %q, legs %q and %q do not fit", c.ID, c.Phase, c.At, c.Caller, c.Other)
	}
	return c, nil
}

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
