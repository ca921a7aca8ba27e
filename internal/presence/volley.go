package presence

import (
	"time"

	"parkd/internal/sipua"
)

// together is how many NOTIFYs of a fan go out at once: the first phone does not wait
// for the last one's.
const together = 32

// volley is what the fan writes before it sends it. It belongs to the fan, which takes
// it along to the queue of each subscription.
type volley struct {
	n   *Notifier
	do  func(*sub, *volley) // what it does there
	s   *sub                // whose queue that is
	now time.Time           // when the volley was begun
	out sipua.Volley
	of  []*telling // what is in it
}

// Run implements dialog.Work.
func (v *volley) Run() { v.do(v.s, v) }

// visit does something on the queue of a subscription, if that is idle: else it is done
// by whoever is at work there, in place of v with nil.
func (v *volley) visit(s *sub, do func(*sub, *volley)) {
	if v.now.IsZero() {
		v.now = time.Now()
	}
	v.s, v.do = s, do
	if !s.queue.Try(v) {
		_ = s.queue.Post(func() { do(s, nil) })
	}
	if v.out.Len() >= together {
		v.send()
	}
}

// time is that of a volley, for what comes about by it; by none it is now.
func (v *volley) time() time.Time {
	if v == nil {
		return time.Now()
	}
	return v.now
}

// add has a NOTIFY go out with the others.
func (v *volley) add(t *telling, wire []byte) {
	v.out.Add(&t.exchange, wire)
	v.of = append(v.of, t)
}

// send sends what is written.
func (v *volley) send() {
	v.n.index.sent(v.of, v.now)
	v.out.Send()
	clear(v.of)
	v.of, v.now, v.s = v.of[:0], time.Time{}, nil
}
