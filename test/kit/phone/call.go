package phone

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"parkd/test/kit/wire"
)

// Opts is what an INVITE may have. The zero Opts is a plain call.
type Opts struct {
	From       string   // name-addr
	ReferredBy string   // URI
	Replaces   string   // value of the header
	SDP        SDP      // of the offer
	Offerless  bool     // the answer comes with the ACK
	Headers    []string // further header lines
	Body       string   // instead of the SDP, with its Content-Type in Headers
}

// Call is one INVITE dialog of the phone's, made by it or by the other end.
type Call struct {
	Media *Media
	Tx    *Tx // its INVITE, or its latest re-INVITE

	p      *Phone
	dialog dialog
	since  time.Time

	// Guarded by the phone's lock.
	sdp       SDP
	offerless bool
	invite    *served // their INVITE
	ended     time.Time
	byPeer    bool // ended by the other end's BYE
	cancelled time.Time
	acked     int
}

// Invite calls somebody and returns at once.
func (p *Phone) Invite(to string, o Opts) *Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	headers := o.Headers
	if o.From != "" {
		headers = append([]string{"From: " + o.From}, headers...)
	}
	c := p.newCall(p.dialogTo(to, headers))
	c.sdp, c.offerless = o.SDP, o.Offerless
	extra := drop(headers, "From", "To")
	if o.ReferredBy != "" {
		extra = append(extra, "Referred-By: <"+o.ReferredBy+">")
	}
	if o.Replaces != "" {
		extra = append(extra, "Replaces: "+o.Replaces)
	}
	body := o.Body
	if body == "" && !o.Offerless {
		extra = append(extra, "Content-Type: application/sdp")
		body = c.describe(false)
	}
	c.Tx = p.start(&c.dialog, "INVITE", extra, body)
	c.Tx.call = c
	return c
}

// Call calls somebody who must answer, and acknowledges.
func (p *Phone) Call(to string, o Opts) *Call {
	p.t.Helper()
	c := p.Invite(to, o)
	c.Expect(200)
	c.Ack()
	return c
}

func (p *Phone) newCall(d *dialog) *Call {
	c := &Call{p: p, dialog: *d, since: time.Now(), Media: newMedia(p, p.mediaPort())}
	p.calls = append(p.calls, c)
	return c
}

// describe is the phone's SDP, of an offer or an answer. The lock is held.
func (c *Call) describe(answer bool) string {
	c.sdp.version++
	c.Media.lock(&c.sdp, answer)
	return c.sdp.text(c.Media.Local())
}

// answered takes the first final response to an INVITE. The lock is held.
func (c *Call) answered(tx *Tx, m *wire.Message) {
	if m.Code() >= 300 {
		if tx.dialog.remoteTag == "" {
			c.end()
		}
		return
	}
	c.dialog.learn(m)
	c.Media.aim(m.Body)
}

// reply is the phone's answer to an offer: what it says itself, as far as that was
// offered, with the offer's numbers (RFC 3264 6.1). The lock is held.
func (c *Call) reply(offer string) string {
	c.sdp.version++
	s := c.sdp
	s.answer(offer)
	c.Media.lock(&s, true)
	return s.text(c.Media.Local())
}

func (c *Call) end() {
	if c.ended.IsZero() {
		c.ended = time.Now()
	}
	c.Media.Quiet()
}

// Expect waits for the final response to the INVITE.
func (c *Call) Expect(code int) *Response {
	c.p.t.Helper()
	return c.Tx.Expect(code)
}

// Ack acknowledges the 2xx, with an answer if the INVITE had no offer.
func (c *Call) Ack() {
	body := ""
	c.p.mu.Lock()
	if c.offerless {
		body = c.describe(true)
	}
	c.p.mu.Unlock()
	c.AckWith(body)
}

// AckWith acknowledges the 2xx with that body.
func (c *Call) AckWith(body string) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	var extra []string
	if body != "" {
		extra = append(extra, "Content-Type: application/sdp")
	}
	c.Tx.ack = p.buildAt(&c.dialog, "ACK", "z9hG4bK"+p.token("branch"), c.Tx.cseq, extra, body)
	p.send(c.Tx.ack)
}

// Cancel takes the INVITE back.
func (c *Call) Cancel() *Tx { return c.Tx.Cancel() }

// Do sends a request within the call.
func (c *Call) Do(method, body string, headers ...string) *Tx {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	tx := c.p.start(&c.dialog, method, headers, body)
	if method == "INVITE" {
		tx.call, c.Tx = c, tx
	}
	return tx
}

// Bye hangs up and returns at once.
func (c *Call) Bye() *Tx {
	tx := c.Do("BYE", "")
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.end()
	return tx
}

// Hangup hangs up and waits for the 200.
func (c *Call) Hangup() {
	c.p.t.Helper()
	c.Bye().Expect(200)
}

// Reinvite offers another description within the call, without waiting.
func (c *Call) Reinvite(s SDP, headers ...string) *Tx {
	c.p.mu.Lock()
	s.version = c.sdp.version
	c.sdp, c.offerless = s, false
	body := c.describe(false)
	c.p.mu.Unlock()
	return c.Do("INVITE", body, append(headers, "Content-Type: application/sdp")...)
}

// Answers sets what the phone says about its audio from now on, when it is asked.
func (c *Call) Answers(s SDP) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	s.version = c.sdp.version
	c.sdp = s
}

// UpdateTo offers another description by UPDATE (RFC 3311), without waiting.
func (c *Call) UpdateTo(s SDP, headers ...string) *Tx {
	c.p.mu.Lock()
	s.version = c.sdp.version
	c.sdp = s
	body := c.describe(false)
	c.p.mu.Unlock()
	tx := c.Do("UPDATE", body, append(headers, "Content-Type: application/sdp")...)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	tx.call = c
	return tx
}

// Change offers another description, which must be taken, and acknowledges.
func (c *Call) Change(s SDP) *Response {
	c.p.t.Helper()
	r := c.Reinvite(s).Expect(200)
	c.Ack()
	return r
}

// AskOffer sends a re-INVITE without a description, without waiting.
func (c *Call) AskOffer() *Tx {
	c.p.mu.Lock()
	c.offerless = true
	c.p.mu.Unlock()
	return c.Do("INVITE", "")
}

// Info presses a key by INFO: dtmf-relay or dtmf.
func (c *Call) Info(kind string, digit byte) *Tx {
	body := string(digit)
	if kind == "dtmf-relay" {
		body = fmt.Sprintf("Signal=%c\r\nDuration=160\r\n", digit)
	}
	return c.Do("INFO", body, "Content-Type: application/"+kind)
}

// Answered reports whether the call was ever established: answered with a 2xx.
func (c *Call) Answered() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.invite == nil && c.dialog.remoteTag != "" || c.invite != nil && c.acked > 0
}

// ByPeer reports whether it was the other end that hung up.
func (c *Call) ByPeer() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.byPeer
}

// Since is when its INVITE was sent, or came.
func (c *Call) Since() time.Time { return c.since }

// Ended is when the call ended; zero while it goes on.
func (c *Call) Ended() time.Time {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.ended
}

// ExpectEnd waits for the other end to hang up.
func (c *Call) ExpectEnd(within time.Duration) {
	c.p.t.Helper()
	if !c.p.await(within, func() bool { return !c.ended.IsZero() }) {
		c.p.t.Fatalf("%s: nobody hung up within %v", c.p.Name, within)
	}
}

// ExpectAlive checks that nobody has hung up.
func (c *Call) ExpectAlive() {
	c.p.t.Helper()
	if at := c.Ended(); !at.IsZero() {
		c.p.t.Fatalf("%s: the call has ended", c.p.Name)
	}
}

// Replaces is a Replaces header that names this call as the phone at its other
// end knows it: how someone is sent to take this phone's place there.
func (c *Call) Replaces() string {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return fmt.Sprintf("%s;to-tag=%s;from-tag=%s", c.dialog.callID, c.dialog.remoteTag, c.dialog.localTag)
}

// CallID is the call's.
func (c *Call) CallID() string { return c.dialog.callID }

// Got lists the requests with that method that came within the call.
func (c *Call) Got(method string) []Request {
	return slices.DeleteFunc(c.p.Got(method), func(r Request) bool { return r.CallID() != c.dialog.callID })
}

// methods that a phone names in Allow.
var methods = strings.Join([]string{"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "NOTIFY"}, ", ")
