package presence

import "time"

// How often a watcher is told (RFC 4235 3.10: no more than once a second).
const (
	burst  = 3               // changes after a quiet time that go at once
	apart  = time.Second     // between two changes after those
	quiet  = 3 * time.Second // this long without a change gives the burst back
	flight = 2 * time.Second // how long an unanswered NOTIFY holds a newer state back
)

// pacer decides when a change may be told. It is a pure value; documents that a
// SUBSCRIBE asked for do not count (RFC 6665 4.2.1.2: those go at once).
type pacer struct {
	free int     // of the burst, left
	last instant // when the last change was told; 0 = never
}

// ready is the earliest time, not before now, at which a change may be told.
func (p pacer) ready(now time.Time) time.Time {
	if p.rested(now) || p.free > 0 {
		return now
	}
	if next := p.last.time().Add(apart); next.After(now) {
		return next
	}
	return now
}

// spend notes that a change was told.
func (p *pacer) spend(now time.Time) {
	if p.rested(now) {
		p.free = burst
	}
	p.free = max(0, p.free-1)
	p.last = instantOf(now)
}

func (p pacer) rested(now time.Time) bool { return p.last == 0 || now.Sub(p.last.time()) >= quiet }
