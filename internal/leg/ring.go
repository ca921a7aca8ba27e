package leg

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// ring calls somebody on a new leg. What cannot even be tried is reported as
// a leg that ended.
func (m *Manager) ring(e orbit.Ring) {
	if m.find(e.Leg) != nil {
		return // carried out before
	}
	// At once, so that a Bye that follows finds it.
	l := m.newLeg(e.Leg)
	l.belong(e.Orbit, e.Call)
	l.user = e.Orbit
	m.add(l)
	call := func(from dialog.Dialog, hops int, prefer string) {
		to, err := m.route(e.Target, from)
		if to.hops = hops; hops <= 0 && err == nil {
			err = errHops
		}
		l.post(func() { l.call(e, to, prefer, err) })
	}
	// A dialog belongs to its queue.
	if caller := m.find(e.Caller); caller != nil {
		caller.post(func() { call(caller.dialog, onward(caller.asked, caller.hops), caller.codecName()) })
	} else if s := m.findSummons(e.Caller); s != nil {
		_ = s.queue.Post(func() { call(s.dialog, onward(1, s.hops), "") }) // never closed
	} else {
		l.post(func() { l.finish(0) })
	}
}

// onward is the Max-Forwards of an INVITE on behalf of somebody whose request had
// so many hops left: one less than theirs, so that calls which go in a circle
// through us and others end (RFC 7332).
func onward(asked uint32, hops int) int {
	if asked == 0 || hops == 0 { // we called them, or a former parkd did not note it
		return maxHops
	}
	return hops - 1
}

// destination is the Request-URI of an INVITE of ours and its way.
type destination struct {
	uri    sip.Uri
	target sipua.Target
	flow   sipua.Flow // says which address of ours the called phone reaches
	hops   int        // Max-Forwards; 0 = as of a call of our own
}

var errNoRoute = errors.New("no way to the target")

// route says where an INVITE of ours goes: a literal address directly, a name
// to the outbound proxy, else to the trusted peer that sent the call. The last
// also takes what would come straight back to us. Runs on the caller's queue.
func (m *Manager) route(target string, caller dialog.Dialog) (destination, error) {
	p, flow := m.policy.Load(), caller.Flow
	uri, err := parseTarget(target)
	if err != nil {
		return destination{}, err
	}
	extension := uri.Host == "" // of the PBX
	if extension {
		uri.Host, uri.Port = p.home(caller)
	}
	stream := flow.Network != "udp"
	if addr, ok := literal(uri); ok && (!extension || !stream) && p.trusts(addr.Addr()) && !p.Own(addr) {
		return p.towards(uri, uri, flow), nil
	}
	if p.OutboundProxy != "" {
		proxy, err := parseTarget(p.OutboundProxy)
		if err != nil {
			return destination{}, err
		}
		return p.towards(uri, proxy, flow), nil
	}
	if !p.trusts(flow.Remote.Addr()) {
		return destination{}, fmt.Errorf("%s: %w", target, errNoRoute)
	}
	d := destination{uri: uri, target: sipua.Target{Flow: flow, Addr: flow.Remote.String()}, flow: flow}
	if stream {
		// Its connection while it stands, else where its requests within the call
		// go: the port that it connected from takes no connections.
		d.target.Addr, d.target.URI = "", caller.To().URI
	}
	return d, nil
}

// towards is the way to a next hop, from the socket that the caller came to
// where the transport is the same. What address of ours a name will see is not
// known before it is resolved: the one that the caller sees.
func (p *Policy) towards(uri, hop sip.Uri, flow sipua.Flow) destination {
	d := destination{uri: uri, target: sipua.Target{URI: hop.String()}}
	network, _ := sipua.URIParam(hop.UriParams, "transport")
	switch {
	case hop.Scheme == "sips":
		network = "tls"
	case network == "":
		network = "udp" // RFC 3263 4.1: the default for a literal address
	}
	addr, ok := literal(hop)
	if !ok {
		d.flow = p.local(flow, network, flow.Remote)
		return d
	}
	d.flow = p.local(flow, network, addr)
	d.target.Flow = d.flow
	return d
}

// call sends the INVITE of a return or transfer, unless that was taken back; err says that
// there is no way to the target.
func (l *Leg) call(e orbit.Ring, to destination, prefer string, err error) {
	if l.state != planned {
		return
	}
	var port Port
	if err == nil {
		port, l.local, l.bound, err = l.m.open(to.flow)
	}
	if err != nil {
		l.log.Warn().Str("target", e.Target).Err(err).Msg("call not possible")
		l.finish(0)
		return
	}
	l.use(port)
	l.last = sdp.Offer(l.local, preferred(l.local.Codecs, prefer))
	l.party, l.told = e.Party, e.Party
	req := l.invite(e, to)
	l.m.called(l, sipua.CallID(req))
	to.target.Branch, to.target.Credentials = sipua.NewBranch(), l.m.policy.Load().credentials(l.user)
	l.outbound.text, l.outbound.target = sipua.Text(req), &to.target
	// Written down first: after a crash it has to be taken back.
	l.keepThen(nil, func() {
		if l.state != planned {
			return
		}
		l.state = calling
		l.listen(req)
		l.log.Info().Str("target", req.Recipient.String()).Msg("calling")
		l.outbound.ours = l.m.o.Endpoint.Request(l.m.ctx, req, to.target, func(res *sip.Response, err error) {
			l.post(func() { l.progress(res, err) })
		})
		l.first = l.outbound.ours
	})
}

// invite builds the INVITE of a return or transfer: From shows the caller.
func (l *Leg) invite(e orbit.Ring, to destination) *sip.Request {
	req := sip.NewRequest(sip.INVITE, to.uri)
	contact := l.m.o.Endpoint.Contact(e.Orbit, to.flow)
	from := e.Party
	if from.URI == "" && e.Refer != (orbit.Reference{}) {
		from.URI = contact.Address.String() // an orbit calls for itself
		contact.Params = automaton()
	}
	begin(req, from, to.hops)
	req.AppendHeader(&contact)
	req.AppendHeader(sip.NewHeader("Allow", allow))
	req.AppendHeader(l.m.o.Endpoint.Asking())
	setReference(req, e.Refer)
	if e.Person { // RFC 3841 and 3840: no mailbox takes the caller
		req.AppendHeader(sip.NewHeader("Reject-Contact", `*;actor="msg-taker"`))
	}
	if e.Party.URI != "" {
		req.AppendHeader(sip.NewHeader("P-Asserted-Identity", nameAddr(e.Party)))
	}
	if e.Alert != "" {
		req.AppendHeader(sip.NewHeader("Alert-Info", e.Alert))
	}
	setSDP(req, l.last)
	return req
}

// setReference gives an INVITE what a REFER asks for.
func setReference(req *sip.Request, r orbit.Reference) {
	if r.ReferredBy != "" {
		req.AppendHeader(sip.NewHeader("Referred-By", r.ReferredBy)) // RFC 3892 2.2
	}
	if r.Replaces != "" {
		req.AppendHeader(sip.NewHeader("Replaces", r.Replaces)) // RFC 3891 5
		req.AppendHeader(sip.NewHeader("Require", "replaces"))
	}
}

// begin gives a request what starts a dialog (RFC 3261 8.1.1).
func begin(req *sip.Request, from orbit.Party, hops int) {
	fromURI, to := sip.Uri{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"}, req.Recipient
	if n, err := sipua.ParseNameAddr("<" + from.URI + ">"); err == nil {
		fromURI = n.URI
	}
	to.UriParams, to.Port = nil, 0
	callID, maxForwards := sip.CallIDHeader(sipua.NewCallID()), sip.MaxForwardsHeader(cmp.Or(hops, maxHops))
	req.AppendHeader(&maxForwards)
	req.AppendHeader(&sip.FromHeader{DisplayName: sipua.EscapeDisplay(from.Name), Address: fromURI,
		Params: sip.HeaderParams{{K: "tag", V: sipua.NewTag()}}})
	req.AppendHeader(&sip.ToHeader{Address: to})
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: req.Method})
}

// progress takes the responses to our INVITE.
func (l *Leg) progress(res *sip.Response, err error) {
	if err == nil && res.StatusCode > 100 && res.StatusCode < 300 && !l.outbound.forwarded {
		way := l.outbound.ours.Flow().Remote.Addr()
		l.outbound.forwarded = forwarded(res, l.outbound.ours.Request().Recipient, l.m.policy.Load().trusts(way))
	}
	switch {
	case err != nil:
		l.log.Info().Err(err).Msg("call failed")
		l.finish(408)
	case res.StatusCode < 200:
		if res.StatusCode > 100 {
			l.m.tell(orbit.Progress{Leg: l.id, Code: res.StatusCode})
		}
		l.outbound.rang = l.outbound.rang || res.StatusCode == sip.StatusRinging || res.StatusCode == sip.StatusSessionInProgress
		l.provisional(res)
	case res.StatusCode < 300:
		l.connected(res)
	default:
		l.outbound.moved = l.m.policy.Load().elsewhere(res, l.outbound.ours.Request().Recipient)
		ev := l.log.Info().Int("code", res.StatusCode)
		if len(l.outbound.moved) > 0 {
			ev.Strs("moved", l.outbound.moved)
		}
		ev.Msg("call refused")
		l.finish(res.StatusCode)
	}
}

// connected takes a 2xx to our INVITE: the first, one again, or another fork's.
func (l *Leg) connected(res *sip.Response) {
	d, err := dialog.FromResponse(l.first.Request(), res, l.first.Flow())
	if err != nil {
		l.log.Warn().Err(err).Msg("answer unusable")
		return
	}
	fork := l.forks.goOn(&d)
	if l.dialog.Remote != "" || l.state == ended { // be a re-INVITE under way since
		switch {
		case d.ID != l.dialog.ID:
			l.decline(d, res) // another fork answered too late
		case l.outbound.answer == nil: // else as soon as it is written down
			l.sendACK(&l.dialog, res) // RFC 3261 13.2.2.4: each 2xx is acknowledged
		}
		return
	}
	wanted := l.state == calling
	before := l.dialog.ID
	l.dialog = d
	l.outbound.answer = res
	_, err = l.m.o.Table.Add(l.dialog.ID, l.dialog.RemoteSeq, l.queue, l)
	l.m.o.Table.Remove(before)
	if err != nil {
		l.log.Warn().Err(err).Msg("answer unusable")
		l.confirm()
		l.finish(0)
		return
	}
	l.state = confirmed
	l.outbound.text, l.outbound.target = "", nil // there is nothing to be taken back any more
	if !wanted {                                 // cancelled meanwhile
		l.sendBye("cancelled")
		return
	}
	if err := l.concludedBy(fork, res); err != nil {
		l.log.Warn().Err(err).Msg("answer unusable")
		l.lost("no common codec")
		return
	}
	l.session.accept(l, res)
	l.life.start(l)
	l.m.tell(orbit.Answered{Leg: l.id, Machine: machine(res), Forwarded: l.outbound.forwarded, Codec: l.codecName(), Record: l.record()})
}

// confirm acknowledges the answer to our INVITE, once it is written down: a
// peer that has no ACK sends its 200 again, so that a restarted parkd, which
// knows of no answer, learns of it and can end it.
func (l *Leg) confirm() {
	if res := l.outbound.answer; res != nil {
		l.outbound.answer = nil
		l.acknowledge(res)
		if l.state == confirmed {
			l.keep()
			l.tellParty()
		}
	}
}

// decline ends a dialog that a fork made and nobody wants (RFC 3261 13.2.2.4).
func (l *Leg) decline(d dialog.Dialog, res *sip.Response) {
	l.sendACK(&d, res)
	if slices.Contains(l.outbound.declined, d.ID) {
		return // its 200 again
	}
	l.outbound.declined = append(l.outbound.declined, d.ID)
	bye, err := d.NewRequest(sip.BYE)
	if err != nil {
		return // logged with the ACK
	}
	l.m.o.Endpoint.Request(l.m.ctx, bye, d.To(), func(*sip.Response, error) {})
}

// acknowledge sends the ACK of a 2xx to an INVITE of ours, of each repetition
// too (RFC 3261 13.2.2.4).
func (l *Leg) acknowledge(res *sip.Response) {
	l.outbound.acked = true
	l.dialog.Refresh(res)
	l.sendACK(&l.dialog, res)
}

func (l *Leg) sendACK(d *dialog.Dialog, res *sip.Response) {
	ack, err := d.NewACK(sipua.CSeq(res))
	if err == nil {
		err = l.m.o.Endpoint.Send(ack, d.To())
	}
	if err != nil {
		l.log.Warn().Err(err).Msg("ack not sent")
	}
}

// cancel takes our INVITE back. The leg ends with its final response; a 2xx
// that crosses is acknowledged and ended.
func (l *Leg) cancel(reason string) {
	l.state = ending
	l.port.Close()
	l.log.Info().Str("reason", reason).Msg("call cancelled")
	if l.outbound.ours != nil {
		l.outbound.ours.Cancel()
	} else if to := l.outbound.target; to == nil { // nothing was sent
	} else if err := l.m.o.Endpoint.CancelLost(l.outbound.text, *to); err != nil {
		l.log.Warn().Err(err).Msg("invite not taken back")
	}
	// RFC 3261 9.1: an INVITE that is never answered in spite of it.
	l.outbound.giveUp = l.after(64*t1, func() { l.finish(0) })
}
