package benchmedia

import (
	"fmt"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Callers stand for the phones of any number of callers with Slots descriptors:
// each caller is an address of 127.0.0.0/8, and each socket is at one port of all
// of these. A filter throws every packet to them away in the kernel, so that
// receiving costs next to nothing. One more is where all have their RTCP: phones have
// that somewhere, too, and nobody is told that it went nowhere.
type Callers struct {
	fds   [Slots + 1]int
	ports [Slots + 1]uint16
	live  atomic.Int32 // sockets that are open
}

// NewCallers opens the sockets; errors are those of the system.
func NewCallers() (*Callers, error) {
	c := new(Callers)
	for i := range c.fds {
		fd, port, err := deaf()
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("sockets of callers: %w", err)
		}
		c.fds[i], c.ports[i] = fd, port
		c.live.Store(int32(i + 1))
	}
	return c, nil
}

// deaf opens a socket at a free port of the loopback interface alone, whatever the
// address of 127.0.0.0/8, that takes no packet.
func deaf() (fd int, port uint16, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	filter := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &filter[0]})
	if err == nil {
		err = unix.BindToDevice(fd, "lo")
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{})
	}
	var at unix.Sockaddr
	if err == nil {
		at, err = unix.Getsockname(fd)
	}
	if err != nil {
		_ = unix.Close(fd) // the first error says more
		return 0, 0, err
	}
	return fd, uint16(at.(*unix.SockaddrInet4).Port), nil
}

// At is the address of caller i, of as many as there are addresses: some millions.
func (c *Callers) At(i int) netip.AddrPort {
	i++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(2 + i>>16), byte(i >> 8), byte(i)}), c.ports[i%Slots])
}

// RTCP is the port of all callers' addresses where they want reports.
func (c *Callers) RTCP() uint16 { return c.ports[Slots] }

// slot is which socket and which phase the caller at an address has.
func (c *Callers) slot(at netip.AddrPort) (int, bool) {
	for i, p := range c.ports[:Slots] {
		if p == at.Port() {
			return i, true
		}
	}
	return 0, false
}

// Close closes the sockets.
func (c *Callers) Close() {
	for i := range c.live.Swap(0) {
		_ = unix.Close(c.fds[i]) // nothing is left to be done about it
	}
}
