package rtpmusic

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Packets carry the DSCP on the wire, whoever made the socket; one that is open keeps its own.
func TestPacketsAreMarked(t *testing.T) {
	for _, ip := range []string{"127.0.46.10", "::1"} { // an address of its own: others on this machine may have all ports of 127.0.0.1
		for name, listen := range map[string]func(netip.AddrPort) (Conn, error){
			"raw": nil,
			"net": func(a netip.AddrPort) (Conn, error) { return net.ListenUDP("udp", net.UDPAddrFromAddrPort(a)) },
		} {
			t.Run(name+" "+ip, func(t *testing.T) {
				addr := netip.MustParseAddr(ip)
				e := NewEngine(Config{Ports: [2]uint16{20000, 20998}, DSCP: 46, Listen: listen})
				defer e.Close()
				if c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))); err != nil {
					t.Skipf("this system has no %s: %v", ip, err)
				} else {
					_ = c.Close()
				}
				f := newPeer(t, e, addr)
				e.Mark(10)
				g := newPeer(t, e, addr)
				if a, b := classOf(t, f), classOf(t, g); a != 46<<2 || b != 10<<2 {
					t.Errorf("traffic classes %d and %d, want %d and %d", a, b, 46<<2, 10<<2)
				}
			})
		}
	}
}

// classOf plays to the peer and returns the traffic class of what it receives.
func classOf(t *testing.T, f *peer) byte {
	t.Helper()
	raw, err := f.conn.SyscallConn()
	must(t, err)
	level, option, kind := unix.IPPROTO_IP, unix.IP_RECVTOS, int32(unix.IP_TOS)
	if addrOf(f.conn).Addr().Is6() {
		level, option, kind = unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, unix.IPV6_TCLASS
	}
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }))
	must(t, err)
	f.port.Play(newLoop(1))
	must(t, f.conn.SetReadDeadline(time.Now().Add(patience)))
	b, oob := make([]byte, maxDatagram), make([]byte, 256)
	_, n, _, _, err := f.conn.ReadMsgUDPAddrPort(b, oob)
	must(t, err)
	list, err := unix.ParseSocketControlMessage(oob[:n])
	must(t, err)
	for _, m := range list {
		if m.Header.Level == int32(level) && m.Header.Type == kind {
			return m.Data[0]
		}
	}
	t.Fatal("no traffic class")
	return 0
}
