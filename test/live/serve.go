package live

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"parkd/test/kit/wire"
)

// Got is a request as it came, repetitions left out.
type Got struct {
	At time.Time
	*wire.Message
}

// served is a request that came and how it was answered last.
type served struct {
	answer string
	final  bool
}

// Got lists the requests that have come since a time.
func (p *Phone) Got(since time.Time) (list []Got) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.got {
		if g.At.After(since) {
			list = append(list, g)
		}
	}
	return list
}

// read takes what comes until the connection ends.
func (p *Phone) read(conn net.Conn) {
	next := datagrams(conn)
	if p.Network != "udp" {
		next = stream(bufio.NewReader(conn))
	}
	for {
		raw, err := next()
		if err != nil {
			return
		}
		m, err := wire.Parse(raw)
		if err != nil {
			p.t.Errorf("%s got a malformed message: %v", p.Name, err)
			continue
		}
		p.mu.Lock()
		switch {
		case p.closed:
		case p.deaf:
			p.missed = append(p.missed, m)
		case m.Response():
			p.response(m)
		default:
			p.request(conn, m)
		}
		p.notify()
		p.mu.Unlock()
	}
}

func datagrams(conn net.Conn) func() ([]byte, error) {
	b := make([]byte, 65536)
	return func() ([]byte, error) {
		for {
			n, err := conn.Read(b)
			switch {
			case errors.Is(err, syscall.ECONNREFUSED): // parkd is gone; the phone stays
			case err != nil:
				return nil, err
			case n > 0 && b[0] >= 'A': // no keep-alive
				return b[:n], nil
			}
		}
	}
}

// stream cuts messages out of a stream (RFC 3261 18.3).
func stream(r *bufio.Reader) func() ([]byte, error) {
	return func() ([]byte, error) {
		var head []byte
		length := 0
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return nil, err
			}
			if len(head) == 0 && len(line) <= 2 { // keep-alive
				continue
			}
			head = append(head, line...)
			if name, value, ok := strings.Cut(string(line), ":"); ok && strings.EqualFold(name, "Content-Length") {
				if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
					return nil, err
				}
			}
			if len(line) == 2 {
				break
			}
		}
		body := make([]byte, length)
		_, err := io.ReadFull(r, body)
		return append(head, body...), err
	}
}

// request serves a request. The lock is held.
func (p *Phone) request(conn net.Conn, m *wire.Message) {
	c := p.callOf(m)
	if m.Method() == "ACK" {
		if c != nil {
			c.Acked = true
		}
		return
	}
	if s := p.served[m.Branch()+m.Method()]; s != nil {
		say(conn, s.answer)
		return
	}
	p.got = append(p.got, Got{time.Now(), m})
	switch method := m.Method(); {
	case method == "INVITE" && m.ToTag() == "":
		p.ring(conn, m)
	case method == "CANCEL":
		p.cancel(conn, m)
	case method == "NOTIFY":
		p.reply(conn, m, p.notified(conn, m), nil, "")
	case m.ToTag() == "":
		p.reply(conn, m, 200, nil, "")
	case c == nil || c.Ended && method != "BYE": // RFC 3261 12.2.2; a BYE may cross ours
		p.reply(conn, m, 481, nil, "")
	case method == "INVITE":
		c.reinvited(conn, m)
	default:
		c.Ended = c.Ended || method == "BYE"
		p.reply(conn, m, 200, nil, "")
	}
}

// callOf finds the call that a request belongs to.
func (p *Phone) callOf(m *wire.Message) *Call {
	for _, c := range p.calls {
		if c.Dialog.callID == m.CallID() && c.Dialog.localTag == m.ToTag() {
			return c
		}
	}
	return nil
}

// cancel takes back a call from parkd (RFC 3261 9.2). The lock is held.
func (p *Phone) cancel(conn net.Conn, m *wire.Message) {
	for _, c := range p.calls {
		if c.Invite == nil || c.Invite.Branch() != m.Branch() {
			continue
		}
		p.reply(conn, m, 200, nil, "")
		if s := p.served[c.Invite.Branch()+"INVITE"]; !s.final {
			c.Cancelled, c.Ended = true, true
			p.reply(conn, c.Invite, 487, nil, "")
		}
		return
	}
	p.reply(conn, m, 481, nil, "")
}

// reply responds to a request where it came from. The lock is held.
func (p *Phone) reply(conn net.Conn, m *wire.Message, code int, headers []string, body string) {
	lines := []string{fmt.Sprintf("SIP/2.0 %d Scripted", code)}
	for _, h := range m.Headers {
		switch h.Name {
		case "Via", "From", "Call-ID", "CSeq", "Record-Route":
			lines = append(lines, h.Name+": "+h.Value)
		case "To":
			if m.ToTag() == "" && code > 100 {
				h.Value += ";tag=" + m.CallID() + "-phone"
			}
			lines = append(lines, "To: "+h.Value)
		}
	}
	text := finishText(append(lines, headers...), body)
	p.served[m.Branch()+m.Method()] = &served{text, code >= 200}
	say(conn, text)
}
