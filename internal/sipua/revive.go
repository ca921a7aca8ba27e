package sipua

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Text is a request as Revive and CancelLost take it back. Nobody's credentials are
// in it (RFC 3261 22): it is to be written down.
func Text(r *sip.Request) string {
	kept := r.Clone()
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for kept.RemoveHeader(name) {
		}
	}
	return kept.String()
}

// Revive makes an INVITE of a former process answerable again: text is what
// Text wrote of it, flow how it came, and localTag the To tag of the responses
// that it may have had. It has no transaction: a response goes straight to
// where the INVITE came from, once for each Respond, and on a stream only while
// that connection stands.
func (e *Endpoint) Revive(text string, flow Flow, localTag string) (*Request, error) {
	req, err := ParseRequest(text)
	if err != nil {
		return nil, err
	}
	if syntax(req) != nil {
		return nil, ErrSyntax
	}
	req.SetTransport(strings.ToUpper(flow.Network))
	req.SetSource(flow.Remote.String())
	r := &Request{Request: req, Flow: flow, e: e, revived: true}
	r.SetLocalTag(localTag)
	return r, nil
}

// direct puts a response to a revived request on the wire.
func (r *Request) direct(res *sip.Response) error {
	if !r.e.enter(&r.e.sending) {
		return ErrClosed
	}
	defer r.e.sending.Done()
	l, addr := r.e.stream, r.Flow.Remote.String()
	if r.Flow.Network == "udp" {
		if l = r.e.udpLayer(r.Flow, r.Flow.Remote.Addr()); l != nil {
			addr = string(l.packet.self)
		}
	}
	if l == nil {
		return fmt.Errorf("%s %w: %w", r.Method, ErrTransport, ErrNoRoute)
	}
	c, err := l.tpl.GetConnection(r.Flow.Network, addr)
	if err == nil {
		defer c.TryClose()
		res.SetTransport(strings.ToUpper(r.Flow.Network))
		res.SetDestination(r.Flow.Remote.String()) // RFC 3581 4
		err = c.WriteMsg(res)
	}
	if err != nil {
		return fmt.Errorf("%s %w: %w", r.Method, ErrTransport, err)
	}
	return nil
}

// CancelLost takes back an INVITE of ours whose transaction ended with a former
// process: text is what Text wrote of it before it was sent with that target,
// of which Branch is set. The peer is asked to give it up (RFC 3261 9.1), and a
// refusal of it is acknowledged; a 2xx comes as a stray response.
func (e *Endpoint) CancelLost(text string, to Target) error {
	invite, err := ParseRequest(text)
	if err != nil {
		return err
	}
	if !e.spawn(func() { e.cancelLost(invite, to) }) {
		return ErrClosed
	}
	return nil
}

func (e *Endpoint) cancelLost(invite *sip.Request, to Target) {
	select {
	case <-e.ready:
	case <-e.done:
		return
	}
	list, err := e.hops(context.Background(), invite, to)
	if err != nil {
		e.log.Debug().Err(err).Msg("CANCEL not sent")
		return
	}
	seq, tries := invite.CSeq().SeqNo, 1
	if len(to.Credentials)+len(e.settings.Load().Credentials) > 0 {
		tries = 2
	}
	for _, h := range e.large(invite, to, list) { // which of them it went is not known
		for try := range tries { // nor whether it was sent again after a challenge
			attempt := invite.Clone()
			attempt.ReplaceHeader(&sip.CSeqHeader{SeqNo: seq + uint32(try), MethodName: sip.INVITE})
			e.address(attempt, h, tryBranch(to.Branch, try))
			if h.layer.packet != nil {
				h.layer.rejected.begin(attempt)
				e.after(kept, func() { h.layer.rejected.end(attempt) }) // RFC 3261 9.1: no answer comes after 64*T1
			}
			h.layer.cancel(attempt, nil)
		}
	}
}

// tryBranch is the branch of the n-th try of a request whose first one is base;
// any new one where base is "".
func tryBranch(base string, n int) string {
	switch {
	case base == "":
		return NewBranch()
	case n == 0:
		return base
	}
	return base + "." + strconv.Itoa(n)
}

// ParseRequest reads what Text wrote of a request.
func ParseRequest(text string) (*sip.Request, error) {
	msg, err := sip.NewParser(sip.WithHeadersParsers(tolerant())).ParseSIP([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	req, ok := msg.(*sip.Request)
	if !ok {
		return nil, ErrSyntax
	}
	return req, nil
}

// Present is a flow of a former process as this one can use it: from a listener
// that there is now.
func (e *Endpoint) Present(f Flow) Flow {
	if !f.Remote.IsValid() {
		return f
	}
	if f.Network != "udp" {
		if _, live := e.liveHop(f); !live {
			f.Local = netip.AddrPort{} // of a connection that is no more
		}
		return f
	}
	if l := e.udpLayer(f, f.Remote.Addr()); l != nil {
		f.Local = l.packet.local
	}
	return f
}
