package sipua

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"parkd/internal/sipua/fakenet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	usAddr   = "10.0.0.1:5060"
	peerAddr = "10.0.0.2:5070"
)

// peer is a SIP peer that writes text and reads messages.
type peer struct {
	t    *testing.T
	conn net.PacketConn
	us   net.Addr
}

func (p *peer) send(text string) {
	p.t.Helper()
	if _, err := p.conn.WriteTo([]byte(wire(text)), p.us); err != nil {
		p.t.Fatal(err)
	}
}

// wire turns the tests' text into a message: CRLF, and an empty line.
func wire(text string) string {
	text = strings.TrimLeft(text, "\n")
	if !strings.Contains(text, "\n\n") {
		text = strings.TrimRight(text, "\n") + "\n\n"
	}
	return strings.ReplaceAll(text, "\n", "\r\n")
}

// read returns the next message within d, nil if there is none.
func (p *peer) read(d time.Duration) sip.Message {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(d))
	b := make([]byte, 65536)
	n, _, err := p.conn.ReadFrom(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		p.t.Fatal(err)
	}
	m, err := sip.ParseMessage(b[:n])
	if err != nil {
		p.t.Fatalf("%v in\n%s", err, b[:n])
	}
	return m
}

// response returns the next response other than 100.
func (p *peer) response() *sip.Response {
	p.t.Helper()
	for {
		m := p.read(time.Minute)
		if m == nil {
			p.t.Fatal("no response")
		}
		res, ok := m.(*sip.Response)
		if !ok {
			p.t.Fatalf("a request came instead of a response:\n%s", m)
		}
		if res.StatusCode != 100 {
			return res
		}
	}
}

// request returns the next request.
func (p *peer) request() *sip.Request {
	p.t.Helper()
	m := p.read(time.Minute)
	if m == nil {
		p.t.Fatal("no request")
	}
	req, ok := m.(*sip.Request)
	if !ok {
		p.t.Fatalf("a response came instead of a request:\n%s", m)
	}
	return req
}

func (p *peer) respond(req *sip.Request, code int, extra ...sip.Header) {
	p.t.Helper()
	res := sip.NewResponseFromRequest(req, code, Phrase(code), nil)
	for _, h := range extra {
		res.AppendHeader(h)
	}
	if _, err := p.conn.WriteTo([]byte(res.String()), p.us); err != nil {
		p.t.Fatal(err)
	}
}

// silence fails if anything comes within d.
func (p *peer) silence(d time.Duration) {
	p.t.Helper()
	if m := p.read(d); m != nil {
		p.t.Fatalf("unexpected:\n%s", m)
	}
}

// msg writes a request with all that it needs; lines replace or add headers
// by name, and "-Name" leaves one out.
func msg(method, uri, branch string, cseq int, lines ...string) string {
	order := []string{"Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Length"}
	h := map[string]string{
		"Via": "SIP/2.0/UDP 10.0.0.2:5070;branch=z9hG4bK" + branch + ";rport", "Max-Forwards": "70",
		"From": "<sip:ann@example.com>;tag=a1", "To": "<" + uri + ">", "Call-ID": "call1",
		"CSeq": fmt.Sprintf("%d %s", cseq, method), "Contact": "<sip:ann@10.0.0.2:5070>", "Content-Length": "0",
	}
	for _, l := range lines {
		if name, ok := strings.CutPrefix(l, "-"); ok {
			delete(h, name)
			continue
		}
		name, value, _ := strings.Cut(l, ": ")
		if _, ok := h[name]; !ok {
			order = append(order, name)
		}
		h[name] = value
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\n", method, uri)
	for _, name := range order {
		if v, ok := h[name]; ok {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	return b.String()
}

// local are the settings in which everybody is trusted.
func local() Settings {
	return Settings{UserAgent: "parkd/test", Access: Access{
		Realm: "parkd", Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}}
}

// start runs an endpoint with one fake UDP listener and a peer beside it.
func start(t *testing.T, o Options, setup func(*Endpoint)) (*Endpoint, *peer, *fakenet.Network) {
	t.Helper()
	n := fakenet.New()
	o.Listeners = []Listener{{Network: "udp", Packet: n.Listen(usAddr)}}
	if o.Settings.UserAgent == "" {
		o.Settings = local()
	}
	return run(t, o, setup), newPeer(t, n, peerAddr), n
}

func run(t *testing.T, o Options, setup func(*Endpoint)) *Endpoint {
	t.Helper()
	o.Log = zerolog.Nop()
	if testing.Verbose() {
		o.Log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.TraceLevel)
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if setup != nil {
		setup(e)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(t.Context()) }()
	t.Cleanup(func() {
		e.Shutdown()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	<-e.Ready()
	return e
}

func newPeer(t *testing.T, n *fakenet.Network, addr string) *peer {
	us, _ := net.ResolveUDPAddr("udp", usAddr)
	p := &peer{t: t, conn: n.Listen(addr), us: us}
	t.Cleanup(func() { p.conn.Close() })
	return p
}
