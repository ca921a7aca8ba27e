package live

import (
	"net"
	"slices"
	"time"

	"parkd/test/kit/wire"
)

// A Call is an INVITE dialog of a phone's.
type Call struct {
	Phone  *Phone
	Dialog *Dialog
	Media  *Media
	Asked  *Request // its latest INVITE
	offer  Offer
	eager  bool

	// Guarded by the phone's lock.
	Invite    *wire.Message // theirs
	Rang      time.Time     // when it came
	came      net.Conn      // how
	Acked     bool
	Ended     bool // by the other side
	Cancelled bool
}

// Invite calls an extension and returns at once. Nobody acknowledges the 200
// before Answered does.
func (p *Phone) Invite(ext string, o Offer, headers ...string) *Call {
	p.t.Helper()
	return p.call(ext, o, false, headers)
}

// Call is Invite for a call that acknowledges its 200 by itself.
func (p *Phone) Call(ext string, o Offer, headers ...string) *Call {
	p.t.Helper()
	return p.call(ext, o, true, headers)
}

func (p *Phone) call(ext string, o Offer, eager bool, headers []string) *Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &Call{Phone: p, Dialog: p.begin(p.At(ext)), Media: newMedia(p), offer: o, eager: eager}
	p.calls = append(p.calls, c)
	c.send(headers)
	return c
}

// send sends the call's description in an INVITE. The lock is held.
func (c *Call) send(headers []string) {
	c.offer.version++
	headers = append([]string{"Content-Type: application/sdp", "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"}, headers...)
	c.Asked = c.Phone.send(c.Dialog, "INVITE", headers, c.offer.text(c.Media.local()))
	c.Asked.call = c
}

// Expect waits for the final response to the INVITE.
func (c *Call) Expect(code int) *wire.Message {
	c.Phone.t.Helper()
	return c.Phone.Expect(c.Asked, code)
}

// Answered waits for the 200, acknowledges and learns where to send sound.
func (c *Call) Answered() *wire.Message {
	c.Phone.t.Helper()
	m := c.Expect(200)
	c.Phone.mu.Lock()
	defer c.Phone.mu.Unlock()
	c.acknowledge(m)
	return m
}

// IsAnswered reports whether the latest INVITE has had its 200.
func (c *Call) IsAnswered() bool {
	c.Phone.mu.Lock()
	defer c.Phone.mu.Unlock()
	return c.Asked.Final != nil && c.Asked.Final.Code() == 200
}

// acknowledge takes a 200. The phone's lock is held.
func (c *Call) acknowledge(m *wire.Message) {
	c.Media.aim(m.Body)
	c.Dialog.remoteTag, c.Dialog.Target = m.ToTag(), wire.Address(m.Get("Contact"))
	r := *c.Asked
	r.uri, r.branch = c.Dialog.Target, "z9hG4bK"+c.Phone.token("b") // RFC 3261 13.2.2.4
	c.Asked.ack = c.Phone.text(&r, "ACK", c.Dialog.remoteTag, nil, "")
	c.Phone.write(c.Asked.ack)
}

// Dial calls an extension, which must answer.
func (p *Phone) Dial(ext string, o Offer, headers ...string) *Call {
	p.t.Helper()
	c := p.Invite(ext, o, headers...)
	c.Answered()
	return c
}

// Park parks a caller on behalf of a parker.
func (p *Phone) Park(ext string, by *Phone, o Offer) *Call {
	p.t.Helper()
	return p.Dial(ext, o, By(by))
}

// By is the header of a park on behalf of a parker.
func By(parker *Phone) string { return "Referred-By: <" + parker.URI() + ">" }

// Reoffer offers another direction within the call, which must be taken.
func (c *Call) Reoffer(direction string) *wire.Message {
	c.Phone.t.Helper()
	c.Phone.mu.Lock()
	c.offer.Direction = direction
	c.send(nil)
	c.Phone.mu.Unlock()
	return c.Answered()
}

// Bye hangs up.
func (c *Call) Bye() {
	c.Phone.t.Helper()
	c.Phone.Expect(c.Leave(), 200)
}

// Leave sends the BYE and returns at once.
func (c *Call) Leave() *Request {
	c.Phone.mu.Lock()
	defer c.Phone.mu.Unlock()
	return c.Phone.send(c.Dialog, "BYE", nil, "")
}

// Transfer sends the other party to an extension, which must be taken (RFC 3515).
func (c *Call) Transfer(ext string) {
	c.Phone.t.Helper()
	c.Phone.mu.Lock()
	r := c.Phone.send(c.Dialog, "REFER", []string{"Refer-To: <" + c.Phone.At(ext) + ">"}, "")
	c.Phone.mu.Unlock()
	c.Phone.Expect(r, 202)
}

// Over waits for the other side to hang up.
func (c *Call) Over() {
	c.Phone.t.Helper()
	c.Phone.Await("the other side hangs up", func() bool { return c.Ended })
}

// Got lists the requests within the call that have come since a time.
func (c *Call) Got(since time.Time) (list []Got) {
	for _, g := range c.Phone.Got(since) {
		if g.CallID() == c.Dialog.callID {
			list = append(list, g)
		}
	}
	return list
}

// Retry repeats a refused INVITE with credentials (RFC 3261 22.2).
func (c *Call) Retry(header string) {
	c.Phone.mu.Lock()
	defer c.Phone.mu.Unlock()
	c.send([]string{header})
}

// ring takes an INVITE from parkd; the test decides about it. The lock is held.
func (p *Phone) ring(conn net.Conn, m *wire.Message) {
	c := &Call{Phone: p, Invite: m, Rang: time.Now(), came: conn, Dialog: &Dialog{
		callID: m.CallID(), localTag: m.CallID() + "-phone", remoteTag: m.FromTag(),
		local: m.Get("To"), remote: "<" + wire.Address(m.Get("From")) + ">", Target: wire.Address(m.Get("Contact")),
	}}
	c.Media = newMedia(p)
	c.Media.aim(m.Body)
	p.calls, p.ringing = append(p.calls, c), append(p.ringing, c)
	p.reply(conn, m, 180, []string{"Contact: " + p.contact()}, "")
}

// Rung waits for a call from parkd.
func (p *Phone) Rung() *Call {
	p.t.Helper()
	c := p.Rings(Patience)
	if c == nil {
		p.t.Fatalf("%s: never: parkd calls", p.Name)
	}
	return c
}

// Rings waits so long for a call from parkd; nil if there is none.
func (p *Phone) Rings(limit time.Duration) (c *Call) {
	p.Within(limit, func() bool {
		if len(p.ringing) > 0 {
			c, p.ringing = p.ringing[0], p.ringing[1:]
		}
		return c != nil
	})
	return c
}

// Pickup answers a call from parkd and returns when it did.
func (c *Call) Pickup(o Offer) time.Time {
	c.Phone.t.Helper()
	at := c.PickupLate(o)
	c.Phone.Await("ACK", func() bool { return c.Acked })
	return at
}

// PickupLate is Pickup that does not wait for the ACK. The 200 is sent until it
// comes (RFC 3261 13.3.1.4).
func (c *Call) PickupLate(o Offer) time.Time {
	p := c.Phone
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Now()
	if c.Ended {
		return at
	}
	c.offer = o
	p.reply(c.came, c.Invite, 200, c.headers(), c.offer.text(c.Media.local()))
	text := p.served[c.Invite.Branch()+"INVITE"].answer
	if p.Network == "udp" {
		p.again(at, t1, func() (string, bool) { return text, !c.Acked && !c.Ended })
	}
	return at
}

// headers are those of a 2xx to INVITE. The phone's lock is held.
func (c *Call) headers() []string {
	return []string{"Contact: " + c.Phone.contact(), "Content-Type: application/sdp"}
}

// reinvited takes a new description within the call. The phone's lock is held.
func (c *Call) reinvited(conn net.Conn, m *wire.Message) {
	c.Media.aim(m.Body)
	c.offer.version++
	c.Phone.reply(conn, m, 200, c.headers(), c.offer.text(c.Media.local()))
}

// Repeated lists the final responses to the INVITE after the first.
func (c *Call) Repeated() []*wire.Message {
	c.Phone.mu.Lock()
	defer c.Phone.mu.Unlock()
	return append([]*wire.Message(nil), c.Asked.Again...)
}

// RepeatedAfter waits for the final response after the first n repeated ones.
func (c *Call) RepeatedAfter(n int) *wire.Message {
	c.Phone.t.Helper()
	c.Phone.Await("the final response again", func() bool { return len(c.Asked.Again) > n })
	return c.Repeated()[n]
}

// Stands reports whether the call was answered and the other side has not hung up.
func (c *Call) Stands() bool {
	c.Phone.mu.Lock()
	defer c.Phone.mu.Unlock()
	return !c.Ended && (c.Invite != nil && c.Acked || c.Invite == nil && c.Dialog.remoteTag != "")
}

// Forget has the phone know nothing of the call any more.
func (c *Call) Forget() {
	c.Media.close()
	c.Phone.mu.Lock()
	defer c.Phone.mu.Unlock()
	c.Phone.calls = slices.DeleteFunc(c.Phone.calls, func(o *Call) bool { return o == c })
}
