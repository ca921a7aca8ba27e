// Package fakenet is a packet network in memory, for tests of SIP that run in
// a testing/synctest bubble. It promises nothing about throughput.
package fakenet

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// queue is how many packets wait at a socket; more are lost, as with UDP.
const queue = 4096

// Network joins sockets. Make it inside the bubble.
type Network struct {
	// Fate decides what happens to a packet: how long it travels, and whether
	// it arrives. nil = at once, always. Set it before packets flow.
	Fate func(from, to netip.AddrPort, b []byte) (delay time.Duration, arrives bool)

	mu    sync.Mutex
	conns map[netip.AddrPort]*Conn
}

// New makes an empty network.
func New() *Network { return &Network{conns: map[netip.AddrPort]*Conn{}} }

// Listen opens a socket at an address such as "10.0.0.1:5060". It panics when
// the address is taken or malformed.
func (n *Network) Listen(addr string) *Conn {
	ap := netip.MustParseAddrPort(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns[ap] != nil {
		panic("address in use: " + addr)
	}
	c := &Conn{net: n, local: ap, in: make(chan packet, queue), errs: make(chan error, 16), done: make(chan struct{})}
	n.conns[ap] = c
	return c
}

type packet struct {
	from netip.AddrPort
	b    []byte
}

// Conn is a socket of the network.
type Conn struct {
	net   *Network
	local netip.AddrPort
	in    chan packet
	errs  chan error
	done  chan struct{}
	once  sync.Once

	mu       sync.Mutex
	deadline time.Time
}

// ReadFrom waits for a packet.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.mu.Lock()
	deadline := c.deadline
	c.mu.Unlock()
	var late <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		late = t.C
	}
	select {
	case p := <-c.in:
		return copy(b, p.b), net.UDPAddrFromAddrPort(p.from), nil
	case err := <-c.errs:
		return 0, nil, err
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	case <-c.done:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo sends a packet; one to nowhere is lost.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (int, error) {
	select {
	case <-c.done:
		return 0, net.ErrClosed
	default:
	}
	to, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return 0, err
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	p := packet{from: c.local, b: append([]byte(nil), b...)}
	var delay time.Duration
	if c.net.Fate != nil {
		d, arrives := c.net.Fate(c.local, to, p.b)
		if !arrives {
			return len(b), nil
		}
		delay = d
	}
	if delay > 0 {
		time.AfterFunc(delay, func() { c.net.deliver(to, p) })
	} else {
		c.net.deliver(to, p)
	}
	return len(b), nil
}

func (n *Network) deliver(to netip.AddrPort, p packet) {
	n.mu.Lock()
	c := n.conns[to]
	n.mu.Unlock()
	if c == nil {
		return
	}
	select {
	case c.in <- p:
	case <-c.done:
	default: // the buffer is full: lost
	}
}

// Fail makes one ReadFrom return err.
func (c *Conn) Fail(err error) { c.errs <- err }

// Close closes the socket and frees its address.
func (c *Conn) Close() error {
	c.once.Do(func() {
		close(c.done)
		c.net.mu.Lock()
		delete(c.net.conns, c.local)
		c.net.mu.Unlock()
	})
	return nil
}

// LocalAddr is the address given to Listen.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

// SetDeadline sets the deadline of reads that begin after it.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline sets the deadline of reads that begin after it.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
