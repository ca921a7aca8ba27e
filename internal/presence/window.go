package presence

import (
	"sync"
	"time"
)

const (
	// An answer takes this many bytes of a receive buffer, counted as Linux
	// does, with what the packet is kept in.
	answerRoom = 2304
	// reply is how long a NOTIFY keeps its place: phones answer within some
	// milliseconds, and one that does not is not waited for.
	reply = 50 * time.Millisecond
	// smallBuffer is a receive buffer of unknown size, and the least that any
	// system gives.
	smallBuffer = 208 << 10
)

// window bounds how many NOTIFYs over UDP are out at once, so that their answers
// fit into the receive buffer. Who finds no place waits, and whoever has waited
// longest goes first. A place is given back with the answer, or after the time
// reply: so dead watchers take none for long. Its mutex is a leaf.
type window struct {
	wake chan struct{} // 1: some of those who wait may go

	mu      sync.Mutex
	size    int
	free    int
	out     line // who has a place, the oldest first
	queue   line // who waits
	alarm   *time.Timer
	ringing bool
}

// seat is a subscription's part in the window; owned by window.mu.
type seat struct {
	line       *line
	next, prev *sub
	since      instant // when the place was taken
}

// line is a list of subscriptions.
type line struct {
	first, last *sub
	len         int
}

func (l *line) append(s *sub) {
	s.seat.line, s.seat.prev, s.seat.next = l, l.last, nil
	if l.last == nil {
		l.first = s
	} else {
		l.last.seat.next = s
	}
	l.last = s
	l.len++
}

func (l *line) remove(s *sub) {
	if s.seat.prev == nil {
		l.first = s.seat.next
	} else {
		s.seat.prev.seat.next = s.seat.next
	}
	if s.seat.next == nil {
		l.last = s.seat.prev
	} else {
		s.seat.next.seat.prev = s.seat.prev
	}
	s.seat = seat{}
	l.len--
}

// places is how many answers a receive buffer of that many bytes has room for, if
// a quarter is left to others; 0 bytes = unknown.
func places(buffer int) int {
	if buffer <= 0 {
		buffer = smallBuffer
	}
	return max(1, buffer*3/4/answerRoom)
}

func newWindow(size int) *window {
	return &window{size: size, free: size, wake: make(chan struct{}, 1)}
}

// enter says whether a subscription has a place for a NOTIFY that goes now. If
// not it waits for one, and next will return it.
func (w *window) enter(s *sub, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case s.seat.line == &w.out:
		w.out.remove(s)
		w.free++
	case s.seat.line == &w.queue:
		return false
	case w.free == 0 || w.queue.len > 0:
		w.queue.append(s)
		w.ring(now)
		return false
	}
	w.take(s, now)
	return true
}

// take gives a place; it holds mu.
func (w *window) take(s *sub, now time.Time) {
	w.free--
	w.out.append(s)
	s.seat.since = instantOf(now)
}

// leave gives the place back, or the wish for one up.
func (w *window) leave(s *sub) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s.seat.line {
	case &w.out:
		w.out.remove(s)
		w.free++
		// A few at a time: whoever sends need not be woken for each.
		if w.queue.len > 0 && w.free >= min(w.queue.len, w.size/4) {
			w.poke()
		}
	case &w.queue:
		w.queue.remove(s)
	}
}

func (w *window) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next gives a place that is free to whoever has waited longest; nil if there is
// no such place, or nobody waits.
func (w *window) next(now time.Time) *sub {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := w.out.first; w.queue.len > 0 && s != nil && now.Sub(s.seat.since.time()) >= reply; s = w.out.first {
		w.out.remove(s)
		w.free++
	}
	s := w.queue.first
	if s == nil {
		return nil
	}
	if w.free == 0 {
		w.ring(now)
		return nil
	}
	w.queue.remove(s)
	w.take(s, now)
	if next := w.queue.first; next != nil {
		next.fetchAhead()
	}
	return s
}

// ring wakes whoever sends when the oldest place has been held long enough; it
// holds mu.
func (w *window) ring(now time.Time) {
	if w.ringing || w.out.first == nil {
		return
	}
	w.ringing = true
	d := reply - now.Sub(w.out.first.seat.since.time())
	if w.alarm == nil {
		w.alarm = time.AfterFunc(d, func() {
			w.mu.Lock()
			w.ringing = false
			w.mu.Unlock()
			w.poke()
		})
		return
	}
	w.alarm.Reset(d)
}

// sizes counts those who hold a place or wait for one.
func (w *window) sizes() (out, waiting int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.len, w.queue.len
}
