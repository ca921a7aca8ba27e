package rtpmusic

import (
	"slices"
	"time"

	"parkd/internal/rtpmusic/packet"
)

// reorder puts what a codec with memory is to decode back in order. Nothing waits
// while packets come as they were sent; those behind a gap wait for what is missing,
// for a moment. It does not even out jitter: timestamps pass through, and the
// receiver has a buffer for that.
type reorder struct {
	due   uint16      // the next sequence number to be decoded
	held  []waiting   // by their numbers; empty while nothing is missing
	timer *time.Timer // calls overdue; nil before anything was missing
}

// Bounds of what waits.
const (
	// holdFor is how late a packet can be. Longer would help few that are, and delay
	// what follows each one that is lost.
	holdFor = 30 * time.Millisecond
	maxHeld = 3 // packets
)

// waiting is a packet on its way through a relay.
type waiting struct {
	seq     uint16        // of the sender
	ts      uint32        // of the stream that it becomes part of
	at      time.Duration // when it came
	kind    kind
	marker  bool
	payload []byte // as it came
}

// kind says what becomes of a packet.
type kind uint8

const (
	voice   kind = iota
	event        // passed on as it is
	nothing      // left out
)

// inOrder passes a packet on to be transcoded when its turn has come.
func (q *Port) inOrder(w waiting, r *reader) {
	v := &q.relay
	switch ahead := int16(w.seq - v.due); {
	case ahead < 0: // it was not waited for, or is the same again
	case ahead > 0:
		v.hold(w)
		if len(v.held) > maxHeld {
			v.due = v.held[0].seq
		}
		q.release(r.out[:], r.now, r.count)
	default:
		q.decode(w, r.out[:], r.now, r.count)
		q.release(r.out[:], r.now, r.count)
	}
}

// hold keeps a copy of a packet that is not due.
func (v *reorder) hold(w waiting) {
	i, twice := slices.BinarySearchFunc(v.held, w.seq, func(h waiting, seq uint16) int { return int(int16(h.seq - seq)) })
	if !twice {
		w.payload = slices.Clone(w.payload)
		v.held = slices.Insert(v.held, i, w)
	}
}

// release passes on what is due of those that wait, and sees to it that the rest does
// not wait too long.
func (q *Port) release(buf []byte, now time.Duration, count *counters) {
	v := &q.relay
	for len(v.held) > 0 && v.held[0].seq == v.due {
		w := v.held[0]
		v.held = slices.Delete(v.held, 0, 1)
		q.decode(w, buf, now, count)
	}
	if len(v.held) == 0 {
		return
	}
	left := v.until() - now
	if v.timer == nil {
		v.timer = time.AfterFunc(left, q.overdue)
	} else {
		v.timer.Reset(left)
	}
}

// until is when the one that has waited longest has waited long enough.
func (v *reorder) until() time.Duration {
	at := v.held[0].at
	for _, w := range v.held {
		at = min(at, w.at)
	}
	return at + holdFor
}

// overdue passes on what has waited long enough: what is missing is lost.
func (q *Port) overdue() {
	q.mu.Lock()
	defer q.mu.Unlock()
	v, now := &q.relay, q.e.now()
	if q.closed || q.peer == nil || !v.begun || !q.out.ready || q.pressing {
		v.held = nil
		return
	}
	buf, count := make([]byte, packetRoom), q.e.spare()
	for len(v.held) > 0 && v.until() <= now {
		v.due = v.held[0].seq
		q.release(buf, now, count)
	}
	if len(v.held) > 0 {
		q.release(buf, now, count)
	}
}

// decode transcodes the packet that is due, and sends it.
func (q *Port) decode(w waiting, buf []byte, now time.Duration, count *counters) {
	v := &q.relay
	v.due = w.seq + 1
	b := buf[:packet.HeaderSize]
	switch w.kind {
	case nothing:
		v.leaveOut(&q.out)
		return
	case event:
		b = append(b, w.payload...)
	case voice:
		b = v.trans.Frame(b, w.payload)
	}
	q.pass(w, b, now, count)
}
