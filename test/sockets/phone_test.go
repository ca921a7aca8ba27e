package sockets

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"parkd/test/kit/wire"
)

// A phone is a scripted user agent with one way to parkd: a connected UDP
// socket (which hears nothing but what comes from the very socket it sends to),
// a TCP or a TLS connection. It sends each request once, for nothing is lost
// on a loopback, and serves whatever comes.
type phone struct {
	s       *site
	name    string
	network string // udp, tcp, tls
	server  string // host:port
	conf    *tls.Config
	wg      sync.WaitGroup

	mu      sync.Mutex // leaf; guards all below and the state of calls and lamps
	changed chan struct{}
	conn    net.Conn
	seq     int
	asked   map[string]*request // by branch and method
	served  map[string]string   // responses, by branch and method
	calls   []*call
	ringing []*call
	lamps   []*lamp
	closed  bool
}

// A request is one of the phone's and what came back.
type request struct {
	method, branch, uri string
	cseq                int
	d                   *dialog
	ack                 string // of a 2xx to INVITE
	final               *wire.Message
	at                  time.Time // when final came
}

// dialog is the phone's end of one (RFC 3261 12).
type dialog struct {
	callID, localTag, remoteTag string
	local, remote, target       string
	cseq                        int
}

// phone adds a phone that reaches parkd at host:port by a network.
func (s *site) phone(name, network, server string) *phone {
	s.Helper()
	return s.phoneTLS(name, network, server, nil)
}

func (s *site) phoneTLS(name, network, server string, conf *tls.Config) *phone {
	s.Helper()
	p := &phone{
		s: s, name: name, network: network, server: server, conf: conf,
		changed: make(chan struct{}), asked: map[string]*request{}, served: map[string]string{},
	}
	s.phones = append(s.phones, p)
	if err := p.connect(); err != nil {
		s.Fatal(err)
	}
	return p
}

// connect opens the phone's way to parkd, anew if there was one.
func (p *phone) connect() error {
	network := "udp"
	if p.network != "udp" {
		network = "tcp"
	}
	conn, err := net.Dial(network, p.server)
	if err != nil {
		return err
	}
	if p.network == "tls" {
		secure := tls.Client(conn, p.conf)
		if err := secure.Handshake(); err != nil {
			conn.Close()
			return err
		}
		conn = secure
	}
	p.mu.Lock()
	old := p.conn
	p.conn = conn
	p.mu.Unlock()
	if old != nil {
		old.Close()
	}
	p.wg.Go(func() { p.read(conn) })
	return nil
}

func (p *phone) close() {
	p.mu.Lock()
	p.closed = true
	conn, calls := p.conn, p.calls
	p.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	for _, c := range calls {
		c.media.close()
	}
	p.wg.Wait()
}

// local is where the phone is.
func (p *phone) local() netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here()
}

// here is local. The lock is held.
func (p *phone) here() netip.AddrPort { return netip.MustParseAddrPort(p.conn.LocalAddr().String()) }

// uri is the phone's identity, which is also where it can be reached.
func (p *phone) uri() string { return fmt.Sprintf("sip:%s@%s", p.name, p.local()) }

func (p *phone) contact() string {
	if p.network == "udp" {
		return fmt.Sprintf("<sip:%s@%s>", p.name, p.here())
	}
	return fmt.Sprintf("<sip:%s@%s;transport=%s>", p.name, p.here(), p.network)
}

// at is the URI of an extension at parkd.
func (p *phone) at(ext string) string { return fmt.Sprintf("sip:%s@%s", ext, p.server) }

func (p *phone) token(kind string) string {
	p.seq++
	return fmt.Sprintf("%s-%s-%s-%d", kind, p.name, strings.NewReplacer(".", "", ":", "", "[", "", "]", "").Replace(p.server), p.seq)
}

// begin is a dialog that is about to begin. The lock is held.
func (p *phone) begin(to string) *dialog {
	return &dialog{
		callID: p.token("call"), localTag: p.token("tag"), target: to, remote: "<" + to + ">",
		local: fmt.Sprintf("%q <sip:%s@%s>", strings.ToUpper(p.name), p.name, p.here()),
	}
}

// send sends a request within a dialog, or one that begins it. The lock is held.
func (p *phone) send(d *dialog, method string, headers []string, body string) *request {
	d.cseq++
	r := &request{method: method, branch: "z9hG4bK" + p.token("b"), uri: d.target, cseq: d.cseq, d: d}
	p.asked[r.branch+method] = r
	p.write(p.text(r, method, d.remoteTag, headers, body))
	return r
}

// text writes a request. The lock is held.
func (p *phone) text(r *request, method, toTag string, headers []string, body string) string {
	to := r.d.remote
	if toTag != "" {
		to += ";tag=" + toTag
	}
	lines := []string{
		method + " " + r.uri + " SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=%s;rport", strings.ToUpper(p.network), p.here(), r.branch),
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

// write sends a message; to a parkd that is gone it says nothing.
func (p *phone) write(text string) { _, _ = p.conn.Write([]byte(text)) }

// notify wakes whoever waits. The lock is held.
func (p *phone) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// await waits until ok, which is called with the lock held.
func (p *phone) await(what string, ok func() bool) {
	p.s.Helper()
	end := time.After(patience)
	for {
		p.mu.Lock()
		done, changed := ok(), p.changed
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-end:
			p.s.Fatalf("%s: never: %s", p.name, what)
		}
	}
}

// expect waits for the final response, which must have that status.
func (p *phone) expect(r *request, code int) *wire.Message {
	p.s.Helper()
	p.await(fmt.Sprintf("an answer to %s %s", r.method, r.uri), func() bool { return r.final != nil })
	if got := r.final.Code(); got != code {
		p.s.Fatalf("%s: %s %s answered %q, want %d", p.name, r.method, r.uri, r.final.Start, code)
	}
	return r.final
}
