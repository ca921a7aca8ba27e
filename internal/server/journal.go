package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"parkd/internal/orbit"
	"parkd/internal/store"
)

// Where the journal keeps what: one key a call, one a leg.
const (
	callKeys = "call/"
	legKeys  = "leg/"
)

// journal writes the changes of orbits to a store. It implements
// orbit.Journal: the store promises order, and that what could not be written
// is written first later.
type journal struct{ store store.Store }

// Append implements orbit.Journal.
func (j journal) Append(ch orbit.Change, done func(error)) {
	j.store.Append(batch(&ch), done)
}

// batch is a change as a store takes it: Del first, then Put, as State.Apply
// has it.
func batch(ch *orbit.Change) store.Batch {
	b := store.Batch{Put: make(map[string][]byte, len(ch.Put)+len(ch.Legs))}
	for _, id := range ch.Del {
		b.Del = append(b.Del, callKeys+id)
	}
	for _, c := range ch.Put {
		b.Put[callKeys+c.ID] = orbit.EncodeCall(c)
	}
	for id, record := range ch.Legs {
		if record == nil {
			b.Del = append(b.Del, legKeys+id)
		} else {
			b.Put[legKeys+id] = record
		}
	}
	return b
}

// restore fills an empty state with what a store holds. Records that cannot be
// read are left where they are and named in the error; everything else is
// restored all the same.
func restore(st store.Store, s *orbit.State) error {
	values, err := st.Load(callKeys)
	if err != nil {
		return fmt.Errorf("restore calls: %w", err)
	}
	legs, err := st.Load(legKeys)
	if err != nil {
		return fmt.Errorf("restore legs: %w", err)
	}
	var faults []error
	var calls []orbit.Call
	for _, key := range slices.Sorted(maps.Keys(values)) {
		c, err := orbit.DecodeCall(values[key])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
			continue
		}
		calls = append(calls, c)
	}
	records := make(map[string][]byte, len(legs))
	for key, record := range legs {
		if record == nil {
			record = []byte{} // known, without a snapshot
		}
		records[strings.TrimPrefix(key, legKeys)] = record
	}
	s.Restore(calls, records)
	return errors.Join(faults...)
}
