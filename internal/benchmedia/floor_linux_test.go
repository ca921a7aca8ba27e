package benchmedia

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// The floor sends a packet of each stream every 20 ms, or says that it did not, to
// the addresses that it was given.
func TestFloor(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const streams, window = 5, time.Second
	var to []netip.AddrPort
	for range streams {
		to = append(to, conn.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	s, err := Floor(t.Context(), to, 0, window)
	if err != nil {
		t.Fatal(err)
	}
	want := streams * int(window/(Slots*time.Millisecond))
	if s.Packets+s.Skipped != want || s.Packets == 0 {
		t.Errorf("%d packets and %d left out, want %d together", s.Packets, s.Skipped, want)
	}
	if s.CPU <= 0 || s.Packet() <= 0 || s.Took < window/2 {
		t.Errorf("CPU %v, %v a packet, within %v", s.CPU, s.Packet(), s.Took)
	}
	from := map[netip.AddrPort]int{}
	for b := make([]byte, 1500); len(from) < streams; {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, at, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			t.Fatalf("packets came of %d sockets: %v", len(from), err)
		}
		if from[at]++; n != packetSize {
			t.Fatalf("a packet of %d octets", n)
		}
	}
}

// Callers send from their own addresses, in the order of a stream.
func TestCallersTalk(t *testing.T) {
	callers, err := NewCallers()
	if err != nil {
		t.Fatal(err)
	}
	defer callers.Close()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	var ways []Way
	for _, i := range []int{0, 1, 19, 20, 70000} {
		ways = append(ways, Way{From: callers.At(i), To: netip.AddrPortFrom(to.Addr().Unmap(), to.Port())})
	}
	for _, every := range []int{1, 3} {
		talk, err := callers.Talk(ways, every)
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		last := map[netip.AddrPort]uint16{}
		for b := make([]byte, 1500); ; {
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, at, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				t.Fatal(err)
			}
			at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
			seq := uint16(b[2])<<8 | uint16(b[3])
			if was, ok := last[at]; ok && (int16(seq-was) <= 0 || (seq-was)%uint16(every) != 0) || n != packetSize || b[0] != 0x80 {
				t.Fatalf("%d octets, %x at the front, sequence number %d after %d", n, b[0], seq, was)
			} else if last[at], read = seq, read+1; ok && len(last) == len(ways) {
				break
			}
		}
		for _, w := range ways {
			if _, ok := last[w.From]; !ok {
				t.Errorf("nothing came from %s", w.From)
			}
		}
		if s := talk.End(); s.Packets < read || s.CPU <= 0 {
			t.Errorf("%d packets by its own count in %v of CPU, %d came", s.Packets, s.CPU, read)
		}
		drain(t, conn)
	}
	if _, err := callers.Talk([]Way{{From: to, To: to}}, 1); err == nil {
		t.Error("a stranger may talk")
	}
}

// drain reads what is left.
func drain(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	for b := make([]byte, 1500); ; {
		if _, _, err := conn.ReadFromUDPAddrPort(b); err != nil {
			return
		}
	}
}
