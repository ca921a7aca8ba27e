package leg

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/orbit"
	"parkd/internal/sipua"
)

// releaseAfter is how long whoever transferred somebody is given to hang up.
const releaseAfter = 5 * time.Second

// takeRefer takes a REFER within the dialog: the decider says what becomes of it.
func (l *Leg) takeRefer(req *sipua.Request) {
	switch {
	case l.refer.under():
		l.refuseRefer(req, orbit.ErrPending)
		return
	case l.state != confirmed: // the ACK has been overtaken
		l.reply(req, sip.StatusInternalServerError, sip.NewHeader("Retry-After", "1"))
		return
	}
	dialled := []string{req.Recipient.Host} // our Contact's
	var local sip.Uri
	if l.asked != 0 && sip.ParseUri(l.dialog.LocalURI, &local) == nil {
		dialled = append(dialled, local.Host) // what the peer dialled
	}
	in, err := l.m.referral(req, dialled)
	if err != nil {
		l.refuseRefer(req, err)
		return
	}
	in.Leg, in.Barred = l.id, l.m.policy.Load().barred(l.name, req)
	if in.Carries.ReferredBy == "" {
		in.Carries.ReferredBy = "<" + l.dialog.RemoteURI + ">"
	}
	l.refers++
	if l.refer == &noReports {
		l.refer = new(reports)
	}
	l.refer.begin(l, req, l.refers > 1 || l.restored)
	l.m.tell(in)
}

// referral gathers what a REFER asks for. dialled are the hosts that are ours
// because the peer reached us there.
func (m *Manager) referral(req *sipua.Request, dialled []string) (orbit.Refer, error) {
	p, in := m.policy.Load(), orbit.Refer{}
	values := sipua.Headers(req.Request, "refer-to")
	if len(values) != 1 { // RFC 3515 2.4.2
		return in, fmt.Errorf("%w: %d of them", errReferTo, len(values))
	}
	to, err := sipua.ParseReferTo(values[0])
	switch {
	case err != nil:
		return in, fmt.Errorf("%w: %w", errReferTo, err)
	case !strings.EqualFold(to.Method, string(sip.INVITE)):
		return in, fmt.Errorf("%w: %s", errReferMethod, to.Method)
	}
	switch to.URI.Scheme {
	case "sip", "sips", "tel":
	default:
		return in, fmt.Errorf("%w: %s", errScheme, to.URI.Scheme)
	}
	in.To, in.Ours = sipua.UserOf(&to.URI), p.serves(&to.URI, dialled)
	op, _ := sipua.URIParam(to.URI.UriParams, "operation")
	in.Retrieve = strings.EqualFold(op, "retrieve")
	in.Target = p.transferTarget(&to.URI, dialled)
	// RFC 3892 2.2: it is passed on as it came.
	in.Carries.ReferredBy, _ = sipua.Header(req.Request, "referred-by")
	if r := to.Replaces; r != nil {
		in.Replaces = &orbit.Replaces{CallID: r.CallID, ToTag: r.ToTag, FromTag: r.FromTag, EarlyOnly: r.EarlyOnly, Leg: m.named(*r)}
		in.Carries.Replaces = r.String()
	}
	return in, nil
}

// refuseRefer answers a REFER with an error.
func (l *Leg) refuseRefer(req *sipua.Request, err error) {
	s := l.noteRefusal(err)
	l.reply(req, s.code, s.headers()...)
}

func (l *Leg) noteRefusal(err error) status {
	s := statusOf(err)
	l.log.Info().Int("code", s.code).Str("reason", s.reason).Err(err).Msg("transfer refused")
	l.m.refused(s.reason)
	return s
}

// referTold takes what became of the leg's REFER. What makes the REFER itself
// impossible is its answer, anything else is told by NOTIFY.
func (l *Leg) referTold(e orbit.Report, n uint64) {
	code := e.Code
	if e.Err != nil {
		s := l.noteRefusal(e.Err)
		if direct(e.Err) {
			l.refer.refuse(s.code, s.headers()...)
			return
		}
		code = s.code
	}
	l.refer.report(code)
	if code >= 200 && code < 300 && l.state == confirmed {
		l.log.Info().Msg("leg has transferred its peer")
		l.part()
		l.speak(nil, "", n) // it may have been parked
		l.leave = l.after(releaseAfter, func() {
			if l.state == confirmed {
				l.sendBye("transferred")
			}
		})
	}
}

// direct reports whether an error makes a REFER itself impossible.
func direct(err error) bool {
	for _, e := range []error{orbit.ErrTarget, orbit.ErrRefer, orbit.ErrBarred, orbit.ErrPending, orbit.ErrGone} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// contact is ours, as the peer knows it.
func (l *Leg) contact() sip.Header {
	c := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow)
	return &c
}

// sendNotify implements notifying.
func (l *Leg) sendNotify(event, state, fragment string, answered func(taken bool)) {
	req, err := l.dialog.NewRequest(sip.NOTIFY)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no notify possible")
		return
	}
	setNotify(req, l.contact(), event, state, fragment)
	l.send(req, func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			answered(err == nil && res.IsSuccess())
		}
	})
}

// park gives the leg, which was answered before, the music of an orbit.
func (l *Leg) park(e orbit.Park, n uint64) {
	l.confirm()
	l.belong(e.Orbit, e.Call)
	if !l.turn.over(n) {
		l.part()
		l.play(e.Music, n)
	}
	l.catchUp()
	if l.state == confirmed {
		l.keep()
	}
}

// serves reports whether a URI is one of ours: at a listener's address, a name that
// we go by, or where the peer reached us.
func (p *Policy) serves(u *sip.Uri, dialled []string) bool {
	if u.Scheme == "tel" {
		return true // a number says nothing of where
	}
	if addr, ok := literal(*u); ok && p.Own(addr) {
		return true
	}
	for _, names := range [][]string{dialled, p.Domains, {p.Advertise}} {
		for _, host := range names {
			if host != "" && strings.EqualFold(strings.Trim(host, "[]"), strings.Trim(u.Host, "[]")) {
				return true
			}
		}
	}
	return false
}

// transferTarget validates whom a REFER wants called, at somebody's cost: "" if it
// may not be. The result has lost every parameter but transport.
func (p *Policy) transferTarget(u *sip.Uri, dialled []string) string {
	text := u.String()
	if u.Scheme == "tel" {
		text = sipua.UserOf(u) // an extension of the PBX
	}
	t, err := parseTarget(text)
	if err != nil || !p.ReferUsers.MatchString(sipua.UserOf(&t)) {
		return ""
	}
	if t.Host == "" {
		return text
	}
	for _, host := range dialled {
		if p.ours(t.Host, host) {
			return t.String()
		}
	}
	return ""
}
