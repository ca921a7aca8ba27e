package live

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parkd/test/kit/wire"
)

// Patience is how long anything that must happen may take on a busy machine, on
// which a start alone has taken six seconds.
const Patience = 30 * time.Second

// Options is what a phone is. Only Name, Network and Server must be set.
type Options struct {
	Name    string // user part of its URI
	Network string // udp, tcp, tls
	Server  string // host:port
	TLS     *tls.Config
	Host    netip.Addr // that it has; the zero Addr leaves it to the system
	Contact string     // URI to be called at, instead of where it is
	Listen  bool       // on TCP: whoever calls its Contact reaches it
	Trunk   bool       // each of its calls comes from somebody else
}

// A Phone is a scripted user agent with one way to parkd: a connected UDP
// socket (which hears nothing but what comes from the very socket it sends to),
// a TCP or a TLS connection.
type Phone struct {
	Options
	t    testing.TB
	wg   sync.WaitGroup
	door net.Listener // nil = it cannot be called on TCP

	mu      sync.Mutex // leaf; guards all below and the state of calls and lamps
	changed chan struct{}
	Conn    net.Conn // the way to parkd
	came    []net.Conn
	seq     int
	asked   map[string]*Request // by branch and method
	served  map[string]*served  // by branch and method
	got     []Got
	calls   []*Call
	ringing []*Call
	lamps   []*Lamp
	deaf    bool
	missed  []*wire.Message
	closed  bool
}

// Dialog is the phone's end of one (RFC 3261 12).
type Dialog struct {
	callID, localTag, remoteTag string
	local, remote               string
	Identity                    string // URI of the phone's end, "" where it was called
	Target                      string // URI of the other end
	cseq                        int
}

// New starts a phone. It lives until Close.
func New(t testing.TB, o Options) *Phone {
	t.Helper()
	p := &Phone{Options: o, t: t, changed: make(chan struct{}), asked: map[string]*Request{}, served: map[string]*served{}}
	if o.Listen {
		var err error
		if p.door, err = net.Listen("tcp", netip.AddrPortFrom(o.Host, 5060).String()); err != nil {
			t.Fatal(err)
		}
		p.wg.Go(p.accept)
	}
	if err := p.Connect(); err != nil {
		p.Close()
		t.Fatal(err)
	}
	return p
}

// Connect opens the phone's way to parkd, anew if there was one.
func (p *Phone) Connect() error {
	network := "udp"
	if p.Network != "udp" {
		network = "tcp"
	}
	conn, err := p.dialer(network).Dial(network, p.Server)
	if err != nil {
		return err
	}
	if p.Network == "tls" {
		secure := tls.Client(conn, p.TLS)
		if err := secure.Handshake(); err != nil {
			conn.Close()
			return err
		}
		conn = secure
	}
	p.mu.Lock()
	old := p.Conn
	p.Conn = conn
	p.mu.Unlock()
	if old != nil {
		old.Close()
	}
	p.wg.Go(func() { p.read(conn) })
	return nil
}

func (p *Phone) dialer(network string) *net.Dialer {
	d := &net.Dialer{Timeout: Patience}
	if from := netip.AddrPortFrom(p.Host, 0); p.Host.IsValid() && network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(from)
	} else if p.Host.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	return d
}

// accept takes the connections that others open.
func (p *Phone) accept() {
	for {
		conn, err := p.door.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			conn.Close()
			return
		}
		p.came = append(p.came, conn)
		p.mu.Unlock()
		p.wg.Go(func() { p.read(conn) })
	}
}

// Close takes the phone off the network, without a word to anybody.
func (p *Phone) Close() {
	p.mu.Lock()
	p.closed = true
	conns, calls := p.came, p.calls
	if p.Conn != nil {
		conns = append(conns, p.Conn)
	}
	p.mu.Unlock()
	if p.door != nil {
		p.door.Close()
	}
	for _, c := range conns {
		c.Close()
	}
	for _, c := range calls {
		c.Media.close()
	}
	p.wg.Wait()
}

// Deafen has the phone hear nothing on its SIP socket from now on, as when all
// that is sent to it is lost, or has it hear again.
func (p *Phone) Deafen(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}

// Missed lists what came while the phone was deaf.
func (p *Phone) Missed() []*wire.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*wire.Message(nil), p.missed...)
}

// Local is where the phone is.
func (p *Phone) Local() netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here()
}

// here is Local. The lock is held.
func (p *Phone) here() netip.AddrPort { return netip.MustParseAddrPort(p.Conn.LocalAddr().String()) }

// URI is the phone's identity, which is also where it can be reached.
func (p *Phone) URI() string { return fmt.Sprintf("sip:%s@%s", p.Name, p.Local()) }

func (p *Phone) contact() string {
	switch {
	case p.Contact != "":
		return "<" + p.Contact + ">"
	case p.door != nil:
		return fmt.Sprintf("<sip:%s@%s;transport=%s>", p.Name, p.door.Addr(), p.Network)
	case p.Network == "udp":
		return fmt.Sprintf("<sip:%s@%s>", p.Name, p.here())
	}
	return fmt.Sprintf("<sip:%s@%s;transport=%s>", p.Name, p.here(), p.Network)
}

// At is the URI of an extension at parkd.
func (p *Phone) At(ext string) string { return fmt.Sprintf("sip:%s@%s", ext, p.Server) }

func (p *Phone) token(kind string) string {
	p.seq++
	return fmt.Sprintf("%s-%s-%s-%d", kind, p.Name, strings.NewReplacer(".", "", ":", "", "[", "", "]", "").Replace(p.Server), p.seq)
}

// begin is a dialog that is about to begin. The lock is held.
func (p *Phone) begin(to string) *Dialog {
	user := p.Name
	if p.Trunk {
		user = fmt.Sprintf("%s-%d", p.Name, p.seq)
	}
	d := &Dialog{
		callID: p.token("call"), localTag: p.token("tag"), Target: to, remote: "<" + to + ">",
		Identity: fmt.Sprintf("sip:%s@%s", user, p.here()),
	}
	d.local = fmt.Sprintf("%q <%s>", strings.ToUpper(user), d.Identity)
	return d
}

// write sends a message by the phone's own way; to a parkd that is gone it says
// nothing.
func (p *Phone) write(text string) { say(p.Conn, text) }

// say sends a message. A socket reports first that what was sent before found
// nobody, and then sends nothing.
func say(conn net.Conn, text string) {
	if _, err := conn.Write([]byte(text)); errors.Is(err, syscall.ECONNREFUSED) {
		_, _ = conn.Write([]byte(text))
	}
}

// notify wakes whoever waits. The lock is held.
func (p *Phone) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Await waits until ok, which is called with the lock held.
func (p *Phone) Await(what string, ok func() bool) {
	p.t.Helper()
	if !p.Within(Patience, ok) {
		p.t.Fatalf("%s: never: %s", p.Name, what)
	}
}

// Within waits so long until ok, which is called with the lock held, and says
// whether it became true.
func (p *Phone) Within(limit time.Duration, ok func() bool) bool {
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		p.mu.Lock()
		done, changed := ok(), p.changed
		p.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-changed:
		case <-end.C:
			return false
		}
	}
}
