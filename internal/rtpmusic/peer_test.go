package rtpmusic

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// patience is how long a test on real sockets waits for what must come.
const patience = 10 * time.Second

// peer is a peer on a real socket.
type peer struct {
	t    *testing.T
	conn *net.UDPConn
	port *Port
	to   netip.AddrPort
	seq  uint16
}

func newSocket(t testing.TB, ip netip.Addr) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func addrOf(c *net.UDPConn) netip.AddrPort {
	return plain(c.LocalAddr().(*net.UDPAddr).AddrPort())
}

func newPeer(t *testing.T, e *Engine, ip netip.Addr) *peer {
	t.Helper()
	p, err := e.Open(ip)
	must(t, err)
	f := &peer{t: t, conn: newSocket(t, ip), port: p, to: netip.AddrPortFrom(ip, p.LocalPort())}
	p.Set(f.session(addrOf(f.conn)))
	return f
}

func (f *peer) session(remote netip.AddrPort) Session {
	return Session{Remote: remote, Codec: codec.PCMU, EventPT: 101, EventRecvPT: 101, Send: true, Recv: true}
}

// next waits for the next packet.
func (f *peer) next() heardPacket {
	f.t.Helper()
	h, ok := nextOf(f.conn, patience)
	if !ok {
		f.t.Fatal("nothing came")
	}
	return h
}

// nextOf waits for the next packet on a socket.
func nextOf(conn *net.UDPConn, wait time.Duration) (h heardPacket, ok bool) {
	b := make([]byte, maxDatagram)
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	n, from, err := conn.ReadFromUDPAddrPort(b)
	if err != nil {
		return h, false
	}
	h.from, h.at = plain(from), time.Now()
	return h, h.Parse(b[:n]) == packet.RTP
}

// say sends n packets from the peer's socket, and sayFrom from another.
func (f *peer) say(what string, n int) { f.sayFrom(f.conn, what, n) }

func (f *peer) sayFrom(conn *net.UDPConn, what string, n int) {
	f.t.Helper()
	for range n {
		f.seq++
		_, err := conn.WriteToUDPAddrPort(rtpBytes(false, 0, f.seq, uint32(f.seq)*160, 7, []byte(what)), f.to)
		must(f.t, err)
	}
}
