package rtpmusic

import "time"

// portRetry is how long a port that somebody else has bound is left alone.
const portRetry = 10 * time.Second

// pool hands out port numbers, the one that has rested longest first, so that
// what a former call's peer still sends finds nobody (or a stranger to it).
// Every step takes constant time.
type pool struct {
	free  ring[uint16] // in the order in which they were given back
	taken ring[taken]  // bound by others, in the order in which that was found
}

type taken struct {
	num uint16
	at  time.Duration
}

func newPool(ports [2]uint16) pool {
	var p pool
	for n := int(ports[0]); n <= int(ports[1]); n++ {
		if n != 0 && n%2 == 0 {
			p.free.push(uint16(n))
		}
	}
	return p
}

// take returns a number to try; false if there is none.
func (p *pool) take(now time.Duration) (uint16, bool) {
	if p.taken.len() > 0 && now-p.taken.front().at >= portRetry {
		p.free.push(p.taken.pop().num)
	}
	if p.free.len() == 0 {
		return 0, false
	}
	return p.free.pop(), true
}

// give takes back a number that was in use.
func (p *pool) give(num uint16) { p.free.push(num) }

// refuse takes back a number that could not be bound: because somebody else has
// it, or for a reason that has nothing to do with it.
func (p *pool) refuse(num uint16, busy bool, now time.Duration) {
	if busy {
		p.taken.push(taken{num, now})
		return
	}
	p.free.push(num)
}

// ring is a queue that grows to what it has held and never shrinks.
type ring[T any] struct {
	buf  []T
	head int
	n    int
}

func (r *ring[T]) len() int { return r.n }

func (r *ring[T]) front() T { return r.buf[r.head] }

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		grown := make([]T, max(8, 2*r.n))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)%len(r.buf)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = v
	r.n++
}

func (r *ring[T]) pop() T {
	v := r.buf[r.head]
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return v
}
