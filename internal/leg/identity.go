package leg

import (
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/orbit"
	"parkd/internal/sipua"
)

// identified tells the decider who the peer of the leg is said to be by a re-INVITE
// or UPDATE, before that is answered: a switch that is a back-to-back user agent
// completes transfers so. It is believed as the identity in an INVITE is, from
// trusted addresses only (RFC 3325 5), for a phone could make itself anybody.
func (l *Leg) identified(req *sipua.Request) {
	if !req.Trusted {
		return
	}
	n, ok := asserted(req.Request)
	if from := req.From().Address.String(); from != l.dialog.RemoteURI {
		// RFC 4916 4.3: From may change within the dialog, and so what our
		// requests have in To.
		l.dialog.RemoteURI = from
		if !ok {
			n, ok = sipua.Addr(req.Request, "from")
		}
	}
	if !ok || anonymous(n.URI) {
		return
	}
	who := orbit.Identity{Name: n.Display, URI: bare(n.URI)}
	who.Self, _ = l.m.policy.Load().returnTarget(who.URI, req.Recipient.Host)
	l.m.tell(orbit.Identified{Leg: l.id, Who: who})
}

// asserted is the identity that a trusted peer vouches for.
func asserted(msg sip.Message) (sipua.NameAddr, bool) {
	for _, name := range []string{"p-asserted-identity", "remote-party-id"} {
		if n, ok := sipua.Addr(msg, name); ok {
			return n, true
		}
	}
	return sipua.NameAddr{}, false
}

// anonymous reports whether a URI names nobody (RFC 3323 4.1.1.3).
func anonymous(u sip.Uri) bool {
	return strings.EqualFold(u.User, "anonymous") || strings.HasSuffix(strings.ToLower(u.Host), ".invalid")
}

// introduce tells the peer who is at the other end now, as soon as it may be told.
func (l *Leg) introduce(p orbit.Party) {
	if p.URI == "" && p.Name != "" {
		p = l.place(p)
	}
	if p.URI != "" {
		l.party = p
		l.tellParty()
	}
}

// tellParty does so by UPDATE, or by re-INVITE where the peer does not take that
// (RFC 3311, RFC 3325 9.1).
func (l *Leg) tellParty() {
	if l.state != confirmed || l.outbound.answer != nil || l.telling || l.party == l.told {
		return
	}
	if !l.session.update {
		l.telling = true
		l.after(gather, l.tellByOffer)
		return
	}
	req, err := l.dialog.NewRequest(sip.UPDATE)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no update possible")
		return
	}
	contact := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow)
	req.AppendHeader(&contact)
	req.AppendHeader(sip.NewHeader("Allow", allow))
	req.AppendHeader(l.m.o.Endpoint.Asking())
	l.session.current(req)
	said := l.nameParty(req)
	l.telling = true
	l.send(req, func(res *sip.Response, err error) {
		switch {
		case l.state != confirmed:
		case err != nil:
			l.life.doubt = true
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists:
			l.lost("peer does not know the call") // RFC 3261 12.2.1.2
		case res.StatusCode == sip.StatusRequestPending:
			l.after(l.glare(), l.tellParty)
		case res.StatusCode == sip.StatusMethodNotAllowed, res.StatusCode == sip.StatusNotImplemented:
			l.session.update = false
			l.after(0, l.tellParty)
		case res.StatusCode >= 200 && res.StatusCode < 300:
			l.session.refreshed(l, res)
		}
		l.namedParty(said, res, err)
	})
}

// gather is how long a re-INVITE about somebody new waits for what else there is to
// be told of them: they come with media of their own.
const gather = 20 * time.Millisecond

// tellByOffer names the party in a re-INVITE, if no other has done so meanwhile.
func (l *Leg) tellByOffer() {
	switch {
	case l.state != confirmed || l.party == l.told:
		l.telling = false
	case !l.outbound.busy || l.outbound.said != l.party:
		l.reoffer()
	}
}

// nameParty adds who is at the other end to a request, if the peer does not know yet, and
// returns whom it says.
func (l *Leg) nameParty(req *sip.Request) orbit.Party {
	if l.party == l.told {
		return orbit.Party{}
	}
	role := "called"
	if l.asked == 0 { // we called the peer
		role = "calling"
	}
	identify(req, l.party, role)
	return l.party
}

// namedParty takes a response to a request that said who is at the other end: a refusal
// too says that it has been heard. Without one it is said with the next request
// that says something anyway.
func (l *Leg) namedParty(p orbit.Party, res *sip.Response, err error) {
	if p == (orbit.Party{}) || err == nil && res.StatusCode < 200 {
		return
	}
	l.telling = false
	if err != nil || l.state != confirmed {
		return
	}
	switch res.StatusCode {
	case sip.StatusRequestPending, sip.StatusMethodNotAllowed, sip.StatusNotImplemented, sip.StatusRequestTimeout:
		return
	}
	l.told = p
	l.keep()
	l.tellParty() // it may be somebody else already
}
