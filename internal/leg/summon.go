package leg

import (
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
	"parkd/internal/sipua"
)

// summons is a REFER to an orbit outside of any dialog (RFC 5359 2.15): parkd calls
// whom it names, and parks them. It has a dialog of its own, for the NOTIFYs that
// tell of it, and nothing of it outlives the process.
type summons struct {
	id    string
	m     *Manager
	queue *dialog.Queue

	// Owned by queue.
	log    zerolog.Logger
	dialog dialog.Dialog
	user   string // of our Contact: the orbit
	hops   int    // that the REFER had left
	refer  reports
	over   bool
}

// Refer takes a REFER outside of a dialog, and asks for a decision about it.
func (m *Manager) Refer(req *sipua.Request) {
	s, in, err := m.summon(req)
	if err != nil {
		st := statusOf(err)
		m.refused(st.reason)
		m.o.Log.Info().Int("code", st.code).Str("reason", st.reason).Err(err).
			Str("from", req.From().Address.String()).Str("to", req.Recipient.String()).Msg("refer refused")
		_ = req.Reply(st.code, "", st.headers()...) // nobody to tell
		return
	}
	_ = s.queue.Do(func() { // new: never full, never closed
		m.mu.Lock()
		m.summoned[s.id] = s
		m.mu.Unlock()
		s.refer.begin(s, req, false)
		if m.o.Decider.Do(in) != nil {
			s.refer = reports{} // without an answer: it comes again, to the next process
			s.finish()
		}
	})
}

// summon gathers the facts of a REFER outside of a dialog.
func (m *Manager) summon(req *sipua.Request) (*summons, orbit.Summon, error) {
	p, in := m.policy.Load(), orbit.Summon{At: sipua.UserOf(&req.Recipient)}
	var err error
	if in.Refer, err = m.referral(req, []string{req.Recipient.Host}); err != nil {
		return nil, in, err
	}
	from := sipua.Identity(req.Request, req.Trusted).URI
	claim := bare(from)
	if in.Carries.ReferredBy == "" {
		in.Carries.ReferredBy = "<" + claim + ">"
	} else if by, ok := sipua.Addr(req.Request, "referred-by"); ok {
		claim = by.URI.String()
	}
	in.Parker, _ = p.returnTarget(claim, req.Recipient.Host)
	s := &summons{id: token(), m: m, user: in.At, hops: hopsOf(req)}
	s.log = m.o.Log.With().Str("refer", s.id).Logger()
	if s.dialog, err = dialog.FromRequest(req, ""); err != nil {
		return nil, in, fmt.Errorf("%w: %w", errRequest, err)
	}
	s.queue = dialog.NewQueue(dialog.QueueConfig{
		Panic: func(value any, stack []byte) {
			s.log.Error().Interface("panic", value).Bytes("stack", stack).Msg("panic in a refer")
		},
	})
	if _, err := m.o.Table.Add(s.dialog.ID, s.dialog.RemoteSeq, s.queue, s); err != nil {
		return nil, in, fmt.Errorf("%w: %w", errRequest, err)
	}
	in.Leg = s.id
	return s, in, nil
}

// carry takes what became of it.
func (s *summons) carry(e orbit.Effect) {
	switch e := e.(type) {
	case orbit.Report:
		s.told(e)
	case orbit.Bye:
		s.refer.report(sip.StatusRequestTerminated)
	}
	s.finishIfDone()
}

func (s *summons) told(e orbit.Report) {
	code := e.Code
	if e.Err != nil {
		st := statusOf(e.Err)
		s.m.refused(st.reason)
		s.log.Info().Int("code", st.code).Str("reason", st.reason).Err(e.Err).Msg("refer refused")
		if direct(e.Err) {
			s.refer.refuse(st.code, st.headers()...)
			return
		}
		code = st.code
	}
	s.refer.report(code)
}

// finishIfDone ends it once nobody is to be told of anything any more.
func (s *summons) finishIfDone() {
	if !s.refer.under() && !s.refer.telling() {
		s.finish()
	}
}

func (s *summons) finish() {
	if s.over {
		return
	}
	s.over = true
	s.m.o.Table.Remove(s.dialog.ID)
	s.m.mu.Lock()
	delete(s.m.summoned, s.id)
	s.m.mu.Unlock()
	s.m.tell(orbit.Hangup{Leg: s.id})
}

// Request implements dialog.Usage.
func (s *summons) Request(req *sipua.Request) {
	if err := s.dialog.Receive(req); err != nil {
		s.reply(req, sip.StatusInternalServerError) // RFC 3261 12.2.2: CSeq too low
		return
	}
	switch req.Method {
	case sip.SUBSCRIBE:
		s.refer.subscribe(s, req)
	case sip.OPTIONS:
		s.reply(req, sip.StatusOK, s.m.o.Endpoint.Allow(), s.m.o.Endpoint.Supported())
	case sip.BYE, sip.UPDATE, sip.INFO: // RFC 5057: there is no INVITE usage
		s.reply(req, sip.StatusCallTransactionDoesNotExists)
	default:
		s.reply(req, sip.StatusMethodNotAllowed, sip.NewHeader("Allow", "SUBSCRIBE, OPTIONS"))
	}
}

// ACK implements dialog.Usage.
func (s *summons) ACK(*sipua.Request) {}

func (s *summons) reply(req *sipua.Request, code int, headers ...sip.Header) {
	if err := req.Reply(code, "", headers...); err != nil {
		s.log.Debug().Err(err).Int("code", code).Msg("response not sent")
	}
}

func (s *summons) contact() sip.Header {
	c := s.m.o.Endpoint.Contact(s.user, s.dialog.Flow)
	c.Params = automaton()
	return &c
}

// automaton says that nobody is there to see or hear what is sent: RFC 5359 2.15,
// RFC 3840 9, RFC 4235 5.2.
func automaton() sip.HeaderParams {
	return sip.HeaderParams{{K: "automaton"}, {K: "+sip.rendering", V: `"no"`}}
}

// after implements notifying.
func (s *summons) after(d time.Duration, f func()) *dialog.Timer {
	return s.m.o.Wheel.After(d, s.queue, f)
}

// sendNotify implements notifying.
func (s *summons) sendNotify(event, state, fragment string, answered func(taken bool)) {
	req, err := s.dialog.NewRequest(sip.NOTIFY)
	if err != nil { // it was built before: cannot happen
		s.log.Error().Err(err).Msg("no notify possible")
		return
	}
	setNotify(req, s.contact(), event, state, fragment)
	to := s.dialog.To()
	to.Reseq = func(use func(cseq uint32)) {
		_ = s.queue.Post(func() { use(s.dialog.NextSeq()) }) // never closed
	}
	s.m.o.Endpoint.Request(s.m.ctx, req, to, func(res *sip.Response, err error) {
		if err == nil && res.StatusCode < 200 {
			return
		}
		_ = s.queue.Post(func() { // never closed
			answered(err == nil && res.IsSuccess())
			s.finishIfDone()
		})
	})
}

var _ dialog.Usage = (*summons)(nil)
