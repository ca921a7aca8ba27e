package sockets

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

// read takes what comes until the connection ends.
func (p *phone) read(conn net.Conn) {
	next := datagrams(conn)
	if p.network != "udp" {
		next = stream(bufio.NewReader(conn))
	}
	for {
		raw, err := next()
		if err != nil {
			return
		}
		m, err := wire.Parse(raw)
		if err != nil {
			p.s.Errorf("%s got a malformed message: %v", p.name, err)
			continue
		}
		p.mu.Lock()
		if m.Response() {
			p.response(m)
		} else {
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

// response takes a response. The lock is held.
func (p *phone) response(m *wire.Message) {
	r := p.asked[m.Branch()+m.Method()]
	switch {
	case r == nil:
		p.s.Errorf("%s got a response to nothing: %s", p.name, m.Start)
	case m.Code() < 200:
	case r.method == "INVITE" && m.Code() >= 300: // RFC 3261 17.1.1.3
		p.write(p.text(r, "ACK", m.ToTag(), nil, ""))
		r.take(m)
	case r.ack != "": // again: ours was too late
		p.write(r.ack)
	default:
		r.take(m)
	}
}

func (r *request) take(m *wire.Message) {
	if r.final == nil {
		r.final, r.at = m, time.Now()
	}
}

// request serves a request. The lock is held.
func (p *phone) request(conn net.Conn, m *wire.Message) {
	key := m.Branch() + m.Method()
	if again, ok := p.served[key]; ok {
		_, _ = conn.Write([]byte(again))
		return
	}
	c := p.callOf(m)
	switch m.Method() {
	case "ACK":
		if c != nil {
			c.acked = true
		}
	case "INVITE":
		p.ring(m)
	case "CANCEL":
		p.reply(m, 200, nil, "")
		for _, c := range p.calls {
			if c.invite != nil && c.invite.Branch() == m.Branch() {
				c.cancelled = true
				p.reply(c.invite, 487, nil, "")
			}
		}
	case "NOTIFY":
		p.reply(m, p.notified(conn, m), nil, "")
	case "BYE":
		if c != nil {
			c.ended = true
		}
		p.reply(m, 200, nil, "")
	default:
		p.reply(m, 200, nil, "")
	}
}

// callOf finds the call that a request belongs to.
func (p *phone) callOf(m *wire.Message) *call {
	for _, c := range p.calls {
		if c.d.callID == m.CallID() && c.d.localTag == m.ToTag() {
			return c
		}
	}
	return nil
}

// reply responds to a request. The lock is held.
func (p *phone) reply(m *wire.Message, code int, headers []string, body string) {
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
	p.served[m.Branch()+m.Method()] = text
	p.write(text)
}
