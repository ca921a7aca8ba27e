package sipua

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawUDP is a UDP socket past the poller of package net, which a thousand answers
// that come one by one wake a thousand times, with a goroutine to be found and often
// a thread: that costs more than to read them. Here one thread waits for the socket,
// reads what is there at once, and while many answers are to come it lets some
// gather. Sending never waits for the scheduler.
//
// While few are to come it waits in that poller all the same: the runtime keeps a
// thread looking, every 20 µs and for 10 ms, at one that waits for the system.
type rawUDP struct {
	local net.Addr
	six   bool // of the family of IPv6, with v4-mapped addresses
	fd    int
	bell  int // an eventfd, which ends a wait
	quiet *quietWait

	busy   func() bool  // many answers are to come
	sends  sync.RWMutex // held to send; to close, in full
	salvo  salvo
	full   atomic.Int64 // nobody waits for room before that time, in Unix nanoseconds
	reads  sync.Mutex   // held to read; whoever closes rings first
	closed atomic.Bool

	// Owned by reads:
	got, next int       // packets read at once, and the one that is next
	at        time.Time // when they were read
	heads     [gather]mmsghdr
	vectors   [gather]unix.Iovec
	names     [gather]unix.RawSockaddrInet6 // room for either family
	data      []byte
}

const (
	gather = 16                     // packets read at once at most
	rest   = 200 * time.Microsecond // for which answers gather

	roomWait = 20                     // milliseconds that a packet waits for room in the send buffer
	roomRest = 100 * time.Millisecond // for which nobody waits after one that waited in vain
)

// mmsghdr is that of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	size uint32
}

// openRaw takes a socket over, which is then closed to whoever has opened it; nil if
// it is none of the system, or cannot be had.
func openRaw(c net.PacketConn, busy func() bool) *rawUDP {
	conn, ok := c.(*net.UDPConn)
	if !ok {
		return nil
	}
	sc, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawUDP{local: c.LocalAddr(), fd: -1, busy: busy}
	err = sc.Control(func(fd uintptr) {
		if domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil {
			r.six = domain == unix.AF_INET6
			if n, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
				r.fd = n
			}
		}
	})
	if err != nil || r.fd < 0 {
		return nil
	}
	if r.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(r.fd)
		return nil
	}
	if r.quiet, err = newQuietWait(r.fd, r.bell); err != nil {
		unix.Close(r.bell)
		unix.Close(r.fd)
		return nil
	}
	conn.Close()
	r.data = make([]byte, gather*maxDatagram)
	for i := range r.heads {
		r.vectors[i].Base = &r.data[i*maxDatagram]
		r.vectors[i].SetLen(maxDatagram)
		h := &r.heads[i]
		h.Name, h.Iov = (*byte)(unsafe.Pointer(&r.names[i])), &r.vectors[i]
		h.SetIovlen(1)
	}
	return r
}

// wake ends a read that waits: it returns an error.
func (r *rawUDP) wake() {
	r.sends.RLock()
	defer r.sends.RUnlock()
	if !r.closed.Load() {
		r.ring()
	}
}

func (r *rawUDP) ring() { _, _ = unix.Write(r.bell, binary.NativeEndian.AppendUint64(nil, 1)) }

var errWoken = errors.New("woken")

// read returns the next packet, which is good until the next call, and when it was
// read. v4-mapped addresses become v4.
func (r *rawUDP) read() ([]byte, netip.AddrPort, time.Time, error) {
	r.reads.Lock()
	defer r.reads.Unlock()
	for r.next >= r.got {
		if r.closed.Load() {
			return nil, netip.AddrPort{}, time.Time{}, net.ErrClosed
		}
		if err := r.fill(); err != nil {
			return nil, netip.AddrPort{}, time.Time{}, err
		}
	}
	i := r.next
	r.next++
	return r.data[i*maxDatagram:][:r.heads[i].size], r.source(i), r.at, nil
}

// fill reads what is there, or waits. Only while many answers are to come it takes
// more than one packet: one that it has taken nobody else can have.
func (r *rawUDP) fill() error {
	busy := r.busy()
	for rested := false; ; {
		n := 1
		if busy {
			n = gather
		}
		got, errno := r.receive(n)
		switch {
		case errno == 0:
			r.got, r.next, r.at = got, 0, time.Now()
			return nil
		case errno == unix.EINTR:
		case errno != unix.EAGAIN:
			return &net.OpError{Op: "read", Net: "udp", Source: r.local, Err: os.NewSyscallError("recvmmsg", errno)}
		case busy && !rested:
			rested = true
			t := unix.NsecToTimespec(int64(rest))
			_ = unix.Nanosleep(&t, nil)
		default:
			return r.wait(busy)
		}
	}
}

func (r *rawUDP) receive(n int) (int, unix.Errno) {
	for i := range n {
		r.heads[i].Namelen = unix.SizeofSockaddrInet6
	}
	// It does not wait, so the scheduler need not know.
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.heads[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	return int(got), errno
}

// wait waits for a packet or for the bell.
func (r *rawUDP) wait(busy bool) error {
	rang := false
	if busy {
		fds := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}, {Fd: int32(r.bell), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return &net.OpError{Op: "read", Net: "udp", Source: r.local, Err: os.NewSyscallError("poll", err)}
		}
		rang = fds[1].Revents != 0
	} else {
		var err error
		if rang, err = r.quiet.wait(r.fd); err != nil {
			return &net.OpError{Op: "read", Net: "udp", Source: r.local, Err: err}
		}
	}
	if rang {
		var b [8]byte
		_, _ = unix.Read(r.bell, b[:])
		if r.closed.Load() {
			return net.ErrClosed
		}
		return errWoken
	}
	return nil
}

// source is where a packet came from.
func (r *rawUDP) source(i int) netip.AddrPort {
	name := &r.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	addr := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 && addr.Is6() {
		zone := strconv.FormatUint(uint64(name.Scope_id), 10)
		if ifi, err := net.InterfaceByIndex(int(name.Scope_id)); err == nil {
			zone = ifi.Name
		}
		addr = addr.WithZone(zone)
	}
	return netip.AddrPortFrom(addr, port)
}

// send sends a packet. errFull: it is lost, for want of room in the send buffer.
func (r *rawUDP) send(b []byte, to netip.AddrPort) error {
	failed := func(err error) error { return r.failed(to, err) }
	if len(b) == 0 {
		return failed(unix.EINVAL) // nobody has a message without a byte
	}
	r.sends.RLock()
	defer r.sends.RUnlock()
	if r.closed.Load() {
		return failed(net.ErrClosed)
	}
	var name unix.RawSockaddrInet6
	size, ok := r.name(&name, to)
	if !ok {
		return failed(unix.EAFNOSUPPORT)
	}
	for {
		// As long as it takes on the loopback, where it takes longest, a processor
		// slot need not be given away.
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(r.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT,
			uintptr(unsafe.Pointer(&name)), size)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		case unix.EAGAIN:
			if !r.room() {
				return failed(errFull)
			}
		default:
			return failed(os.NewSyscallError("sendto", errno))
		}
	}
}

// failed is the error of a packet that could not be sent.
func (r *rawUDP) failed(to netip.AddrPort, err error) error {
	return &net.OpError{Op: "write", Net: "udp", Source: r.local, Addr: net.UDPAddrFromAddrPort(to), Err: err}
}

// room waits for room in the send buffer, but not for long. What fills it are
// packets to neighbours that are gone, a switch full of phones without power, which
// the kernel keeps until ARP gives them up after seconds: whoever reads answers, or
// tells others, must not stand still as long. What finds no room is lost, as on any
// network, and is sent again by whoever needs an answer.
func (r *rawUDP) room() bool {
	if time.Now().UnixNano() < r.full.Load() {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLOUT}}
	if n, _ := unix.Poll(fds, roomWait); n > 0 {
		return true
	}
	r.full.Store(time.Now().Add(roomRest).UnixNano())
	return false
}

// name writes an address as the socket's family has it.
func (r *rawUDP) name(name *unix.RawSockaddrInet6, to netip.AddrPort) (size uintptr, ok bool) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
	addr := to.Addr().Unmap()
	if r.six {
		name.Family, name.Addr = unix.AF_INET6, addr.As16()
		if zone := addr.Zone(); zone != "" {
			if ifi, err := net.InterfaceByName(zone); err == nil {
				name.Scope_id = uint32(ifi.Index)
			} else if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
				name.Scope_id = uint32(n)
			}
		}
		return unix.SizeofSockaddrInet6, to.IsValid()
	}
	if !addr.Is4() {
		return 0, false
	}
	v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
	v4.Family, v4.Addr = unix.AF_INET, addr.As4()
	return unix.SizeofSockaddrInet4, true
}

// buffer is the size of the receive buffer; 0 = not known.
func (r *rawUDP) buffer() int {
	n, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return n
}

// close ends a read that waits and frees the socket.
func (r *rawUDP) close() error {
	if r.closed.Swap(true) {
		return net.ErrClosed
	}
	r.ring()
	r.reads.Lock()
	defer r.reads.Unlock()
	r.sends.Lock()
	defer r.sends.Unlock()
	r.quiet.close()
	unix.Close(r.bell)
	return unix.Close(r.fd)
}
