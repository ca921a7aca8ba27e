package rtpmusic

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"parkd/internal/rtpmusic/packet"
)

// fakeNet is a network in memory, for bubbles of testing/synctest.
type fakeNet struct {
	mu    sync.Mutex
	conns map[netip.AddrPort]*fakeConn
}

type datagram struct {
	b    []byte
	from netip.AddrPort
	at   time.Time
}

// fakeConn is a socket on a fakeNet.
type fakeConn struct {
	net    *fakeNet
	addr   netip.AddrPort
	in     chan datagram
	closed chan struct{}
	once   sync.Once
	stall  time.Duration // what the next write takes; set while nobody writes
}

func newFakeNet() *fakeNet { return &fakeNet{conns: make(map[netip.AddrPort]*fakeConn)} }

func (n *fakeNet) listen(addr netip.AddrPort) (*fakeConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns[addr] != nil {
		return nil, syscall.EADDRINUSE
	}
	c := &fakeConn{net: n, addr: addr, in: make(chan datagram, 10000), closed: make(chan struct{})}
	n.conns[addr] = c
	return c, nil
}

func (n *fakeNet) Listen(addr netip.AddrPort) (Conn, error) { return n.listen(addr) }

func (c *fakeConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-c.in:
		return copy(b, d.b), d.from, nil
	case <-c.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (c *fakeConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.stall > 0 {
		time.Sleep(c.stall)
		c.stall = 0
	}
	c.net.mu.Lock()
	peer := c.net.conns[to]
	c.net.mu.Unlock()
	if peer != nil {
		select {
		case peer.in <- datagram{append([]byte(nil), b...), c.addr, time.Now()}:
		default: // a full queue loses what comes, as the system's does
		}
	}
	return len(b), nil
}

func (c *fakeConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

func (c *fakeConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.net.mu.Lock()
		delete(c.net.conns, c.addr)
		c.net.mu.Unlock()
	})
	return nil
}

// heardPacket is a packet that a phone received.
type heardPacket struct {
	packet.Packet
	from netip.AddrPort
	at   time.Time
}

// phone is a peer on a fakeNet.
type phone struct {
	t    *testing.T
	conn *fakeConn
	to   netip.AddrPort // the port of ours
	port *Port

	pt   uint8
	seq  uint16
	ts   uint32
	ssrc uint32
}

// world is an engine on a fakeNet.
type world struct {
	t   *testing.T
	net *fakeNet
	e   *Engine
}

var (
	ourIP = netip.MustParseAddr("10.0.0.1")
)

func newWorld(t *testing.T) *world {
	w := &world{t: t, net: newFakeNet()}
	w.e = NewEngine(Config{Ports: [2]uint16{10000, 10100}, Listen: w.net.Listen})
	return w
}

// phone opens a port and a peer for it.
func (w *world) phone(at string) *phone {
	w.t.Helper()
	conn, err := w.net.listen(netip.MustParseAddrPort(at))
	must(w.t, err)
	p, err := w.e.Open(ourIP)
	must(w.t, err)
	return &phone{t: w.t, conn: conn, port: p, to: netip.AddrPortFrom(ourIP, p.LocalPort()), ssrc: 77, seq: 100, ts: 5000}
}

// session is one with the phone at its own address.
func (f *phone) session(codecName string, pt uint8) Session {
	f.pt = pt
	return Session{Remote: f.conn.addr, Codec: codecName, PT: pt, RecvPT: pt,
		EventPT: 101, EventRecvPT: 101, EventClock: 8000, Send: true, Recv: true}
}

// received returns what came since it was last asked.
func (f *phone) received() []heardPacket {
	f.t.Helper()
	var got []heardPacket
	for {
		select {
		case d := <-f.conn.in:
			h := heardPacket{from: d.from, at: d.at}
			if h.Parse(d.b) != packet.RTP {
				f.t.Fatalf("the phone got something that is not RTP: %x", d.b)
			}
			got = append(got, h)
		default:
			return got
		}
	}
}

// send sends a packet as it is.
func (f *phone) send(marker bool, pt uint8, seq uint16, ts uint32, payload []byte) {
	_, _ = f.conn.WriteToUDPAddrPort(rtpBytes(marker, pt, seq, ts, f.ssrc, payload), f.to)
}

// say sends the next 20 ms.
func (f *phone) say(payload []byte) {
	f.seq++
	f.ts += 160
	f.send(false, f.pt, f.seq, f.ts, payload)
}
