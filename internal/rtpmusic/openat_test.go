package rtpmusic

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
)

func at(port uint16) netip.AddrPort { return netip.AddrPortFrom(ourIP, port) }

func TestOpenAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		e := NewEngine(Config{Ports: [2]uint16{10000, 10007}, Listen: n.Listen, Threads: 1})
		defer e.Close()
		openAt := func(num uint16) *Port {
			t.Helper()
			p, err := e.OpenAt(at(num))
			must(t, err)
			if p.LocalPort() != num || n.conns[at(num)] == nil {
				t.Errorf("opened %d, want %d", p.LocalPort(), num)
			}
			return p
		}
		free := func(want int) {
			t.Helper()
			if st := e.Stats(); st.Free != want {
				t.Errorf("%d free, want %d", st.Free, want)
			}
		}
		even, odd, outside := openAt(10002), openAt(10005), openAt(5004)
		free(3)
		for _, want := range []uint16{10000, 10004, 10006} {
			p, err := e.Open(ourIP)
			must(t, err)
			if p.LocalPort() != want {
				t.Errorf("opened %d, want %d", p.LocalPort(), want)
			}
			defer p.Close()
		}
		odd.Close()
		outside.Close()
		free(0)
		if _, err := e.Open(ourIP); !errors.Is(err, ErrNoPorts) {
			t.Errorf("with all ports of the range taken: %v", err)
		}
		even.Close()
		free(1)
		openAt(10002).Close() // it has not rested at all
		openAt(10005).Close()
		free(1)
	})
}

func TestOpenAtRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		e := NewEngine(Config{Ports: [2]uint16{10000, 10003}, Listen: n.Listen, Threads: 1})
		defer e.Close()
		for _, num := range []uint16{10002, 5004} {
			other, err := n.listen(at(num))
			must(t, err)
			if _, err := e.OpenAt(at(num)); !errors.Is(err, ErrTaken) || !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%d: %v", num, err)
			}
			must(t, other.Close())
		}
		ours, err := e.Open(ourIP)
		must(t, err)
		if _, err := e.OpenAt(at(10000)); !errors.Is(err, ErrTaken) {
			t.Errorf("of ours: %v", err)
		}
		second, err := e.OpenAt(netip.MustParseAddrPort("10.0.0.9:10000")) // another socket
		must(t, err)
		ours.Close()
		if st := e.Stats(); st.Ports != 1 || st.Free != 1 {
			t.Errorf("one of two closed: %+v", st)
		}
		second.Close()
		if st := e.Stats(); st.Ports != 0 || st.Free != 2 {
			t.Errorf("both closed: %+v", st)
		}
		for _, bad := range []netip.AddrPort{{}, at(0)} {
			if _, err := e.OpenAt(bad); !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("%v: %v", bad, err)
			}
		}
		e.Close()
		if _, err := e.OpenAt(at(10000)); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
