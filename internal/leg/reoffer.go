package leg

import (
	"math/rand/v2"
	"net/netip"
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

// reoffer wants a re-INVITE with our description, be it as before. One at a time is
// under way: what is wanted meanwhile goes with the next.
func (l *Leg) reoffer() {
	l.wanted = true
	l.catchUp()
}

// catchUp sends a re-INVITE if there is something to be told or one is wanted, and
// none is under way: else it is called again.
func (l *Leg) catchUp() {
	if l.state != confirmed || l.inbound.busy || l.inbound.response != nil ||
		l.outbound.busy || l.outbound.answer != nil || l.pause != nil {
		return
	}
	removed := l.described != nil && l.remote.Removed() // it is told in the answer when it resumes
	changed := !removed && l.adapt()
	if !changed && !l.wanted {
		return
	}
	if changed || l.behind {
		if l.away.IsValid() {
			l.local.Addr, l.away = l.away, netip.AddrPort{}
		}
		if body := l.offer(); body != nil {
			l.last, l.moving = body, true
		}
	}
	l.retell.Stop()
	l.retell = nil
	l.wanted, l.behind = false, false
	l.outbound = outbound{busy: true}
	if !l.moving {
		l.sendOffer()
		return
	}
	// Else another process would not know what the peer was told.
	l.keepThen(nil, func() {
		if l.state == confirmed {
			l.sendOffer()
		}
	})
}

// sendOffer sends a re-INVITE with our last description.
func (l *Leg) sendOffer() {
	req, err := l.dialog.NewRequest(sip.INVITE)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no re-invite possible")
		l.outbound.busy = false
		return
	}
	contact := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow)
	req.AppendHeader(&contact)
	req.AppendHeader(sip.NewHeader("Allow", allow))
	// Without 100rel: nobody rings at a re-INVITE.
	req.AppendHeader(sip.NewHeader("Supported", "replaces, timer"))
	l.session.current(req)
	said := l.nameParty(req)
	l.outbound.said = said
	setSDP(req, l.last)
	done := false
	l.outbound.ours = l.send(req, func(res *sip.Response, err error) {
		switch {
		case err == nil && res.StatusCode < 200:
		case !done:
			done = true
			l.namedParty(said, res, err)
			l.reoffered(res, err)
		case err == nil && res.StatusCode < 300:
			l.sendACK(&l.dialog, res) // RFC 3261 13.2.2.4: of each repetition
		}
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

// reoffered takes the final response to a re-INVITE of ours.
func (l *Leg) reoffered(res *sip.Response, err error) {
	if err == nil && res.StatusCode < 300 {
		l.acknowledge(res)
	}
	l.outbound.busy = false
	if l.state != confirmed {
		return
	}
	switch {
	case err != nil || res.StatusCode == sip.StatusRequestTimeout && l.moving:
		l.session.unanswered(l)
		l.insist(nil)
	case res.StatusCode == sip.StatusRequestTimeout:
		l.lost("session refresh failed") // RFC 4028 10
	case res.StatusCode == sip.StatusCallTransactionDoesNotExists:
		l.lost("peer does not know the call") // RFC 3261 12.2.1.2
	case res.StatusCode == sip.StatusRequestPending:
		l.wanted = true
		l.pause = l.after(l.glare(), func() {
			l.pause = nil
			l.catchUp()
		})
	case res.StatusCode < 300:
		l.taken(res)
	default:
		l.session.refreshed(l, res)
		l.insist(res)
	}
	l.show()
	l.catchUp()
}

// taken: the peer has accepted a re-INVITE.
func (l *Leg) taken(res *sip.Response) {
	if err := l.answered(res); err != nil {
		l.log.Warn().Err(err).Msg("answer to re-invite unusable")
		l.spurned()
	}
	l.session.refreshed(l, res)
	if l.locked() { // still: there is no session to go on with
		l.insist(nil)
	} else {
		l.moved()
	}
	l.keep()
}

// insist sends a re-INVITE again that must get through, as the peer does not know
// what it is to know: later each time, and after a Retry-After (RFC 3261 20.33) if
// there is one. One that the peer means to refuse is not repeated, unless nothing is
// heard without, and neither is one about the media of others: that comes back to us.
func (l *Leg) insist(res *sip.Response) {
	if !l.moving {
		return
	}
	l.unheard = res == nil
	if l.local.Elsewhere != l.accepted.elsewhere && !l.local.Elsewhere.IsZero() {
		if l.closed = true; res == nil {
			return // it may have been taken: it is taken back
		}
		l.spurned()
		l.moved()
		return
	}
	l.patience = min(max(reofferAgain, 2*l.patience), reofferLatest)
	wait := l.patience
	if res != nil {
		takenBack := l.local.Elsewhere.IsZero() && !l.accepted.elsewhere.IsZero()
		if meant(res.StatusCode) && !takenBack && !l.locked() {
			l.spurned()
			l.moved()
			l.log.Warn().Int("code", res.StatusCode).Msg("peer does not take what it is told")
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

// moved: the peer knows what it is to know, or will not.
func (l *Leg) moved() {
	l.moving, l.patience = false, 0
	l.retell.Stop()
	l.retell = nil
}

// answeredAll: the answer to the peer's own offer has told it what there was to tell.
func (l *Leg) answeredAll() {
	l.moved()
	l.behind = false
	if !l.telling {
		l.wanted = false
	}
}

// tellAgain says once more what the peer has not answered yet.
func (l *Leg) tellAgain() {
	l.retell = nil
	if l.moving {
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
