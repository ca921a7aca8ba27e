package leg

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
)

// minSE is the shortest session interval that we take, in seconds (RFC 4028 4).
const minSE = 90

// errTooBrief refuses a session interval below minSE (RFC 4028 6).
var errTooBrief = errors.New("session interval too small")

// sessionTimer keeps a session alive, or ends it, as RFC 4028 has it. We never
// ask for one but take part where the peer does. Owned by the leg's queue.
type sessionTimer struct {
	interval time.Duration // 0 = none
	ours     bool          // we refresh
	update   bool          // the peer takes UPDATE
	timer    *dialog.Timer
}

func (s *sessionTimer) stop() { s.timer.Stop() }

// resume takes the timer of a restored leg up. How much of the interval had
// passed is not written down: ours is refreshed soon, the peer gets all of it.
func (s *sessionTimer) resume(l *Leg) {
	switch {
	case s.interval == 0:
	case s.ours:
		s.later(l, time.Second+rand.N(l.m.spread()))
	default:
		s.arm(l)
	}
}

// sessionAsked reads the session interval that a request asks for; 0 if none.
// errTooBrief refuses one below our minimum of a peer that can be told so
// (RFC 4028 6, 9).
func sessionAsked(req *sipua.Request) (sipua.SessionExpires, error) {
	h, ok := sipua.Header(req.Request, "session-expires")
	if !ok {
		return sipua.SessionExpires{}, nil
	}
	se, err := sipua.ParseSessionExpires(h)
	if err != nil {
		return sipua.SessionExpires{}, nil // RFC 3261 8.2.2: as if it were not there
	}
	if se.Seconds < minSE && timerSupported(req) {
		return se, errTooBrief
	}
	return se, nil
}

func timerSupported(req *sipua.Request) bool {
	return sipua.HasToken(req.Request, "supported", "timer")
}

// negotiate takes the session interval that a request asks for and writes ours
// into its 2xx (RFC 4028 9).
func (s *sessionTimer) negotiate(l *Leg, req *sipua.Request, res *sip.Response) {
	s.learn(req.Request)
	l.able.learn(req.Request)
	se, err := sessionAsked(req)
	if err != nil || se.Seconds == 0 {
		s.stop()
		s.interval = 0
		return
	}
	se.Seconds = max(se.Seconds, minSE)
	s.interval = time.Duration(se.Seconds) * time.Second
	supported := timerSupported(req)
	// RFC 4028 9, table 2: a peer without timer cannot refresh.
	s.ours = !supported || se.Refresher == sipua.RefresherUAS
	se.Refresher = sipua.RefresherUAC
	if s.ours {
		se.Refresher = sipua.RefresherUAS
	}
	res.AppendHeader(sip.NewHeader("Session-Expires", se.String()))
	if supported {
		res.AppendHeader(sip.NewHeader("Require", "timer"))
	}
	s.arm(l)
}

// accept reads the Session-Expires of a 2xx to a request of ours (RFC 4028 7.2).
func (s *sessionTimer) accept(l *Leg, res *sip.Response) {
	s.learn(res)
	l.able.learn(res)
	h, _ := sipua.Header(res, "session-expires")
	se, err := sipua.ParseSessionExpires(h)
	if err != nil || se.Seconds == 0 {
		if !s.ours { // RFC 4028 7.2: it does not expire, and the peer refreshes it no more
			s.stop()
			s.interval = 0
		}
		return
	}
	s.interval = time.Duration(max(se.Seconds, minSE)) * time.Second
	s.ours = se.Refresher != sipua.RefresherUAS
	s.arm(l)
}

// current adds the interval to a request of ours that may change the session, be it
// for something else: without it the peer would take it that there is none any more,
// and would not refresh (RFC 4028 7.4, 9). Whoever refreshes goes on with that.
func (s *sessionTimer) current(req *sip.Request) {
	if s.interval == 0 {
		return
	}
	se := sipua.SessionExpires{Seconds: uint32(s.interval / time.Second), Refresher: sipua.RefresherUAS}
	if s.ours {
		se.Refresher = sipua.RefresherUAC
	}
	req.AppendHeader(sip.NewHeader("Session-Expires", se.String()))
}

// arm refreshes at half of the interval, or ends the session shortly before
// all of it has passed without a refresh (RFC 4028 10).
func (s *sessionTimer) arm(l *Leg) {
	if s.interval == 0 {
		return
	}
	if s.ours {
		s.later(l, s.interval/2)
		return
	}
	s.stop()
	s.timer = l.after(s.interval-min(32*time.Second, s.interval/3), func() { l.lost("session expired") })
}

// later refreshes after d.
func (s *sessionTimer) later(l *Leg, d time.Duration) {
	s.stop()
	s.timer = l.after(d, func() { s.refresh(l) })
}

// refresh repeats our description by UPDATE or re-INVITE.
func (s *sessionTimer) refresh(l *Leg) {
	if l.state != confirmed {
		return
	}
	if !s.update {
		l.reoffer()
		return
	}
	req, err := l.dialog.NewRequest(sip.UPDATE)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no session refresh possible")
		return
	}
	contact := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow)
	req.AppendHeader(&contact)
	req.AppendHeader(sip.NewHeader("Supported", "timer"))
	s.current(req)
	l.send(req, func(res *sip.Response, err error) {
		switch {
		case l.state != confirmed:
		case err != nil:
			s.unanswered(l)
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists, res.StatusCode == sip.StatusRequestTimeout:
			l.lost("session refresh failed") // RFC 4028 10, RFC 3261 12.2.1.2
		case res.StatusCode >= 200:
			s.refreshed(l, res)
		}
	})
}

// unanswered: a refresh without an answer is tried again, and ends the session only
// when an interval has gone by in which nothing proved the peer to be there, be it
// its voice: RFC 4028 10 would end it at once, but a switch that starts anew in the
// same power cut as we do is no reason to lose a caller. A 408 is somebody's answer,
// who could not reach them.
func (s *sessionTimer) unanswered(l *Leg) {
	l.life.doubt = true
	if s.interval == 0 || !s.ours {
		return
	}
	proof := l.life.last
	if heard := l.port.Heard(); heard.After(proof) {
		proof = heard
	}
	if time.Since(proof) >= s.interval {
		l.lost("session expired")
		return
	}
	s.later(l, refreshAgain)
}

// refreshAgain is after how long a refresh that was not answered is tried again.
const refreshAgain = 5 * time.Second

// refreshed arms again after the answer to a refresh: a refusal only means
// that the peer is alive.
func (s *sessionTimer) refreshed(l *Leg, res *sip.Response) {
	if res.StatusCode < 300 {
		s.accept(l, res)
	}
	if res.StatusCode < 300 || s.ours { // a refusal is no refresh of the peer's
		s.arm(l)
	}
}

// learn notes whether the peer takes UPDATE. A message without Allow says
// nothing about it (RFC 3261 20.5).
func (s *sessionTimer) learn(msg sip.Message) {
	if _, ok := sipua.Header(msg, "allow"); ok {
		s.update = sipua.HasToken(msg, "allow", string(sip.UPDATE))
	}
}
