package server

import (
	"maps"
	"slices"
	"sync"

	"github.com/rs/zerolog"

	"parkd/internal/leg"
	"parkd/internal/orbit"
	"parkd/internal/presence"
)

// world carries out what the orbits' decisions say: effects go to legs, views
// to lamps, events to operators. It implements orbit.World.
type world struct {
	legs      *leg.Manager
	notifier  *presence.Notifier
	operators *operators
	log       zerolog.Logger

	mu    sync.RWMutex // leaf
	views map[string]*sight
}

// newWorld returns a world that knows every orbit and pool of a state from the start: a
// phone may subscribe as soon as SIP is served, before the state's owner runs.
func newWorld(log zerolog.Logger, op *operators, state *orbit.State) *world {
	w := &world{log: log, operators: op, views: map[string]*sight{}}
	for _, ext := range slices.Concat(state.Extensions(), state.PoolExtensions()) {
		v, _ := state.Lamp(ext)
		w.views[ext] = &sight{View: v}
	}
	return w
}

// Carry implements orbit.World.
func (w *world) Carry(e orbit.Effect) { w.legs.Carry(e) }

// Show implements orbit.World: the newest view of an orbit wins.
func (w *world) Show(v orbit.View) {
	w.mu.Lock()
	before, known := w.views[v.Orbit]
	if v.Gone {
		delete(w.views, v.Orbit)
	} else {
		w.views[v.Orbit] = &sight{View: v}
	}
	w.mu.Unlock()
	w.operators.admin.Show(v) // first: whoever follows the lamp sees why its watchers are told
	if !known || !v.SameLamp(before.View) {
		w.notifier.Changed(v.Orbit)
	}
	if known && listed(v) != listed(before.View) {
		w.notifier.Relisted(v.Orbit)
	}
}

// listed says whether event lists name an orbit: one that is switched off has no lamp
// for whoever asks, as long as nobody is in it who can be fetched.
func listed(v orbit.View) bool { return v.Enabled || v.Head != nil }

// sight is the newest view of an orbit, nil if there is no such orbit.
func (w *world) sight(ext string) *sight {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.views[ext]
}

// seen are the orbits and pools that there are, in no order.
func (w *world) seen() []string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return slices.Collect(maps.Keys(w.views))
}

// Tell implements orbit.World.
func (w *world) Tell(e orbit.Event) {
	ev := w.log.Info().Str("orbit", e.Orbit).Str("call", e.Call)
	if e.Detail != "" {
		ev = ev.Str("detail", e.Detail)
	}
	ev.Msg("call " + string(e.Kind)) // call parked, call retrieved, …
	w.operators.metrics.Count(e)
	w.operators.admin.Tell(e)
}

// orbits are these and, behind them, those that are there besides, but for pools.
func (w *world) orbits(first []string, pools map[string]bool) []string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	known := make(map[string]bool, len(first))
	for _, ext := range first {
		known[ext] = true
	}
	var more []string
	for ext := range w.views {
		if !known[ext] && !pools[ext] {
			more = append(more, ext)
		}
	}
	slices.Sort(more)
	return slices.Concat(first, more)
}

// known reports whether a user part of a URI is one of ours: for OPTIONS.
func (w *world) known(user string) bool {
	return user == "" || w.sight(user) != nil
}
