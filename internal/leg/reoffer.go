package leg

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// reofferAgain is after how long a re-INVITE that must get through is sent again.
const reofferAgain = 30 * time.Second

// reoffer sends a re-INVITE with our description.
func (l *Leg) reoffer(extra ...sip.Header) {
	again := func() {
		if l.state == confirmed {
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
	req.AppendHeader(l.m.o.Endpoint.Supported())
	for _, h := range extra {
		req.AppendHeader(h)
	}
	setSDP(req, l.last)
	x := &l.outbound
	*x = exchange{busy: true}
	x.ours = l.send(req, func(res *sip.Response, err error) { l.reoffered(res, err, again) })
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
		l.moving = false
		l.session.refreshed(l, res)
		l.keep()
	default:
		l.session.refreshed(l, res)
		l.insist(res)
	}
}

// insist sends a re-INVITE again that must get through, as the peer does not know
// where we are; after a Retry-After (RFC 3261 20.33), if there is one.
func (l *Leg) insist(res *sip.Response) {
	if !l.moving {
		return
	}
	wait := reofferAgain
	if res != nil {
		value, _ := sipua.Header(res, "retry-after")
		value, _, _ = strings.Cut(value, ";")
		if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 8); err == nil {
			wait = max(time.Second, time.Duration(n)*time.Second)
		}
	}
	l.after(wait, l.tellAgain)
}

// tellAgain says once more where we are, to a peer that has not answered yet.
func (l *Leg) tellAgain() {
	if l.moving && l.state == confirmed && !l.outbound.busy {
		l.reoffer()
	}
}
