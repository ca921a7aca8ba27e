package presence

import (
	"sync/atomic"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

// sub is a subscription at work. Everything runs on its queue.
type sub struct {
	n     *Notifier
	queue *dialog.Queue
	id    dialog.ID    // never changes
	face  face         // owned by index.mu
	seat  seat         // owned by window.mu
	news  atomic.Int64 // instant of a change that waits in the queue; 0 = none does

	// Owned by the queue. What is small stands together: there are ten thousand.
	rec     Subscription
	way     sipua.Way // of its NOTIFYs, if it needs no looking for
	until   stamp     // Expires of the newest record
	ceil    ceilings
	kept    bool             // the journal has a record
	firm    bool             // and has written the newest one
	lagging bool             // the last refresh is in none
	vague   bool             // after a restart: it may have been refreshed later than the record says
	busy    bool             // an answer waits for the journal
	gone    bool             // nothing happens any more
	owed    bool             // a SUBSCRIBE, or the end, wants a document now
	open    bool             // the 200 has been sent
	silent  bool             // does not answer: single sends
	lost    bool             // TCP, TLS: the last NOTIFY is not answered
	sure    bool             // a request in the dialog came over Flow since that was opened
	visit   bool             // a fetch: not listed, not found by requests
	missed  uint8            // NOTIFYs in a row without an answer, up to patience
	known   uint32           // LocalSeq when a SUBSCRIBE was answered last
	waiting []*sipua.Request // behind the journal
	closing string           // reason of the last NOTIFY; "" = active
	parted  func()           // is called when nothing happens any more; nil = by nobody
	since   instant          // the oldest change not told yet; 0 = none
	pace    pacer
	held    instant       // no change is told before: Retry-After
	retry   instant       // when the last state is told again; 0 = it arrived
	backoff time.Duration // between the last two retries
	sending *telling      // the last NOTIFY, until it is answered
	timer   *dialog.Timer // for pump
	expiry  *dialog.Timer
	list    *list // nil = a single resource; never changes
}

func newSub(n *Notifier, rec Subscription) *sub {
	rec.share()
	s := &sub{n: n, rec: rec, id: rec.Dialog.ID, ceil: ceilings{block: n.block}}
	if rec.List {
		s.list = newList(rec.Entity)
	}
	s.queue = dialog.NewQueue(dialog.QueueConfig{Overflow: s.overflow, Panic: func(v any, stack []byte) {
		s.n.window.leave(s) // whoever was about to send has not
		s.log().Error().Interface("panic", v).Bytes("stack", stack).Msg("panic in a subscription")
	}})
	s.routed()
	return s
}

// overflow drops a subscription whose queue is full, which is a bug: its phone
// gets 481 and subscribes anew.
func (s *sub) overflow() {
	s.log().Error().Msg("subscription's queue is full")
	s.queue.Close()
	s.n.index.drop(s)
	s.n.o.Table.Remove(s.id)
	s.n.window.leave(s)
	s.n.forget(s.rec.Resource, s.keptAs())
}

// begin takes a new SUBSCRIBE in; replaced, which may be nil, is the
// subscription that the same phone had before.
func (s *sub) begin(r *sipua.Request, t terms, replaced *sub) {
	if replaced != nil {
		// Behind the new record: after a crash between the two, the newer counts.
		defer func() { _ = replaced.queue.Post(replaced.forget) }()
	}
	if s.gone { // replaced by the next one, or stopped, before its turn came
		s.n.refused(r, closed())
		return
	}
	if _, err := s.n.o.Table.Add(s.id, s.rec.Dialog.RemoteSeq, s.queue, s); err != nil {
		s.reply(r, sip.StatusInternalServerError)
		s.end()
		return
	}
	s.sure = true
	s.promise(t.expires)
	s.hold(func() { s.opened(r, t) })
}

// opened answers a new SUBSCRIBE, whose record is written, and tells the state.
func (s *sub) opened(r *sipua.Request, t terms) {
	if s.gone { // while the disk was at work
		s.n.refused(r, closed())
		s.erase()
		return
	}
	s.accept(r, t.expires)
	s.log().Info().Str("event", s.rec.Event).Str("source", s.rec.Dialog.Flow.Remote.String()).
		Int("expires", int(t.expires/time.Second)).Msg("lamp subscribed")
	s.step(Step{Kind: StepSubscribed, Expires: t.expires})
	s.live(t.expires)
}

// repeat takes the SUBSCRIBE that began the subscription once more, as a refresh.
func (s *sub) repeat(r *sipua.Request) *refusal {
	if s.queue.Post(func() { s.Request(r) }) != nil {
		return refuse(sip.StatusInternalServerError, "queue")
	}
	return nil
}

// fetch answers a SUBSCRIBE of Expires 0 with the state (RFC 6665 4.4.3).
func (s *sub) fetch(r *sipua.Request) {
	s.visit, s.open = true, true
	s.accept(r, 0)
	s.close(timedOut)
}

// Request takes a request within the dialog, in CSeq order, on the queue.
func (s *sub) Request(r *sipua.Request) {
	switch {
	case s.n.ctx.Err() != nil:
		s.n.refused(r, notYet())
	case s.busy:
		s.wait(r)
	case s.gone || s.closing != "":
		s.reply(r, sip.StatusCallTransactionDoesNotExists) // RFC 3261 12.2.2
	case r.Method == sip.SUBSCRIBE:
		s.refresh(r)
	case r.Method == sip.OPTIONS:
		s.reply(r, sip.StatusOK, s.n.o.Endpoint.Allow())
	default:
		s.reply(r, sip.StatusMethodNotAllowed, sip.NewHeader("Allow", "SUBSCRIBE, OPTIONS"))
	}
}

// ACK has no place here and is ignored (RFC 3261 17.1.1.3).
func (s *sub) ACK(*sipua.Request) {}

// refresh lengthens or ends the subscription. Its resource is the one that it
// has: the Request-URI of a refresh may lack the user.
func (s *sub) refresh(r *sipua.Request) {
	d := s.rec.Dialog
	if err := d.Receive(r); err != nil {
		s.reply(r, sip.StatusInternalServerError) // RFC 3261 12.2.2: CSeq too low
		return
	}
	t, no := termsOf(r, s.rec.Event)
	if no == nil && len(d.Target) > maxURI {
		no = refuse(sip.StatusBadRequest, "length")
	}
	if no == nil && t.accept == "" {
		if no = t.unacceptable(); s.rec.List {
			t.accept, no = s.rec.Accept, nil
		}
	}
	if no != nil {
		s.rec.Dialog.RemoteSeq = d.RemoteSeq // nothing else changes
		s.n.refused(r, no)
		return
	}
	d.NAT = behindNAT(r, d)
	covered := s.covered(d, t)
	was := s.rec.Dialog.Flow
	s.rec.Dialog, s.rec.Accept, s.rec.Contact = d, t.accept, d.Target
	s.routed()
	s.sure = true
	if t.expires == 0 { // RFC 6665 4.1.2.3
		s.release(func() { s.unsubscribed(r) })
		return
	}
	s.leads(was)
	s.expiry.Stop() // it came in time, however long the disk takes
	if covered {
		s.renewed(r, t)
		s.lags()
		return
	}
	s.promise(t.expires) // what is told meanwhile is what the disk knows
	s.hold(func() { s.renewed(r, t) })
}

// unsubscribed answers the SUBSCRIBE that ends it, once the journal has forgotten
// it: else it would live again after a restart.
func (s *sub) unsubscribed(r *sipua.Request) {
	switch {
	case s.n.ctx.Err() != nil: // the next process knows nothing of it
		s.n.refused(r, notYet())
		return
	case s.gone || s.closing != "": // while the disk was at work
		s.reply(r, sip.StatusCallTransactionDoesNotExists)
		return
	}
	s.accept(r, 0)
	s.heard()
	s.log().Info().Msg("lamp unsubscribed")
	s.step(Step{Kind: StepEnded, Detail: "unsubscribed"})
	s.close(timedOut)
}

// renewed answers a refresh, whose record is written.
func (s *sub) renewed(r *sipua.Request, t terms) {
	switch {
	case s.n.ctx.Err() != nil:
		s.n.refused(r, notYet())
		return
	case s.gone || s.closing != "": // while the disk was at work
		s.reply(r, sip.StatusCallTransactionDoesNotExists)
		return
	}
	s.accept(r, t.expires)
	s.step(Step{Kind: StepRefreshed, Expires: t.expires})
	s.heard()
	s.held = 0
	s.live(t.expires)
	s.n.index.update(s, &s.rec)
}

// accept sends the 200: never 202 (RFC 6665 8.3.1), with Expires and Contact.
// One that cannot be sent is one that is lost on its way: the answer to the
// NOTIFY shows what the watcher knows.
func (s *sub) accept(r *sipua.Request, expires time.Duration) {
	contact := s.contact()
	s.known = s.rec.Dialog.LocalSeq
	headers := []sip.Header{sip.NewHeader("Expires", itoa(int(expires/time.Second))), &contact}
	if s.rec.List { // RFC 4662 4.1
		headers = append(headers, sip.NewHeader("Require", eventlist))
	}
	s.reply(r, sip.StatusOK, headers...)
}

// live starts the interval anew and owes a full state (RFC 6665 4.2.1.2).
func (s *sub) live(expires time.Duration) {
	s.open = true
	s.owe()
	s.vague = false
	s.rec.Expires = time.Now().Add(expires)
	s.expiry.Stop()
	s.expiry = s.n.o.Wheel.After(expires, s.queue, s.expired)
	s.pump()
}

// expired: nobody refreshed it (RFC 6665 4.2.1.4).
func (s *sub) expired() {
	if s.gone || s.closing != "" {
		return
	}
	s.log().Info().Msg("lamp expired")
	s.step(Step{Kind: StepEnded, Detail: "expired"})
	s.n.index.drop(s)
	s.release(func() { // else it could live again after a restart, when the watcher has been told of its end
		if !s.gone {
			s.close(timedOut)
		}
	})
}

// changed: there is a newer state.
func (s *sub) changed(v *volley) {
	at := instant(s.news.Swap(0))
	if s.since == 0 {
		s.since = at
	}
	s.pumpBy(v, v.time())
}

// close ends the subscription with a last NOTIFY.
func (s *sub) close(reason string) {
	s.n.index.drop(s)
	s.erase()
	s.expiry.Stop()
	s.closing = reason
	s.owe()
	s.pump()
}

// forget ends the subscription without a word: the same phone has another now.
func (s *sub) forget() {
	if !s.gone {
		s.log().Debug().Msg("lamp replaced")
		s.step(Step{Kind: StepEnded, Detail: "replaced by a newer one"})
		s.end()
	}
}

// end forgets everything.
func (s *sub) end() {
	if s.gone {
		return
	}
	s.rest()
	if s.visit {
		s.n.index.leave()
		return
	}
	s.n.index.drop(s)
	s.n.o.Table.Remove(s.id)
	s.erase()
}

// rest stops all activity and leaves the subscription listed and kept.
func (s *sub) rest() {
	s.gone = true
	s.expiry.Stop()
	s.timer.Stop()
	s.n.window.leave(s)
	if s.sending != nil {
		s.sending.stop()
	}
	if s.parted != nil {
		s.parted()
		s.parted = nil
	}
	waiting := s.waiting
	s.waiting, s.busy = nil, false
	for _, r := range waiting {
		s.Request(r)
	}
}

func (s *sub) reply(r *sipua.Request, code int, headers ...sip.Header) {
	if err := r.Reply(code, "", headers...); err != nil {
		s.log().Debug().Err(err).Int("code", code).Msg("response not sent")
	}
}

func (s *sub) contact() sip.ContactHeader {
	return s.n.o.Endpoint.Contact(s.rec.User, s.rec.Dialog.Flow)
}
