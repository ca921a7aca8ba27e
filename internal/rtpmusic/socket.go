package rtpmusic

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"parkd/internal/rtpmusic/packet"
)

// socket is a port's UDP socket. Every method is called under the port's mutex,
// and none waits.
type socket interface {
	// aim sets where send sends to, and undoes join.
	aim(to netip.AddrPort)
	send(b []byte) error
	// fetch has what send takes fetched into the cache; the one method that is called
	// without the mutex.
	fetch()
	// join has the kernel exchange packets with the aimed address alone, which is
	// cheaper; false where that cannot be. Joined or not, aim and send work alike.
	join(on bool) bool
	// watch has send fail after an ICMP error, on an unjoined socket too.
	watch(on bool)
	// filter has the kernel throw away what f does not let pass, once attach has been
	// called; with nil everything passes at once. False where there are no filters.
	filter(f *filter) bool
	// doze has nobody be told of what comes, or its poller again; true if it is so.
	doze(on bool) bool
	// drain reads what is queued and gives it to f; nothing where reading waits.
	drain(f func(b []byte, from netip.AddrPort))
	close()
}

// looseAfter is how long a peer must be silent for its socket to be unjoined, so that it
// would be heard from another address of its own: RTCP may come another way, and does not
// count. It is longer than the longest packets (60 ms) of which one in sampleEvery passes
// are apart.
const looseAfter = 5 * time.Second

// send sends a packet to the peer.
func (p *Port) send(b []byte, now time.Duration) bool {
	size := len(b) - packet.HeaderSize
	if b = p.prepare(b, now); b == nil {
		return false
	}
	return p.sent(size, p.sock.send(b))
}

// prepare makes a packet what the socket is to send, in place; nil if that cannot be
// protected.
func (p *Port) prepare(b []byte, now time.Duration) []byte {
	if p.out.joined && now-p.out.heard > looseAfter {
		p.out.joined = p.sock.join(false)
	}
	if p.lock != nil {
		return p.lock.protect(b)
	}
	return b
}

// sent takes note of what became of a packet with size octets of payload; true if it
// was sent.
func (p *Port) sent(size int, err error) bool {
	if err == nil {
		p.out.packets++
		p.out.octets += uint32(size)
		return true
	}
	p.refused(err)
	return false
}

// refused takes note of an error of the socket: it may tell that nobody is at the
// address in the peer's description.
func (p *Port) refused(err error) {
	if !unreachable(err) || !p.latch.refused() {
		return
	}
	p.sock.watch(false)
	p.aim()
	p.replaced()
}

// unreachable says whether an error came from an ICMP message.
func unreachable(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.ENETUNREACH)
}

// inUse says whether a port could not be bound because somebody else has it.
func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// plain returns an address as peers are told apart by it: IPv4 as such, and no
// zone, since a port is in one zone only.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// connSocket is a socket over a Conn, with a goroutine that reads it.
type connSocket struct {
	conn Conn
	zone string // of the address it is bound to
	to   netip.AddrPort
}

func (s *connSocket) aim(to netip.AddrPort) {
	if to.Addr().IsLinkLocalUnicast() {
		to = netip.AddrPortFrom(to.Addr().WithZone(s.zone), to.Port())
	}
	s.to = to
}

func (s *connSocket) send(b []byte) error {
	_, err := s.conn.WriteToUDPAddrPort(b, s.to)
	return err
}

func (s *connSocket) join(bool) bool { return false }

func (s *connSocket) watch(bool) {}

func (s *connSocket) filter(*filter) bool { return false }

func (s *connSocket) fetch() {}

func (s *connSocket) doze(bool) bool { return false }

func (s *connSocket) drain(func([]byte, netip.AddrPort)) {}

func (s *connSocket) close() {
	_ = s.conn.Close() // nothing is left to be done about it
}

// bindConn binds the port by Config.Listen and starts its reader.
func (p *Port) bindConn(addr netip.AddrPort) error {
	conn, err := p.e.listen(addr)
	if err != nil {
		return err
	}
	p.e.markConn(conn, addr.Addr().Is6())
	p.sock = &connSocket{conn: conn, zone: addr.Addr().Zone()}
	r := &reader{e: p.e, count: p.e.spare()}
	p.e.wg.Go(func() { p.read(conn, r) })
	return nil
}

// maxReadErrors is after how many failed reads in a row a reader gives up; on
// some systems an ICMP message fails one.
const maxReadErrors = 1000

// read reads conn until it is closed.
func (p *Port) read(conn Conn, r *reader) {
	b := make([]byte, maxDatagram)
	for failed := 0; failed < maxReadErrors; {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return
		}
		if err != nil {
			failed++
			p.refused(err)
			p.mu.Unlock()
			continue
		}
		failed = 0
		r.take(p, b[:n], plain(from))
		p.mu.Unlock()
		r.act(p)
	}
}

// packetRoom is how much room a relayed packet needs at most.
const packetRoom = packet.HeaderSize + maxDatagram
