package dialog

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	tick  = 10 * time.Millisecond
	slots = 512 // a turn is 5.12 s
)

// Wheel is a hashed timer wheel: starting and stopping a timer costs the same
// whatever number of them there is. One goroutine serves it, which sleeps
// while no slot is due.
//
// Timers of the next turn are in slots of a tick. Those later than that wait in
// slots of a turn, and come near when theirs begins: else ten thousand timers
// of an hour would be met, and the goroutine woken for them, each turn.
type Wheel struct {
	start time.Time
	wake  chan struct{}
	done  chan struct{}
	ended chan struct{}

	mu     sync.Mutex // leaf
	near   ring       // by tick
	far    ring       // by turn
	armed  int        // timers in slots
	now    int64      // last tick that was served
	until  int64      // tick that the goroutine sleeps for; 0 = sleeps for good
	closed bool
}

// Timer is one timer of a wheel.
type Timer struct {
	wheel      *Wheel
	queue      *Queue
	f          func()
	at         int64 // tick at which it fires
	next, prev *Timer
	in         *ring // nil = in no slot; owned by wheel.mu
	state      atomic.Int32
}

// The states of a timer.
const (
	armed int32 = iota
	ran
	stopped
)

// NewWheel starts a wheel; Close ends it.
func NewWheel() *Wheel {
	w := &Wheel{start: time.Now(), wake: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{})}
	go w.run()
	return w
}

// After posts f to q once d has passed, never early and at most two ticks of
// 10 ms late on an idle machine. A full queue loses f, by the queue's rules.
func (w *Wheel) After(d time.Duration, q *Queue, f func()) *Timer {
	t := &Timer{wheel: w, queue: q, f: f}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		t.state.Store(stopped)
		return t
	}
	t.at = int64((time.Since(w.start) + max(d, 0) + tick - 1) / tick)
	t.at = max(t.at, w.now+1)
	w.link(t)
	if w.until == 0 || t.at < w.until {
		select {
		case w.wake <- struct{}{}:
		default: // it is waking already
		}
	}
	return t
}

// Stop keeps f from running and says whether it did: false means that f has
// run or is running. Called from the timer's queue it is exact. A nil timer
// may be stopped.
func (t *Timer) Stop() bool {
	if t == nil || !t.state.CompareAndSwap(armed, stopped) {
		return false
	}
	t.wheel.mu.Lock()
	t.wheel.unlink(t)
	t.wheel.mu.Unlock()
	return true
}

// Close stops the wheel; no timer fires afterwards.
func (w *Wheel) Close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	w.near, w.far, w.armed = ring{}, ring{}, 0
	w.mu.Unlock()
	close(w.done)
	<-w.ended
}

// Len counts the timers that are to fire.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.armed
}

func (w *Wheel) link(t *Timer) { // holds mu
	if t.at-w.now < slots {
		w.near.put(t.at, t)
	} else {
		w.far.put(t.at/slots, t)
	}
	w.armed++
}

func (w *Wheel) unlink(t *Timer) { // holds mu
	switch {
	case w.closed || t.in == nil:
		return
	case t.in == &w.near:
		w.near.take(t.at, t)
	default:
		w.far.take(t.at/slots, t)
	}
	w.armed--
}

func (w *Wheel) run() {
	defer close(w.ended)
	sleep := time.NewTimer(time.Hour)
	defer sleep.Stop()
	for {
		for _, t := range w.due() {
			t.fire()
		}
		var alarm <-chan time.Time
		if d, ok := w.rest(); ok {
			sleep.Reset(d)
			alarm = sleep.C
		}
		select {
		case <-alarm:
		case <-w.wake:
		case <-w.done:
			return
		}
	}
}

// due unlinks and returns the timers of all ticks up to now, earliest first.
func (w *Wheel) due() []*Timer {
	w.mu.Lock()
	defer w.mu.Unlock()
	to := int64(time.Since(w.start) / tick)
	served := w.now
	w.now = max(w.now, to)
	turn := to / slots
	for n := max(served/slots+1, turn-slots+1); n <= turn; n++ {
		for t := w.far.slot[n%slots]; t != nil; {
			next := t.next
			if t.at/slots <= turn {
				w.unlink(t)
				w.link(t) // comes near
			}
			t = next
		}
	}
	var list []*Timer
	for n := max(served+1, to-slots+1); n <= to; n++ {
		for t := w.near.slot[n%slots]; t != nil; {
			next := t.next
			if t.at <= to {
				w.unlink(t)
				list = append(list, t)
			}
			t = next
		}
	}
	slices.SortStableFunc(list, func(a, b *Timer) int { return cmp.Compare(a.at, b.at) })
	return list
}

// rest says how long until the next slot that is not empty: of a tick, or the
// beginning of a turn.
func (w *Wheel) rest() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = 0
	if n, ok := w.near.after(w.now); ok {
		w.until = n
	}
	if n, ok := w.far.after(w.now / slots); ok && (w.until == 0 || n*slots < w.until) {
		w.until = n * slots
	}
	return max(0, time.Duration(w.until)*tick-time.Since(w.start)), w.until != 0
}

// fire posts the timer's function; a Stop until it runs still counts.
func (t *Timer) fire() {
	t.queue.Post(func() {
		if t.state.CompareAndSwap(armed, ran) {
			t.f()
		}
	})
}
