// Package fakenet is a UDP network in memory, for tests inside a
// testing/synctest bubble. Packets take time to arrive, in the order in which
// they were sent on a path; a hook sees each one before it leaves and may drop,
// delay or double it; a watcher hears what became of it.
//
// It promises that nothing is random, that no goroutine of its own runs, and
// that a closed network holds nobody back. It does not reorder, fragment or
// lose packets by itself, and packets to an address that nobody has bound
// vanish without an ICMP message.
package fakenet

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Latency is how long a packet is under way unless a hook says otherwise. It
// separates cause and effect, so that what happens at one instant is
// independent of each other and records of it can be put into a fixed order.
const Latency = time.Millisecond

// Packet is a datagram as it leaves.
type Packet struct {
	Number   int // of all packets of the network, from 0
	At       time.Time
	From, To netip.AddrPort
	Data     []byte // not to be changed
}

// SIP reports whether the packet carries SIP.
func (p Packet) SIP() bool { return SIP(p.Data) }

// SIP reports whether a datagram is SIP: RTP and RTCP begin with a byte from
// 128, STUN with one below 4 (RFC 7983 7), keep-alives with CR or NUL.
func SIP(b []byte) bool { return len(b) > 0 && b[0] >= 'A' && b[0] <= 'Z' }

// Verdict is what becomes of a packet. The zero Verdict delivers it.
type Verdict struct {
	Drop  bool
	Delay time.Duration // beyond Latency
	Extra int           // how many further times it arrives, at the same time
}

// Hook decides about each packet. It runs on the sender's goroutine and must
// not block; it is never called concurrently.
type Hook func(Packet) Verdict

// Net is a network.
type Net struct {
	hooking sync.Mutex // serialises hook and watch, which are called under it

	mu    sync.Mutex // guards all below
	hook  Hook
	watch func(Packet, Verdict)
	bound map[netip.AddrPort]*Conn
	down  map[netip.Addr]bool
	count int
}

// New returns a network without hosts.
func New() *Net {
	return &Net{bound: map[netip.AddrPort]*Conn{}, down: map[netip.Addr]bool{}}
}

// Hook sets who decides about packets from now on; nil delivers them all.
func (n *Net) Hook(h Hook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hook = h
}

// Watch sets who is told of each packet and of what becomes of it.
func (n *Net) Watch(f func(Packet, Verdict)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watch = f
}

// Listen binds a socket; EADDRINUSE if the address is taken.
func (n *Net) Listen(addr netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bound[addr] != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, syscall.EADDRINUSE)
	}
	c := newConn(n, addr)
	n.bound[addr] = c
	return c, nil
}

// Cut takes a host off the network, or puts it back: while it is off, what it
// sends and what is sent to it is lost, and what is under way to it as well.
func (n *Net) Cut(host netip.Addr, off bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[host] = off
	if !off {
		return
	}
	for addr, c := range n.bound {
		if addr.Addr() == host {
			c.flush()
		}
	}
}

// Orphan takes the sockets of a host away from their owner: they stay open but
// neither hear nor are heard, and their addresses are free at once. So ends a
// process that is killed.
func (n *Net) Orphan(host netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for addr, c := range n.bound {
		if addr.Addr() == host {
			delete(n.bound, addr)
			c.flush()
		}
	}
}

// Bound lists the bound addresses of a host, or of all for the zero Addr.
func (n *Net) Bound(host netip.Addr) []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []netip.AddrPort
	for addr := range n.bound {
		if !host.IsValid() || addr.Addr() == host {
			list = append(list, addr)
		}
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return list
}

// Sent is how many packets there have been.
func (n *Net) Sent() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count
}

func (n *Net) send(c *Conn, to netip.AddrPort, data []byte) {
	n.hooking.Lock()
	defer n.hooking.Unlock()
	from := c.addr
	n.mu.Lock()
	if n.bound[from] != c { // orphaned
		n.mu.Unlock()
		return
	}
	p := Packet{Number: n.count, At: time.Now(), From: from, To: to, Data: data}
	n.count++
	hook, watch := n.hook, n.watch
	lost := n.down[from.Addr()] || n.down[to.Addr()]
	n.mu.Unlock()
	var v Verdict
	if hook != nil {
		v = hook(p)
	}
	n.mu.Lock()
	// The hook may have cut it off.
	v.Drop = v.Drop || lost || n.down[from.Addr()] || n.down[to.Addr()] || n.bound[from] != c
	target := n.bound[to]
	n.mu.Unlock()
	if watch != nil {
		watch(p, v)
	}
	if v.Drop || target == nil {
		return
	}
	for range 1 + v.Extra {
		target.arrive(p, p.At.Add(Latency+v.Delay))
	}
}

func (n *Net) release(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bound[c.addr] == c {
		delete(n.bound, c.addr)
	}
}
