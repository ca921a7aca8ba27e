package sipua

import (
	"context"

	"github.com/emiago/sipgo/sip"
)

// Target says where a request goes and from which socket it leaves.
type Target struct {
	// Flow is the way the peer last came. On UDP its socket is used; on TCP
	// and TLS the live connection to Remote, else a new one. Zero = chosen by
	// the address.
	Flow Flow `json:"flow"`
	// Addr overrides where to, as host:port, on Flow.Network (udp if empty).
	Addr string `json:"addr,omitempty"`
	// NAT says that Addr is a NAT's, where no connection can be opened to.
	NAT bool `json:"nat,omitempty"`
	// URI is the next hop; "" = the top Route, else the Request-URI
	// (RFC 3261 8.1.2). Dialogs set it, for strict routers' sake.
	URI string `json:"uri,omitempty"`
	// Branch is that of the Via of the first try; "" = a new one. Set it for an
	// INVITE that CancelLost may have to take back.
	Branch string `json:"branch,omitempty"`
	// Reseq is asked for a fresh CSeq when a challenge is answered: it must
	// get one from the dialog, on whatever goroutine owns that, and pass it to
	// use. nil = the old one plus 1.
	Reseq func(use func(cseq uint32)) `json:"-"`
	// Credentials answer challenges before those of the settings do.
	Credentials []Credential `json:"-"`
}

// Request starts a client transaction and returns at once. Via, Max-Forwards
// and User-Agent are added; the request belongs to the endpoint from then on
// and must not be changed. Challenges (401, 407) are answered from
// Settings.Credentials by themselves, and not passed on when they can be.
//
// f is called on one goroutine for every response, and once with an error
// (ErrTimeout, ErrTransport, ErrClosed, wrapped) if no final response comes.
// After a 2xx to an INVITE it is called again for each repetition, and for
// the 2xx of other branches (RFC 3261 13.2.2.4), for 64*T1: acknowledge every
// one with Send. Nothing is called after a final response otherwise.
//
// ctx ends the transaction without a word to the peer; Cancel is polite.
func (e *Endpoint) Request(ctx context.Context, req *sip.Request, to Target, f func(*sip.Response, error)) *Transaction {
	t := &Transaction{e: e, to: to, f: f, cancel: make(chan []sip.Header, 1), again: make(chan *sip.Response, 4)}
	t.req.Store(req)
	ctx, t.stop = context.WithCancel(ctx)
	if !e.spawn(func() { t.run(ctx) }) {
		t.stop()
		go t.emit(nil, ErrClosed)
	}
	return t
}

// Send sends an ACK for a 2xx (RFC 3261 13.2.2.4), which has no transaction.
// On UDP to a literal address it is sent when Send returns; else in the
// background, and a fault is logged.
func (e *Endpoint) Send(req *sip.Request, to Target) error {
	return e.send(req, to)
}

// Contact is our address for a user (escaped here) as the peer at the end of
// the flow reaches it: the advertised one, else that of the listener, else
// the local address towards that peer. The port is always written.
func (e *Endpoint) Contact(user string, flow Flow) sip.ContactHeader {
	return e.contact(user, flow)
}

// Allow is the header of that name: the methods that the endpoint and the
// usages on it take (RFC 3261 20.5).
func (e *Endpoint) Allow() sip.Header { return sip.NewHeader("Allow", allow) }

// Supported is the header of that name in a response (RFC 3261 20.37).
func (e *Endpoint) Supported() sip.Header { return sip.NewHeader("Supported", supported) }

// Asking is the same in a request: RFC 4662 4.1 has eventlist in none but SUBSCRIBE.
func (e *Endpoint) Asking() sip.Header { return sip.NewHeader("Supported", asking) }
