//go:build linux

package systemd

import (
	"fmt"
	"net"
	"strings"
	"time"

	"parkd/test/kit/wire"
)

// A phone has one way to parkd, by UDP or TCP, and sends everything once: it does
// not cover up what was lost.
type phone struct {
	u    *unit
	conn net.Conn
	n    int
}

func (u *unit) phone(network string) *phone {
	u.Helper()
	to := u.udp.LocalAddr()
	if network == "tcp" {
		to = u.tcp.Addr()
	}
	conn, err := net.Dial(network, to.String())
	if err != nil {
		u.Fatal(err)
	}
	u.Cleanup(func() { conn.Close() })
	return &phone{u: u, conn: conn}
}

// send sends a request; its branch has the phone's address and its number in it.
func (p *phone) send(method, to, body string, cseq int) (branch string) {
	p.u.Helper()
	p.n++
	local, network := p.conn.LocalAddr().String(), p.conn.LocalAddr().Network()
	branch = fmt.Sprintf("z9hG4bK-%s-%d", strings.NewReplacer(":", "-", ".", "-").Replace(local), p.n)
	id := branch
	if method != "OPTIONS" {
		id = "call-" + local
	}
	text := []string{
		method + " sip:701@" + p.conn.RemoteAddr().String() + " SIP/2.0",
		"Via: SIP/2.0/" + strings.ToUpper(network) + " " + local + ";branch=" + branch + ";rport",
		"Max-Forwards: 70",
		"From: <sip:ann@" + local + ">;tag=ann",
		"To: " + to,
		"Call-ID: " + id,
		fmt.Sprintf("CSeq: %d %s", cseq, method),
		"Contact: <sip:ann@" + local + ";transport=" + network + ">",
	}
	if body != "" {
		text = append(text, "Content-Type: application/sdp")
	}
	text = append(text, fmt.Sprintf("Content-Length: %d", len(body)), "", body)
	if _, err := p.conn.Write([]byte(strings.Join(text, "\r\n"))); err != nil {
		p.u.Fatal(err)
	}
	return branch
}

func (p *phone) options() (branch string) { return p.send("OPTIONS", "<sip:701@parkd.example>", "", 1) }

// answers reads until there is a final response to each branch, or none comes any
// more, and returns them. Requests of parkd's are not for this phone.
func (p *phone) answers(branches ...string) map[string]*wire.Message {
	p.u.Helper()
	got := map[string]*wire.Message{}
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.u.Fatal(err)
	}
	b := make([]byte, 65536)
	for missing(got, branches) > 0 {
		n, err := p.conn.Read(b)
		if err != nil {
			break
		}
		m, err := wire.Parse(b[:n])
		if err != nil {
			p.u.Fatal(err)
		}
		if m.Code() >= 200 {
			got[m.Branch()] = m
		}
	}
	return got
}

func missing(got map[string]*wire.Message, branches []string) (n int) {
	for _, b := range branches {
		if got[b] == nil {
			n++
		}
	}
	return n
}

// answered wants a 200 to each branch.
func (p *phone) answered(branches ...string) {
	p.u.Helper()
	got := p.answers(branches...)
	if n := missing(got, branches); n > 0 {
		p.u.Errorf("%d of %d requests over %s are not answered", n, len(branches), p.conn.LocalAddr().Network())
	}
	for _, m := range got {
		if m.Code() != 200 {
			p.u.Errorf("answered by %s", m.Start)
		}
	}
}

// park dials an orbit, which parks the call; bye ends it.
func (p *phone) park() (bye func()) {
	p.u.Helper()
	host := "127.0.0.1"
	offer := "v=0\r\no=ann 1 1 IN IP4 " + host + "\r\ns=-\r\nc=IN IP4 " + host + "\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
	branch := p.send("INVITE", "<sip:701@parkd.example>", offer, 1)
	ok := p.answers(branch)[branch]
	if ok == nil || ok.Code() != 200 {
		p.u.Fatalf("the call is not parked: %v", ok)
	}
	p.send("ACK", ok.Get("To"), "", 1)
	return func() { p.answered(p.send("BYE", ok.Get("To"), "", 2)) }
}
