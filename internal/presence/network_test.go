package presence

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// network is UDP in memory.
type network struct {
	mu     sync.Mutex
	ports  map[netip.AddrPort]*port
	tap    func(from, to netip.AddrPort, data []byte) (lose bool) // sees every packet, may be nil
	double []bool                                                 // of the next packets, over and over, which come twice
	sent   int
}

type packet struct {
	data []byte
	from netip.AddrPort
}

// port is a socket of the network.
type port struct {
	n    *network
	addr netip.AddrPort
	in   chan packet
	done chan struct{}
	once sync.Once
	off  bool // owned by n.mu: what it sends is lost
}

// cut takes a socket off the network.
func (n *network) cut(p *port) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p.off = true
	if n.ports[p.addr] == p {
		delete(n.ports, p.addr)
	}
}

func newNetwork() *network { return &network{ports: map[netip.AddrPort]*port{}} }

func (n *network) listen(addr string) *port {
	p := &port{n: n, addr: netip.MustParseAddrPort(addr), in: make(chan packet, 4096), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[p.addr] = p
	return p
}

func (p *port) WriteTo(b []byte, to net.Addr) (int, error) {
	u := to.(*net.UDPAddr).AddrPort()
	dst := netip.AddrPortFrom(u.Addr().Unmap(), u.Port())
	p.n.mu.Lock()
	q := p.n.ports[dst]
	if p.off || p.n.tap != nil && p.n.tap(p.addr, dst, b) {
		q = nil
	}
	p.n.sent++
	copies := 1
	if d := p.n.double; len(d) > 0 && d[p.n.sent%len(d)] {
		copies = 2
	}
	p.n.mu.Unlock()
	for ; q != nil && copies > 0; copies-- {
		q.in <- packet{append([]byte(nil), b...), p.addr}
	}
	return len(b), nil // nobody there: lost
}

func (p *port) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case k := <-p.in:
		return copy(b, k.data), net.UDPAddrFromAddrPort(k.from), nil
	case <-p.done:
		return 0, nil, net.ErrClosed
	}
}

func (p *port) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *port) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(p.addr) }
func (p *port) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (p *port) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (p *port) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// notice is a NOTIFY as a phone got it.
type notice struct {
	at      time.Time
	to      netip.AddrPort
	seq     uint32
	version int
	shown   string
	state   string // Subscription-State
	entity  string
	req     *sip.Request
}

func (n notice) id() string { return fmt.Sprint(n.req.CallID().Value(), " ", n.seq) }

// phone is a watcher.
type phone struct {
	t       testing.TB
	sock    *port
	server  netip.AddrPort
	contact string
	headers []string // more of every SUBSCRIBE
	vias    []string // more Vias
	user    string   // From
	callID  string
	toTag   string
	cseq    int

	mu       sync.Mutex
	answer   func(n notice, copies int) (code int, header string) // 0 = silence; nil = 200
	copies   map[string]int                                       // NOTIFYs by Call-ID and CSeq, with repetitions
	notices  []notice                                             // without repetitions
	replies  []*sip.Response
	sequence []string // what came, in order: "200", "NOTIFY"
}

var calls int

func newPhone(t testing.TB, n *network, addr string) *phone {
	calls++
	p := &phone{t: t, sock: n.listen(addr), server: serverAddr, user: "sip:bob@example.com",
		contact: "<sip:bob@" + addr + ">", callID: fmt.Sprintf("call-%d", calls), copies: map[string]int{}}
	go p.run()
	return p
}

func (p *phone) run() {
	b := make([]byte, 65536)
	for {
		n, from, err := p.sock.ReadFrom(b)
		if err != nil {
			return
		}
		msg, err := sip.ParseMessage(append([]byte(nil), b[:n]...))
		if err != nil {
			p.t.Errorf("%v\n%s", err, b[:n])
			continue
		}
		switch m := msg.(type) {
		case *sip.Response:
			p.mu.Lock()
			p.replies = append(p.replies, m)
			p.sequence = append(p.sequence, fmt.Sprint(m.StatusCode))
			if tag, ok := m.To().Params.Get("tag"); ok && m.StatusCode == 200 && m.CallID().Value() == p.callID {
				p.toTag = tag
			}
			p.mu.Unlock()
		case *sip.Request:
			p.notified(m, from)
		}
	}
}

func (p *phone) notified(m *sip.Request, from net.Addr) {
	n := notice{at: time.Now(), to: p.sock.addr, seq: m.CSeq().SeqNo, req: m, state: value(m, "Subscription-State")}
	fmt.Sscanf(string(m.Body()), "version=%d shown=%s entity=%s", &n.version, &n.shown, &n.entity)
	n.shown = strings.Trim(n.shown, "-")
	p.mu.Lock()
	p.copies[n.id()]++
	copies := p.copies[n.id()]
	if copies == 1 {
		p.notices = append(p.notices, n)
		p.sequence = append(p.sequence, "NOTIFY")
	}
	answer := p.answer
	p.mu.Unlock()
	code, header := 200, ""
	if answer != nil {
		code, header = answer(n, copies)
	}
	if code != 0 {
		p.respond(m, code, header, from)
	}
}

func (p *phone) respond(m *sip.Request, code int, header string, to net.Addr) {
	res := sip.NewResponseFromRequest(m, code, "Answer", nil)
	if name, v, ok := strings.Cut(header, ": "); ok {
		res.AppendHeader(sip.NewHeader(name, v))
	}
	if _, err := p.sock.WriteTo([]byte(res.String()), to); err != nil {
		p.t.Error(err)
	}
}

// subscribe sends a SUBSCRIBE, in the dialog if there is one. Lines replace the
// headers of the same name; an empty value takes one away.
func (p *phone) subscribe(uri string, lines ...string) {
	p.cseq++
	to := "<sip:701@192.0.2.1>"
	if p.toTag != "" {
		to += ";tag=" + p.toTag
	}
	via := p.sock.addr.String()
	headers := []string{
		fmt.Sprintf("Via: SIP/2.0/UDP %s;rport;branch=z9hG4bK-%s-%d", via, p.callID, p.cseq),
		"Max-Forwards: 70", "From: <" + p.user + ">;tag=from", "To: " + to, "Call-ID: " + p.callID,
		fmt.Sprintf("CSeq: %d SUBSCRIBE", p.cseq), "Contact: " + p.contact, "Event: dialog", "Expires: 3600", "Content-Length: 0",
	}
	for _, l := range append(p.headers, lines...) {
		name, v, _ := strings.Cut(l, ":")
		at := -1
		for i, h := range headers {
			if strings.HasPrefix(h, name+":") {
				at = i
			}
		}
		switch {
		case at < 0:
			headers = append(headers, l)
		case strings.TrimSpace(v) == "":
			headers = append(headers[:at], headers[at+1:]...)
		default:
			headers[at] = l
		}
	}
	head := append([]string{"SUBSCRIBE " + uri + " SIP/2.0", headers[0]}, p.vias...)
	text := strings.Join(append(head, headers[1:]...), "\r\n") + "\r\n\r\n"
	if _, err := p.sock.WriteTo([]byte(text), net.UDPAddrFromAddrPort(p.server)); err != nil {
		p.t.Error(err)
	}
}

func (p *phone) answers(f func(n notice, copies int) (int, string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

func (p *phone) got() []notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]notice(nil), p.notices...)
}

func (p *phone) last() notice {
	p.t.Helper()
	all := p.got()
	if len(all) == 0 {
		p.t.Fatal("no NOTIFY")
	}
	return all[len(all)-1]
}

func (p *phone) reply() *sip.Response {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.replies) == 0 {
		p.t.Fatal("no response")
	}
	return p.replies[len(p.replies)-1]
}

// all are the responses so far.
func (p *phone) all() []*sip.Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*sip.Response(nil), p.replies...)
}

// order is what came since it was asked last.
func (p *phone) order() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sequence
	p.sequence = nil
	return s
}

func value(m sip.Message, name string) string {
	if h := m.GetHeaders(name); len(h) > 0 {
		return h[0].Value()
	}
	return ""
}

func (p *phone) serverAddr() net.Addr { return net.UDPAddrFromAddrPort(p.server) }

func (p *phone) raw(text string) {
	if _, err := p.sock.WriteTo([]byte(text), p.serverAddr()); err != nil {
		p.t.Error(err)
	}
}
