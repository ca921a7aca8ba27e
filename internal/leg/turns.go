package leg

import (
	"sync"

	"parkd/internal/orbit"
)

// turn keeps the decisions about what a leg hears in the order in which they were made.
// The effects of several legs that concern one wait in several queues, and one that is
// late must not undo what a newer one has done: music that begins late would part a
// bridge, and a bridge that comes late would end music.
type turn struct {
	mu     sync.Mutex // leaf; a port's methods are called under it, which do not wait
	newest uint64     // of the decisions that were handed out; guarded by mu
}

// raise takes note of a decision, before anybody carries it out.
func (t *turn) raise(n uint64) {
	t.mu.Lock()
	t.newest = max(t.newest, n)
	t.mu.Unlock()
}

// over reports whether there is a newer decision than n.
func (t *turn) over(n uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.newest > n
}

// take runs f unless there is a newer decision than n.
func (t *turn) take(n uint64, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.newest <= n {
		f()
	}
}

// both runs f unless there is a newer decision than n about either leg.
func both(a, b *Leg, n uint64, f func()) (done bool) {
	if a.id > b.id {
		a, b = b, a
	}
	a.turn.take(n, func() {
		b.turn.take(n, func() { f(); done = true })
	})
	return done
}

// number numbers an effect, in the order of the decisions, and has the legs know that
// what they hear is to change by it.
func (m *Manager) number(e orbit.Effect) (n uint64) {
	n = m.effects.Add(1)
	hears := func(id string) {
		if l := m.find(id); l != nil {
			l.turn.raise(n)
		}
	}
	switch e := e.(type) {
	case orbit.Play, orbit.Say, orbit.Park:
		hears(e.LegID())
	case orbit.Answer:
		hears(e.Leg)
		hears(e.Peer)
	case orbit.Bridge:
		hears(e.Leg)
		hears(e.Peer)
	}
	return n
}
