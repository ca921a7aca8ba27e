package rtpmusic

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// control is the RTCP socket of all ports on one address of ours whose peers do not
// multiplex (RFC 5761): descriptions name it (RFC 3605), so that a call needs no
// second descriptor. It is at an odd port of the range, which no RTP is at.
type control struct {
	e    *Engine
	conn Conn
	port uint16
	addr netip.Addr // that it is bound to
	used int        // ports that have it; guarded by the mu of controls

	mu      sync.Mutex
	peers   map[netip.AddrPort]*Port // guarded by mu; by where the peer says that its RTCP comes from
	members map[member]claim         // guarded by mu; by whose stream a port hears
	over    bool                     // guarded by mu; it is closed
}

// controls are the RTCP sockets of an engine.
type controls struct {
	mu     sync.Mutex
	by     map[netip.Addr]*control      // guarded by mu
	failed map[netip.Addr]time.Duration // guarded by mu; when there was no port to be had
}

// controlTries bounds how many odd ports that others have one call meets.
const controlTries = 32

// control returns the RTCP socket of an address for one more port, best where it was
// in a former process; nil if there is none to be had.
func (e *Engine) control(ip netip.Addr, best uint16) *control {
	s := &e.controls
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.by[ip]; c != nil {
		c.used++
		return c
	}
	if at, ok := s.failed[ip]; ok && e.now()-at < portRetry {
		return nil
	}
	c := e.newControl(ip, best)
	if c == nil {
		e.log.Warn().Stringer("address", ip).Msg("no port for RTCP, calls go on without")
		s.failed[ip] = e.now()
		return nil
	}
	s.by[ip] = c
	e.wg.Go(c.run)
	return c
}

func (e *Engine) newControl(ip netip.Addr, best uint16) *control {
	listen := e.listen
	if listen == nil {
		listen = func(a netip.AddrPort) (Conn, error) { return net.ListenUDP("udp", net.UDPAddrFromAddrPort(a)) }
	}
	try := func(port uint16) *control {
		conn, err := listen(netip.AddrPortFrom(ip, port))
		if err != nil {
			return nil
		}
		e.markConn(conn, ip.Is6())
		return &control{e: e, conn: conn, port: port, addr: ip, used: 1,
			peers: make(map[netip.AddrPort]*Port), members: make(map[member]claim)}
	}
	if best%2 == 1 {
		if c := try(best); c != nil {
			return c
		}
	}
	for port, n := int(e.ports[0])|1, 0; port <= int(e.ports[1]) && n < controlTries; port, n = port+2, n+1 {
		if c := try(uint16(port)); c != nil {
			return c
		}
	}
	return nil
}

// leave is the end of control. The last one out closes the socket.
func (c *control) leave() {
	s := &c.e.controls
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.used--; c.used > 0 {
		return
	}
	delete(s.by, c.addr)
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	_ = c.conn.Close() // ends run
}

// move has what comes from an address given to p, and no more what came from the one
// before; either may be none. If two peers say that they are in one place, the last
// one is.
func (c *control) move(p *Port, from, to netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peers[from] == p {
		delete(c.peers, from)
	}
	if to.IsValid() {
		c.peers[to] = p
	}
}

// send sends to a peer, or not at all: the port is locked meanwhile.
func (c *control) send(b []byte, to netip.AddrPort) error {
	if to.Addr().IsLinkLocalUnicast() {
		to = netip.AddrPortFrom(to.Addr().WithZone(c.addr.Zone()), to.Port())
	}
	return sendNow(c.conn, b, to)
}

// run reads until the socket is closed.
func (c *control) run() {
	r := &reader{e: c.e, count: c.e.spare()}
	b := make([]byte, maxDatagram)
	for failed := 0; failed < maxReadErrors; {
		n, from, err := c.conn.ReadFromUDPAddrPort(b)
		from = plain(from)
		m := memberOf(from, b[:n])
		c.mu.Lock()
		p, over := c.owner(from, m), c.over
		c.mu.Unlock()
		if over {
			return
		}
		if err != nil {
			failed++
			continue
		}
		failed = 0
		if p == nil {
			r.count.strangers.Add(1)
			continue
		}
		p.mu.Lock()
		if !p.closed {
			r.takeControl(p, from, m, b[:n])
		}
		p.mu.Unlock()
	}
}
