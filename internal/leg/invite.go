package leg

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// Invite takes an INVITE outside of a dialog: it parses the offer, binds a
// port, and asks for a decision, whose effects answer or refuse it.
func (m *Manager) Invite(req *sipua.Request) {
	if m.looped(req) {
		m.refuse(req, errLoop)
		return
	}
	if l := m.begun(req); l != nil {
		l.post(func() { l.again(req) })
		return
	}
	l, in, err := m.prepare(req)
	if err != nil {
		m.refuse(req, err)
		return
	}
	// On the leg's queue, before anything else can be: the end of a leg must not
	// reach the decider before its INVITE.
	_ = l.queue.Do(func() { // new: never full, never closed
		m.add(l)
		if m.o.Decider.Do(in) != nil {
			l.reported = true
			l.finish(0) // without an answer: it comes again, to the next process
		}
	})
	req.OnCancel(func() { l.post(l.cancelled) })
}

// hopsOf is how many hops an INVITE has left; what the sender does not say is as
// much as RFC 3261 8.1.1.6 has everybody begin with.
func hopsOf(req *sipua.Request) int {
	if h := req.MaxForwards(); h != nil {
		return min(int(h.Val()), maxHops)
	}
	return maxHops
}

const maxHops = 70

// prepare makes a leg for an INVITE and gathers the facts.
func (m *Manager) prepare(req *sipua.Request) (*Leg, orbit.Invite, error) {
	var in orbit.Invite
	offer, err := description(req.Request)
	if err != nil {
		return nil, in, err
	}
	var remote sdp.Remote
	if offer != nil {
		if remote, err = sdp.Parse(offer); err != nil {
			return nil, in, err
		}
	}
	if _, err := sessionAsked(req); err != nil {
		return nil, in, err
	}
	if in, err = m.facts(req); err != nil {
		return nil, in, err
	}
	d, err := dialog.FromRequest(req, "")
	if err != nil {
		return nil, in, fmt.Errorf("%w: %w", errRequest, err)
	}
	port, local, bound, err := m.open(req.Flow)
	if err != nil {
		return nil, in, err
	}
	l := m.newLeg(token())
	l.use(port)
	l.state = asked
	l.dialog, l.remote, l.local, l.user = d, remote, local, in.To
	l.bound, l.described = bound, offer
	l.asked, l.hops, l.name = sipua.CSeq(req.Request), hopsOf(req), req.User
	l.inbound.request, l.inbound.cseq = req, l.asked
	if offer != nil { // 488 before anybody decides
		if l.draft, err = drafted(remote, l.local); err != nil {
			port.Close()
			return nil, in, err
		}
		in.Codec = l.draft.agreed.Codec.Name
	}
	in.Leg, in.Record = l.id, l.record()
	return l, in, nil
}

// facts gathers what the decision about an INVITE needs to know.
func (m *Manager) facts(req *sipua.Request) (orbit.Invite, error) {
	p := m.policy.Load()
	in := orbit.Invite{To: sipua.UserOf(&req.Recipient)}
	op, _ := sipua.URIParam(req.Recipient.UriParams, "operation")
	in.Retrieve = strings.EqualFold(op, "retrieve")
	from := sipua.Identity(req.Request, req.Trusted)
	in.Name, in.URI = from.Display, bare(from.URI)
	in.Self, _ = p.returnTarget(in.URI, req.Recipient.Host)
	in.Parker, in.Referred = p.parker(req)
	in.Barred = p.barred(req.User, req)
	r, err := sipua.ReplacesOf(req.Request)
	switch {
	case err != nil:
		return in, fmt.Errorf("%w: %w", errReplaces, err)
	case r != nil:
		in.Replaces = &orbit.Replaces{CallID: r.CallID, ToTag: r.ToTag, FromTag: r.FromTag, EarlyOnly: r.EarlyOnly, Leg: m.named(*r)}
	case !in.Referred:
		in.Shown = m.o.Watchers.Showing(req, in.To)
	}
	return in, nil
}

// bare writes a URI without parameters and headers: an identity.
func bare(u sip.Uri) string {
	u.UriParams, u.Headers = nil, nil
	return u.String()
}

// named returns the leg whose dialog a Replaces names: to-tag our local tag,
// from-tag the remote one (RFC 3891 3). "" if there is none.
func (m *Manager) named(r sipua.Replaces) string {
	if e, ok := m.o.Table.Replaced(r); ok {
		if l, ok := e.Usage().(*Leg); ok {
			return l.id
		}
	}
	return ""
}

// refuse answers an INVITE for which there is no leg.
func (m *Manager) refuse(req *sipua.Request, err error) {
	s := statusOf(err)
	var away *orbit.Elsewhere
	if errors.As(err, &away) {
		s = m.redirect(req, away)
	}
	m.refused(s.reason)
	ev := m.o.Log.Info()
	var refusal *orbit.Refusal
	if errors.As(err, &refusal) {
		ev.Str("orbit", refusal.Orbit)
	}
	ev.Int("code", s.code).Str("reason", s.reason).Err(err).
		Str("from", req.From().Address.String()).Str("to", req.Recipient.String()).Msg("invite refused")
	_ = req.Reply(s.code, "", s.headers()...) // nobody to tell if it is cancelled
}

// refuse answers the leg's INVITE with what the decider refused it for.
func (l *Leg) refuse(err error) {
	if l.state == asked {
		l.reported = true // whoever refused knows
		l.reject(err)
	}
}

// reject answers the leg's INVITE with an error and takes everything back.
func (l *Leg) reject(err error) {
	l.m.refuse(l.inbound.request, err)
	l.finish(0)
}

// cancelled: a CANCEL came before the answer; the 487 has been sent.
func (l *Leg) cancelled() {
	if l.state == asked {
		l.log.Info().Msg("invite cancelled")
		l.finish(0)
	}
}
