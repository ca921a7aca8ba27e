package rtpmusic

import (
	"net/netip"
	"testing"
	"time"
)

// silence makes it looseAfter since the port's peer sent RTP.
func (p *Port) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latch.last.at -= looseAfter
	p.out.heard -= looseAfter
}

// A NAT gives a parked caller another port: the socket is joined to the old one and
// filtered, and music must follow all the same, but no stranger.
func TestNATPortChangesWhileParked(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	nat, stranger := netip.MustParseAddr("127.0.0.2"), newSocket(t, netip.MustParseAddr("127.0.0.3"))
	before, after := newSocket(t, nat), newSocket(t, nat)
	f.port.Play(newLoop(1))
	waitFor(t, "the join", func() bool { f.sayFrom(before, "x", 1); return f.port.isJoined() })
	waitFor(t, "the filter", func() bool { f.sayFrom(before, "x", 1); return f.port.isFiltered(t) })
	if !reaches(f, before) {
		t.Fatal("music did not follow the peer")
	}
	f.sayFrom(after, "x", 200) // not while the other one was heard a moment ago
	if _, ok := nextOf(after, 10*time.Millisecond); ok {
		t.Error("music went where it was not silent")
	}
	f.port.silence()
	waitFor(t, "the join's end", func() bool { return !f.port.isJoined() })
	said := 0
	waitFor(t, "music at the new port", func() bool {
		said++
		_, err := stranger.WriteToUDPAddrPort(rtpBytes(false, 0, f.seq+1, 0, 8, make([]byte, 160)), f.to) // its numbers, not its SSRC
		must(t, err)
		f.sayFrom(after, "x", 1)
		f.port.mu.Lock()
		defer f.port.mu.Unlock()
		return f.port.latch.target == addrOf(after)
	})
	if said > 2*sampleEvery {
		t.Errorf("it took %d packets: one in %d passes the filter, and then all", said, sampleEvery)
	}
	if !reaches(f, after) {
		t.Error("music did not follow")
	}
	if _, ok := nextOf(stranger, 10*time.Millisecond); ok {
		t.Error("a stranger got music")
	}
	if pl := f.port.Place(); pl.Source != addrOf(after) {
		t.Errorf("its place has the source %v", pl.Source)
	}
	waitFor(t, "the join", func() bool { f.sayFrom(after, "x", 1); return f.port.isJoined() && f.port.isFiltered(t) })
}

// A peer that is sent nothing is not joined: nothing would tell that it is silent.
func TestHeldPeerIsNotJoined(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	s := f.session(addrOf(f.conn))
	s.Send = false
	f.port.Set(s)
	f.sayUntil("the filter", func() bool { return f.port.isFiltered(t) })
	if f.port.isJoined() {
		t.Error("joined")
	}
	s.Send = true
	f.port.Set(s)
	f.sayUntil("the join", f.port.isJoined)
}

// An asymmetric peer is filtered and never joined, and heard of its death all the same.
func TestAsymmetricPeerIsFiltered(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	mouth := newSocket(t, loopback)
	f.port.Play(newLoop(1))
	waitFor(t, "the filter", func() bool { f.sayFrom(mouth, "x", 1); return f.port.isFiltered(t) })
	f.say("x", 1) // from the described address, for once
	f.sayFrom(mouth, "x", 2*sampleEvery)
	if f.port.isJoined() {
		t.Error("joined")
	}
	_ = f.conn.Close()
	if !reaches(f, mouth) {
		t.Error("music did not follow where the described address refuses")
	}
	waitFor(t, "the join", func() bool { f.sayFrom(mouth, "x", 1); return f.port.isJoined() })
}

// A new description lets the socket loose and opens latching again.
func TestNewDescriptionOpensLatching(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	f.port.Play(newLoop(1))
	f.sayUntil("the join", func() bool { return f.port.isJoined() && f.port.isFiltered(t) })
	f.read(e.Stats(), 0) // else the rest would settle it once more
	outside := newSocket(t, netip.MustParseAddr("127.0.0.2"))
	f.port.Set(f.session(addrOf(f.conn)))
	if f.port.isJoined() || f.port.isFiltered(t) {
		t.Error("joined or filtered after a new description")
	}
	f.sayFrom(outside, "x", latchAfter)
	if !reaches(f, outside) {
		t.Error("music did not follow")
	}
}

// With LatchNever nobody but the described address is heard or sent to.
func TestLatchNever(t *testing.T) {
	e := NewEngine(Config{Ports: [2]uint16{20000, 29999}, Latch: LatchNever})
	t.Cleanup(e.Close)
	f, g := newPeer(t, e, loopback), newPeer(t, e, loopback)
	outside := newSocket(t, netip.MustParseAddr("127.0.0.2"))
	Bridge(f.port, g.port)
	f.sayFrom(outside, "stranger", 10)
	f.say("peer", 1)
	if h := g.next(); string(h.Payload) != "peer" {
		t.Errorf("heard %q", h.Payload)
	}
	f.port.Play(newLoop(1))
	f.next()
	if _, ok := nextOf(outside, 10*time.Millisecond); ok {
		t.Error("a stranger got music")
	}
	e.SetLatch(LatchAuto)
	f.port.Set(f.session(addrOf(f.conn)))
	f.sayFrom(outside, "x", latchAfter)
	if !reaches(f, outside) {
		t.Error("music did not follow after the change")
	}
}
