package sockets

import (
	"time"

	"parkd/test/kit/wire"
)

// A call is an INVITE dialog of a phone's.
type call struct {
	p     *phone
	d     *dialog
	media *media
	asked *request // its latest INVITE
	offer offer

	// Guarded by the phone's lock.
	invite    *wire.Message // theirs
	acked     bool
	ended     bool // by the other side
	cancelled bool
}

// invite calls an extension and returns at once.
func (p *phone) invite(ext string, o offer, headers ...string) *call {
	p.s.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &call{p: p, d: p.begin(p.at(ext)), media: newMedia(p), offer: o}
	p.calls = append(p.calls, c)
	c.send(headers)
	return c
}

// send sends the call's description in an INVITE. The lock is held.
func (c *call) send(headers []string) {
	c.offer.version++
	headers = append([]string{"Content-Type: application/sdp", "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"}, headers...)
	c.asked = c.p.send(c.d, "INVITE", headers, c.offer.text(c.media.local()))
}

// expect waits for the final response to the INVITE.
func (c *call) expect(code int) *wire.Message {
	c.p.s.Helper()
	return c.p.expect(c.asked, code)
}

// answered waits for the 200, acknowledges and learns where to send sound.
func (c *call) answered() *wire.Message {
	c.p.s.Helper()
	m := c.expect(200)
	c.media.aim(m.Body)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.d.remoteTag, c.d.target = m.ToTag(), wire.Address(m.Get("Contact"))
	r := *c.asked
	r.uri, r.branch = c.d.target, "z9hG4bK"+c.p.token("b") // RFC 3261 13.2.2.4
	c.asked.ack = c.p.text(&r, "ACK", c.d.remoteTag, nil, "")
	c.p.write(c.asked.ack)
	return m
}

// dial calls an extension, which must answer.
func (p *phone) dial(ext string, o offer, headers ...string) *call {
	p.s.Helper()
	c := p.invite(ext, o, headers...)
	c.answered()
	return c
}

// park parks a caller on behalf of a parker.
func (p *phone) park(ext string, by *phone, o offer) *call {
	p.s.Helper()
	return p.dial(ext, o, "Referred-By: <"+by.uri()+">")
}

// reoffer offers another direction within the call, which must be taken.
func (c *call) reoffer(direction string) *wire.Message {
	c.p.s.Helper()
	c.p.mu.Lock()
	c.offer.direction = direction
	c.send(nil)
	c.p.mu.Unlock()
	return c.answered()
}

// bye hangs up.
func (c *call) bye() {
	c.p.s.Helper()
	c.p.mu.Lock()
	r := c.p.send(c.d, "BYE", nil, "")
	c.p.mu.Unlock()
	c.p.expect(r, 200)
}

// over waits for the other side to hang up.
func (c *call) over() {
	c.p.s.Helper()
	c.p.await("the other side hangs up", func() bool { return c.ended })
}

// retry repeats a refused INVITE with credentials (RFC 3261 22.2).
func (c *call) retry(header string) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.send([]string{header})
}

// ring takes an INVITE from parkd; the test decides about it. The lock is held.
func (p *phone) ring(m *wire.Message) {
	c := &call{p: p, invite: m, d: &dialog{
		callID: m.CallID(), localTag: m.CallID() + "-phone", remoteTag: m.FromTag(),
		local: m.Get("To"), remote: "<" + wire.Address(m.Get("From")) + ">", target: wire.Address(m.Get("Contact")),
	}}
	c.media = newMedia(p)
	c.media.aim(m.Body)
	p.calls, p.ringing = append(p.calls, c), append(p.ringing, c)
	p.reply(m, 180, []string{"Contact: " + p.contact()}, "")
}

// rung waits for a call from parkd.
func (p *phone) rung() (c *call) {
	p.s.Helper()
	p.await("parkd calls", func() bool {
		if len(p.ringing) > 0 {
			c, p.ringing = p.ringing[0], p.ringing[1:]
		}
		return c != nil
	})
	return c
}

// pickup answers a call from parkd and returns when it did.
func (c *call) pickup(o offer) time.Time {
	c.p.s.Helper()
	c.p.mu.Lock()
	headers := []string{"Contact: " + c.p.contact(), "Content-Type: application/sdp"}
	c.p.reply(c.invite, 200, headers, o.text(c.media.local()))
	c.p.mu.Unlock()
	at := time.Now()
	c.p.await("ACK", func() bool { return c.acked })
	return at
}
