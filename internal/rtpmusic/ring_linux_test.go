package rtpmusic

import (
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newTestRing makes a ring of this thread, where the system lets us.
func newTestRing(t *testing.T) *ring {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	r, err := newRing()
	if err != nil {
		t.Skipf("this system has no ring for us: %v", err)
	}
	t.Cleanup(r.close)
	return r
}

// aimed is a socket of its own that sends to an address.
func aimed(t *testing.T, to netip.AddrPort) *Port {
	t.Helper()
	family, local := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: loopback.As4()})
	if to.Addr().Is6() {
		family, local = unix.AF_INET6, &unix.SockaddrInet6{Addr: to.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, unix.Bind(fd, local))
	s := &rawSocket{fd: fd, v6: to.Addr().Is6(), fixed: true}
	s.aim(to)
	return &Port{sock: s}
}

// Each frame of a batch goes to whom it is for, joined or not, by IPv4 or IPv6.
func TestRing(t *testing.T) {
	r := newTestRing(t)
	var ports []*Port
	var heard []func() heardPacket
	for i, ip := range []string{"127.0.0.1", "::1", "127.0.0.1", "::1"} {
		conn := newSocket(t, netip.MustParseAddr(ip))
		p := aimed(t, addrOf(conn))
		if i > 1 && !p.sock.join(true) {
			t.Fatal("not joined")
		}
		ports = append(ports, p)
		heard = append(heard, (&peer{t: t, conn: conn}).next)
	}
	for round := range 3 * batchSize { // the queues wrap around
		var frames []frame
		for i, p := range ports {
			frames = append(frames, frame{port: p, b: rtpBytes(false, 0, uint16(round), 0, 7, []byte{byte(i)})})
		}
		r.send(frames)
		for i := range frames {
			if frames[i].err != nil {
				t.Fatalf("frame %d of round %d: %v", i, round, frames[i].err)
			}
			if h := heard[i](); h.SequenceNumber != uint16(round) || h.Payload[0] != byte(i) {
				t.Fatalf("peer %d heard packet %d of %d in round %d", i, h.SequenceNumber, h.Payload[0], round)
			}
		}
	}
}

// A frame that is not sent says why, and the others of its batch are sent.
func TestRingTellsWhatFailed(t *testing.T) {
	r := newTestRing(t)
	conn, gone := newSocket(t, loopback), newSocket(t, loopback)
	fine, joined, watched := aimed(t, addrOf(conn)), aimed(t, addrOf(gone)), aimed(t, addrOf(gone))
	big := aimed(t, addrOf(conn))
	joined.sock.join(true)
	watched.sock.watch(true)
	must(t, gone.Close())
	batch := func() []frame {
		frames := []frame{{port: big, b: make([]byte, 1<<16)}}
		for _, p := range []*Port{joined, watched, fine} {
			frames = append(frames, frame{port: p, b: rtpBytes(false, 0, 1, 0, 7, []byte{1})})
		}
		r.send(frames)
		return frames
	}
	for deadline := time.Now().Add(patience); ; { // until both refusals have come
		frames := batch()
		if !errors.Is(frames[0].err, unix.EMSGSIZE) {
			t.Fatalf("a packet too long: %v", frames[0].err)
		}
		if frames[1].err != nil {
			t.Fatalf("a joined socket, to which a refusal tells of an earlier packet: %v", frames[1].err)
		}
		if frames[3].err != nil {
			t.Fatalf("after others that failed: %v", frames[3].err)
		}
		if errors.Is(frames[2].err, unix.ECONNREFUSED) {
			break
		}
		if frames[2].err != nil || time.Now().After(deadline) {
			t.Fatalf("a watched socket: %v, want a refusal", frames[2].err)
		}
	}
	(&peer{t: t, conn: conn}).next()
}

// Without a ring music is sent as well.
func TestFramesWithoutRing(t *testing.T) {
	e := newTestEngine(t)
	w := newPacer(e, 0)
	w.frames = make([]frame, 0, batchSize)
	f, g := newPeer(t, e, loopback), newPeer(t, e, loopback)
	for _, p := range []*peer{f, g} {
		p.port.mu.Lock()
		p.port.music.play(newLoop(1), 0) // no sender of the engine has it
		p.port.mu.Unlock()
	}
	for tick := int64(20); tick < 100; tick += framePtime {
		for _, p := range []*peer{f, g} {
			if v := p.port.frame(w, tick, framePtime); v != frameMade {
				t.Fatalf("tick %d: verdict %d", tick, v)
			}
		}
		w.flush()
		if a, b := f.next(), g.next(); len(a.Payload) != 160 || len(b.Payload) != 160 {
			t.Fatalf("tick %d: %d and %d octets", tick, len(a.Payload), len(b.Payload))
		}
	}
	if n := w.count.out.Load(); n != 8 {
		t.Errorf("%d packets counted, 8 were sent", n)
	}
}
