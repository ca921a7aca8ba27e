package rtpmusic

import (
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"parkd/internal/rtpmusic/srtp"
	"parkd/internal/sdp"
)

// isFiltered says whether the kernel throws away what the port's peer says, by what
// the kernel tells of the socket.
func (p *Port) isFiltered(t *testing.T) bool {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var n uint32 // with no room for it, only the length of the program is told
	_, _, err := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(p.sock.(*rawSocket).fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		0, uintptr(unsafe.Pointer(&n)), 0)
	if err != 0 {
		t.Fatal(err)
	}
	if n > 0 && !p.out.filtered {
		t.Errorf("the kernel's filter has %d instructions, and nobody knows", n)
	}
	return n > 0
}

// sayUntil has the peer talk until ok.
func (f *peer) sayUntil(what string, ok func() bool) {
	f.t.Helper()
	waitFor(f.t, what, func() bool { f.say("x", 1); return ok() })
}

// write sends a datagram from the peer's socket.
func (f *peer) write(b []byte) {
	f.t.Helper()
	_, err := f.conn.WriteToUDPAddrPort(b, f.to)
	must(f.t, err)
}

// read has all that was sent to the port be read or thrown away: one datagram more
// that is neither RTP nor RTCP, and passes, comes after so many of those. It returns
// how many packets of the peer were read since.
func (f *peer) read(since Stats, neither uint64) int {
	f.t.Helper()
	f.write([]byte{0})
	waitFor(f.t, "the last datagram", func() bool {
		st := f.port.e.Stats() // SRTP takes it for a forgery
		return st.Invalid+st.Forged == since.Invalid+since.Forged+neither+1
	})
	return int(f.port.e.Stats().In - since.In)
}

// Of a peer's voice one packet in 64 is read while nobody listens, with keys, RTCP and
// what is not RTP; all of it at a bridge and after it while the peer is not known.
func TestFilter(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			e := newTestEngine(t)
			ip := netip.MustParseAddr(ip)
			f, g := newPeer(t, e, ip), newPeer(t, e, ip)
			s := f.session(addrOf(f.conn))
			s.EventPT, s.EventRecvPT = 101, 96
			f.port.Set(s)
			keys := make(chan byte, 10)
			f.port.OnKey(func(d byte) { keys <- d })
			if f.port.isFiltered(t) {
				t.Fatal("filtered before anybody was heard")
			}
			f.sayUntil("the filter", func() bool { return f.port.isFiltered(t) })

			f.read(e.Stats(), 0)

			f.seq = 0
			before := e.Stats()
			f.say("x", 10*sampleEvery)
			if n := f.read(before, 0); n != 10 {
				t.Errorf("%d packets of voice were read, want 10", n)
			}
			// Keys by either number, RTCP, STUN, and what is too short to be anything.
			before = e.Stats()
			for i, pt := range []uint8{101, 96} {
				for _, end := range []byte{0, 0x80, 0x80} {
					f.write(rtpBytes(end == 0, pt, 1, uint32(1000*(i+1)), 7, []byte{byte(i + 1), end, 3, 32}))
				}
				waitKey(t, keys, '1'+byte(i))
			}
			f.write([]byte{0x81, 201, 0, 1, 0, 0, 0, 7})
			if n := f.read(before, 0); n != 7 {
				t.Errorf("%d of 7 packets of keys and RTCP were read", n)
			}
			before = e.Stats()
			f.write(append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 12)...))
			f.write(nil)
			f.read(before, 2)

			Bridge(f.port, g.port)
			if f.port.isFiltered(t) {
				t.Error("filtered at the bridge")
			}
			for range 3 {
				f.seq = 100
				f.say("voice", 1)
				if h := g.next(); string(h.Payload) != "voice" {
					t.Errorf("heard %q", h.Payload)
				}
			}
			Unbridge(f.port, g.port)
			f.sayUntil("the filter after the bridge", func() bool { return f.port.isFiltered(t) })
			f.port.Set(s)
			if f.port.isFiltered(t) {
				t.Error("filtered after a new description")
			}
			f.port.Close()
		})
	}
}

func waitKey(t *testing.T, keys <-chan byte, want byte) {
	t.Helper()
	select {
	case d := <-keys:
		if d != want {
			t.Errorf("key %c, want %c", d, want)
		}
	case <-time.After(patience):
		t.Errorf("key %c was not heard", want)
	}
}

// A key whose end is lost ends with the voice after it, of which one packet in 64
// alone would be late.
func TestFilterIsOffWhileAKeyIsDown(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	keys := make(chan byte, 10)
	f.port.OnKey(func(d byte) { keys <- d })
	f.sayUntil("the filter", func() bool { return f.port.isFiltered(t) })
	f.write(rtpBytes(true, 101, 1, 1000, 7, []byte{5, 0, 0, 160}))
	waitFor(t, "the filter's end", func() bool { return !f.port.isFiltered(t) })
	waitFor(t, "the key", func() bool {
		f.seq = f.seq / sampleEvery * sampleEvery // never the sample
		f.say("x", 1)
		return len(keys) > 0
	})
	waitKey(t, keys, '5')
	if !f.port.isFiltered(t) {
		f.sayUntil("the filter", func() bool { return f.port.isFiltered(t) })
	}
}

// A silent peer's socket is let loose, whatever RTCP comes; it stays filtered, and the
// sample of what comes then joins it again.
func TestFilterStaysWhenThePeerIsSilent(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	f.port.Play(newLoop(1))
	f.sayUntil("join and filter", func() bool { return f.port.isJoined() && f.port.isFiltered(t) })
	f.port.silence()
	waitFor(t, "the join's end", func() bool {
		f.write([]byte{0x81, 201, 0, 1, 0, 0, 0, 7})
		return !f.port.isJoined()
	})
	if !f.port.isFiltered(t) {
		t.Error("not filtered any more")
	}
	f.next()
	f.sayUntil("the join", f.port.isJoined)
}

// A system that takes no filters has packets read, and is asked once a socket.
func TestFilterThatIsRefused(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	f.port.mu.Lock()
	f.port.deaf = &filter{make([]bpf.RawInstruction, 1)} // no program
	f.port.mu.Unlock()
	before := e.Stats()
	for n := range 10 { // not more at once than a socket's queue holds
		f.say("x", 100)
		if n := f.read(before, uint64(n)) - 100*n; n != 100 || f.port.isFiltered(t) {
			t.Errorf("%d of 100 packets were read", n)
		}
	}
	s := f.port.sock.(*rawSocket)
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	if !s.screen.refused {
		t.Error("the system was not asked")
	}
}

// The headers of SRTP are clear: its voice is thrown away like any other, across the
// roll over of its numbers too, and what comes afterwards is opened.
func TestFilterOfSRTP(t *testing.T) {
	for _, suite := range sdp.Suites() {
		t.Run(suite, func(t *testing.T) {
			e := newTestEngine(t)
			f, g := newPeer(t, e, loopback), newPeer(t, e, loopback)
			s := f.session(addrOf(f.conn))
			s.Secured = secured(suite, 1, 2)
			f.port.Set(s)
			keys := make(chan byte, 10)
			f.port.OnKey(func(d byte) { keys <- d })
			out, err := srtp.NewSender(suite, []byte(s.Secured.Theirs))
			must(t, err)
			seq := uint16(0xFFFF - 3*sampleEvery)
			say := func(pt uint8, payload string) {
				t.Helper()
				b, err := out.RTP(rtpBytes(false, pt, seq, uint32(seq)*160, 7, []byte(payload)))
				must(t, err)
				f.write(b)
				seq++
			}
			waitFor(t, "the filter", func() bool {
				if seq%sampleEvery == 0 { // none that is lost is to be one of these
					seq++
				}
				say(0, "x")
				return f.port.isFiltered(t)
			})
			f.read(e.Stats(), 0)
			before := e.Stats()
			for seq%sampleEvery != 0 {
				say(0, "x")
			}
			for range 20 * sampleEvery {
				say(0, "x")
			}
			say(101, "\x07\x80\x03\x20")
			waitKey(t, keys, '7')
			if n := f.read(before, 0); n != 21 {
				t.Errorf("%d packets were read, want 21", n)
			}
			Bridge(f.port, g.port)
			say(0, "voice")
			if h := g.next(); string(h.Payload) != "voice" {
				t.Errorf("heard %q", h.Payload)
			}
		})
	}
}

// A port is closed between the decision that it is filtered and the attaching: whose
// descriptor it is by then must stay as it is.
func TestFilterOfAClosedPort(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	s := f.port.sock.(*rawSocket)
	f.port.mu.Lock()
	f.port.sock.filter(f.port.deaf)
	f.port.mu.Unlock()
	f.port.Close()
	for range 100 { // until one has the descriptor
		p, err := e.Open(loopback)
		must(t, err)
		if p.sock.(*rawSocket).fd != s.fd {
			continue
		}
		s.attach()
		p.mu.Lock()
		p.out.filtered = true // so that isFiltered does not complain
		p.mu.Unlock()
		if p.isFiltered(t) {
			t.Error("another port is filtered")
		}
		return
	}
	t.Skip("nobody got the descriptor again")
}
