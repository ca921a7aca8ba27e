package sipua

import (
	"time"

	"github.com/emiago/sipgo/sip"
)

// unanswered is how long a request other than INVITE may wait for its handler:
// its sender gives up then (RFC 3261 17.1.2.2, Timer F).
const unanswered = 32 * time.Second

// receive sees every message in the reading goroutine, in order of arrival,
// before the transaction layer does. ACKs go straight to their handler: the
// transaction layer keeps those with the branch of the INVITE to itself. What
// it would answer by itself, and not as we want, or what is done with, goes under
// another name: CANCELs, repeated refusals, and answers to an Exchange.
func (l *layer) receive(m sip.Message) {
	defer l.e.recovered("receive")
	if l.packet != nil {
		l.packet.know(l.packet.from)
		m.SetSource(l.packet.from)
	} else if l.e.tracing() {
		l.e.traceWire("received", m.Transport(), text("stream"), text(m.Source()), []byte(m.String()))
	}
	switch m := m.(type) {
	case *sip.Response:
		if l.rejected.again(m) || l.exchanges != nil && l.exchanges.takeParsed(m) {
			m.CSeq().MethodName = repeated
		}
	case *sip.Request:
		switch m.Method {
		case sip.CANCEL:
			m.Method = uncancelled
		case sip.ACK:
			l.ack(m)
		}
	}
}

// ack hands an ACK to its handler.
func (l *layer) ack(req *sip.Request) {
	if l.e.acks == nil || l.e.frozen.Load() || syntax(req) != nil {
		return
	}
	var conn sip.Connection
	if l.packet == nil {
		if c, err := l.tpl.GetConnection(req.Transport(), req.Source()); err == nil {
			conn = c
			defer c.TryClose()
		}
	}
	l.e.acks(&Request{Request: req, e: l.e, Flow: l.flow(req, conn)})
}

type text string

func (t text) String() string { return string(t) }

// request takes a new transaction, on a goroutine of its own.
func (l *layer) request(req *sip.Request, tx *sip.ServerTx) {
	if l.e.frozen.Load() {
		return
	}
	if req.IsAck() { // seen by receive; sipgo has made a transaction of it
		tx.Terminate()
		return
	}
	l.e.served.Add(1)
	over := func(string, error) { l.e.served.Add(-1) }
	if !tx.OnTerminate(over) {
		over("", nil)
	}
	if req.Method == uncancelled {
		own := *req // the transaction compares with the one that it has
		own.Method = sip.CANCEL
		req = &own
	}
	r := &Request{Request: req, e: l.e, tx: tx, Flow: l.flow(req, tx.Connection())}
	r.guard(func() { l.e.incoming(r) })
}

func (e *Endpoint) incoming(r *Request) {
	if e.closed() {
		return
	}
	if ref := syntax(r.Request); ref != nil {
		e.refuse(r, ref)
		return
	}
	r.Trusted = e.Trusts(r.Flow.Remote.Addr())
	if r.IsCancel() {
		e.cancels.take(e, r)
		return
	}
	if !r.watch() {
		return
	}
	if ref := e.check(r); ref != nil {
		e.refuse(r, ref)
		return
	}
	e.dispatch(r)
}

// watch follows a request until its final response. It returns false when a
// CANCEL has ended it already.
func (r *Request) watch() bool {
	if !r.IsInvite() {
		r.patience = r.e.after(unanswered, func() {
			if r.state.Load() == pending {
				r.e.log.Error().Str("method", r.Method.String()).Str("call_id", CallID(r.Request)).Msg("request was never answered")
				r.tx.Terminate()
			}
		})
		return true
	}
	if early := r.e.cancels.add(r); early != nil {
		r.e.cancels.cancel(r, early)
	}
	return r.state.Load() != cancelled
}

// check refuses what no handler should see, in the order of RFC 3261 8.2.
func (e *Endpoint) check(r *Request) *refusal {
	inDialog := ToTag(r.Request) != ""
	if !inDialog {
		if ref := maxForwards(r.Request); ref != nil {
			return ref
		}
		if !e.merged.enter(r) {
			return &refusal{code: sip.StatusLoopDetected, reason: ReasonMerged}
		}
	}
	if ref := require(r.Request); ref != nil {
		return ref
	}
	if ref := method(r.Request); ref != nil {
		return ref
	}
	if inDialog || free[r.Method] {
		return nil
	}
	return e.settings.Load().access.check(e, r)
}

// dispatch hands a request to whom it is for, or answers it.
func (e *Endpoint) dispatch(r *Request) {
	if ToTag(r.Request) != "" {
		if e.dialogs != nil {
			e.dialogs(r)
		} else {
			r.Reply(sip.StatusCallTransactionDoesNotExists, "")
		}
		return
	}
	h := e.handlers[r.Method.String()]
	if h == nil {
		e.answer(r)
		return
	}
	if r.Method == sip.INVITE || r.Method == sip.SUBSCRIBE || r.Method == sip.REFER {
		if !e.admit.take() {
			e.refuse(r, &refusal{code: sip.StatusServiceUnavailable, reason: ReasonFlood, stateless: true,
				headers: []sip.Header{sip.NewHeader("Retry-After", "10")}})
			return
		}
	}
	h(r)
}
