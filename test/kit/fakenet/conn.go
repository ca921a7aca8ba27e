package fakenet

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sort"
	"sync"
	"time"
)

// room is how many packets wait in a socket; more are lost, as in a kernel.
const room = 4096

// Conn is a bound UDP socket: a net.PacketConn, and with the AddrPort methods
// what *net.UDPConn has. Its methods are safe for concurrent use.
type Conn struct {
	net  *Net
	addr netip.AddrPort
	done chan struct{} // closed by Close
	wake chan struct{} // capacity 1: inbox or deadline has changed

	mu       sync.Mutex // leaf; guards all below
	closed   bool
	inbox    []arrival // by due, then by order of sending
	deadline time.Time
}

type arrival struct {
	due    time.Time
	packet Packet
}

func newConn(n *Net, addr netip.AddrPort) *Conn {
	return &Conn{net: n, addr: addr, done: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// arrive puts a packet into the inbox: behind all that arrive no later.
func (c *Conn) arrive(p Packet, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.inbox) >= room {
		return
	}
	i := sort.Search(len(c.inbox), func(i int) bool { return c.inbox[i].due.After(due) })
	c.inbox = append(c.inbox, arrival{})
	copy(c.inbox[i+1:], c.inbox[i:])
	c.inbox[i] = arrival{due, p}
	c.poke()
}

func (c *Conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox = nil
}

// next takes the first packet that has arrived; else it says how long there
// will be none (negative: for ever).
func (c *Conn) next(now time.Time) (p Packet, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return p, 0, net.ErrClosed
	case len(c.inbox) > 0 && !c.inbox[0].due.After(now):
		p = c.inbox[0].packet
		c.inbox = c.inbox[1:]
		return p, 0, nil
	case !c.deadline.IsZero() && !c.deadline.After(now):
		return p, 0, os.ErrDeadlineExceeded
	}
	wait = -1
	if len(c.inbox) > 0 {
		wait = c.inbox[0].due.Sub(now)
	}
	if !c.deadline.IsZero() && (wait < 0 || c.deadline.Sub(now) < wait) {
		wait = c.deadline.Sub(now)
	}
	return p, wait, nil
}

func (c *Conn) read() (Packet, error) {
	for {
		p, wait, err := c.next(time.Now())
		if err != nil || p.Data != nil {
			return p, err
		}
		var due <-chan time.Time
		if wait >= 0 {
			timer := time.NewTimer(wait)
			due = timer.C
			defer timer.Stop() // a read waits a few times at most
		}
		select {
		case <-c.wake:
		case <-due:
		case <-c.done:
		}
	}
}

// ReadFromUDPAddrPort waits for a packet.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	p, err := c.read()
	if err != nil {
		return 0, netip.AddrPort{}, &net.OpError{Op: "read", Net: "udp", Source: c.LocalAddr(), Err: err}
	}
	return copy(b, p.Data), p.From, nil
}

// WriteToUDPAddrPort sends a packet.
func (c *Conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.isClosed() {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Err: net.ErrClosed}
	}
	data := bytes.Clone(b)
	if data == nil {
		data = []byte{}
	}
	c.net.send(c, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), data)
	return len(b), nil
}

// ReadFrom implements net.PacketConn.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

var errAddr = errors.New("not a UDP address")

// WriteTo implements net.PacketConn.
func (c *Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	addr, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Addr: to, Err: errAddr}
	}
	return c.WriteToUDPAddrPort(b, addr.AddrPort())
}

// LocalAddr implements net.PacketConn.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// AddrPort is the address that the socket is bound to.
func (c *Conn) AddrPort() netip.AddrPort { return c.addr }

// SetReadDeadline implements net.PacketConn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.poke()
	return nil
}

// SetWriteDeadline implements net.PacketConn: writing never waits.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.PacketConn.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close frees the address and ends a read that waits. It may be called again.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.inbox = nil
	c.mu.Unlock()
	close(c.done)
	c.net.release(c)
	return nil
}

var _ net.PacketConn = (*Conn)(nil)
