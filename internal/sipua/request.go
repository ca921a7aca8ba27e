package sipua

import (
	"fmt"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// The states of a request until its final response.
const (
	pending int32 = iota
	answered
	cancelled
)

// Request is a request that came in, with the way back.
type Request struct {
	*sip.Request
	Flow    Flow
	Trusted bool   // by its source address
	User    string // who authenticated; "" if trusted by address, or in a dialog

	e        *Endpoint
	tx       *sip.ServerTx // nil for ACK, and when revived
	revived  bool
	state    atomic.Int32
	onCancel atomic.Pointer[func()]
	tag      atomic.Pointer[string] // To tag of our responses
	patience *time.Timer            // for the handler; nil for INVITE
}

// Respond sends a response, final or provisional. A 2xx to an INVITE may be
// sent again and again (RFC 3261 13.3.1.4). ErrCancelled: a CANCEL won and 487
// has been sent; ErrAnswered: there was another final response before;
// ErrTransport, wrapped, with the cause. Text in it is made fit for a header.
func (r *Request) Respond(res *sip.Response) error {
	sanitize(res)
	if r.revived {
		return r.direct(res)
	}
	if r.tx == nil {
		return fmt.Errorf("ACK: %w", ErrAnswered)
	}
	if res.IsProvisional() {
		return r.provisional(res)
	}
	if !r.state.CompareAndSwap(pending, answered) {
		if r.state.Load() == cancelled {
			return ErrCancelled
		}
		if r.IsInvite() && res.IsSuccess() {
			return r.write(res) // RFC 6026 7.1: the core's own retransmission
		}
		return ErrAnswered
	}
	if r.patience != nil {
		r.patience.Stop()
	}
	defer r.e.cancels.done(r)
	if err := r.send(res); err != nil {
		return err
	}
	if r.IsInvite() && res.IsSuccess() && sip.IsReliable(r.Transport()) {
		r.tx.Terminate() // nothing comes twice on a stream: no need to linger 32 s
	}
	return nil
}

func (r *Request) provisional(res *sip.Response) error {
	switch r.state.Load() {
	case cancelled:
		return ErrCancelled
	case answered:
		return ErrAnswered
	}
	err := r.send(res)
	if r.state.Load() == cancelled {
		// If the 487 was faster, the state machine takes this response for its
		// last one although it did not send it: put that right.
		r.tx.Respond(r.NewResponse(sip.StatusRequestTerminated, ""))
		return ErrCancelled
	}
	return err
}

// send passes a response to the transaction.
func (r *Request) send(res *sip.Response) error {
	err := r.tx.Respond(res)
	if res.IsCancel() && !res.IsProvisional() {
		r.tx.Terminate() // sipgo sets no timer for it: repetitions are answered anew
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w: %w", r.Method, ErrTransport, err)
}

// write puts a response on the wire past the state machine.
func (r *Request) write(res *sip.Response) error {
	if err := r.tx.Connection().WriteMsg(res); err != nil {
		return fmt.Errorf("%s %w: %w", r.Method, ErrTransport, err)
	}
	return nil
}

// Reply builds a response with the headers given and sends it. An empty
// reason stands for the standard phrase.
func (r *Request) Reply(code int, reason string, hdrs ...sip.Header) error {
	res := r.NewResponse(code, reason)
	for _, h := range hdrs {
		res.AppendHeader(h)
	}
	return r.Respond(res)
}

// NewResponse builds a response with Via, From, To, Call-ID, CSeq and, where
// it belongs, Record-Route (RFC 3261 8.2.6, 12.1.1). All responses of one
// request carry the same To tag; LocalTag says which.
func (r *Request) NewResponse(code int, reason string) *sip.Response {
	if reason == "" {
		reason = Phrase(code)
	}
	res := sip.NewResponseFromRequest(r.Request, code, Clean(reason), nil)
	res.SipVersion = "SIP/2.0"
	if to := res.To(); to != nil && code > 100 && ToTag(r.Request) == "" {
		to.Params.Add("tag", r.LocalTag()) // RFC 3261 8.2.6.2
	}
	if via := res.Via(); via != nil {
		// RFC 3261 18.2.1: received, when sent-by is not where it came from.
		if host, _, err := net.SplitHostPort(r.Source()); err == nil && trimBrackets(via.Host) != host {
			via.Params.Add("received", host)
		}
	}
	if ua := r.e.settings.Load().UserAgent; ua != "" {
		res.AppendHeader(sip.NewHeader("Server", ua))
	}
	return res
}

// LocalTag is the To tag of our responses: the request's, or one made for it.
func (r *Request) LocalTag() string {
	if t := ToTag(r.Request); t != "" {
		return t
	}
	if p := r.tag.Load(); p != nil {
		return *p
	}
	t := NewTag()
	r.SetLocalTag(t)
	return *r.tag.Load()
}

// SetLocalTag chooses the To tag of our responses, before the first of them.
// A tag that stands already is kept.
func (r *Request) SetLocalTag(t string) { r.tag.CompareAndSwap(nil, &t) }

// OnCancel registers what happens when a CANCEL ends this INVITE: f runs at
// most once, on a goroutine of its own, and at once if it has happened. Only
// the last f counts. The 487 is sent by the endpoint.
func (r *Request) OnCancel(f func()) {
	r.onCancel.Store(&f)
	if r.state.Load() == cancelled {
		r.fireCancel()
	}
}

// Cancelled says whether a CANCEL has ended this INVITE.
func (r *Request) Cancelled() bool { return r.state.Load() == cancelled }

// Branch is the branch of the top Via, and SentBy its host and port: what a
// retransmission is recognised by (RFC 3261 17.2.3).
func (r *Request) Branch() (branch, sentBy string) { return branchOf(r.Request) }

func (r *Request) fireCancel() {
	if f := r.onCancel.Swap(nil); f != nil {
		go r.guard(*f)
	}
}

// guard runs f; a panic costs this request only.
func (r *Request) guard(f func()) {
	defer func() {
		if p := recover(); p != nil {
			r.e.log.Error().Interface("panic", p).Str("call_id", CallID(r.Request)).Str("method", r.Method.String()).
				Bytes("stack", debug.Stack()).Msg("panic in a handler")
			r.e.refused(ReasonPanic)
			if r.tx != nil && r.state.Load() == pending {
				r.Reply(sip.StatusInternalServerError, "")
			}
		}
	}()
	f()
}

func branchOf(m sip.Message) (branch, sentBy string) {
	via := m.Via()
	if via == nil {
		return "", ""
	}
	branch, _ = URIParam(via.Params, "branch")
	return branch, via.SentBy()
}
