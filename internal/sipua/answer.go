package sipua

import "github.com/emiago/sipgo/sip"

// answer responds to requests out of dialog that have no handler.
func (e *Endpoint) answer(r *Request) {
	switch r.Method {
	case sip.OPTIONS:
		e.options(r)
	case sip.NOTIFY:
		e.notify(r)
	case sip.BYE, sip.INFO, sip.UPDATE, sip.PRACK:
		e.refuse(r, &refusal{code: sip.StatusCallTransactionDoesNotExists, reason: ReasonDialog}) // RFC 3261 15.1.2
	default:
		e.refuse(r, notAllowed())
	}
}

// options says what we can do (RFC 3261 11.2). Strangers are not told who
// exists.
func (e *Endpoint) options(r *Request) {
	user := UserOf(&r.Recipient)
	if user != "" && r.Trusted && e.opts.Known != nil && !e.opts.Known(user) {
		e.refuse(r, &refusal{code: sip.StatusNotFound, reason: ReasonUser})
		return
	}
	r.Reply(sip.StatusOK, "",
		sip.NewHeader("Allow", allow),
		sip.NewHeader("Accept", Accepted),
		sip.NewHeader("Accept-Encoding", "identity"),
		sip.NewHeader("Accept-Language", "en"),
		sip.NewHeader("Supported", supported),
		sip.NewHeader("Allow-Events", Events))
}

// notify answers the NOTIFYs by which phones keep a NAT binding open; others
// belong to no subscription of ours (RFC 6665 4.1.3: 481).
func (e *Endpoint) notify(r *Request) {
	v, _ := Header(r.Request, "event")
	ev, err := ParseEvent(v)
	switch {
	case err != nil:
		e.refuse(r, &refusal{code: 489, reason: ReasonEvent, headers: []sip.Header{sip.NewHeader("Allow-Events", Events)}})
	case ev.Package == "keep-alive":
		r.Reply(sip.StatusOK, "")
	default:
		e.refuse(r, &refusal{code: sip.StatusCallTransactionDoesNotExists, reason: ReasonDialog})
	}
}
