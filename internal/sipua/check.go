package sipua

import (
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Why a request was refused by the endpoint, for logs and metrics.
const (
	ReasonSyntax      = "syntax"
	ReasonVersion     = "version"
	ReasonScheme      = "scheme"
	ReasonHops        = "hops"
	ReasonMerged      = "merged"
	ReasonExtension   = "extension"
	ReasonMethod      = "method"
	ReasonEvent       = "event"
	ReasonUser        = "user"
	ReasonChallenge   = "challenge"
	ReasonCredentials = "credentials"
	ReasonForbidden   = "forbidden"
	ReasonFlood       = "flood"
	ReasonPackets     = "packets"
	ReasonConnections = "connections"
	ReasonDialog      = "dialog"
	ReasonPanic       = "panic"
)

// refusal is the answer to a request that goes no further.
type refusal struct {
	code      int
	reason    string // one of the constants
	phrase    string // "" = the standard one
	headers   []sip.Header
	stateless bool // keep no transaction: the same answer is given again
}

// What the endpoint and the usages on it take.
const (
	allow     = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY, SUBSCRIBE, REFER"
	asking    = "replaces, timer, 100rel, from-change, norefersub" // in requests of ours
	supported = asking + ", eventlist"
)

// Events are the event packages that a SUBSCRIBE may be for (RFC 6665 4.4.4: all).
const Events = "dialog, presence"

// Accepted are the bodies that are taken (RFC 3261 20.1): the last in a NOTIFY, of a
// REFER of ours.
const Accepted = "application/sdp, application/dtmf-relay, application/dtmf, message/sipfrag"

// known are the methods that have a meaning (RFC 3261, 3262, 3265, 3311, 3428,
// 3515, 3903, 6086); the true ones are served, the others get 405, and a
// method not in here 501.
var known = map[sip.RequestMethod]bool{
	sip.INVITE: true, sip.ACK: true, sip.CANCEL: true, sip.BYE: true, sip.OPTIONS: true, sip.INFO: true,
	sip.UPDATE: true, sip.REFER: true, sip.NOTIFY: true, sip.SUBSCRIBE: true,
	sip.PRACK: true, sip.REGISTER: false, sip.MESSAGE: false, sip.PUBLISH: false,
}

// free are the methods for which nobody is asked for a password: they give
// nothing away and start nothing.
var free = map[sip.RequestMethod]bool{
	sip.OPTIONS: true, sip.NOTIFY: true, sip.BYE: true, sip.INFO: true, sip.UPDATE: true, sip.PRACK: true,
}

// single are the headers that may stand only once (RFC 3261 7.3.1).
var single = []string{"from", "to", "call-id", "cseq", "max-forwards", "content-length"}

// syntax refuses what is not a SIP/2.0 request with the headers that RFC 3261
// 8.1.1 demands.
func syntax(req *sip.Request) *refusal {
	bad := func(phrase string) *refusal {
		return &refusal{code: sip.StatusBadRequest, reason: ReasonSyntax, phrase: phrase}
	}
	if !strings.EqualFold(req.SipVersion, "SIP/2.0") {
		return &refusal{code: sip.StatusVersionNotSupported, reason: ReasonVersion} // RFC 3261 21.5.6
	}
	switch {
	case req.Via() == nil:
		return bad("Bad Via")
	case req.From() == nil:
		return bad("Bad From")
	case req.To() == nil:
		return bad("Bad To")
	case req.CallID() == nil:
		return bad("Bad Call-ID")
	case req.CSeq() == nil:
		return bad("Bad CSeq")
	case req.CSeq().MethodName != req.Method:
		return bad("CSeq Method Mismatch") // RFC 3261 8.1.1.5
	}
	for _, name := range single {
		if len(Headers(req, name)) > 1 {
			return bad("Repeated " + name)
		}
	}
	if _, ok := Header(req, "replaces"); ok && req.Method != sip.INVITE {
		return bad("Replaces Outside INVITE") // RFC 3891 3
	}
	if _, ok := Header(req, "max-forwards"); ok && req.MaxForwards() == nil {
		return bad("Bad Max-Forwards")
	}
	if _, ok := Header(req, "content-length"); ok && req.ContentLength() == nil {
		return bad("Bad Content-Length")
	}
	switch req.Recipient.Scheme {
	case "sip", "sips":
		if req.Recipient.Host == "" || req.Recipient.Port < 0 || req.Recipient.Port > 65535 {
			return bad("Bad Request-URI")
		}
	case "tel":
	default:
		return &refusal{code: 416, reason: ReasonScheme} // RFC 3261 8.2.2.1
	}
	return nil
}

// maxForwards refuses a request that has come to the end of its hops. OPTIONS
// is answered all the same (RFC 3261 11.2), and so is what belongs to a dialog.
func maxForwards(req *sip.Request) *refusal {
	if h := req.MaxForwards(); h != nil && h.Val() == 0 && req.Method != sip.OPTIONS {
		return &refusal{code: sip.StatusTooManyHops, reason: ReasonHops}
	}
	return nil
}

// extensions are the option tags that a request may demand: those that we say we
// support (RFC 3261 8.2.2.3, 20.37). What 100rel demands of an INVITE is kept by
// sending no provisional response but 100, which it is not about (RFC 3262 3).
var extensions = strings.Split(supported, ", ")

// require refuses a request that demands an extension that is not supported
// (RFC 3261 8.2.2.3).
func require(req *sip.Request) *refusal {
	var missing []string
	for _, tag := range Tokens(req, "require") {
		if !slices.Contains(extensions, tag) {
			missing = append(missing, tag)
		}
	}
	if missing == nil {
		return nil
	}
	return &refusal{code: sip.StatusBadExtension, reason: ReasonExtension,
		headers: []sip.Header{sip.NewHeader("Unsupported", Clean(strings.Join(missing, ", ")))}}
}

// method refuses methods that are not served (RFC 3261 8.2.1, 21.5.2).
func method(req *sip.Request) *refusal {
	served, ok := known[req.Method]
	switch {
	case served:
		return nil
	case ok:
		return notAllowed()
	}
	return &refusal{code: sip.StatusNotImplemented, reason: ReasonMethod,
		headers: []sip.Header{sip.NewHeader("Allow", allow)}}
}

func notAllowed() *refusal {
	return &refusal{code: sip.StatusMethodNotAllowed, reason: ReasonMethod,
		headers: []sip.Header{sip.NewHeader("Allow", allow)}}
}

// refuse answers a request and says why, once.
func (e *Endpoint) refuse(r *Request, ref *refusal) {
	e.refused(ref.reason)
	log := e.log
	if ref.reason == ReasonFlood {
		log = e.floodLog
	}
	ev := log.Info()
	if ref.reason == ReasonChallenge {
		ev = log.Debug() // the normal course of things
	}
	ev.Str("reason", ref.reason).Int("code", ref.code).Str("method", r.Method.String()).
		Str("to", Clean(UserOf(&r.Recipient))).Str("call_id", Clean(CallID(r.Request))).
		Stringer("remote", r.Flow.Remote).Msg("request refused")
	if err := r.Reply(ref.code, ref.phrase, ref.headers...); err != nil {
		e.log.Debug().Err(err).Msg("refusal not sent")
	}
	if ref.stateless {
		r.tx.Terminate() // RFC 3261 8.2.7
	}
}

func (e *Endpoint) refused(reason string) {
	if f := e.opts.OnRefused; f != nil {
		f(reason)
	}
}
