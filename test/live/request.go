package live

import (
	"fmt"
	"strings"
	"time"

	"parkd/test/kit/wire"
)

// RFC 3261 17.1.1.1 and 17.1.2.2: timers on UDP.
const (
	t1      = 500 * time.Millisecond
	t2      = 4 * time.Second
	timeout = 64 * t1
)

// A Request is one of the phone's and what came back.
type Request struct {
	method, branch, uri string
	cseq                int
	d                   *Dialog
	call                *Call // of an INVITE
	text                string
	heard               bool            // a provisional response came
	ack                 string          // of a 2xx to INVITE
	Final               *wire.Message   // nil = none yet
	At                  time.Time       // when Final came
	Again               []*wire.Message // final responses that came later
}

// send sends a request within a dialog, or one that begins it. The lock is held.
func (p *Phone) send(d *Dialog, method string, headers []string, body string) *Request {
	d.cseq++
	r := &Request{method: method, branch: "z9hG4bK" + p.token("b"), uri: d.Target, cseq: d.cseq, d: d}
	p.asked[r.branch+method] = r
	r.text = p.text(r, method, d.remoteTag, headers, body)
	p.write(r.text)
	if p.Network == "udp" {
		p.again(time.Now(), t1, func() (string, bool) {
			return r.text, r.Final == nil && !(r.heard && method == "INVITE")
		})
	}
	return r
}

// again sends a text after wait, and then less and less often, as long as it is
// wanted (RFC 3261 17.1.1.2, 17.1.2.2, 13.3.1.4).
func (p *Phone) again(since time.Time, wait time.Duration, text func() (string, bool)) {
	time.AfterFunc(wait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s, wanted := text(); wanted && !p.closed && time.Since(since) < timeout {
			p.write(s)
			p.again(since, min(2*wait, t2), text)
		}
	})
}

// text writes a request. The lock is held.
func (p *Phone) text(r *Request, method, toTag string, headers []string, body string) string {
	to := r.d.remote
	if toTag != "" {
		to += ";tag=" + toTag
	}
	lines := []string{
		method + " " + r.uri + " SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=%s;rport", strings.ToUpper(p.Network), p.here(), r.branch),
		"Max-Forwards: 70", "From: " + r.d.local + ";tag=" + r.d.localTag, "To: " + to,
		"Call-ID: " + r.d.callID, fmt.Sprintf("CSeq: %d %s", r.cseq, method),
	}
	if method != "ACK" && method != "BYE" && method != "CANCEL" {
		lines = append(lines, "Contact: "+p.contact())
	}
	return finishText(append(lines, headers...), body)
}

func finishText(lines []string, body string) string {
	return strings.Join(lines, "\r\n") + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// response takes a response. The lock is held.
func (p *Phone) response(m *wire.Message) {
	r := p.asked[m.Branch()+m.Method()]
	switch {
	case r == nil:
		p.t.Errorf("%s got a response to nothing: %s", p.Name, m.Start)
	case m.Code() < 200:
		r.heard = true
	case r.method == "INVITE" && m.Code() >= 300: // RFC 3261 17.1.1.3
		p.write(p.text(r, "ACK", m.ToTag(), nil, ""))
		r.take(m)
	default:
		r.take(m)
		if r.ack != "" { // again: ours was too late
			p.write(r.ack)
		} else if r.call != nil && r.call.eager {
			r.call.acknowledge(m)
		}
	}
}

func (r *Request) take(m *wire.Message) {
	if r.Final == nil {
		r.Final, r.At = m, time.Now()
	} else {
		r.Again = append(r.Again, m)
	}
}

// Expect waits for the final response, which must have that status.
func (p *Phone) Expect(r *Request, code int) *wire.Message {
	p.t.Helper()
	m := p.Final(r)
	if got := m.Code(); got != code {
		p.t.Fatalf("%s: %s %s answered %q, want %d", p.Name, r.method, r.uri, m.Start, code)
	}
	return m
}

// Final waits for the final response, whatever it is.
func (p *Phone) Final(r *Request) *wire.Message {
	p.t.Helper()
	p.Await(fmt.Sprintf("an answer to %s %s", r.method, r.uri), func() bool { return r.Final != nil })
	return r.Final
}
