package presence

import (
	"context"
	"sync/atomic"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"
)

// sub is a subscription at work. Everything runs on its queue.
type sub struct {
	n       *Notifier
	queue   *dialog.Queue
	log     zerolog.Logger
	pending atomic.Bool // a change waits in the queue already
	id      dialog.ID   // never changes
	face    face        // owned by index.mu

	// Owned by the queue.
	rec     Subscription
	open    bool      // the 200 has been sent
	visit   bool      // a fetch: not listed, not found by requests
	closing string    // reason of the last NOTIFY; "" = active
	gone    bool      // nothing happens any more
	owed    bool      // a SUBSCRIBE, or the end, wants a document now
	since   time.Time // the oldest change not told yet; zero = none
	pace    pacer
	held    time.Time     // no change is told before: Retry-After
	retry   time.Time     // when the last state is told again; zero = it arrived
	backoff time.Duration // between the last two retries
	silent  bool          // does not answer: single sends
	missed  int           // NOTIFYs in a row without an answer
	sending *telling      // the last NOTIFY, until it is answered
	timer   *dialog.Timer // for pump
	expiry  *dialog.Timer
}

func newSub(n *Notifier, rec Subscription) *sub {
	s := &sub{n: n, rec: rec, id: rec.Dialog.ID, log: n.o.Log.With().Str("orbit", rec.Resource).Str("watcher", rec.From).Logger()}
	s.queue = dialog.NewQueue(dialog.QueueConfig{Overflow: s.overflow, Panic: func(v any, stack []byte) {
		s.log.Error().Interface("panic", v).Bytes("stack", stack).Msg("panic in a subscription")
	}})
	return s
}

// overflow drops a subscription whose queue is full, which is a bug: its phone
// gets 481 and subscribes anew.
func (s *sub) overflow() {
	s.log.Error().Msg("subscription's queue is full")
	s.queue.Close()
	s.n.index.drop(s)
	s.n.o.Table.Remove(s.id)
}

// begin answers a new SUBSCRIBE and tells the state.
func (s *sub) begin(r *sipua.Request, t terms) {
	if s.gone { // replaced by the next one, or stopped, before its turn came
		s.n.refused(r, closed())
		return
	}
	_, err := s.n.o.Table.Add(s.id, s.rec.Dialog.RemoteSeq, s.queue, s)
	if err == nil {
		err = s.accept(r, t.expires)
	}
	if err != nil {
		s.log.Debug().Err(err).Msg("subscription not answered")
		s.end()
		return
	}
	s.log.Info().Str("event", s.rec.Event).Str("source", s.rec.Dialog.Flow.Remote.String()).
		Int("expires", int(t.expires/time.Second)).Msg("lamp subscribed")
	s.live(t.expires)
}

// fetch answers a SUBSCRIBE of Expires 0 with the state (RFC 6665 4.4.3).
func (s *sub) fetch(r *sipua.Request) {
	s.visit = true
	if err := s.accept(r, 0); err != nil {
		s.end()
		return
	}
	s.open = true
	s.close("timeout")
}

// Request takes a request within the dialog, in CSeq order, on the queue.
func (s *sub) Request(r *sipua.Request) {
	switch {
	case s.n.ctx.Err() != nil:
		s.n.refused(r, closed())
	case s.gone || s.closing != "":
		s.reply(r, sip.StatusCallTransactionDoesNotExists) // RFC 6665 4.2.1.1
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
	if no != nil {
		s.rec.Dialog.RemoteSeq = d.RemoteSeq // nothing else changes
		s.n.refused(r, no)
		return
	}
	d.NAT = behindNAT(r, d)
	s.rec.Dialog, s.rec.Accept, s.rec.Contact = d, t.accept, d.Target
	if err := s.accept(r, t.expires); err != nil {
		s.log.Debug().Err(err).Msg("refresh not answered")
		return
	}
	s.heard()
	s.held = time.Time{}
	if t.expires == 0 { // RFC 6665 4.1.2.3
		s.log.Info().Msg("lamp unsubscribed")
		s.close("timeout")
		return
	}
	s.live(t.expires)
	s.n.index.update(s, &s.rec)
}

// accept sends the 200: never 202 (RFC 6665 8.3.1), with Expires and Contact.
func (s *sub) accept(r *sipua.Request, expires time.Duration) error {
	contact := s.contact()
	return r.Reply(sip.StatusOK, "", sip.NewHeader("Expires", itoa(int(expires/time.Second))), &contact)
}

// live starts the interval anew and owes a full state (RFC 6665 4.2.1.2).
func (s *sub) live(expires time.Duration) {
	s.open, s.owed = true, true
	s.rec.Expires = time.Now().Add(expires)
	s.expiry.Stop()
	s.expiry = s.n.o.Wheel.After(expires, s.queue, s.expired)
	s.pump()
}

// expired: nobody refreshed it (RFC 6665 4.2.2).
func (s *sub) expired() {
	if s.gone || s.closing != "" {
		return
	}
	s.log.Info().Msg("lamp expired")
	s.close("timeout")
}

// change notes that there is a newer state.
func (s *sub) change(at time.Time) {
	s.pending.Store(false)
	if s.since.IsZero() {
		s.since = at
	}
	s.pump()
}

// close ends the subscription with a last NOTIFY.
func (s *sub) close(reason string) {
	s.n.index.drop(s)
	s.expiry.Stop()
	s.closing, s.owed = reason, true
	s.pump()
}

// forget ends the subscription without a word: the same phone has another now.
func (s *sub) forget() {
	if !s.gone {
		s.log.Debug().Msg("lamp replaced")
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
}

// rest stops all activity and leaves the subscription listed.
func (s *sub) rest() {
	s.gone = true
	s.expiry.Stop()
	s.timer.Stop()
	if s.sending != nil {
		s.sending.cancel()
	}
}

func (s *sub) reply(r *sipua.Request, code int, headers ...sip.Header) {
	if err := r.Reply(code, "", headers...); err != nil {
		s.log.Debug().Err(err).Int("code", code).Msg("response not sent")
	}
}

func (s *sub) contact() sip.ContactHeader {
	return s.n.o.Endpoint.Contact(s.rec.User, s.rec.Dialog.Flow)
}

// telling is a NOTIFY on its way.
type telling struct {
	seq    uint32
	sent   time.Time
	since  time.Time // the change that it tells; zero = none
	shown  string
	last   bool // it says terminated
	over   bool // its transaction is, without an answer
	cancel context.CancelFunc
}
