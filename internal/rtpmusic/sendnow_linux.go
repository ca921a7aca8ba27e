package rtpmusic

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// sendNow sends a packet from a socket of package net, which waits while its buffer is
// full, as it is when enough neighbours are gone: the packet is lost then.
func sendNow(c Conn, b []byte, to netip.AddrPort) error {
	u, ok := c.(*net.UDPConn)
	if !ok {
		_, err := c.WriteToUDPAddrPort(b, to)
		return err
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var at unix.Sockaddr = &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16(), ZoneId: zoneID(to.Addr())}
	if to.Addr().Is4() {
		at = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	outer := raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, at) })
	if outer != nil {
		return outer
	}
	return err
}
