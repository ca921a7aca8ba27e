package presence

import (
	"time"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

const (
	// single is how long the transaction of a single send lasts: less than the
	// T1 after which it would be sent again (RFC 3261 17.1.2.2).
	single = 450 * time.Millisecond
	// patience is how many NOTIFYs in a row, overtaken without an answer, make a
	// watcher a silent one; one that lasted 64*T1 does at once.
	patience = 3
	// A silent watcher, or one in trouble, is told the last state again, each
	// time later.
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
)

// ends are the answers that end a subscription (RFC 6665 4.2.2, RFC 5057 5.1).
var ends = []int{404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604}

// pump sends what is to be sent, now or when it may be.
func (s *sub) pump() { s.pumpBy(nil, time.Now()) }

// pumpBy does so by a volley, if there is one.
func (s *sub) pumpBy(v *volley, now time.Time) {
	if s.gone || !s.open || s.sending != nil && s.sending.last || s.spent() {
		return
	}
	at := now
	switch {
	case s.owed:
	case s.since != 0:
		at = later(s.pace.ready(now), s.held.time())
	case s.retry != 0:
		at = later(s.pace.ready(now), later(s.held.time(), s.retry.time()))
	default:
		return
	}
	if s.sending != nil && s.sameWay() { // one in flight, for at most two seconds
		at = later(at, s.sending.sent.Add(flight))
	}
	if at.After(now) {
		s.timer.Stop()
		s.timer = s.n.o.Wheel.After(at.Sub(now), s.queue, s.pump)
		return
	}
	if s.idle() {
		s.owed, s.since, s.retry = false, 0, 0
		return
	}
	if s.way.Valid() && !s.n.window.enter(s, now) {
		return // its turn comes
	}
	s.notify(v, now)
}

// admitted: there is a place for its NOTIFY now.
func (s *sub) admitted(v *volley) {
	before := s.sending
	s.pumpBy(v, v.time())
	if s.sending == before || s.sending == nil { // nothing is to be told any more
		s.n.window.leave(s)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// notify sends the newest state. One that is still unanswered is overtaken: its
// repetitions stop, and a late answer to it counts as a sign of life.
func (s *sub) notify(v *volley, now time.Time) {
	if s.sending != nil {
		s.sending.stop()
		if !s.sending.over {
			s.miss()
		}
		s.missing()
	}
	// Of a list, a change that is not to be told yet stays out of what is owed.
	fresh := !s.owed || s.list != nil && s.since != 0 && !later(s.pace.ready(now), s.held.time()).After(now)
	t := &telling{s: s, flow: s.rec.Dialog.Flow, version: s.rec.Version, sent: now, since: s.since.time()}
	sheet := sheets.Get().(*sheet)
	p := s.params()
	doc, ok := s.document(t, p, fresh, sheet)
	if !ok && s.closing == "" { // RFC 6665 4.1.3
		s.n.index.drop(s)
		s.expiry.Stop()
		s.closing = noResource
		s.step(Step{Kind: StepEnded, Detail: "there is no such orbit any more"})
	}
	wire := s.write(t, p.Target, doc, now)
	var req *sip.Request
	if wire != nil {
		sheets.Put(sheet) // it is copied
		s.rec.Dialog.LocalSeq++
	} else if req = s.request(doc, now); req == nil {
		s.end()
		return
	}
	if fresh {
		s.pace.spend(now)
	}
	t.seq, t.last = s.rec.Dialog.LocalSeq, s.closing != ""
	s.owed, s.retry, s.sending = false, 0, t
	if s.list == nil || len(s.list.fresh) == 0 {
		s.since = 0
	} else {
		t.since = time.Time{} // it tells another one
	}
	s.timer.Stop()
	s.rec.Version++ // RFC 4235 4.1: by one a document
	s.unheard()
	s.notified(t)
	switch {
	case wire == nil:
		s.n.index.sent([]*telling{t}, now)
		s.send(t, req)
	case v != nil:
		v.add(t, wire)
	default:
		s.n.index.sent([]*telling{t}, now)
		s.start(t, wire)
	}
	s.low()
}

func (s *sub) params() Params {
	return Params{Event: s.rec.Event, Accept: s.rec.Accept, Entity: s.rec.Entity, Version: s.rec.Version,
		Target: s.contactURI(), Watcher: s.rec.From, User: s.rec.By, Agent: s.rec.Agent, Reliable: s.rec.Dialog.Flow.Network != "udp"}
}

func (s *sub) contactURI() string {
	return s.n.o.Endpoint.ContactURI(s.rec.User, s.rec.Dialog.Flow)
}

// request builds the NOTIFY for a way that is looked for; nil if the dialog is no
// good.
func (s *sub) request(doc Document, now time.Time) *sip.Request {
	req, err := s.rec.Dialog.NewRequest(sip.NOTIFY)
	if err != nil {
		s.log().Error().Err(err).Msg("subscription cannot be told")
		return nil
	}
	contact := s.contact()
	req.AppendHeader(&contact)
	req.AppendHeader(sip.NewHeader("Event", s.event()))
	if s.rec.List { // RFC 4662 4.1
		req.AppendHeader(sip.NewHeader("Require", eventlist))
	}
	req.AppendHeader(sip.NewHeader("Subscription-State", s.state(now).String()))
	if len(doc.Body) > 0 {
		req.AppendHeader(sip.NewHeader("Content-Type", doc.ContentType))
	}
	req.SetBody(doc.Body)
	return req
}

// event is the Event header (RFC 6665 8.2.1: as in the SUBSCRIBE).
func (s *sub) event() string {
	if s.rec.EventID == "" {
		return s.rec.Event
	}
	return s.rec.Event + ";id=" + sipua.Clean(s.rec.EventID)
}

// state is the Subscription-State (RFC 6665 8.2.3).
func (s *sub) state(now time.Time) sipua.SubscriptionState {
	if s.closing != "" {
		return terminated(s.closing)
	}
	left := s.rec.Expires.Sub(now)
	if s.vague && left <= 0 {
		// RFC 6665 4.2.2: expires is there, and shortens a subscription at most. If this
		// one was refreshed it has most of the interval left, as a rule; whoever heeds
		// this makes sure soon.
		left = min(minExpires, left+s.rec.interval())
	}
	return active(left)
}
