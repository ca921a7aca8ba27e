package fakenet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	addrA = netip.MustParseAddrPort("10.0.0.1:5060")
	addrB = netip.MustParseAddrPort("10.0.0.2:5060")
)

func pair(t *testing.T) (n *Net, a, b *Conn) {
	t.Helper()
	n = New()
	a, b = bind(t, n, addrA), bind(t, n, addrB)
	return n, a, b
}

func bind(t *testing.T, n *Net, addr netip.AddrPort) *Conn {
	t.Helper()
	c, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c *Conn, to netip.AddrPort, text string) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c *Conn, want string, after time.Duration) {
	t.Helper()
	start := time.Now()
	b := make([]byte, 100)
	n, _, err := c.ReadFrom(b)
	if err != nil || string(b[:n]) != want || time.Since(start) != after {
		t.Fatalf("got %q, %v after %v, want %q after %v", b[:n], err, time.Since(start), want, after)
	}
}

func TestPacketsArriveInOrderAfterTheirLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pair(t)
		for _, s := range []string{"one", "two", "three"} {
			send(t, a, addrB, s)
		}
		receive(t, b, "one", Latency)
		receive(t, b, "two", 0)
		receive(t, b, "three", 0)
	})
}

func TestAHookDropsDelaysAndDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t)
		n.Hook(func(p Packet) Verdict {
			switch string(p.Data) {
			case "dropped":
				return Verdict{Drop: true}
			case "late":
				return Verdict{Delay: time.Second}
			case "doubled":
				return Verdict{Extra: 1}
			}
			return Verdict{}
		})
		var fates int
		n.Watch(func(_ Packet, v Verdict) {
			if v != (Verdict{}) {
				fates++
			}
		})
		for _, s := range []string{"late", "dropped", "doubled", "plain"} {
			send(t, a, addrB, s)
		}
		receive(t, b, "doubled", Latency)
		receive(t, b, "doubled", 0)
		receive(t, b, "plain", 0)
		receive(t, b, "late", time.Second)
		if fates != 3 || n.Sent() != 4 {
			t.Errorf("watcher heard of %d fates of %d packets, want 3 of 4", fates, n.Sent())
		}
	})
}

func TestACutHostNeitherHearsNorSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t)
		send(t, a, addrB, "under way")
		n.Cut(addrB.Addr(), true)
		send(t, a, addrB, "lost")
		send(t, b, addrA, "lost")
		n.Cut(addrB.Addr(), false)
		send(t, a, addrB, "heard")
		receive(t, b, "heard", Latency)
	})
}

func TestAnOrphanedSocketIsDeafAndMuteAndItsAddressFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t)
		send(t, a, addrB, "under way")
		n.Orphan(addrB.Addr())
		again := bind(t, n, addrB)
		send(t, b, addrA, "unheard")
		send(t, a, addrB, "for the new one")
		send(t, again, addrA, "heard")
		receive(t, again, "for the new one", Latency)
		receive(t, a, "heard", 0)
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := b.ReadFrom(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the orphan heard something: %v", err)
		}
		b.Close()
		if got := n.Bound(addrB.Addr()); len(got) != 1 {
			t.Errorf("bound after the orphan's Close: %v", got)
		}
	})
}

func TestAnAddressIsBoundOnceAndFreeAfterClose(t *testing.T) {
	n, a, _ := pair(t)
	if _, err := n.Listen(addrA); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second Listen: %v, want EADDRINUSE", err)
	}
	a.Close()
	if got := n.Bound(addrA.Addr()); len(got) != 0 {
		t.Errorf("still bound: %v", got)
	}
	bind(t, n, addrA)
	if got := n.Bound(netip.Addr{}); len(got) != 2 {
		t.Errorf("bound: %v, want two", got)
	}
	if _, err := a.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(addrB)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

func TestAReadEndsByDeadlineAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _ := pair(t)
		a.SetReadDeadline(time.Now().Add(time.Minute))
		start := time.Now()
		if _, _, err := a.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		a.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { a.Close() })
		if _, _, err := a.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
	})
}
