package presence

import (
	"slices"
	"strings"
	"time"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

// answered takes the end of a NOTIFY's transaction.
func (s *sub) answered(t *telling, res *sip.Response, err error) {
	t.cancel()
	switch {
	case s.gone:
	case t.last:
		s.end()
	case err != nil && s.sending == t:
		s.unanswered(t, err)
	case err != nil: // overtaken
	default:
		s.outcome(t, res)
	}
}

// late takes an answer that found no transaction any more.
func (s *sub) late(res *sip.Response) {
	if s.gone {
		return
	}
	t := &telling{}
	if s.sending != nil && sipua.CSeq(res) == s.sending.seq {
		t = s.sending
		t.cancel()
	}
	if t.last {
		s.end()
		return
	}
	s.outcome(t, res)
}

// outcome takes the answer to a NOTIFY, be it the last one or one overtaken.
func (s *sub) outcome(t *telling, res *sip.Response) {
	now := time.Now()
	current := s.sending == t
	s.n.index.note(s, func(l *Lamp) { l.Answer = res.StatusCode })
	wait, asked := waitOf(res)
	// RFC 6665 4.2.2: with a Retry-After the NOTIFY has not failed for good.
	if slices.Contains(ends, res.StatusCode) && (!asked || res.StatusCode == sip.StatusCallTransactionDoesNotExists) {
		s.log.Info().Int("code", res.StatusCode).Msg("lamp ended by its watcher")
		s.end()
		return
	}
	s.heard()
	if current {
		s.sending = nil
	}
	switch {
	case asked:
		s.held = now.Add(wait)
		s.retry = s.held
	case !current: // a newer state is on its way
	case res.IsSuccess():
		s.arrived(t, now)
	case res.StatusCode >= 500 && res.StatusCode < 600 || res.StatusCode == sip.StatusRequestTimeout:
		s.again(now)
	}
	s.pump()
}

// arrived: the watcher has that state.
func (s *sub) arrived(t *telling, now time.Time) {
	s.backoff, s.retry = 0, time.Time{}
	s.rec.Shown = t.shown
	s.n.index.note(s, func(l *Lamp) { l.Shown = t.shown })
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
	s.n.index.note(s, func(l *Lamp) { l.Silent = false })
	if !s.retry.IsZero() {
		s.retry = time.Now()
	}
}

// unanswered: silence ends nothing before the expiry (the time-out rule of
// RFC 6665 4.2.2 is a SHOULD that phones break), but the state is told again.
func (s *sub) unanswered(t *telling, err error) {
	if t.over || s.n.ctx.Err() != nil {
		return
	}
	t.over = true // and stays until its answer or a newer one
	s.log.Debug().Err(err).Msg("watcher does not answer")
	if !s.silent {
		s.missed = patience
	}
	s.miss()
	s.again(time.Now())
	s.pump()
}

// miss counts a NOTIFY without an answer.
func (s *sub) miss() {
	s.missed++
	if s.missed >= patience && !s.silent {
		s.silent = true
		s.n.index.note(s, func(l *Lamp) { l.Silent = true })
		s.log.Info().Msg("watcher is silent")
	}
}

// again has the last state told once more, later each time.
func (s *sub) again(now time.Time) {
	s.backoff = min(max(firstRetry, 2*s.backoff), lastRetry)
	s.retry = now.Add(s.backoff)
}

// waitOf is the Retry-After of a response (RFC 3261 20.33).
func waitOf(res *sip.Response) (time.Duration, bool) {
	value, ok := sipua.Header(res, "retry-after")
	if !ok || res.StatusCode < 300 {
		return 0, false
	}
	digits := value[:len(value)-len(strings.TrimLeft(value, "0123456789"))] // a comment may follow
	n, err := sipua.ParseExpires(digits)
	if err != nil {
		return 0, false
	}
	return min(time.Duration(n)*time.Second, maxExpires), true
}
