// Package leg is the INVITE usage of dialogs: the legs of calls, each one
// dialog and its media. It gathers the facts that a decision of package orbit
// needs, carries out the decision's effects, and reports what then happens as
// further commands. It decides nothing about parked calls itself.
//
// A leg lives on a queue of its own, where requests, effects, timers and
// responses run one at a time; legs read of each other only what is immutable
// or atomic. The package promises one report of the end for each leg that the
// decider was told of, and that an INVITE which is refused leaves nothing
// behind.
package leg

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
	"parkd/internal/shrink"
	"parkd/internal/sipua"
)

// Decider is told everything that happens to legs.
type Decider interface {
	Do(orbit.Command) error
}

// Watchers knows the phones whose lamp shows a call.
type Watchers interface {
	// Showing returns the Call-ID of the alias that the phone which sent an
	// INVITE was shown last at resource, "" if it watches nothing there or its
	// lamp is off.
	Showing(invite *sipua.Request, resource string) (alias string)
}

// Options is what legs are built from.
type Options struct {
	Endpoint *sipua.Endpoint
	Table    *dialog.Table
	Wheel    *dialog.Wheel
	Media    Media
	Decider  Decider
	Watchers Watchers
	Policy   *Policy
	Refused  func(reason string) // counts refusals; may be nil
	Epoch    uint64              // of this process among those that wrote records
	Log      zerolog.Logger
}

// Manager owns the legs.
type Manager struct {
	o      Options
	ctx    context.Context
	policy atomic.Pointer[Policy]
	direct atomic.Int64 // calls whose media flows past us

	effects atomic.Uint64 // handed out so far
	revived int           // legs of a former process that Restore has read; set before any begins

	mu       sync.Mutex // leaf
	legs     map[string]*Leg
	most     int             // shrink's, of legs
	began    map[string]*Leg // restored ones, by the INVITE that the peer began with
	calling  map[string]*Leg // restored ones whose INVITE of ours is lost, by Call-ID
	summoned map[string]*summons
	ours     map[string]*Leg // those that began with an INVITE of ours, by Call-ID
	empty    chan struct{}   // closed when the last leg goes, if somebody waits
}

// New returns a manager; ctx bounds the requests that it sends.
func New(ctx context.Context, o Options) *Manager {
	m := &Manager{o: o, ctx: ctx, legs: map[string]*Leg{}, began: map[string]*Leg{}, calling: map[string]*Leg{}, summoned: map[string]*summons{}, ours: map[string]*Leg{}}
	m.policy.Store(o.Policy)
	return m
}

// Carry hands an effect to its leg. It does not block. An effect for a leg
// that is gone finds nobody, and its end has been or will be reported.
func (m *Manager) Carry(e orbit.Effect) {
	if e, ok := e.(orbit.Ring); ok {
		m.ring(e)
		return
	}
	if l := m.find(e.LegID()); l != nil {
		n := m.number(e)
		l.post(func() { l.carry(e, n) })
	} else if s := m.findSummons(e.LegID()); s != nil {
		_ = s.queue.Post(func() { s.carry(e) }) // never closed
	}
}

// Update puts another policy in force, for what happens from now on.
func (m *Manager) Update(p *Policy) { m.policy.Store(p) }

// Count is how many legs there are.
func (m *Manager) Count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.legs)
}

// Sizes counts what the manager holds, by kind; without legs all are 0.
func (m *Manager) Sizes() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[string]int{"legs": len(m.legs), "restored_legs": len(m.began) + len(m.calling), "referrals": len(m.summoned)}
}

// Direct is how many calls there are whose media flows past parkd.
func (m *Manager) Direct() int { return int(m.direct.Load()) }

// Close ends every leg with BYE or CANCEL, and waits for that until ctx ends.
func (m *Manager) Close(ctx context.Context) {
	m.mu.Lock()
	empty := make(chan struct{})
	m.empty = empty
	legs := make([]*Leg, 0, len(m.legs))
	for _, l := range m.legs {
		legs = append(legs, l)
	}
	m.mu.Unlock()
	if len(legs) == 0 {
		return
	}
	for _, l := range legs {
		l.post(func() { l.hangup(orbit.Bye{Leg: l.id, Reason: "shutting down"}) })
	}
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

func (m *Manager) find(id string) *Leg {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.legs[id]
}

func (m *Manager) findSummons(id string) *summons {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.summoned[id]
}

func (m *Manager) add(l *Leg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.legs[l.id] = l
}

func (m *Manager) forget(l *Leg) {
	m.o.Table.Remove(l.dialog.ID)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.legs = shrink.Delete(m.legs, &m.most, l.id)
	delete(m.began, l.key)
	delete(m.calling, l.key)
	delete(m.ours, l.placed)
	if len(m.legs) == 0 && m.empty != nil {
		close(m.empty)
		m.empty = nil
	}
}

// newLeg returns a leg with a queue, known to nobody yet.
func (m *Manager) newLeg(id string) *Leg {
	l := &Leg{id: id, m: m, port: silent{}, refer: &noReports}
	l.log = m.o.Log.Hook(signed{l})
	l.queue = dialog.NewQueue(dialog.QueueConfig{
		Overflow: l.overflowed,
		Panic: func(value any, stack []byte) {
			l.log.Error().Interface("panic", value).Bytes("stack", stack).Msg("panic in a leg")
		},
	})
	return l
}

// signed has each message of a leg's log say whose it is. A logger with fields of its
// own would take half a kilobyte.
type signed struct{ *Leg }

// Run implements zerolog.Hook.
func (s signed) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str("leg", s.id)
	if s.owner != "" {
		e.Str("orbit", s.orbit).Str("call", s.owner)
	}
}

// belong notes which call of which orbit the leg belongs to.
func (l *Leg) belong(orbit, call string) { l.orbit, l.owner = orbit, call }

// use gives the leg its port.
func (l *Leg) use(port Port) {
	l.port = port
	port.OnKey(func(digit byte) {
		l.post(func() { l.m.tell(orbit.Key{Leg: l.id, Digit: digit}) })
	})
	port.OnPlace(func() {
		l.post(func() {
			if l.state == confirmed {
				l.keep()
			}
		})
	})
}

// overflowed ends a leg whose mailbox was full: what was lost may have been its
// end. It runs on a goroutine of its own and waits for room.
func (l *Leg) overflowed() {
	l.m.o.Log.Error().Str("leg", l.id).Msg("leg mailbox overflowed")
	end := func() {
		if l.state == confirmed {
			l.lost("mailbox overflowed")
			return
		}
		l.hangup(orbit.Bye{Leg: l.id, Reason: "mailbox overflowed"})
	}
	for l.queue.Post(end) != nil {
		select {
		case <-time.After(overflowPause):
		case <-l.m.ctx.Done():
			return
		}
	}
}

// overflowPause is how long a leg that overflowed is given to make room.
const overflowPause = 10 * time.Millisecond

// tell hands a command to the decider; after the end of the world nobody
// listens, and nothing is lost by that.
func (m *Manager) tell(c orbit.Command) { _ = m.o.Decider.Do(c) }

func (m *Manager) refused(reason string) {
	if m.o.Refused != nil {
		m.o.Refused(reason)
	}
}

// token returns 128 random bits in hex.
func token() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
