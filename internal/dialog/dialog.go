package dialog

import (
	"errors"
	"fmt"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// Errors of dialogs; sipua answers them with 400, 400 and 500.
var (
	ErrContact = errors.New("no usable Contact")                // RFC 3261 12.1.1
	ErrRoute   = errors.New("malformed Record-Route")           // RFC 3261 12.1.1
	ErrOldCSeq = errors.New("CSeq lower than one before")       // RFC 3261 12.2.2
	ErrURI     = errors.New("malformed URI in a stored dialog") // NewRequest
)

// ID identifies a dialog (RFC 3261 12). Remote is empty for peers without tags
// and for a dialog that no response has completed yet.
type ID struct {
	CallID string `json:"call_id"`
	Local  string `json:"local"`
	Remote string `json:"remote"`
}

// Dialog is the state of RFC 3261 12, as a value: copying it copies the
// dialog. Its owner is the queue of the usage. URIs are text so that it can be
// written as JSON and read back.
type Dialog struct {
	ID
	LocalURI  string `json:"local_uri"`
	RemoteURI string `json:"remote_uri"`
	// LocalName is the display name for our From, without quotes.
	LocalName string     `json:"local_name,omitempty"`
	Target    string     `json:"target"` // remote target: the peer's Contact
	Routes    []string   `json:"routes,omitempty"`
	LocalSeq  uint32     `json:"local_seq"`  // last CSeq that we sent; 0 = none yet
	RemoteSeq uint32     `json:"remote_seq"` // highest CSeq that came; 0 = none yet
	Secure    bool       `json:"secure,omitempty"`
	Flow      sipua.Flow `json:"flow"` // how the peer came last
	// NAT: the Contact is not where the peer's messages come from, so that
	// requests go back to Flow.Remote while there is no route set.
	NAT bool `json:"nat,omitempty"`
}

// FromRequest makes the dialog of a request that we accept (UAS, RFC 3261
// 12.1.1). localTag is the To tag of our responses, and must be chosen before
// the first of them; "" takes r.LocalTag().
func FromRequest(r *sipua.Request, localTag string) (Dialog, error) {
	if localTag == "" {
		localTag = r.LocalTag()
	}
	r.SetLocalTag(localTag)
	d := Dialog{
		ID:        ID{CallID: sipua.CallID(r.Request), Local: localTag, Remote: sipua.FromTag(r.Request)},
		LocalURI:  r.To().Address.String(),
		RemoteURI: r.From().Address.String(),
		RemoteSeq: sipua.CSeq(r.Request),
		// 12.1.1: secure when the request came over TLS and to a sips URI.
		Secure: r.Flow.Network == "tls" && r.Recipient.IsEncrypted(),
		Flow:   r.Flow,
	}
	var err error
	if d.Routes, err = routes(r.Request); err != nil {
		return Dialog{}, err
	}
	if !d.setTarget(r.Request) {
		return Dialog{}, fmt.Errorf("%s: %w", r.Method, ErrContact)
	}
	return d, nil
}

// FromResponse makes the dialog of a response to a request of ours that
// creates one: 101-199 with a To tag, or 2xx (UAC, RFC 3261 12.1.2). flow is
// the way the request went. Make it again from the 2xx: its route set and
// target are final (13.2.2.4).
func FromResponse(req *sip.Request, res *sip.Response, flow sipua.Flow) (Dialog, error) {
	d := Dialog{
		ID:        ID{CallID: sipua.CallID(req), Local: sipua.FromTag(req), Remote: sipua.ToTag(res)},
		LocalURI:  req.From().Address.String(),
		LocalName: sipua.UnescapeDisplay(req.From().DisplayName),
		RemoteURI: req.To().Address.String(),
		Target:    req.Recipient.String(),
		LocalSeq:  max(sipua.CSeq(req), sipua.CSeq(res)), // a challenge may have raised it
		Secure:    flow.Network == "tls" && req.Recipient.IsEncrypted(),
		Flow:      flow,
	}
	list, err := routes(res)
	if err != nil {
		return Dialog{}, err
	}
	for i := len(list) - 1; i >= 0; i-- { // 12.1.2: in reverse order
		d.Routes = append(d.Routes, list[i])
	}
	if !d.setTarget(res) && res.IsSuccess() {
		return Dialog{}, fmt.Errorf("%d: %w", res.StatusCode, ErrContact)
	}
	return d, nil
}

// routes reads the Record-Route headers in order.
func routes(m sip.Message) ([]string, error) {
	var list []string
	for _, v := range sipua.Headers(m, "record-route") {
		addrs, err := sipua.ParseNameAddrs(v)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRoute, err)
		}
		for _, a := range addrs {
			list = append(list, a.URI.String())
		}
	}
	return list, nil
}

// setTarget takes the remote target from the Contact, if there is a good one.
func (d *Dialog) setTarget(m sip.Message) bool {
	c, ok := sipua.Addr(m, "contact")
	if !ok || c.URI.Host == "" || c.URI.Wildcard {
		return false
	}
	c.URI.Headers = nil // RFC 3261 19.1.1: not allowed in a Request-URI
	d.Target = c.URI.String()
	// Behind a proxy, or in a response, the source is not the peer's own.
	if req, ok := m.(*sip.Request); ok && len(sipua.Headers(m, "via")) == 1 && req.Via() != nil {
		d.NAT = behindNAT(&c.URI, d.Flow)
	}
	return true
}

// behindNAT says whether a Contact's literal address is not where its owner's
// messages come from. Only the address counts: phones exist that send from one
// port and listen on another.
func behindNAT(contact *sip.Uri, flow sipua.Flow) bool {
	a, err := sipua.ParseHost(contact.Host)
	return err == nil && flow.Remote.IsValid() && a != flow.Remote.Addr().Unmap()
}

// To is where requests of this dialog go: the strict router, the top of the
// route set, or the remote target (RFC 3261 8.1.2, 12.2.1.1); to the source of
// the peer's messages when it is behind NAT with no proxy in between.
func (d *Dialog) To() sipua.Target {
	t := sipua.Target{Flow: d.Flow, URI: d.Target}
	if len(d.Routes) > 0 {
		t.URI = d.Routes[0]
	} else if d.NAT {
		t.Addr, t.NAT = d.Flow.Remote.String(), true
	}
	return t
}

// NewRequest builds a request within the dialog (RFC 3261 12.2.1.1) and raises
// LocalSeq. It has no Via, which sipua adds, and no Contact: INVITE, UPDATE,
// SUBSCRIBE, NOTIFY and REFER need one. Use NewACK and not this for ACK.
func (d *Dialog) NewRequest(method sip.RequestMethod) (*sip.Request, error) {
	req, err := d.build(method, d.LocalSeq+1)
	if err == nil {
		d.LocalSeq++
	}
	return req, err
}

// NewACK builds the ACK for a 2xx to the INVITE with that CSeq (RFC 3261
// 13.2.2.4).
func (d *Dialog) NewACK(cseq uint32) (*sip.Request, error) { return d.build(sip.ACK, cseq) }

// NextSeq raises LocalSeq and returns it, as sipua.Target.Reseq wants.
func (d *Dialog) NextSeq() uint32 {
	d.LocalSeq++
	return d.LocalSeq
}

func (d *Dialog) build(method sip.RequestMethod, seq uint32) (*sip.Request, error) {
	var target, local, remote sip.Uri
	for _, u := range []struct {
		text string
		to   *sip.Uri
	}{{d.Target, &target}, {d.LocalURI, &local}, {d.RemoteURI, &remote}} {
		if err := sip.ParseUri(u.text, u.to); err != nil {
			return nil, fmt.Errorf("%q: %w", u.text, ErrURI)
		}
	}
	list := make([]sip.Uri, len(d.Routes))
	for i, r := range d.Routes {
		if err := sip.ParseUri(r, &list[i]); err != nil {
			return nil, fmt.Errorf("%q: %w", r, ErrURI)
		}
	}
	if len(list) > 0 {
		if _, loose := sipua.URIParam(list[0].UriParams, "lr"); !loose {
			// 12.2.1.1: a strict router stands in the Request-URI, the remote
			// target at the end of the route set.
			strict := list[0]
			strict.Headers = nil
			list = append(list[1:], target)
			target = strict
		}
	}
	req := sip.NewRequest(method, target)
	for i := range list {
		req.AppendHeader(&sip.RouteHeader{Address: list[i]})
	}
	maxForwards := sip.MaxForwardsHeader(70)
	req.AppendHeader(&maxForwards)
	req.AppendHeader(&sip.FromHeader{DisplayName: sipua.EscapeDisplay(d.LocalName), Address: local, Params: tagParam(d.Local)})
	req.AppendHeader(&sip.ToHeader{Address: remote, Params: tagParam(d.Remote)})
	callID := sip.CallIDHeader(d.CallID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: method})
	return req, nil
}

func tagParam(tag string) sip.HeaderParams {
	if tag == "" {
		return nil // 12.2.1.1: a null tag is left out
	}
	return sip.HeaderParams{{K: "tag", V: tag}}
}

// refreshes are the requests that refresh the remote target (RFC 3261
// 12.2.1.2, RFC 3311 5.1, RFC 5057 3, RFC 6665 3.1, 3.2).
var refreshes = map[sip.RequestMethod]bool{
	sip.INVITE: true, sip.UPDATE: true, sip.SUBSCRIBE: true, sip.NOTIFY: true, sip.REFER: true,
}

// Receive brings the dialog up to date with a request in it (RFC 3261 12.2.2):
// its CSeq, the way it came, and the remote target. ErrOldCSeq: answer 500.
// An ACK changes nothing.
func (d *Dialog) Receive(r *sipua.Request) error {
	if r.IsAck() || r.IsCancel() {
		return nil
	}
	seq := sipua.CSeq(r.Request)
	if seq < d.RemoteSeq {
		return fmt.Errorf("%s %d after %d: %w", r.Method, seq, d.RemoteSeq, ErrOldCSeq)
	}
	d.RemoteSeq = seq
	d.Flow = r.Flow
	if refreshes[r.Method] {
		d.setTarget(r.Request)
	}
	return nil
}

// Refresh takes the remote target from a 2xx to a request of ours that
// refreshes it (RFC 3261 12.2.1.2), and the CSeq that was really used.
func (d *Dialog) Refresh(res *sip.Response) {
	if seq := res.CSeq(); seq != nil {
		d.LocalSeq = max(d.LocalSeq, seq.SeqNo)
		if res.IsSuccess() && refreshes[seq.MethodName] {
			d.setTarget(res)
		}
	}
}
