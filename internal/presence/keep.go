package presence

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

// Journal keeps the records of subscriptions.
type Journal interface {
	// Keep writes the record of a subscription to a resource under its id, in the
	// place of the one before; nil forgets it. It must not block. done, which may
	// be nil, is called once, from any goroutine, when that is durable or could
	// not be done. What is kept under one id keeps its order.
	Keep(resource, id string, record []byte, done func(error))
}

// diskPatience is how long a SUBSCRIBE waits for its record. Its sender gives
// up after 32 s (RFC 3261 17.1.2.2); a disk that slow counts as one that fails.
const diskPatience = 10 * time.Second

var errSlowDisk = errors.New("the journal takes too long")

// maxWaiting bounds the requests that wait in a subscription for the disk.
const maxWaiting = 16

// format is that of a record.
const format = 1

// record is a subscription as the journal has it: its Version and LocalSeq are
// ceilings, its Expires counts from the SUBSCRIBE and not from the 200, which
// comes when the record is written; or, after a refresh that changed nothing else,
// before (lag).
type record struct {
	Format int    `json:"format"`
	Epoch  uint64 `json:"epoch,omitempty"` // of the journal that it was given to
	Subscription
}

// Errors of records that cannot be read.
var (
	errFormat = errors.New("unknown format")
	errRecord = errors.New("incomplete record")
)

func decode(text []byte) (record, error) {
	var r record
	err := json.Unmarshal(text, &r)
	if err != nil && r.Format == 0 {
		return record{}, err
	}
	if r.Format != format { // whatever else is wrong with it then
		return record{}, fmt.Errorf("%w %d", errFormat, r.Format)
	}
	if err != nil {
		return record{}, err
	}
	if _, ok := packOf(r.Event); !ok {
		return record{}, fmt.Errorf("%w: event %q", errRecord, r.Event)
	}
	if r.Resource == "" || r.Dialog.CallID == "" || r.Dialog.Local == "" || r.Dialog.Target == "" || r.Expires.IsZero() {
		return record{}, errRecord
	}
	return r, nil
}

// encode writes the record of a subscription with its ceilings.
func (s *sub) encode(m marks) ([]byte, error) {
	r := record{Format: format, Epoch: s.n.o.Epoch, Subscription: s.rec}
	r.Version, r.Dialog.LocalSeq, r.Expires = m.version, m.seq, s.until.time()
	return json.Marshal(&r)
}

// keptAs is what the record is kept under: our tag, which is random.
func (s *sub) keptAs() string { return s.id.Local }

func (s *sub) marks() marks { return marks{s.rec.Version, s.rec.Dialog.LocalSeq} }

// keep hands the record to the journal. then, which may be nil, runs on the
// queue once it is written, or cannot be, or the disk takes too long: a lamp
// that a crash would lose is better than none, and the journal writes first what
// it could not write.
func (s *sub) keep(then func()) {
	if s.n.o.Journal == nil {
		if then != nil {
			then()
		}
		return
	}
	m := s.ceil.raise(s.marks())
	until := s.until
	s.firm = false
	settled := false // owned by the queue
	settle := func(err error) {
		if settled {
			return
		}
		settled = true
		if err != nil {
			s.log().Debug().Err(err).Msg("subscription is not durable")
		}
		s.firm = err == nil && until == s.until
		s.ceil.settle(m)
		if then != nil {
			then()
		}
		s.pump()
	}
	text, err := s.encode(m)
	if err != nil { // a record is plain values
		settle(err)
		return
	}
	s.kept = true
	late := s.n.o.Wheel.After(diskPatience, s.queue, func() { settle(errSlowDisk) })
	s.n.o.Journal.Keep(s.rec.Resource, s.keptAs(), text, func(err error) {
		late.Stop()
		_ = s.queue.Post(func() { settle(err) })
	})
}

// low writes the record again in time, without waiting.
func (s *sub) low() {
	if s.kept && s.ceil.low(s.marks()) {
		s.keep(nil)
	}
}

// spent says that the record must be written before anything is sent; it is
// asked for, and pumps when it is. The last NOTIFY takes from what is spared.
func (s *sub) spent() bool {
	if !s.kept || s.closing != "" || !s.ceil.spent(s.marks()) {
		return false
	}
	if !s.ceil.waiting() {
		s.keep(nil)
	}
	return true
}

// erase has the journal forget the subscription.
func (s *sub) erase() {
	if s.kept {
		s.kept = false
		s.n.forget(s.rec.Resource, s.keptAs())
	}
}

// release runs then once the journal has forgotten the subscription; requests wait
// behind it as in hold.
func (s *sub) release(then func()) {
	if !s.kept {
		then()
		return
	}
	s.kept, s.busy = false, true
	settled := false // owned by the queue
	settle := func() {
		if !settled {
			settled = true
			s.resume(then)
		}
	}
	late := s.n.o.Wheel.After(diskPatience, s.queue, settle)
	s.n.o.Journal.Keep(s.rec.Resource, s.keptAs(), nil, func(error) {
		late.Stop()
		_ = s.queue.Post(settle)
	})
}

// resume runs then, and what has waited behind the disk.
func (s *sub) resume(then func()) {
	s.busy = false
	then()
	for len(s.waiting) > 0 && !s.busy {
		r := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.Request(r)
	}
}

// hold runs then once the record is written. Requests wait behind it, in their
// order; changes of state are told meanwhile.
func (s *sub) hold(then func()) {
	s.busy = true
	s.keep(func() { s.resume(then) })
}

// wait has a request wait for the disk.
func (s *sub) wait(r *sipua.Request) {
	if len(s.waiting) >= maxWaiting {
		s.reply(r, sip.StatusInternalServerError, sip.NewHeader("Retry-After", draining))
		return
	}
	s.waiting = append(s.waiting, r)
}
