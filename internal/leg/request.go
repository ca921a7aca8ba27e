package leg

import (
	"errors"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// allow lists what a leg takes within its dialog: SUBSCRIBE to the progress of a REFER.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, SUBSCRIBE"

// Request takes a request within the dialog, in CSeq order, on the queue.
func (l *Leg) Request(req *sipua.Request) {
	if l.state == ending || l.state == ended {
		if req.Method == sip.BYE { // both hung up
			l.reply(req, sip.StatusOK)
			return
		}
		l.reply(req, sip.StatusCallTransactionDoesNotExists)
		return
	}
	if l.state == calling {
		l.requestEarly(req)
		return
	}
	flow := l.dialog.Flow
	if err := l.dialog.Receive(req); err != nil {
		l.reply(req, sip.StatusInternalServerError) // RFC 3261 12.2.2: CSeq too low
		return
	}
	if l.dialog.Flow != flow && l.state == confirmed && req.Method != sip.BYE {
		l.keep() // the peer has moved, or opened another connection
	}
	l.life.proven()
	l.tellSoon()
	switch req.Method {
	case sip.BYE:
		l.byed(req)
	case sip.INVITE:
		l.reinvite(req)
	case sip.UPDATE:
		l.update(req)
	case sip.INFO:
		l.info(req)
	case sip.REFER:
		l.takeRefer(req)
	case sip.SUBSCRIBE:
		l.refer.subscribe(l, req)
	case sip.OPTIONS:
		l.capable(req)
	case sip.NOTIFY:
		l.notify(req)
	case sip.PRACK: // RFC 3262 3: of a provisional response that we never sent
		l.reply(req, sip.StatusCallTransactionDoesNotExists)
	default:
		l.reply(req, sip.StatusMethodNotAllowed, sip.NewHeader("Allow", allow))
	}
}

// capable answers OPTIONS within the dialog with what is taken in there (RFC 3261 11.2).
func (l *Leg) capable(req *sipua.Request) {
	l.reply(req, sip.StatusOK, sip.NewHeader("Allow", allow), l.m.o.Endpoint.Supported(), sip.NewHeader("Accept", sipua.Accepted))
}

func (l *Leg) reply(req *sipua.Request, code int, headers ...sip.Header) {
	if err := req.Reply(code, "", headers...); err != nil {
		l.log.Debug().Err(err).Int("code", code).Msg("response not sent")
	}
}

// byed: the peer hangs up (RFC 3261 15.1.2), be it before the ACK. It is told so
// when the end is written down: a BYE without an answer comes again, after a
// restart too.
func (l *Leg) byed(req *sipua.Request) {
	l.log.Info().Msg("peer hung up")
	lost, early := l.unmet(), l.refer.under() || l.refer.telling()
	l.outbound.answer = nil
	l.part()
	l.settle(ending)
	l.port.Close()
	answer := func() {
		l.reply(req, sip.StatusOK)
		l.refer.close("noresource") // what it asked for goes on
		l.finish(0)
	}
	if l.reported {
		answer()
		return
	}
	l.reported = true
	l.waiting = append(l.waiting, waiting{req, answer})
	l.m.tell(orbit.Hangup{Leg: l.id, Reply: true, Lost: lost, Early: early})
}

// reinvite answers an offer in an established session, or makes one.
func (l *Leg) reinvite(req *sipua.Request) {
	switch {
	case l.state == asked: // restored, and the first INVITE is not answered again yet
		l.reply(req, sip.StatusInternalServerError, sip.NewHeader("Retry-After", "1"))
		return
	case l.outbound.busy: // RFC 3261 14.2: glare
		l.reply(req, sip.StatusRequestPending)
		return
	case l.inbound.response != nil || l.inbound.busy: // the one before still waits for its ACK
		l.reply(req, sip.StatusInternalServerError, sip.NewHeader("Retry-After", "1"))
		return
	}
	l.inbound.request, l.inbound.cseq, l.inbound.busy = req, sipua.CSeq(req.Request), true
	res, err := l.renegotiate(req)
	l.offered = err == nil && len(res.Body()) == 0
	if l.offered {
		l.adapt()
		l.last = l.offer()
		setSDP(res, l.last)
	}
	if err != nil {
		l.inbound.request, l.inbound.busy = nil, false
		l.unchanged(req, err)
		return
	}
	l.identified(req)
	l.keepThen(nil, func() {
		if err := l.respond(res); errors.Is(err, sipua.ErrCancelled) {
			l.inbound.response, l.inbound.request, l.inbound.busy = nil, nil, false
		}
	})
}

// update does the same without an ACK (RFC 3311); mostly it only refreshes the
// session timer.
func (l *Leg) update(req *sipua.Request) {
	if describes(req.Request) {
		pending := l.inbound.busy || l.state != confirmed // their INVITE still waits for its ACK
		switch {
		case l.outbound.busy, pending && l.offered: // RFC 3311 5.2: an offer of ours has no answer yet
			l.reply(req, sip.StatusRequestPending)
			return
		case pending: // and neither may theirs have
			l.reply(req, sip.StatusInternalServerError, sip.NewHeader("Retry-After", "1"))
			return
		}
	}
	if len(l.waiting) >= maxWaiting { // the disk is slow, and the peer is not
		l.reply(req, sip.StatusInternalServerError, sip.NewHeader("Retry-After", "1"))
		return
	}
	res, err := l.renegotiate(req)
	if err != nil {
		l.unchanged(req, err)
		return
	}
	l.identified(req)
	l.keepThen(req, func() {
		if err := req.Respond(res); err != nil {
			l.log.Debug().Err(err).Msg("response not sent")
		}
		if len(req.Body()) > 0 {
			l.answeredAll()
		}
		l.catchUp()
	})
}

// renegotiate makes the 2xx to a re-INVITE or UPDATE, with the answer to its
// offer if it has one. After an error the session is as before.
func (l *Leg) renegotiate(req *sipua.Request) (*sip.Response, error) {
	body, err := description(req.Request)
	if err != nil {
		return nil, err
	}
	if _, err := sessionAsked(req); err != nil {
		return nil, err
	}
	res := req.NewResponse(sip.StatusOK, "")
	l.accept(res, l.user)
	if body == nil {
		l.session.negotiate(l, req, res)
		return res, nil
	}
	remote, err := sdp.Parse(body)
	if err != nil {
		return nil, err
	}
	if err := l.agreeTo(remote, body); err != nil {
		return nil, err
	}
	l.session.negotiate(l, req, res)
	setSDP(res, l.last)
	return res, nil
}

// unchanged refuses a change of the session.
func (l *Leg) unchanged(req *sipua.Request, err error) {
	s := statusOf(err)
	l.log.Info().Int("code", s.code).Err(err).Msg("session change refused")
	l.m.refused(s.reason)
	l.reply(req, s.code, s.headers()...)
}

var _ dialog.Usage = (*Leg)(nil)
