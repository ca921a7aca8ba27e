package dialog

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	tick  = 10 * time.Millisecond
	slots = 512 // a turn of the wheel is 5.12 s
)

// Wheel is a hashed timer wheel: starting and stopping a timer costs the same
// whatever number of them there is. One goroutine serves it, which sleeps
// while no slot is due.
type Wheel struct {
	start time.Time
	wake  chan struct{}
	done  chan struct{}
	ended chan struct{}

	mu     sync.Mutex // leaf
	slot   [slots]*Timer
	used   [slots / 64]uint64 // which slots are not empty
	armed  int                // timers in slots
	now    int64              // last tick that was served
	until  int64              // tick that the goroutine sleeps for; 0 = sleeps for good
	closed bool
}

// Timer is one timer of a wheel.
type Timer struct {
	wheel      *Wheel
	queue      *Queue
	f          func()
	at         int64 // tick at which it fires
	next, prev *Timer
	linked     bool // in a slot; owned by wheel.mu
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
	w.slot, w.armed = [slots]*Timer{}, 0
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
	i := t.at % slots
	t.next = w.slot[i]
	if t.next != nil {
		t.next.prev = t
	}
	w.slot[i] = t
	w.used[i/64] |= 1 << (i % 64)
	t.linked = true
	w.armed++
}

func (w *Wheel) unlink(t *Timer) { // holds mu
	if !t.linked || w.closed {
		return
	}
	i := t.at % slots
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slot[i] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	if w.slot[i] == nil {
		w.used[i/64] &^= 1 << (i % 64)
	}
	t.next, t.prev, t.linked = nil, nil, false
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
	var list []*Timer
	from := max(w.now+1, to-slots+1)
	for n := from; n <= to; n++ {
		for t := w.slot[n%slots]; t != nil; {
			next := t.next
			if t.at <= to {
				w.unlink(t)
				list = append(list, t)
			}
			t = next
		}
	}
	w.now = max(w.now, to)
	slices.SortStableFunc(list, func(a, b *Timer) int { return cmp.Compare(a.at, b.at) })
	return list
}

// rest says how long until the next slot that is not empty.
func (w *Wheel) rest() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = 0
	for n := w.now + 1; n <= w.now+slots; {
		i := n % slots
		word := w.used[i/64] >> (i % 64)
		if word == 0 {
			n += 64 - i%64
			continue
		}
		n += int64(bits.TrailingZeros64(word))
		w.until = n
		return max(0, time.Duration(n)*tick-time.Since(w.start)), true
	}
	return 0, false
}

// fire posts the timer's function; a Stop until it runs still counts.
func (t *Timer) fire() {
	t.queue.Post(func() {
		if t.state.CompareAndSwap(armed, ran) {
			t.f()
		}
	})
}
