package phone

import (
	"time"

	"parkd/test/kit/wire"
)

// served is a request that came in and how it was answered (RFC 3261 17.2).
type served struct {
	request *wire.Message
	tag     string
	last    string // the last response
	stop    chan struct{}
	stopped bool // no response is to be sent again
	final   int
}

// request takes a request. The lock is held.
func (p *Phone) request(m *wire.Message) {
	if m.Method() == "ACK" {
		p.acked(m)
		return
	}
	key := m.Branch() + m.Method()
	if s := p.served[key]; s != nil {
		if s.last != "" {
			p.send(s.last)
		}
		return
	}
	s := &served{request: m, tag: p.token("tag"), stop: make(chan struct{})}
	p.served[key] = s
	p.got = append(p.got, Request{time.Now(), m})
	switch {
	case m.Method() == "CANCEL":
		p.cancel(s)
	case m.ToTag() == "" && m.Method() == "INVITE" && p.replaced(s):
	case m.ToTag() == "" && m.Method() == "INVITE":
		p.ring(s)
	case m.ToTag() == "":
		p.answer(s, 200)
	default:
		p.inDialog(s)
	}
}

// answer responds once; a final response to INVITE is sent until the ACK.
func (p *Phone) answer(s *served, code int, extra ...string) { p.answerWith(s, code, extra, "") }

func (p *Phone) answerWith(s *served, code int, extra []string, body string) {
	if s.final != 0 {
		return
	}
	s.last = reply(s.request, code, s.tag, extra, body)
	p.send(s.last)
	if code < 200 {
		return
	}
	s.final = code
	if s.request.Method() == "INVITE" {
		raw := s.last
		p.wg.Go(func() { p.repeat(s, raw) })
	}
}

// repeat is timers G and H, and RFC 3261 13.3.1.4 for a 2xx.
func (p *Phone) repeat(s *served, raw string) {
	wait, end := t1, time.NewTimer(timeout)
	again := time.NewTimer(wait)
	defer end.Stop()
	defer again.Stop()
	for {
		select {
		case <-again.C:
			p.send(raw)
			wait = min(2*wait, t2)
			again.Reset(wait)
		case <-end.C:
			p.unacknowledged(s)
			return
		case <-s.stop:
			return
		case <-p.done:
			return
		}
	}
}

// unacknowledged ends a call whose 2xx nobody acknowledged for 64*T1 (RFC 3261
// 13.3.1.4).
func (p *Phone) unacknowledged(s *served) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c.invite == s && s.final < 300 && c.ended.IsZero() {
			p.start(&c.dialog, "BYE", nil, "")
			c.end()
		}
	}
	p.notify()
}

// acked ends the repetition of a final response to INVITE.
func (p *Phone) acked(m *wire.Message) {
	n, _ := m.CSeq()
	for _, s := range p.served {
		if seq, method := s.request.CSeq(); method != "INVITE" || s.request.CallID() != m.CallID() || seq != n {
			continue
		}
		if s.request.ToTag() == "" && s.tag != m.ToTag() { // of another fork
			continue
		}
		if !s.stopped {
			s.stopped = true
			close(s.stop)
		}
		for _, c := range p.calls {
			if c.dialog.has(m) {
				c.acked++
			}
		}
	}
}

// cancel answers a CANCEL and the INVITE that it takes back (RFC 3261 9.2).
func (p *Phone) cancel(s *served) {
	code := 481
	for _, c := range p.calls {
		in := c.invite
		if in == nil || in.request.Branch() != s.request.Branch() {
			continue
		}
		if code = 200; s.final == 0 {
			s.tag = in.tag // RFC 3261 9.2: as in the response to the INVITE
			p.answer(s, code)
		}
		if in.final == 0 {
			c.cancelled = time.Now()
			p.answer(in, 487)
			c.end()
		}
	}
	p.answer(s, code)
}

// ring takes an INVITE that starts a call; the test decides about it.
func (p *Phone) ring(s *served) {
	c := p.accept(s)
	if code, set := p.auto["INVITE"]; !set || code != 0 { // else it seems to be off
		p.answer(s, 100)
	}
	p.incoming = append(p.incoming, c)
}

// accept makes a call of an INVITE.
func (p *Phone) accept(s *served) *Call {
	m := s.request
	d := &dialog{
		callID: m.CallID(), localTag: s.tag, remoteTag: m.FromTag(), contact: p.Contact(),
		local: m.Get("To"), remote: "<" + wire.Address(m.Get("From")) + ">", target: wire.Address(m.Get("Contact")),
	}
	c := p.newCall(d)
	c.invite = s
	c.Media.aim(m.Body)
	return c
}

// inDialog answers a request within a dialog as Auto says.
func (p *Phone) inDialog(s *served) {
	m := s.request
	code, set := p.auto[m.Method()]
	if !set {
		code = 200
	}
	if m.Method() == "NOTIFY" {
		p.notified(s, code)
		return
	}
	var call *Call
	for _, c := range p.calls {
		if c.dialog.has(m) {
			call = c
		}
	}
	if call == nil || !call.ended.IsZero() && m.Method() != "BYE" { // RFC 3261 12.2.2; a BYE may cross ours
		p.answer(s, 481)
		return
	}
	if m.Method() == "BYE" && code != 0 {
		call.byPeer = call.byPeer || call.ended.IsZero()
		call.end()
	}
	switch {
	case m.Method() == "REFER":
		p.refer(s, call)
	case code == 0:
	case m.Method() == "INVITE" && code == 200:
		call.dialog.learn(m)
		call.Media.aim(m.Body)
		p.answerWith(s, 200, call.headers(), call.reply(m.Body))
	default:
		extra := []string{"Contact: " + call.dialog.contact}
		if se := m.Get("Session-Expires"); se != "" { // of an UPDATE
			extra = append(extra, "Session-Expires: "+se)
		}
		p.answer(s, code, extra...)
	}
}

// Late answers the latest request with that method that Auto left unanswered.
func (c *Call) Late(code int, method string) {
	c.p.t.Helper()
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	for i := len(c.p.got) - 1; i >= 0; i-- {
		m := c.p.got[i].Message
		s := c.p.served[m.Branch()+m.Method()]
		switch {
		case m.Method() != method || !c.dialog.has(m) || s.final != 0:
		case method == "INVITE" && code == 200:
			c.Media.aim(m.Body)
			c.p.answerWith(s, 200, c.headers(), c.reply(m.Body))
			return
		default:
			c.p.answer(s, code, "Contact: "+c.dialog.contact)
			return
		}
	}
	c.p.t.Fatalf("%s: no %s waits for an answer", c.p.Name, method)
}

// headers are those of a 2xx to INVITE.
func (c *Call) headers() []string {
	if c.p.referral != nil {
		return append([]string{"Contact: " + c.dialog.contact, "Content-Type: application/sdp"}, Handy...)
	}
	return []string{"Contact: " + c.dialog.contact, "Allow: " + methods, "Content-Type: application/sdp"}
}

// Ringing waits for a call to this phone.
func (p *Phone) Ringing(within time.Duration) *Call {
	p.t.Helper()
	c := p.Rings(within)
	if c == nil {
		p.t.Fatalf("%s: nobody calls", p.Name)
	}
	return c
}

// Rings waits for a call to this phone; nil if nobody calls for so long.
func (p *Phone) Rings(within time.Duration) (c *Call) {
	p.await(within, func() bool {
		if len(p.incoming) > 0 {
			c, p.incoming = p.incoming[0], p.incoming[1:]
		}
		return c != nil
	})
	return c
}

// Request is the INVITE that started the call at the other end.
func (c *Call) Request() *wire.Message { return c.invite.request }

// Reply responds to the INVITE: 180, 486, ...
func (c *Call) Reply(code int, headers ...string) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if code < 300 {
		headers = append(headers, "Contact: "+c.dialog.contact)
	} else {
		c.end()
	}
	c.p.answer(c.invite, code, headers...)
}

// Progress is Reply with a provisional response that carries a description.
func (c *Call) Progress(code int, headers ...string) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	headers = append(headers, "Contact: "+c.dialog.contact, "Content-Type: application/sdp")
	c.p.answerWith(c.invite, code, headers, c.describe(true))
}

// PickupBare answers the call with a 2xx that describes nothing.
func (c *Call) PickupBare() { c.Reply(200) }

// Fork is another early dialog of an INVITE that came, as if another phone
// behind a proxy had got it too.
func (c *Call) Fork() *Call {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	d := c.dialog
	d.localTag = c.p.token("tag")
	f := c.p.newCall(&d)
	f.invite = &served{request: c.invite.request, tag: d.localTag, stop: make(chan struct{})}
	c.p.served[d.localTag] = f.invite
	f.Media.aim(c.invite.request.Body)
	return f
}

// Pickup answers the call and waits for the ACK.
func (c *Call) Pickup() {
	c.p.t.Helper()
	c.PickupLate()
	if !c.p.await(Patience, func() bool { return c.acked > 0 }) {
		c.p.t.Fatalf("%s: no ACK", c.p.Name)
	}
}

// PickupLate answers the call, even one that is cancelled: as when the 200
// crosses the CANCEL.
func (c *Call) PickupLate() {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.answerWith(c.invite, 200, c.headers(), c.describe(true))
}

// ExpectCancel waits for the other end to take its INVITE back.
func (c *Call) ExpectCancel(within time.Duration) time.Time {
	c.p.t.Helper()
	if !c.p.await(within, func() bool { return !c.cancelled.IsZero() }) {
		c.p.t.Fatalf("%s: no CANCEL within %v", c.p.Name, within)
	}
	return c.cancelled
}
