package orbit

import (
	"container/heap"
	"time"
)

// place is an orbit and the FIFO of those of its calls that may be fetched.
type place struct {
	Orbit
	removed    bool // configured no more: there while it has calls
	head, tail *entry
	count      int // calls in the orbit, those being retrieved too
	waiting    int // those that may be fetched
	seats      []seat
}

// removed is when and for how long a return rings when the call's orbit was
// unknown as the state was restored.
var removed = Timeout{Enabled: true, After: 2 * time.Minute, Ring: 15 * time.Second}

// unknown returns the place of restored calls whose orbit is configured no
// more: they may be retrieved, and go back to their parkers.
func unknown(ext string) *place {
	return &place{Orbit: Orbit{Extension: ext, Multiple: true, Timeout: removed}, removed: true}
}

// link puts a call at its place in the FIFO: nearly always the tail, and the
// head when a retrieve of the oldest came to nothing.
func (p *place) link(e *entry) {
	after := p.tail
	if p.head != nil && e.Seq < p.head.Seq {
		after = nil
	}
	for after != nil && after.Seq > e.Seq {
		after = after.prev
	}
	e.prev, e.linked = after, true
	p.waiting++
	if after == nil {
		e.next, p.head = p.head, e
	} else {
		e.next, after.next = after.next, e
	}
	if e.next == nil {
		p.tail = e
	} else {
		e.next.prev = e
	}
}

func (p *place) unlink(e *entry) {
	if e.prev == nil {
		p.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		p.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.linked = nil, nil, false
	p.waiting--
}

// schedule puts every call into the heap of deadlines anew.
func (s *State) schedule() {
	clear(s.due)
	s.due = s.due[:0]
	for _, e := range s.calls {
		e.index = -1
		if e.at = e.deadline(s.set.MaxTime); !e.at.IsZero() {
			s.due.Push(e)
		}
	}
	heap.Init(&s.due)
}

// deadlines is a heap of calls by time, and by place where times are equal.
type deadlines []*entry

func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	if order := d[i].at.Compare(d[j].at); order != 0 {
		return order < 0
	}
	return d[i].Seq < d[j].Seq
}
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	e := x.(*entry)
	e.index = len(*d)
	*d = append(*d, e)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	old := *d
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	e.index = -1
	return e
}
