// Package phone is a scripted SIP phone on a fakenet network: it calls, is
// called, watches lamps, and sends and counts RTP, all in a testing/synctest
// bubble. It behaves as a proper user agent by itself where a test says
// nothing: it retransmits, answers retransmissions alike, acknowledges, and
// takes requests within its dialogs.
//
// It shares no code with the server but sipgo's parser. What the server sends
// must be well-formed, or the test fails. Methods that wait do so in fake time
// and fail the test when it is over; they are for the test's own goroutine.
package phone

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"parkd/test/kit/fakenet"
	"parkd/test/kit/wire"
)

// RFC 3261 17.1.1.1 and 17.1.2.2: timers on UDP.
const (
	t1      = 500 * time.Millisecond
	t2      = 4 * time.Second
	timeout = 64 * t1
)

// Patience is how long a phone waits for what a test expects: no answer of
// parkd's takes longer.
const Patience = 5 * time.Second

// Phone is a user agent with one SIP socket.
type Phone struct {
	Name string // user part of its URI

	t      testing.TB
	net    *fakenet.Net
	conn   *fakenet.Conn
	server netip.AddrPort
	done   chan struct{}
	wg     sync.WaitGroup
	direct sync.Map // of netip.AddrPort: phones that this one talks to past the server

	mu       sync.Mutex // leaf; guards all below and the state of calls and subscriptions
	changed  chan struct{}
	seq      int // numbers Call-IDs, tags and branches
	ports    int // media ports that were used
	asked    map[string]*Tx
	served   map[string]*served
	calls    []*Call
	subs     []*Sub
	refers   []*Transfer
	incoming []*Call // INVITEs that the test has not taken
	auto     map[string]int
	got      []Request
	referral *Referral // nil = REFER is refused
	srtp     SRTP
}

// Request is a request that came in, retransmissions left out.
type Request struct {
	At time.Time
	*wire.Message
}

// New starts a phone at addr whose server is at server.
func New(t testing.TB, n *fakenet.Net, name string, addr, server netip.AddrPort) *Phone {
	t.Helper()
	conn, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &Phone{
		Name: name, t: t, net: n, conn: conn, server: server, done: make(chan struct{}),
		changed: make(chan struct{}), asked: map[string]*Tx{}, served: map[string]*served{}, auto: map[string]int{},
	}
	p.wg.Go(p.read)
	return p
}

// Close takes the phone off the network at once, without a word to anybody.
func (p *Phone) Close() {
	p.mu.Lock()
	select {
	case <-p.done:
		p.mu.Unlock()
		return
	default:
	}
	close(p.done)
	calls := p.calls
	p.mu.Unlock()
	p.conn.Close()
	for _, c := range calls {
		c.Media.Close()
	}
	p.wg.Wait()
}

// Auto sets how requests with that method within dialogs are answered from now
// on; 0 is silence, 200 what they are answered with at first. "Replaces" with 200
// is for an INVITE that names a call which the phone has with somebody else: it
// rings.
func (p *Phone) Auto(method string, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.auto[method] = code
}

// Got lists the requests with that method that came in.
func (p *Phone) Got(method string) (list []Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.got {
		if r.Method() == method {
			list = append(list, r)
		}
	}
	return list
}

// URI is the phone's identity: at its own address, for there is no registrar.
func (p *Phone) URI() string { return fmt.Sprintf("sip:%s@%s", p.Name, p.conn.AddrPort().Addr()) }

// Contact is where it can be reached.
func (p *Phone) Contact() string { return fmt.Sprintf("<sip:%s@%s>", p.Name, p.conn.AddrPort()) }

// Calls lists the calls that the phone has made and got.
func (p *Phone) Calls() []*Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Call(nil), p.calls...)
}

// Forget ends a call without a word, as a phone that loses its power does.
func (p *Phone) Forget(c *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.end()
}

// mediaPort returns a port that no call of the phone has used. The lock is held.
func (p *Phone) mediaPort() uint16 {
	p.ports++
	return uint16(3998 + 2*p.ports)
}

// uri completes a user to a URI at the server.
func (p *Phone) uri(to string) string {
	if strings.HasPrefix(to, "sip:") {
		return to
	}
	user, params, _ := strings.Cut(to, ";")
	if params != "" {
		params = ";" + params
	}
	return fmt.Sprintf("sip:%s@%s%s", user, p.server, params)
}

// number returns a number that the phone has not used. The lock is held.
func (p *Phone) number() int {
	p.seq++
	return p.seq
}

func (p *Phone) token(kind string) string {
	return fmt.Sprintf("%s-%s-%d", kind, p.Name, p.number())
}

// notify wakes whoever waits for a change. The lock is held.
func (p *Phone) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// await waits until ok, which is called with the lock held, returns true.
func (p *Phone) await(within time.Duration, ok func() bool) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		p.mu.Lock()
		if ok() {
			p.mu.Unlock()
			return true
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

func (p *Phone) send(text string) {
	_, _ = p.conn.WriteToUDPAddrPort([]byte(text), p.next(text)) // a closed phone sends nothing
}

func (p *Phone) read() {
	b := make([]byte, 65536)
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if from != p.server {
			p.direct.Store(from, nil)
		}
		if n == 0 || b[0] < 'A' { // keep-alive
			continue
		}
		m, err := wire.Parse(b[:n])
		if err != nil {
			p.t.Errorf("%s got a malformed message: %v", p.Name, err)
			continue
		}
		p.mu.Lock()
		for _, c := range p.calls {
			if c.dialog.callID == m.CallID() {
				c.Media.overhear(m.Body)
			}
		}
		if m.Response() {
			p.response(m)
		} else {
			p.request(m)
		}
		p.notify()
		p.mu.Unlock()
	}
}

// message writes a SIP message.
func message(start string, headers []string, body string) string {
	return start + "\r\n" + strings.Join(headers, "\r\n") + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// header returns the first of the header lines with a name.
func header(lines []string, name string) (string, bool) {
	for _, l := range lines {
		if n, v, _ := strings.Cut(l, ":"); strings.EqualFold(n, name) {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}
