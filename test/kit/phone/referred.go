package phone

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"parkd/test/kit/wire"
)

// Handy are the headers of a phone that can be referred to another one (RFC 3515),
// and whose calls can be taken over by one (RFC 3891).
var Handy = []string{"Allow: " + methods + ", UPDATE, REFER", "Supported: replaces"}

// Referral is what a phone does with a REFER within a call: by itself it is refused.
type Referral struct {
	Code   int  // the answer; 0 = none at all
	Status int  // what it then says of the INVITE, without sending one; 0 = it sends one and says how that ends
	Silent bool // it says nothing of it
	Early  bool // it hangs up first where the INVITE was answered, and says nothing
}

// Refers sets that.
func (p *Phone) Refers(r Referral) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.referral = &r
}

// next is where a message goes: to a phone that this one talks to directly, or else
// to the server.
func (p *Phone) next(text string) netip.AddrPort {
	m := wire.Split(text)
	host := strings.TrimPrefix(m.URI(), "sip:")
	if _, after, ok := strings.Cut(host, "@"); ok {
		host = after
	}
	if m.Response() {
		host, _, _ = strings.Cut(strings.TrimPrefix(m.Get("Via"), "SIP/2.0/UDP "), ";")
	}
	if addr, err := netip.ParseAddrPort(host); err == nil {
		if _, direct := p.direct.Load(addr); direct {
			return addr
		}
	}
	return p.server
}

// refer takes a REFER within a call. The lock is held.
func (p *Phone) refer(s *served, c *Call) {
	r := p.referral
	if r == nil {
		p.answer(s, 405)
		return
	}
	if r.Code != 0 {
		p.answer(s, r.Code, "Contact: "+c.dialog.contact)
	}
	if r.Code != 202 {
		return
	}
	p.wg.Go(func() { p.follow(c, *r, wire.Address(s.request.Get("Refer-To"))) })
}

// follow does what a REFER asks for.
func (p *Phone) follow(c *Call, r Referral, to string) {
	say := func(code int, state string) {
		if !r.Silent {
			c.Do("NOTIFY", fmt.Sprintf("SIP/2.0 %d %s\r\n", code, phrases[code]), "Event: refer",
				"Subscription-State: "+state, "Content-Type: message/sipfrag;version=2.0")
		}
	}
	say(100, "active;expires=60")
	if r.Status != 0 {
		say(r.Status, "terminated;reason=noresource")
		return
	}
	target, header, _ := strings.Cut(to, "?Replaces=")
	replaces, err := url.PathUnescape(header)
	addr, bad := netip.ParseAddrPort(target[strings.Index(target, "@")+1:])
	if err != nil || bad != nil || replaces == "" {
		p.t.Errorf("%s was referred to %s: %v, %v", p.Name, to, err, bad)
		return
	}
	p.direct.Store(addr, nil)
	n := p.Invite(target, Opts{Replaces: replaces})
	final := n.Tx.Wait(timeout)
	if final == nil {
		say(408, "terminated;reason=noresource")
		return
	}
	if final.Code() == 200 {
		n.Ack()
		n.Media.Talk(c.Media.Voice())
		if r.Early {
			c.Bye()
			return
		}
	}
	say(final.Code(), "terminated;reason=noresource")
}

// replaced takes an INVITE with Replaces of a call of this phone's: it is answered,
// and the call ends (RFC 3891 3). The lock is held; false if it names none.
func (p *Phone) replaced(s *served) bool {
	value := s.request.Get("Replaces")
	if value == "" {
		return false
	}
	id, _, _ := strings.Cut(value, ";")
	for _, old := range p.calls {
		d := &old.dialog
		if d.callID != id || d.localTag != wire.Param(value, "to-tag") || d.remoteTag != wire.Param(value, "from-tag") || !old.ended.IsZero() {
			continue
		}
		if code := p.auto["INVITE"]; code != 0 && code != 200 {
			p.answer(s, code)
			return true
		}
		c := p.accept(s)
		p.answerWith(s, 200, c.headers(), c.describe(true))
		c.Media.Talk(old.Media.Voice())
		p.start(&old.dialog, "BYE", nil, "")
		old.end()
		return true
	}
	if p.auto["Replaces"] == 200 { // of a call that no test plays
		return false
	}
	p.answer(s, 481)
	return true
}
