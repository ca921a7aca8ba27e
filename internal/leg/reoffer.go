package leg

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// A re-INVITE that must get through is sent again after reofferAgain, and then later
// each time.
const (
	reofferAgain  = 30 * time.Second
	reofferLatest = 8 * time.Minute
)

// reoffer sends a re-INVITE with our description.
func (l *Leg) reoffer(extra ...sip.Header) {
	telling := l.moving
	again := func() {
		if l.state == confirmed && (!telling || l.moving) {
			l.reoffer(extra...)
		}
	}
	if l.inbound.busy || l.outbound.busy {
		l.after(l.glare(), again)
		return
	}
	req, err := l.dialog.NewRequest(sip.INVITE)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no re-invite possible")
		return
	}
	contact := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow)
	req.AppendHeader(&contact)
	req.AppendHeader(sip.NewHeader("Allow", allow))
	// Without 100rel: nobody rings at a re-INVITE.
	req.AppendHeader(sip.NewHeader("Supported", "replaces, timer"))
	for _, h := range extra {
		req.AppendHeader(h)
	}
	said := l.nameParty(req)
	setSDP(req, l.last)
	x := &l.outbound
	*x = exchange{busy: true}
	x.ours = l.send(req, func(res *sip.Response, err error) {
		l.reoffered(res, err, again)
		l.namedParty(said, res, err)
	})
}

// glare is how long to wait when both sides want to change the session: RFC 3261
// 14.1 has whoever chose the Call-ID wait for the other.
func (l *Leg) glare() time.Duration {
	if l.asked == 0 {
		return 2100*time.Millisecond + rand.N(1900*time.Millisecond)
	}
	return rand.N(2 * time.Second)
}

// reoffered takes the responses to a re-INVITE of ours; again sends another.
func (l *Leg) reoffered(res *sip.Response, err error, again func()) {
	if err == nil && res.StatusCode < 200 {
		return
	}
	x := &l.outbound
	if err == nil && res.StatusCode < 300 {
		before := x.acked
		l.acknowledge(res)
		if before || l.state != confirmed {
			return
		}
	}
	x.busy = false
	switch {
	case l.state != confirmed:
	case err != nil || res.StatusCode == sip.StatusRequestTimeout && l.moving:
		l.session.unanswered(l)
		l.insist(nil)
	case res.StatusCode == sip.StatusRequestTimeout:
		l.lost("session refresh failed") // RFC 4028 10
	case res.StatusCode == sip.StatusCallTransactionDoesNotExists:
		l.lost("peer does not know the call") // RFC 3261 12.2.1.2
	case res.StatusCode == sip.StatusRequestPending:
		l.after(l.glare(), again)
	case res.StatusCode < 300:
		if err := l.answered(res); err != nil {
			l.log.Warn().Err(err).Msg("answer to re-invite unusable")
		}
		l.moved()
		l.session.refreshed(l, res)
		l.keep()
	default:
		l.session.refreshed(l, res)
		l.insist(res)
	}
}

// insist sends a re-INVITE again that must get through, as the peer does not know
// where we are: later each time, and after a Retry-After (RFC 3261 20.33) if there
// is one. One that the peer means to refuse is not repeated.
func (l *Leg) insist(res *sip.Response) {
	if !l.moving {
		return
	}
	l.unheard = res == nil
	l.patience = min(max(reofferAgain, 2*l.patience), reofferLatest)
	wait := l.patience
	if res != nil {
		if meant(res.StatusCode) {
			l.moved()
			l.log.Warn().Int("code", res.StatusCode).Msg("peer does not take where we are")
			return
		}
		value, _ := sipua.Header(res, "retry-after")
		value, _, _ = strings.Cut(value, ";")
		if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 16); err == nil {
			wait = max(time.Duration(n)*time.Second, reofferAgain/10)
		}
	}
	l.retell.Stop()
	l.retell = l.after(wait, l.tellAgain)
}

// meant reports whether a refusal of a session says that it will be refused again
// (RFC 3261 21.4, 21.6).
func meant(code int) bool {
	switch code {
	case sip.StatusMethodNotAllowed, sip.StatusNotAcceptable, sip.StatusUnsupportedMediaType, sip.StatusNotAcceptableHere, sip.StatusNotImplemented:
		return true
	}
	return code >= 600
}

// moved: the peer knows where we are, or will not.
func (l *Leg) moved() {
	l.moving, l.patience = false, 0
	l.retell.Stop()
	l.retell = nil
}

// tellAgain says once more where we are, to a peer that has not answered yet.
func (l *Leg) tellAgain() {
	l.retell = nil
	if l.moving && l.state == confirmed && !l.outbound.busy {
		l.reoffer()
	}
}

// tellSoon does the same to one that has just proved to be there, and could not be
// reached before.
func (l *Leg) tellSoon() {
	if l.moving && l.unheard && l.state == confirmed && !l.outbound.busy {
		l.unheard, l.patience = false, 0
		l.retell.Stop()
		l.retell = l.after(time.Second, l.tellAgain)
	}
}
