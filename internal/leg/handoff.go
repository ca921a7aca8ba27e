package leg

import (
	"mime"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/orbit"
	"parkd/internal/sipua"
)

// statusNone is reported of a hand-off that could not even be tried.
const statusNone = sip.StatusMethodNotAllowed

// handOff refers the peer to the one whom it is joined with, so that the two go on
// without us (RFC 5589 7, as the transferor of an attended transfer does).
func (l *Leg) handOff(e orbit.HandOff) {
	if l.referred == e.Peer {
		return // carried out before
	}
	if l.state == accepted { // it has no dialog to be referred in before its ACK
		l.handing = &e
		return
	}
	refers, _ := l.able.allows(sip.REFER)
	peer := l.m.find(e.Peer)
	if l.state != confirmed || !refers || peer == nil {
		l.handedOff(e.Peer, statusNone)
		return
	}
	// The other dialog belongs to the other queue.
	peer.post(func() {
		to, ok := peer.referTo()
		l.post(func() {
			if !ok || l.state != confirmed {
				l.handedOff(e.Peer, statusNone)
				return
			}
			l.referred = e.Peer
			// Written down first: after a crash it must not be referred twice.
			l.keepThen(nil, func() { l.sendRefer(e, to) })
		})
	})
}

// referTo is the Refer-To that has somebody take our place in the dialog with the
// peer; false if the peer would not have that.
func (l *Leg) referTo() (value string, ok bool) {
	if l.state != confirmed || l.outbound.answer != nil || !l.able.supports("replaces") {
		return "", false
	}
	// RFC 3891 3, 6.1: to-tag is the tag of whoever gets the INVITE; escaped as a
	// header within a URI (RFC 3261 19.1.1).
	r := sipua.Replaces{CallID: l.dialog.CallID, ToTag: l.dialog.Remote, FromTag: l.dialog.Local}
	return "<" + sipua.Clean(l.dialog.Target) + "?Replaces=" + r.Escaped() + ">", true
}

// sendRefer sends the REFER. What follows comes by NOTIFY.
func (l *Leg) sendRefer(e orbit.HandOff, to string) {
	if l.state != confirmed {
		return
	}
	req, err := l.dialog.NewRequest(sip.REFER)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no refer possible")
		l.handedOff(e.Peer, statusNone)
		return
	}
	contact := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow)
	req.AppendHeader(&contact)
	req.AppendHeader(sip.NewHeader("Refer-To", to))
	by := contact.Address
	by.User, by.UriParams = sipua.EscapeUser(e.Orbit), nil
	req.AppendHeader(sip.NewHeader("Referred-By", "<"+by.String()+">")) // RFC 3892 2.1
	l.log.Info().Msg("caller is referred to whoever has retrieved them")
	l.referSeq = sipua.CSeq(req)
	l.send(req, func(res *sip.Response, err error) {
		if err == nil {
			l.referSeq = sipua.CSeq(res) // a challenge may have raised it
		}
		switch {
		case l.state != confirmed:
		case err != nil:
			l.life.doubt = true
			l.handedOff(e.Peer, sip.StatusRequestTimeout)
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists:
			l.lost("peer does not know the call") // RFC 3261 12.2.1.2
		case res.StatusCode >= 300:
			l.handedOff(e.Peer, res.StatusCode)
		}
	})
}

// handedOff tells the decider what became of a hand-off.
func (l *Leg) handedOff(peer string, code int) {
	l.log.Info().Int("code", code).Msg("hand-off is over")
	l.m.tell(orbit.HandedOff{Leg: l.id, Peer: peer, Code: code})
}

// notify takes how far a REFER of ours has got (RFC 3515 2.4.4, 2.4.5). It may come
// before the answer to the REFER. Other NOTIFYs are keep-alives of some phones:
// there is no subscription.
func (l *Leg) notify(req *sipua.Request) {
	value, _ := sipua.Header(req.Request, "event")
	event, err := sipua.ParseEvent(value)
	if err != nil || event.Package != "refer" || l.referred == "" {
		l.reply(req, sip.StatusCallTransactionDoesNotExists)
		return
	}
	l.reply(req, sip.StatusOK)
	if id, err := strconv.ParseUint(event.ID, 10, 32); err == nil && uint32(id) < l.referSeq {
		return // RFC 3515 2.4.6: of a REFER before the last, which is over for us
	}
	code := fragment(req.Request)
	state, _ := sipua.Header(req.Request, "subscription-state")
	s, _ := sipua.ParseSubscriptionState(state)
	switch {
	case code >= 200:
		l.handedOff(l.referred, code)
	case s.State == "terminated": // without having said how it ended
		l.handedOff(l.referred, sip.StatusRequestTimeout)
	}
}

// fragment is the status in a message/sipfrag body (RFC 3420), 0 if there is none.
func fragment(msg sip.Message) int {
	kind, _ := sipua.Header(msg, "content-type")
	if kind, _, _ = mime.ParseMediaType(kind); kind != "message/sipfrag" {
		return 0
	}
	line, _, _ := strings.Cut(string(msg.Body()), "\n")
	version, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	digits, _, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(digits)
	if err != nil || !strings.EqualFold(version, "SIP/2.0") || code < 100 || code > 699 {
		return 0
	}
	return code
}
