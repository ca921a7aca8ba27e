package presence

import (
	"errors"
	"slices"
	"strings"
	"time"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

// answered takes the end of a NOTIFY's transaction.
func (s *sub) answered(t *telling, a sipua.Answer, err error) {
	if t.cancel != nil { // an exchange that ends needs no word
		t.cancel()
	}
	if s.sending == t {
		s.n.window.leave(s)
	}
	switch {
	case s.gone:
	case err != nil && s.stopping(err):
		s.rest() // and what is kept stays kept
	case t.last:
		s.told(t, a)
		s.end()
	case err != nil && s.sending == t:
		s.unanswered(t, err)
	case err != nil: // overtaken
	default:
		s.outcome(t, a)
	}
}

// stopping says that a NOTIFY failed because of us: the server stops.
func (s *sub) stopping(err error) bool {
	return s.n.ctx.Err() != nil || errors.Is(err, sipua.ErrClosed)
}

// late takes an answer that found no transaction any more. A challenge that comes
// again is none: its NOTIFY is under way under another CSeq, or about to be.
func (s *sub) late(a sipua.Answer) {
	if s.gone || sipua.Challenges(a.Code) { // answered already, or never
		return
	}
	t := &telling{}
	if s.sending != nil && a.Seq == s.sending.seq {
		t = s.sending
		t.stop()
		s.n.window.leave(s)
	}
	if t.last {
		s.told(t, a)
		s.end()
		return
	}
	s.outcome(t, a)
}

// outcome takes the answer to a NOTIFY, be it the last one or one overtaken.
func (s *sub) outcome(t *telling, a sipua.Answer) {
	now := time.Now()
	current := s.sending == t
	wait, asked := waitOf(a)
	has := current && !asked && a.Code < 300 // the watcher has that state
	s.n.index.note(s, func(l *last) {
		if l.Answer = a.Code; has {
			l.Shown = t.shown
		}
	})
	s.told(t, a)
	// RFC 6665 4.2.2 has these codes end it. With a Retry-After the NOTIFY has not
	// failed for good: so the RFC before that one had it (3265 3.2.2), and phones have.
	switch {
	case s.premature(a):
		s.log().Debug().Msg("481 that may not be the watcher's")
	case slices.Contains(ends, a.Code) && (!asked || a.Code == sip.StatusCallTransactionDoesNotExists):
		s.end()
		s.log().Info().Int("code", a.Code).Msg("lamp ended by its watcher")
		s.step(Step{Kind: StepEnded, Code: a.Code, Detail: "by its watcher's answer"})
		return
	}
	s.heard()
	s.settled(a.Seq, a.Code < 300)
	if current {
		s.sending = nil
		s.found()
	}
	switch {
	case asked:
		s.held = instantOf(now.Add(wait))
		s.retry = s.held
	case !current: // a newer state is on its way
	case has:
		s.arrived(t, now)
	case a.Code >= 500 && a.Code < 600 || a.Code == sip.StatusRequestTimeout,
		a.Code == sip.StatusCallTransactionDoesNotExists:
		s.again(now)
	}
	s.pumpBy(nil, now)
}

// premature says that a 481 is not the watcher's word on the subscription: it
// answers what was sent before the watcher had its 200, or it may come from
// another phone, since NAT gives the port of a connection that has ended to the
// next one. Only a request in the dialog proves whose a connection is.
func (s *sub) premature(a sipua.Answer) bool {
	return a.Code == sip.StatusCallTransactionDoesNotExists &&
		(a.Seq <= s.known || s.rec.Dialog.NAT && !s.sure && linkOf(s.rec.Dialog.Flow) != link{})
}

// arrived: the watcher has that state.
func (s *sub) arrived(t *telling, now time.Time) {
	s.backoff, s.retry = 0, 0
	s.rec.Shown = t.shown
	if !t.since.IsZero() {
		s.n.o.Observe(now.Sub(t.since))
	}
}

// heard: the watcher is alive. If a single send went unanswered, it is told
// the last state once more, properly.
func (s *sub) heard() {
	s.missed = 0
	if !s.silent {
		return
	}
	s.silent = false
	s.step(Step{Kind: StepHeard})
	s.n.index.note(s, func(l *last) { l.Silent = false })
	if s.retry != 0 {
		s.retry = instantOf(time.Now())
	}
}

// unanswered: silence ends nothing before the expiry (the time-out rule of
// RFC 6665 4.2.2 is a SHOULD that phones break), but the state is told again.
func (s *sub) unanswered(t *telling, err error) {
	if t.over {
		return
	}
	t.over = true // and stays until its answer or a newer one
	s.missing()
	if errors.Is(err, sipua.ErrTransport) {
		s.sending = nil // it has not gone anywhere
	}
	s.log().Debug().Err(err).Msg("watcher does not answer")
	s.told(t, sipua.Answer{})
	if !s.silent {
		s.missed = patience
	}
	s.miss()
	s.again(time.Now())
	if t.again {
		s.turn()
		return
	}
	s.pump()
}

// miss counts a NOTIFY without an answer.
func (s *sub) miss() {
	s.missed = min(s.missed+1, patience)
	if s.missed >= patience && !s.silent {
		s.silent = true
		s.n.index.note(s, func(l *last) { l.Silent = true })
		s.log().Info().Msg("watcher is silent")
		s.step(Step{Kind: StepSilent})
	}
}

// again has the last state told once more, later each time.
func (s *sub) again(now time.Time) {
	s.backoff = min(max(firstRetry, 2*s.backoff), lastRetry)
	s.retry = instantOf(now.Add(s.backoff))
}

// waitOf is the Retry-After of an answer (RFC 3261 20.33).
func waitOf(a sipua.Answer) (time.Duration, bool) {
	if a.RetryAfter == "" || a.Code < 300 {
		return 0, false
	}
	digits := a.RetryAfter[:len(a.RetryAfter)-len(strings.TrimLeft(a.RetryAfter, "0123456789"))] // a comment may follow
	n, err := sipua.ParseExpires(digits)
	if err != nil {
		return 0, false
	}
	return min(time.Duration(n)*time.Second, maxExpires), true
}
