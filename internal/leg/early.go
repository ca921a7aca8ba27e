package leg

import (
	"errors"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// maxForks bounds the early dialogs of one INVITE of ours that are kept track
// of; who comes later is not acknowledged and so not waited for.
const maxForks = 16

// fork is an early dialog: somebody whom an INVITE of ours has reached, who has
// said so reliably and has not answered yet (RFC 3261 12.1, RFC 3262 4).
type fork struct {
	dialog    dialog.Dialog
	rseq      uint32 // of the last provisional response that was acknowledged
	described []byte // their answer to our offer, or the offer that they made since; nil = none
	renewed   *draft // our answer to the latter; nil = there was none
	remote    sdp.Remote
}

// forks are the early dialogs of one INVITE, by the peer's tag. Owned by the
// leg's queue.
type forks map[string]*fork

// goOn takes over into the dialog of a 2xx what became of it while it was early:
// both ends' CSeq. It returns the early one, nil if there was none.
func (f forks) goOn(d *dialog.Dialog) *fork {
	e := f[d.Remote]
	if e != nil {
		d.LocalSeq = max(d.LocalSeq, e.dialog.LocalSeq)
		d.RemoteSeq = max(d.RemoteSeq, e.dialog.RemoteSeq)
	}
	return e
}

// listen has requests of early dialogs find the leg: of all of them, for a
// proxy may ring several phones.
func (l *Leg) listen(invite *sip.Request) {
	l.dialog.ID = dialog.ID{CallID: sipua.CallID(invite), Local: sipua.FromTag(invite)}
	if _, err := l.m.o.Table.Add(l.dialog.ID, 0, l.queue, l); err != nil { // a random Call-ID: cannot happen
		l.log.Error().Err(err).Msg("no early dialogs possible")
	}
	l.forks = forks{}
}

// provisional takes a provisional response to our INVITE. One that is sent
// reliably is acknowledged once, and in order (RFC 3262 4).
func (l *Leg) provisional(res *sip.Response) {
	rseq, ok := sipua.Reliable(res)
	if !ok || l.state != calling && l.state != ending {
		return
	}
	f := l.forks[sipua.ToTag(res)]
	switch {
	case f != nil && rseq != f.rseq+1:
		return // repeated, or another is missing that comes again before it
	case f == nil:
		if f = l.fork(res); f == nil {
			return
		}
	}
	f.rseq = rseq
	if body, err := description(res); err == nil && body != nil && f.described == nil {
		f.described = body // RFC 3262 5: it answers the offer of the INVITE
	}
	l.prack(f, res)
}

// fork begins an early dialog; nil if none can be.
func (l *Leg) fork(res *sip.Response) *fork {
	if len(l.forks) >= maxForks || l.outbound.ours == nil || sipua.ToTag(res) == "" {
		return nil
	}
	d, err := dialog.FromResponse(l.outbound.ours.Request(), res, l.outbound.ours.Flow())
	if err != nil {
		l.log.Warn().Err(err).Msg("provisional answer unusable")
		return nil
	}
	f := &fork{dialog: d}
	l.forks[d.Remote] = f
	return f
}

// prack acknowledges a provisional response (RFC 3262 4). Whether that arrives
// is the transaction's matter: a peer that never gets it refuses the INVITE.
func (l *Leg) prack(f *fork, res *sip.Response) {
	req, err := f.dialog.NewRequest(sip.PRACK)
	if err != nil {
		l.log.Warn().Err(err).Msg("provisional answer not acknowledged")
		return
	}
	req.AppendHeader(sipua.RAck(f.rseq, res))
	to := f.dialog.To()
	to.Credentials = l.m.policy.Load().credentials(l.user)
	to.Reseq = func(use func(cseq uint32)) {
		l.post(func() {
			if l.dialog.ID == f.dialog.ID { // answered meanwhile
				use(l.dialog.NextSeq())
				l.spent()
				return
			}
			use(f.dialog.NextSeq())
		})
	}
	l.m.o.Endpoint.Request(l.m.ctx, req, to, func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 300 {
			l.log.Debug().Err(err).Msg("provisional answer not acknowledged")
		}
	})
}

// requestEarly takes a request of somebody whom our INVITE has reached.
func (l *Leg) requestEarly(req *sipua.Request) {
	f := l.forks[sipua.FromTag(req.Request)]
	if f != nil {
		if err := f.dialog.Receive(req); err != nil {
			l.reply(req, sip.StatusInternalServerError) // RFC 3261 12.2.2: CSeq too low
			return
		}
	}
	switch req.Method {
	case sip.UPDATE:
		l.updateEarly(f, req)
	case sip.INVITE:
		l.reply(req, sip.StatusRequestPending) // RFC 3261 14.2
	case sip.OPTIONS:
		l.capable(req)
	default:
		l.reply(req, sip.StatusCallTransactionDoesNotExists)
	}
}

// updateEarly answers an UPDATE before the 2xx (RFC 3311 5.2): an offer only
// where ours has its answer.
func (l *Leg) updateEarly(f *fork, req *sipua.Request) {
	body, err := description(req.Request)
	switch {
	case err != nil:
		l.unchanged(req, err)
		return
	case body != nil && (f == nil || f.described == nil):
		l.reply(req, sip.StatusRequestPending)
		return
	}
	res := req.NewResponse(sip.StatusOK, "")
	l.accept(res, l.user)
	if body != nil {
		if err := l.renew(f, body); err != nil {
			l.unchanged(req, err)
			return
		}
		setSDP(res, f.renewed.body)
	}
	if err := req.Respond(res); err != nil {
		l.log.Debug().Err(err).Msg("response not sent")
	}
}

// renew answers an offer in an early dialog. After an error all is as before.
func (l *Leg) renew(f *fork, body []byte) error {
	remote, err := sdp.Parse(body)
	if err != nil {
		return err
	}
	local := l.local
	local.Previous = l.last
	if f.renewed != nil {
		local.Previous = f.renewed.body
	}
	answer, agreed, err := remote.Answer(local, l.codecName())
	if err != nil {
		return err
	}
	f.remote, f.described, f.renewed = remote, body, &draft{answer, agreed}
	return nil
}

// errUndescribed is why an answer is of no use without a description.
var errUndescribed = errors.New("no description in the answer")

// concludedBy takes the session of whoever has answered our INVITE with a 2xx:
// from that, or from what came in the early dialog before.
func (l *Leg) concludedBy(f *fork, res *sip.Response) error {
	switch {
	case f != nil && f.renewed != nil:
		l.remote, l.described, l.last = f.remote, f.described, f.renewed.body
		l.wish = f.remote.Wish()
		l.agree(f.renewed.agreed)
		return nil
	case describes(res):
		return l.answered(res)
	case f != nil && f.described != nil: // RFC 3262 5, RFC 3261 13.2.1
		return l.concluded(f.described)
	}
	return errUndescribed
}
