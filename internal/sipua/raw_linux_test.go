package sipua

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// rawPair is a socket past package net, and a usual one that talks to it.
func rawPair(t *testing.T, listen, from string, busy func() bool) (*rawUDP, *net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenPacket("udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	at := addrPort(c.LocalAddr())
	r := openRaw(c, busy)
	if r == nil {
		t.Fatal("not opened")
	}
	t.Cleanup(func() { r.close() })
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the one who opened it still has it: %v", err)
	}
	p, err := net.ListenPacket("udp", from)
	if err != nil {
		t.Skipf("no %s on this system: %v", from, err)
	}
	t.Cleanup(func() { p.Close() })
	host := netip.MustParseAddrPort(from).Addr()
	return r, p.(*net.UDPConn), netip.AddrPortFrom(host, at.Port())
}

// Packets come and go with their addresses, one by one or many at once.
func TestRaw(t *testing.T) {
	for _, row := range []struct{ name, listen, peer string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0"},
		{"IPv6", "[::1]:0", "[::1]:0"},
		{"both, IPv4", "[::]:0", "127.0.0.1:0"},
		{"both, IPv6", "[::]:0", "[::1]:0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var busy atomic.Bool
			r, p, us := rawPair(t, row.listen, row.peer, busy.Load)
			them := addrPort(p.LocalAddr())
			large := bytes.Repeat([]byte("x"), 2000)
			for _, b := range []bool{false, true} {
				busy.Store(b)
				for i := range 40 {
					text := append([]byte{byte(i)}, large[:i*40]...)
					if _, err := p.WriteToUDPAddrPort(text, us); err != nil {
						t.Fatal(err)
					}
				}
				for i := range 40 {
					data, from, _, err := r.read()
					if err != nil || from != them || len(data) != 1+i*40 || data[0] != byte(i) {
						t.Fatalf("packet %d: %d bytes from %v, %v", i, len(data), from, err)
					}
				}
			}
			if err := r.send([]byte("back"), them); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			p.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, from, err := p.ReadFromUDPAddrPort(b)
			if err != nil || string(b[:n]) != "back" || from.Port() != us.Port() || from.Addr().Unmap() != us.Addr() {
				t.Errorf("%q from %v, %v", b[:n], from, err)
			}
		})
	}
}

// However it is waited for, each packet is met: those that came before the wait, too,
// and those that the other way of waiting has seen.
func TestRawWaits(t *testing.T) {
	var busy atomic.Bool
	r, p, us := rawPair(t, "127.0.0.1:0", "127.0.0.1:0", busy.Load)
	got := make(chan error)
	for i := range 200 {
		busy.Store(i%3 == 0)
		send := func() {
			if _, err := p.WriteToUDPAddrPort([]byte{byte(i)}, us); err != nil {
				t.Error(err)
			}
		}
		if i%2 == 0 {
			send()
		}
		go func() {
			data, _, _, err := r.read()
			if err == nil && (len(data) != 1 || data[0] != byte(i)) {
				err = fmt.Errorf("packet %d: %x", i, data)
			}
			got <- err
		}()
		if i%2 == 1 {
			runtime.Gosched()
			send()
		}
		if err := within(t, got); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever waits is woken, and nobody uses a socket that is closed.
func TestRawEnds(t *testing.T) {
	for _, row := range []struct {
		name string
		busy bool
	}{{"in the poller", false}, {"while many answers are to come", true}} {
		t.Run(row.name, func(t *testing.T) { testRawEnds(t, row.busy) })
	}
}

func testRawEnds(t *testing.T, busy bool) {
	r, p, us := rawPair(t, "127.0.0.1:0", "127.0.0.1:0", func() bool { return busy })
	got := make(chan error)
	read := func() { go func() { _, _, _, err := r.read(); got <- err }() }
	read()
	r.wake()
	if err := within(t, got); !errors.Is(err, errWoken) {
		t.Errorf("%v", err)
	}
	read()
	if _, err := p.WriteToUDPAddrPort([]byte("x"), us); err != nil {
		t.Fatal(err)
	}
	if err := within(t, got); err != nil {
		t.Errorf("%v after it was woken", err)
	}
	for _, bad := range []netip.AddrPort{{}, netip.MustParseAddrPort("[::1]:5060")} {
		if err := r.send([]byte("x"), bad); err == nil {
			t.Errorf("sent to %v", bad)
		}
	}
	if err := r.send(make([]byte, 70000), addrPort(p.LocalAddr())); err == nil {
		t.Error("more than a datagram was sent")
	}
	read()
	go r.close()
	if err := within(t, got); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, _, _, err := r.read(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := r.send([]byte("x"), addrPort(p.LocalAddr())); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := r.close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	r.wake()
}
