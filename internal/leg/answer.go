package leg

import (
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/orbit"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// RFC 3261 17.1.1.1: timer values.
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
)

// answer accepts their INVITE, with music or joined with another leg.
func (l *Leg) answer(e orbit.Answer, n uint64) {
	if l.state != asked {
		return // carried out before
	}
	l.belong(e.Orbit, e.Call)
	l.user = e.Orbit
	peer := l.m.find(e.Peer)
	req := l.inbound.request
	res := req.NewResponse(sip.StatusOK, "")
	l.accept(res, e.Orbit)
	switch {
	case e.Peer != "":
		identify(res, e.Party, "called")
		l.party, l.told = e.Party, e.Party
	case e.Party.Name != "": // phones mostly ignore it: it may be told once more
		identify(res, l.place(e.Party), "called")
	}
	l.session.negotiate(l, req, res)
	body, err := l.describe(peer)
	if err != nil { // agreed on before: cannot happen
		l.reject(err)
		return
	}
	setSDP(res, body)
	if !l.restored { // else it is there since it was restored
		if _, err := l.m.o.Table.Add(l.dialog.ID, l.dialog.RemoteSeq, l.queue, l); err != nil {
			l.reject(fmt.Errorf("%w: %w", errRequest, err))
			return
		}
	}
	l.state = accepted
	if e.Peer == "" {
		// Before the 200: whoever has it can have the caller fetched, by a leg that joins
		// this one at once, and music that begins later would part the two.
		l.play(e.Music, n)
	}
	if err := l.respond(res); errors.Is(err, sipua.ErrCancelled) {
		l.finish(0)
		return
	}
	if peer != nil {
		l.join(peer, false, n)
	}
	l.life.start(l)
	if l.restored {
		l.probeLater()
	}
}

// describe writes the body of our 2xx: an answer, or the offer that an
// offerless INVITE asks for.
func (l *Leg) describe(peer *Leg) ([]byte, error) {
	prefer := ""
	if peer != nil { // its codec, and what its party sends and receives
		prefer = peer.codecName()
		if f := peer.face.Load(); f != nil {
			l.local.Direction = f.wish
		}
	}
	l.accepted = l.said()
	l.local.Previous = l.last
	l.offered = l.described == nil
	if l.offered {
		l.last = sdp.Offer(l.local, preferred(l.local.Codecs, prefer))
		return l.last, nil
	}
	var d draft
	if l.draft != nil {
		d, l.draft = *l.draft, nil
	}
	if prefer != "" && prefer != d.agreed.Codec.Name || l.local.Direction != sdp.SendRecv {
		var err error
		if d.body, d.agreed, err = l.remote.Answer(l.local, prefer); err != nil {
			return nil, err
		}
	}
	l.last, l.wish = d.body, l.remote.Wish()
	l.agree(d.agreed)
	return l.last, nil
}

// accept fills the headers that every 2xx to INVITE and UPDATE has.
func (l *Leg) accept(res *sip.Response, user string) {
	contact := l.m.o.Endpoint.Contact(user, l.dialog.Flow)
	res.AppendHeader(&contact)
	res.AppendHeader(sip.NewHeader("Allow", allow))
	res.AppendHeader(l.m.o.Endpoint.Supported())
}

// respond sends a 2xx to their INVITE and keeps sending it until the ACK: the
// transaction does not do that for a 2xx, on no transport (RFC 3261 13.3.1.4).
func (l *Leg) respond(res *sip.Response) error {
	x := &l.inbound
	x.response = res
	if err := x.request.Respond(res); err != nil {
		if errors.Is(err, sipua.ErrCancelled) {
			return err
		}
		l.log.Warn().Err(err).Msg("answer not sent") // the next one may be
	}
	wait := t1
	var again func()
	again = func() {
		if err := x.request.Respond(res); err != nil {
			l.log.Debug().Err(err).Msg("answer not sent again")
		}
		wait = min(2*wait, t2)
		x.resend = l.after(wait, again)
	}
	x.resend = l.after(wait, again)
	x.giveUp = l.after(64*t1, l.unacknowledged)
	return nil
}

// unacknowledged: no ACK for 64*T1 after our 2xx. The dialog is confirmed but
// the session is to be ended (RFC 3261 13.3.1.4).
func (l *Leg) unacknowledged() {
	if l.restored && !l.port.Heard().IsZero() { // its voice says that it had the 200
		l.acknowledged(nil)
		return
	}
	l.inbound.stop()
	l.lost("no ack")
}

// ACK takes the ACK of a 2xx of ours, on the queue.
func (l *Leg) ACK(req *sipua.Request) {
	if l.inbound.response == nil || sipua.CSeq(req.Request) != l.inbound.cseq {
		return
	}
	l.acknowledged(req)
}

// acknowledged: our 2xx has its ACK; nil is one that a former process had.
func (l *Leg) acknowledged(req *sipua.Request) {
	first := l.state == accepted
	if !l.offered && l.inbound.busy { // the answer to the peer's own offer says all
		l.answeredAll()
	}
	l.inbound.stop()
	l.inbound.response, l.inbound.request, l.inbound.busy = nil, nil, false
	if first {
		l.state = confirmed
	}
	if l.bye != nil {
		l.sendBye(l.bye.Reason)
		return
	}
	if l.offered && l.state == confirmed && req != nil {
		l.offered = false
		if err := l.answered(req.Request); err != nil {
			l.log.Warn().Err(err).Msg("answer in ack unusable")
			if first {
				l.lost("no common codec")
				return
			}
		}
	}
	if l.state != confirmed {
		return
	}
	if l.offered { // the answer to our offer went with the former process
		l.offered, l.moving, l.wanted = false, true, true
	}
	if first && l.restored {
		l.session.resume(l) // its interval began with the first 200, of another process
		l.unlock()
	}
	if l.away.IsValid() {
		l.move()
	}
	if first {
		l.m.tell(orbit.Acked{Leg: l.id, Codec: l.codecName(), Record: l.record()})
		l.tellParty()
		if e := l.handing; e != nil {
			l.handing = nil
			l.handOff(*e)
		}
	} else {
		l.keep()
	}
	l.catchUp()
}

// answered takes the answer to an offer of ours, from an ACK or a 2xx.
func (l *Leg) answered(msg sip.Message) error {
	body, err := description(msg)
	if err != nil {
		return err
	}
	return l.concluded(body)
}

// identify names the other party in a message, so that the phone shows who was
// parked and not the orbit (RFC 3325 9.1; the older header for older phones, with
// the party's role in the dialog).
func identify(msg sip.Message, p orbit.Party, role string) {
	if p.URI == "" {
		return
	}
	addr := nameAddr(p)
	msg.AppendHeader(sip.NewHeader("P-Asserted-Identity", addr))
	msg.AppendHeader(sip.NewHeader("Remote-Party-ID", addr+";party="+role+";privacy=off;screen=no"))
}

// nameAddr writes a party as a name-addr that is safe to send.
func nameAddr(p orbit.Party) string {
	n, err := sipua.ParseNameAddr("<" + p.URI + ">")
	if err != nil { // it was parsed before: cannot happen
		return "<sip:anonymous@anonymous.invalid>"
	}
	n.Display = p.Name
	return n.String()
}

// preferred moves a codec to the front.
func preferred(codecs []string, first string) []string {
	list := make([]string, 0, len(codecs))
	for _, c := range codecs {
		if c == first {
			list = append([]string{c}, list...)
		} else {
			list = append(list, c)
		}
	}
	return list
}
