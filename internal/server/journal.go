package server

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"parkd/internal/orbit"
	"parkd/internal/shrink"
	"parkd/internal/store"
)

// What the journal keeps under an orbit's name: <orbit>/<kind>/<id>.
const (
	callKind = "call"
	legKind  = "leg"
	subKind  = "sub"
)

// damaged is where records go that cannot be read: to be looked at by somebody,
// and not to be met again at each start.
const damaged = "damaged/"

func key(orbit, kind, id string) string { return under(url.PathEscape(orbit), kind, id) }

func under(owner, kind, id string) string { return owner + "/" + kind + "/" + id }

// split takes a key apart; ok is false for one that is not of those kinds.
func split(key string) (kind, id string, ok bool) {
	parts := strings.SplitN(key, "/", 3)
	if len(parts) != 3 || parts[2] == "" {
		return "", "", false
	}
	switch parts[1] {
	case callKind, legKind, subKind:
		return parts[1], parts[2], true
	}
	return "", "", false
}

// owner is whose key it is.
func owner(key string) string { return strings.Clone(key[:strings.IndexByte(key, '/')]) }

// journal writes the changes of orbits to a store. It implements
// orbit.Journal: the store promises order, and that what could not be written
// is written first later.
type journal struct {
	store store.Store
	took  func(time.Duration) // from Append to durable; may be nil

	// Whose keys they have, by id, as it is in a key: a call its last orbit's, a leg
	// that of its call. Owned by whoever calls Append: the runner.
	calls, legs         map[string]string
	mostCalls, mostLegs int // shrink's
}

func newJournal(st store.Store, took func(time.Duration)) *journal {
	return &journal{store: st, took: took, calls: map[string]string{}, legs: map[string]string{}}
}

// Append implements orbit.Journal.
func (j *journal) Append(ch orbit.Change, done func(error)) {
	began := time.Now()
	j.store.Append(j.batch(&ch), func(err error) {
		if err == nil && j.took != nil {
			j.took(time.Since(began))
		}
		done(err)
	})
}

// batch is a change as a store takes it: Del first, then Put, as State.Apply
// has it.
func (j *journal) batch(ch *orbit.Change) store.Batch {
	b := store.Batch{Put: make(map[string][]byte, len(ch.Put)+len(ch.Legs))}
	for _, id := range ch.Del {
		if owner, ok := j.calls[id]; ok {
			b.Del = append(b.Del, under(owner, callKind, id))
			j.calls = shrink.Delete(j.calls, &j.mostCalls, id)
		}
	}
	for _, c := range ch.Put {
		owner := url.PathEscape(c.Home)
		if before, ok := j.calls[c.ID]; ok && before != owner {
			b.Del = append(b.Del, under(before, callKind, c.ID))
		}
		j.calls[c.ID] = owner
		b.Put[under(owner, callKind, c.ID)] = orbit.EncodeCall(c)
		for _, leg := range c.Legs() {
			if leg == "" {
				continue
			}
			before, known := j.legs[leg]
			if known && before != owner {
				if ch.Legs[leg] == nil {
					continue // it moves with the next change that brings both
				}
				b.Del = append(b.Del, under(before, legKind, leg))
			}
			j.legs[leg] = owner
		}
	}
	for id, record := range ch.Legs {
		owner, known := j.legs[id]
		switch {
		case record != nil && known:
			b.Put[under(owner, legKind, id)] = record
		case known:
			b.Del = append(b.Del, under(owner, legKind, id))
			j.legs = shrink.Delete(j.legs, &j.mostLegs, id)
		}
	}
	return b
}

// subscriptions writes subscriptions to a store. It implements
// presence.Journal.
type subscriptions struct{ store store.Store }

// Keep implements presence.Journal.
func (s subscriptions) Keep(resource, id string, record []byte, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	k := key(resource, subKind, id)
	if record == nil {
		s.store.Append(store.Batch{Del: []string{k}}, done)
		return
	}
	s.store.Append(store.Batch{Put: map[string][]byte{k: record}}, done)
}

// kept is what a store held at the start, by id.
type kept struct {
	calls []orbit.Call
	legs  map[string][]byte
	subs  map[string][]byte
	keys  map[string]string // of legs and subs
}

// setAside keeps the record of a leg or subscription that cannot be restored for
// somebody to look at; with del it is not met again. (A leg's own key goes with the
// leg.)
func (k *kept) setAside(st store.Store, id string, del bool) {
	at := k.keys[id]
	b := store.Batch{Put: map[string][]byte{damaged + at: k.legs[id]}}
	if record, ok := k.subs[id]; ok {
		b.Put[damaged+at] = record
	}
	if del {
		b.Del = []string{at}
	}
	st.Append(b, func(error) {})
}

// read reads what a store holds, and has the journal go on with its keys.
// Records that cannot be read are set aside and named in the error.
func (j *journal) read() (kept, error) {
	k := kept{legs: map[string][]byte{}, subs: map[string][]byte{}, keys: map[string]string{}}
	values, err := j.store.Load("")
	if err != nil {
		return k, fmt.Errorf("journal: %w", err)
	}
	var faults []error
	aside := store.Batch{Put: map[string][]byte{}}
	for _, at := range slices.Sorted(maps.Keys(values)) {
		kind, id, ok := split(at)
		if !ok {
			continue // set aside before, or not ours
		}
		value := values[at]
		switch kind {
		case callKind:
			c, err := orbit.DecodeCall(value)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", at, err))
				aside.Del, aside.Put[damaged+at] = append(aside.Del, at), value
				continue
			}
			k.calls = append(k.calls, c)
			j.calls[id] = owner(at)
		case legKind:
			if value == nil {
				value = []byte{} // known, without a snapshot
			}
			k.legs[id], j.legs[id], k.keys[id] = value, owner(at), at
		case subKind:
			k.subs[id], k.keys[id] = value, at
		}
	}
	if len(aside.Del) > 0 {
		j.store.Append(aside, func(error) {})
	}
	return k, errors.Join(faults...)
}
