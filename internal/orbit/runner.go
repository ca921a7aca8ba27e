package orbit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrClosed is returned once a Runner has stopped.
var ErrClosed = errors.New("orbit: runner has stopped")

// Journal writes changes down in the order they are given. Append never
// blocks; it calls done once, from any goroutine, when the change is durable
// or could not be written.
type Journal interface {
	Append(ch Change, done func(error))
}

// World carries out what was decided. Its methods must not block.
type World interface {
	Carry(Effect) // to the leg that it names
	Show(View)    // to lamps: the newest view of an orbit wins
	Tell(Event)   // to operators
}

// Runner owns a State and runs its decisions, one at a time.
type Runner struct {
	journal Journal
	world   World
	in      chan any // Command, refusable or func(*State); senders wait when full
	done    chan struct{}

	commits struct { // leaf lock: the journal's callbacks against run
		sync.Mutex
		ready []commit
		wake  chan struct{}
	}

	state   *State    // owned by run
	lastDue time.Time // owned by run: of the last decision about a deadline
	held    []held    // owned by run: changes in flight to the journal, in order
	first   uint64    // owned by run: number of held[0]
	next    uint64    // owned by run: number of the next change

	flushing bool // owned by run
}

// commit is a result of the journal.
type commit struct {
	number uint64
	err    error
}

// held is a change whose effects wait for the journal.
type held struct {
	change Change
	shown  []string
	done   bool
	err    error
}

// NewRunner returns a runner over a state, restored or new, that nobody else
// touches from then on.
func NewRunner(state *State, journal Journal, world World) *Runner {
	r := &Runner{
		journal: journal, world: world, state: state,
		in: make(chan any, 1024), done: make(chan struct{}),
	}
	r.commits.wake = make(chan struct{}, 1)
	return r
}

// Do hands a command in. It waits while the inbox is full, which admission
// control bounds, and returns ErrClosed after the end. The refusal of an
// Invite reaches its leg as a Refuse, that of a Refer or Summon as a Report.
func (r *Runner) Do(c Command) error { return r.send(c) }

// Ask hands a command in and waits for its refusal or nil.
func (r *Runner) Ask(ctx context.Context, c Command) error {
	reply := make(chan error, 1)
	if err := r.send(asked{c, reply}); err != nil {
		return err
	}
	return r.wait(ctx, reply)
}

// Look runs f on the state between two decisions. f only reads, and quickly.
func (r *Runner) Look(ctx context.Context, f func(*State)) error {
	reply := make(chan error, 1)
	if err := r.send(func(s *State) { f(s); reply <- nil }); err != nil {
		return err
	}
	return r.wait(ctx, reply)
}

type asked struct {
	Command
	reply chan error
}

func (r *Runner) send(m any) error {
	select {
	case <-r.done: // also while there is room in the inbox
		return ErrClosed
	default:
	}
	select {
	case r.in <- m:
		return nil
	case <-r.done:
		return ErrClosed
	}
}

func (r *Runner) wait(ctx context.Context, reply <-chan error) error {
	select {
	case err := <-reply:
		return err
	case <-r.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run decides until ctx ends. It first resolves what a restored state has half
// done, and does what it owes: that needs not wait for the journal, for it would
// be decided again after another crash.
func (r *Runner) Run(ctx context.Context) {
	defer close(r.done)
	_ = r.decide(time.Now(), Restart{}) // never refused
	for _, e := range r.state.Owed() {
		r.world.Carry(e)
	}
	r.state.turned()
	for _, ext := range slices.Concat(r.state.Extensions(), r.state.PoolExtensions()) {
		r.show(ext)
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(r.pause(time.Now()))
		select {
		case m := <-r.in:
			r.take(m)
		case <-r.commits.wake:
			r.release()
		case <-timer.C:
			r.lastDue = time.Now()
			r.decide(r.lastDue, Due{})
		case <-ctx.Done():
			return
		}
	}
}

// longest is how long the runner sleeps at most while something will be due.
const longest = 10 * time.Second

// apart is the time between two deadlines at least: each may be an INVITE.
const apart = time.Millisecond

// pause is how long there is nothing due.
func (r *Runner) pause(now time.Time) time.Duration {
	next := r.state.Next()
	if next.IsZero() {
		return time.Hour
	}
	// Many at once, as those that passed while no server ran, are spread.
	wait := max(next.Sub(now), r.lastDue.Add(apart).Sub(now), 0)
	// A deadline that was restored is by the wall clock, which may be set.
	return min(wait, longest)
}

func (r *Runner) take(m any) {
	switch m := m.(type) {
	case func(*State):
		m(r.state)
	case asked:
		m.reply <- r.decide(time.Now(), m.Command)
	case Command:
		if err := r.decide(time.Now(), m); err != nil {
			switch m := m.(type) {
			case Invite:
				r.world.Carry(Refuse{m.Leg, err})
			case Refer:
				r.world.Carry(Report{Leg: m.Leg, Err: err})
			case Summon:
				r.world.Carry(Report{Leg: m.Leg, Err: err})
			}
		}
	}
}

// decide runs one command through the state and hands the change on.
func (r *Runner) decide(now time.Time, c Command) error {
	ch, err := r.state.Decide(now, c)
	if err != nil || ch.Empty() {
		return err
	}
	shown := r.state.touched(&ch)
	added := r.state.added(&ch)
	shown = slices.DeleteFunc(shown, func(ext string) bool { return slices.Contains(added, ext) })
	r.state.Apply(ch)
	shown = append(shown, r.state.turned()...)
	for _, ext := range added { // nothing durable shows in an orbit without calls
		r.show(ext)
	}
	for _, e := range ch.Now {
		r.world.Carry(e)
	}
	h := held{change: ch, shown: shown, done: !ch.durable()}
	r.held = append(r.held, h)
	number := r.next
	r.next++
	if h.done {
		r.flush()
		return nil
	}
	r.journal.Append(ch, func(err error) {
		r.commits.Lock()
		r.commits.ready = append(r.commits.ready, commit{number, err})
		r.commits.Unlock()
		select {
		case r.commits.wake <- struct{}{}:
		default:
		}
	})
	r.release() // a journal in memory is done already
	return nil
}

// release takes in what the journal has finished.
func (r *Runner) release() {
	r.commits.Lock()
	ready := r.commits.ready
	r.commits.ready = nil
	r.commits.Unlock()
	for _, c := range ready {
		h := &r.held[c.number-r.first]
		h.done, h.err = true, c.err
	}
	if len(ready) > 0 {
		r.flush()
	}
}

// flush carries out the effects of finished changes, in commit order. A change
// that could not be written is carried out too, but for a new park: that is
// taken back, unless the caller has been fetched or is on their way back.
func (r *Runner) flush() {
	if r.flushing {
		return // an Undo of whoever flushes, which comes to it
	}
	r.flushing = true
	defer func() { r.flushing = false }()
	for len(r.held) > 0 && r.held[0].done {
		h := r.held[0]
		r.held[0] = held{} // else it would be in memory until another one is put behind the last
		r.held = r.held[1:]
		r.first++
		if h.err != nil && h.change.park != "" && !r.state.fetched(h.change.park) {
			_ = r.decide(time.Now(), Undo{h.change.park}) // never refused
			r.showPools(h.shown)
			continue
		}
		for _, e := range h.change.After {
			r.world.Carry(e)
		}
		for _, ext := range h.shown {
			r.show(ext)
		}
		for _, e := range h.change.Events {
			r.world.Tell(e)
		}
	}
}

// showPools shows those that are pools of some extensions: a park that is taken back
// may not be what filled one, for others have come and gone since.
func (r *Runner) showPools(exts []string) {
	for _, ext := range exts {
		if r.state.pools[ext] != nil {
			r.show(ext)
		}
	}
}

func (r *Runner) show(ext string) {
	if v, ok := r.state.Lamp(ext); ok {
		r.world.Show(v)
	} else {
		r.world.Show(View{Orbit: ext, State: "free", Gone: true})
	}
}
