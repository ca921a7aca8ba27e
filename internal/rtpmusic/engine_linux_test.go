package rtpmusic

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func newTestEngine(t testing.TB) *Engine {
	t.Helper()
	e := NewEngine(Config{Ports: [2]uint16{20000, 29999}})
	t.Cleanup(e.Close)
	return e
}

func TestSystemSockets(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "127.0.0.5", "::1"} {
		t.Run(ip, func(t *testing.T) {
			if strings.Contains(ip, ":") {
				c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
				if err != nil {
					t.Skipf("this system has no IPv6: %v", err)
				}
				_ = c.Close()
			}
			exchange(t, newTestEngine(t), netip.MustParseAddr(ip))
		})
	}
}

// reaches plays to f until conn gets a packet.
func reaches(f *peer, conn *net.UDPConn) bool {
	for begun := time.Now(); time.Since(begun) < patience; {
		if _, ok := nextOf(conn, 50*time.Millisecond); ok {
			return true
		}
	}
	return false
}

// waitFor waits until f is true.
func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); !f(); <-tick.C {
		if time.Since(begun) > patience {
			t.Fatal("waited in vain for " + what)
		}
	}
}

func TestJoinsItsPeer(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	f.port.Play(newLoop(1))
	f.next()
	f.say("x", 1)
	joined := f.port.isJoined
	waitFor(t, "the join", joined)
	f.next()

	// The peer's socket is gone: refusals must stop nothing.
	addr := net.UDPAddrFromAddrPort(addrOf(f.conn))
	_ = f.conn.Close()
	out := e.Stats().Out
	waitFor(t, "packets to a closed socket", func() bool { return e.Stats().Out > out+5 })
	conn, err := net.ListenUDP("udp", addr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	f.conn = conn
	f.next()

	// A new description undoes it, and so does silence.
	f.port.Set(f.session(addrOf(f.conn)))
	if joined() {
		t.Error("still joined after a new description")
	}
	f.say("x", 1)
	waitFor(t, "the second join", joined)
	f.port.silence()
	waitFor(t, "the join's end", func() bool { return !joined() })
	f.next()
}

func TestAsymmetricPeer(t *testing.T) {
	e := newTestEngine(t)
	f, g := newPeer(t, e, loopback), newPeer(t, e, loopback)
	mouth := newSocket(t, loopback) // it speaks from here and listens on f.conn
	Bridge(f.port, g.port)
	f.sayFrom(mouth, "x", 5)
	if got := g.next(); string(got.Payload) != "x" {
		t.Errorf("heard %q", got.Payload)
	}
	f.port.Play(newLoop(1))
	for range 5 {
		f.next()
	}
	if _, ok := nextOf(mouth, time.Millisecond); ok {
		t.Error("an asymmetric peer was answered where it speaks")
	}
	if pl := f.port.Place(); pl.Source.IsValid() {
		t.Errorf("its place has the source %v", pl.Source)
	}
	// It does not listen there, after all.
	told := make(chan struct{}, 10)
	f.port.OnPlace(func() { told <- struct{}{} })
	_ = f.conn.Close()
	if !reaches(f, mouth) {
		t.Error("music did not follow where the described address refuses")
	}
	select {
	case <-told:
	case <-time.After(patience):
		t.Error("nobody was told")
	}
	if pl := f.port.Place(); pl.Source != addrOf(mouth) {
		t.Errorf("its place has the source %v", pl.Source)
	}
}

func TestPeerBehindNAT(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	outside := newSocket(t, netip.MustParseAddr("127.0.0.2"))
	f.port.Play(newLoop(1))
	f.sayFrom(outside, "x", 3)
	if !reaches(f, outside) {
		t.Fatal("music did not follow the peer")
	}
	before := e.Stats().Strangers
	f.say("x", 3) // from the described address: accepted, and nothing moves
	stranger := newSocket(t, netip.MustParseAddr("127.0.0.3"))
	f.sayFrom(stranger, "x", 5)
	if !reaches(f, outside) {
		t.Error("music went away")
	}
	// Joined to the peer, the kernel keeps strangers off; before, we do.
	if s := e.Stats().Strangers; s > before+8 {
		t.Errorf("%d strangers", s-before)
	}
	if _, ok := nextOf(stranger, time.Millisecond); ok {
		t.Error("a stranger gets music")
	}
}

func TestNothingStaleIsRelayed(t *testing.T) {
	e := newTestEngine(t)
	a, b := newPeer(t, e, loopback), newPeer(t, e, loopback)
	var keys []byte
	told := make(chan byte, 10)
	a.port.OnKey(func(d byte) { told <- d })
	// With the port locked its reader cannot read.
	a.port.mu.Lock()
	a.say("stale", 20)
	_, err := a.conn.WriteToUDPAddrPort(rtpBytes(false, 101, 21, 1, 7, []byte{4, 0x80, 3, 32}), a.to)
	must(t, err)
	a.port.drain()
	a.port.peer = b.port
	a.port.mu.Unlock()
	b.port.join(a.port)
	a.seq = 21
	a.say("fresh", 1)
	if got := b.next(); string(got.Payload) != "fresh" {
		t.Errorf("heard %q", got.Payload)
	}
	select {
	case d := <-told:
		keys = append(keys, d)
	case <-time.After(patience):
	}
	if string(keys) != "4" {
		t.Errorf("keys %q", keys)
	}
}

func TestTakenPortsAreSkipped(t *testing.T) {
	held := newSocket(t, loopback)
	for addrOf(held).Port()%2 != 0 {
		held = newSocket(t, loopback)
	}
	num := addrOf(held).Port()
	for _, ports := range [][2]uint16{{num, num}, {}, {num + 1, num + 1}, {num, num - 2}} {
		e := NewEngine(Config{Ports: ports})
		defer e.Close()
		if _, err := e.Open(loopback); !errors.Is(err, ErrNoPorts) {
			t.Errorf("of the range %v: %v", ports, err)
		}
	}
}

func TestAddressThatIsNotOurs(t *testing.T) {
	e := newTestEngine(t)
	for range 3 {
		if _, err := e.Open(netip.MustParseAddr("192.0.2.1")); err == nil || errors.Is(err, ErrNoPorts) {
			t.Errorf("got %v", err)
		}
	}
}

// TestOpenAtAfterRestart gives a peer its stream again, from the same port.
func TestOpenAtAfterRestart(t *testing.T) {
	e := NewEngine(Config{Ports: [2]uint16{20000, 29999}})
	f := newPeer(t, e, loopback)
	f.port.Play(newLoop(1))
	f.next()
	pl := f.port.Place()
	last := f.next()
	e.Close()
	e = newTestEngine(t)
	p, err := e.OpenAt(f.to)
	must(t, err)
	if _, err := e.OpenAt(f.to); !errors.Is(err, ErrTaken) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the second time: %v", err)
	}
	p.Resume(pl)
	p.Set(f.session(addrOf(f.conn)))
	p.Play(newLoop(1))
	next := f.next()
	for next.SequenceNumber == last.SequenceNumber+1 { // sent before Close
		last, next = next, f.next()
	}
	if next.SSRC != last.SSRC || next.SequenceNumber != pl.Seq+1 || int32(next.Timestamp-last.Timestamp) <= 0 || !next.Marker || next.from != f.to {
		t.Errorf("%v after %v, from %v", next.Header, last.Header, next.from)
	}
	if _, err := e.OpenAt(netip.MustParseAddrPort("192.0.2.1:20000")); !errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, ErrTaken) {
		t.Errorf("at an address that is not ours: %v", err)
	}
}

// TestEverythingAtOnce is for the race detector.
func TestEverythingAtOnce(t *testing.T) {
	e := newTestEngine(t)
	peers := make([]*peer, 6)
	for i := range peers {
		peers[i] = newPeer(t, e, loopback)
	}
	tune := newLoop(1)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 300 {
				a, b := peers[r.IntN(len(peers))], peers[r.IntN(len(peers))]
				switch r.IntN(10) {
				case 0:
					a.port.Play(tune)
				case 1:
					a.port.Stop()
				case 2:
					s := a.session(addrOf(a.conn))
					s.Ptime, s.Send = 10*(1+r.IntN(6)), r.IntN(2) == 0
					a.port.Set(s)
				case 3, 4:
					Bridge(a.port, b.port)
				case 5:
					Unbridge(a.port, b.port)
				case 6:
					p, err := e.Open(loopback)
					if err != nil {
						t.Error(err)
						return
					}
					Bridge(p, b.port)
					p.Close()
				case 7:
					a.port.OnKey(func(byte) { b.port.Heard() })
					_ = e.Stats()
				case 8:
					a.port.OnPlace(func() { a.port.Place() })
					b.port.mu.Lock()
					b.port.near()
					b.port.mu.Unlock()
				case 9:
					_, _ = b.conn.WriteToUDPAddrPort(rtpBytes(false, 101, uint16(r.Uint32()), r.Uint32(), 1, []byte{1, 0x80, 1, 0}), a.to)
					_, _ = b.conn.WriteToUDPAddrPort(rtpBytes(false, 0, uint16(r.Uint32()), r.Uint32(), 1, make([]byte, 160)), b.to)
				}
			}
		})
	}
	wg.Wait()
	for _, f := range peers {
		f.port.Close()
	}
	if st := e.Stats(); st.Ports != 0 {
		t.Errorf("%d ports open", st.Ports)
	}
}
