package rtpmusic

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"parkd/internal/prefetch"
)

// systemListen is nil: on Linux ports are raw sockets, read by pollers.
var systemListen func(netip.AddrPort) (Conn, error)

// rawSocket is a UDP socket of the system that the Go runtime does not know of:
// no poll descriptor, no goroutine that waits, addresses made ready once.
type rawSocket struct {
	fd       int
	v6       bool
	fixed    bool // bound to one address, not to all
	whole    bool // IPv4: its packets are not cut up; see keepWhole
	joined   bool
	watching bool
	to       unix.RawSockaddrInet6 // or a RawSockaddrInet4 in its place; where send sends to
	toSize   uintptr               // 0: nowhere

	scope  uint32 // of the address that it is bound to if that is an IPv6 one of a link
	screen screen
	poller *poller
	slot   int32 // in poller
}

// bind binds the port and puts it under a poller.
func (p *Port) bind(addr netip.AddrPort) error {
	if p.e.listen != nil {
		return p.bindConn(addr)
	}
	s := &rawSocket{v6: addr.Addr().Is6(), fixed: !addr.Addr().IsUnspecified()}
	family, local := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(addr.Port())})
	if s.v6 {
		family, local = unix.AF_INET6, &unix.SockaddrInet6{
			Port: int(addr.Port()), Addr: addr.Addr().As16(), ZoneId: zoneID(addr.Addr())}
		s.scope = zoneID(addr.Addr())
	} else {
		local.(*unix.SockaddrInet4).Addr = addr.Addr().As4()
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return err
	}
	if s.v6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil {
		err = unix.Bind(fd, local)
	}
	if err != nil {
		_ = unix.Close(fd) // the first error says more
		return err
	}
	if s.v6 {
		p.e.marked(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, p.e.trafficClass()))
	} else {
		p.e.marked(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, p.e.trafficClass()))
	}
	s.fd = fd
	s.keepWhole()
	p.sock = s
	s.poller = p.e.pollers[p.e.next.Add(1)%uint32(len(p.e.pollers))]
	if err = s.poller.add(p, s); err != nil {
		_ = unix.Close(fd)
	}
	return err
}

func (s *rawSocket) aim(to netip.AddrPort) {
	s.join(false)
	ip := to.Addr()
	switch {
	case s.v6 && ip.Is6():
		s.to = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ip.As16()}
		if ip.IsLinkLocalUnicast() {
			s.to.Scope_id = s.scope
		}
		s.toSize = unix.SizeofSockaddrInet6
	case !s.v6 && ip.Is4():
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&s.to)) =
			unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
		s.toSize = unix.SizeofSockaddrInet4
	default:
		s.toSize = 0
		return
	}
	// Both kinds have the port in the same place, in network order.
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&s.to.Port))[:], to.Port())
}

func (s *rawSocket) send(b []byte) error {
	if s.toSize == 0 {
		return unix.EAFNOSUPPORT
	}
	return s.again(b, s.sendto(b))
}

// keepWhole has the system refuse what is too long for its path, and so would have to be
// cut up: music never is. The packets are those that it sends anyway where it finds out
// what a path takes (DF is set, RFC 1191 3), but for the identification, which may be
// any then (RFC 6864 4.1) and is 0. Else it takes a random number and memory that is
// cold, for each packet of a socket that is not joined: a tenth of what that costs.
func (s *rawSocket) keepWhole() {
	if s.v6 { // has no such number but in fragments
		return
	}
	if v, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); err != nil || v != unix.IP_PMTUDISC_WANT {
		return // somebody has chosen otherwise: net.ipv4.ip_no_pmtu_disc
	}
	s.whole = unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO) == nil
}

// cut undoes it for good, as voice of a bridge may be as long as its sender likes.
func (s *rawSocket) cut() {
	s.whole = false
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_WANT) // what it was
}

// again returns what became of a packet that was sent once.
func (s *rawSocket) again(b []byte, err unix.Errno) error {
	if err == unix.ECONNREFUSED && s.joined {
		// It told of an earlier packet; this one was not sent.
		err = s.sendto(b)
	}
	if err == unix.EMSGSIZE && s.whole { // this packet, or an earlier one
		s.cut()
		err = s.sendto(b)
	}
	if err != 0 {
		return err
	}
	return nil
}

// sendto sends without telling the scheduler: the call never blocks.
func (s *rawSocket) sendto(b []byte) unix.Errno {
	to, size := unsafe.Pointer(&s.to), s.toSize
	if s.joined {
		to, size = nil, 0
	}
	_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(len(b)), unix.MSG_NOSIGNAL, uintptr(to), size)
	return err
}

// recv reads one datagram into b; EAGAIN if there is none.
func (s *rawSocket) recv(b []byte) (int, netip.AddrPort, unix.Errno) {
	var from unix.RawSockaddrInet6
	size := uint32(unix.SizeofSockaddrInet6)
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(len(b)), 0, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
	if err != 0 {
		return 0, netip.AddrPort{}, err
	}
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&from.Port))[:])
	if s.v6 {
		return int(n), netip.AddrPortFrom(netip.AddrFrom16(from.Addr), port), 0
	}
	return int(n), netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&from)).Addr), port), 0
}

func (s *rawSocket) join(on bool) bool {
	if on == s.joined || on && (!s.fixed || s.toSize == 0) {
		// Connecting a socket bound to all addresses would bind it to one.
		return s.joined
	}
	to, size := unsafe.Pointer(&s.to), s.toSize
	none := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	if !on {
		to, size = unsafe.Pointer(&none), unsafe.Sizeof(none)
	}
	_, _, err := unix.RawSyscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(to), size)
	if err == 0 {
		s.joined = on
	}
	return s.joined
}

func (s *rawSocket) watch(on bool) {
	if on == s.watching {
		return
	}
	v := 0
	if on {
		v = 1
	}
	// Taking the option off also empties the queue of errors.
	if s.v6 {
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, v)
	} else {
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_RECVERR, v)
	}
	s.watching = on // without the option a refusal goes unnoticed, as before
}

// screen is the filter of a socket. To attach one takes the system a tenth of a
// millisecond, for which a sender must not wait: it is done outside of the port's
// mutex, under its own.
type screen struct {
	mu       sync.Mutex
	want     *filter // guarded by mu; nil = none, or the socket is closed
	attached *filter // guarded by mu
	refused  bool    // guarded by mu: by the system
}

func (s *rawSocket) filter(f *filter) bool {
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	s.screen.want = f
	if f == nil && s.screen.attached != nil {
		s.screen.attached = nil
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) // there is one
	}
	return f != nil && !s.screen.refused
}

// attach attaches the filter that is wanted, if it still is. A system that refuses has
// the packets read.
func (s *rawSocket) attach() {
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	f := s.screen.want
	if f == nil || f == s.screen.attached {
		return
	}
	// Both types are the kernel's struct sock_filter.
	first := (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(f.prog)))
	err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(f.prog)), Filter: first})
	if err != nil {
		s.screen.refused = true
		s.poller.refused(err)
		return
	}
	s.screen.attached = f
}

// failure returns the error that the socket has to tell, if any, which is told by it.
func (s *rawSocket) failure() error {
	n, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	return unix.Errno(n)
}

func (s *rawSocket) fetch() {
	prefetch.Memory(unsafe.Pointer(s), unsafe.Offsetof(s.toSize)+unsafe.Sizeof(s.toSize))
}

func (s *rawSocket) doze(on bool) bool {
	op := unix.EPOLL_CTL_ADD // tells at once of what has come
	if on {
		op = unix.EPOLL_CTL_DEL
	}
	if err := s.poller.control(op, s); err != nil {
		s.poller.e.log.Warn().Err(err).Msg("media port is not told of what comes")
		return !on
	}
	return on
}

// maxDrain bounds how many datagrams are drained; a socket's queue holds fewer
// of the size of voice.
const maxDrain = 1000

func (s *rawSocket) drain(f func(b []byte, from netip.AddrPort)) {
	b := make([]byte, maxDatagram)
	for range maxDrain {
		n, from, err := s.recv(b)
		if err == unix.EAGAIN {
			return
		}
		if err == 0 {
			f(b[:n], from)
		}
	}
}

func (s *rawSocket) close() {
	s.screen.mu.Lock()
	s.screen.want = nil // the descriptor will be another's
	s.screen.mu.Unlock()
	s.poller.remove(s)
	_ = unix.Close(s.fd) // nothing is left to be done about it
}

// zoneID returns the number of an address's zone; 0 for none.
func zoneID(ip netip.Addr) uint32 {
	if ip.Zone() == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(ip.Zone()); err == nil {
		return uint32(ifi.Index)
	}
	n, err := strconv.ParseUint(ip.Zone(), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
