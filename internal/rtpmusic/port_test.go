package rtpmusic

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
)

func TestKeysOfAPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		s := f.session(codec.G722, 9)
		s.EventRecvPT = 97
		f.port.Set(s)
		var keys []byte
		f.port.OnKey(func(d byte) {
			keys = append(keys, d)
			f.port.Stop() // methods may be called from here
		})
		f.port.Play(newLoop(1))
		press := func(pt uint8, ts uint32, code byte) {
			for i := range 6 {
				f.seq++
				end := byte(0)
				if i >= 3 {
					end = 0x80
				}
				f.send(i == 0, pt, f.seq, ts, []byte{code, end, 3, 32})
				time.Sleep(20 * time.Millisecond)
			}
		}
		press(97, 1000, 0)
		press(101, 9000, 11) // the number that we send with
		press(96, 19000, 5)  // nobody agreed on that
		synctest.Wait()
		if string(keys) != "0#" {
			t.Errorf("keys %q", keys)
		}
		f.received()
		time.Sleep(time.Second)
		if got := f.received(); len(got) > 0 {
			t.Errorf("%d packets of music after Stop", len(got))
		}
	})
}

func TestStrangersAndNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.send(false, 0, 1, 1, nil) // nothing is agreed on yet
		synctest.Wait()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		conn, err := w.net.listen(netip.MustParseAddrPort("10.0.0.66:9"))
		must(t, err)
		stranger := &phone{t: t, conn: conn, to: a.to, ssrc: 5}
		if !a.port.Heard().IsZero() {
			t.Error("heard before anything came")
		}
		during(10, func(int) { a.say([]byte("a")); stranger.say([]byte("s")) })
		heard := a.port.Heard()
		if d := time.Since(heard); d != 20*time.Millisecond {
			t.Errorf("heard %v ago", d)
		}
		for _, noise := range []string{"", "x", strings.Repeat("\x00", 100), "\x80\xC8\x00\xFF1234"} {
			_, _ = a.conn.WriteToUDPAddrPort([]byte(noise), a.to)
		}
		a.send(false, 13, 1, 1, []byte{40}) // comfort noise: of the peer, and nothing else
		_, _ = conn.WriteToUDPAddrPort([]byte("\x80\xC8\x00\x011234"), a.to)
		time.Sleep(time.Second)
		if got := b.received(); len(got) != 10 {
			t.Errorf("%d packets came through", len(got))
		}
		_, _ = a.conn.WriteToUDPAddrPort([]byte("\x80\xC8\x00\x011234"), a.to) // RTCP
		synctest.Wait()
		if a.port.Heard() != time.Now() {
			t.Error("RTCP is no sign of life")
		}
		if st := w.e.Stats(); st.In != 12 || st.Strangers != 11 || st.Invalid != 6 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestMusicFollowsNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("203.0.113.9:61000")
		s := f.session(codec.PCMU, 0)
		s.Remote = netip.MustParseAddrPort("192.168.1.5:4000")
		f.port.Set(s)
		f.port.Play(newLoop(1))
		time.Sleep(time.Second)
		if got := f.received(); len(got) > 0 {
			t.Errorf("%d packets before it was heard", len(got))
		}
		during(3, func(int) { f.say([]byte("x")) })
		f.received()
		time.Sleep(time.Second)
		if got := f.received(); len(got) < 50 {
			t.Errorf("%d packets after", len(got))
		}
		f.port.Set(s) // session refresh
		f.received()
		time.Sleep(time.Second)
		stream(t, f.received(), 20)
	})
}

func TestPortsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		e := NewEngine(Config{Ports: [2]uint16{9999, 10009}, Listen: n.Listen, Threads: 1})
		defer e.Close()
		other, err := n.listen(netip.AddrPortFrom(ourIP, 10002))
		must(t, err)
		open := func() *Port {
			t.Helper()
			p, err := e.Open(ourIP)
			must(t, err)
			return p
		}
		a, b := open(), open()
		if a.LocalPort() != 10000 || b.LocalPort() != 10004 {
			t.Errorf("opened %d and %d", a.LocalPort(), b.LocalPort())
		}
		a.Close()
		for _, want := range []uint16{10006, 10008} {
			if p := open(); p.LocalPort() != want {
				t.Errorf("opened %d, want %d", p.LocalPort(), want)
			}
		}
		time.Sleep(portRest - time.Millisecond)
		if _, err := e.Open(ourIP); !errors.Is(err, ErrNoPorts) { // a's rests
			t.Errorf("with all ports taken: %v", err)
		}
		time.Sleep(time.Millisecond)
		if p := open(); p.LocalPort() != 10000 {
			t.Errorf("opened %d", p.LocalPort())
		}
		if _, err := e.Open(ourIP); !errors.Is(err, ErrNoPorts) {
			t.Errorf("with all ports taken: %v", err)
		}
		_ = other.Close()
		time.Sleep(portRetry)
		if p := open(); p.LocalPort() != 10002 {
			t.Errorf("opened %d", p.LocalPort())
		}
		if st := e.Stats(); st.Ports != 5 || st.Free != 0 {
			t.Errorf("stats %+v", st)
		}
		e.Close()
		if _, err := e.Open(ourIP); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if st := e.Stats(); st.Ports != 0 || st.Free != 5 {
			t.Errorf("stats after Close %+v", st)
		}
	})
}

func TestOpenPassesErrorsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("no descriptors left")
		e := NewEngine(Config{Ports: [2]uint16{10000, 10002},
			Listen: func(netip.AddrPort) (Conn, error) { return nil, refused }})
		defer e.Close()
		for range 5 {
			if _, err := e.Open(ourIP); !errors.Is(err, refused) {
				t.Fatalf("got %v", err)
			}
		}
	})
}

// TestOpenWithManyTaken takes a range of which others have all but one: it is
// found at once.
func TestOpenWithManyTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNet()
		e := NewEngine(Config{Ports: [2]uint16{10000, 10998}, Listen: n.Listen, Threads: 1})
		defer e.Close()
		for p := uint16(10000); p < 10998; p += 2 {
			_, err := n.listen(netip.AddrPortFrom(ourIP, p))
			must(t, err)
		}
		p, err := e.Open(ourIP)
		must(t, err)
		if p.LocalPort() != 10998 {
			t.Errorf("opened %d", p.LocalPort())
		}
		if _, err := e.Open(ourIP); !errors.Is(err, ErrNoPorts) {
			t.Fatalf("got %v", err)
		}
	})
}

// TestPortableSockets runs the readers and timers of systems other than Linux on
// sockets of this one.
func TestPortableSockets(t *testing.T) {
	e := NewEngine(Config{Ports: [2]uint16{20000, 29999}, Listen: func(a netip.AddrPort) (Conn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(a))
	}})
	defer e.Close()
	exchange(t, e, netip.MustParseAddr("127.0.0.1"))
}

// exchange plays and bridges over real sockets.
func exchange(t *testing.T, e *Engine, ip netip.Addr) {
	t.Helper()
	a, b := newPeer(t, e, ip), newPeer(t, e, ip)
	a.port.Play(newLoop(1))
	begun := time.Now()
	first := a.next()
	var last heardPacket
	for range 20 {
		last = a.next()
	}
	if d := time.Since(begun); d < 380*time.Millisecond {
		t.Errorf("21 packets in %v", d)
	}
	if last.SequenceNumber != first.SequenceNumber+20 && e.Stats().Skipped == 0 {
		t.Errorf("from %v to %v", first.Header, last.Header)
	}
	Bridge(a.port, b.port)
	a.say("hello", 5)
	if got := b.next(); string(got.Payload) != "hello" {
		t.Errorf("b heard %q", got.Payload)
	}
	b.say("world", 5)
	for string(a.next().Payload) != "world" { // music that was on its way
	}
	a.port.Close()
	b.port.Close()
}
