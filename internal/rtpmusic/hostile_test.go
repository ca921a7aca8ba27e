package rtpmusic

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// Whoever describes a port of ours as their own would have what is relayed go round for
// ever (RFC 3550 8.2).
func TestRelayIsNoLoop(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   func(a, b *phone) (toA, toB netip.AddrPort)
	}{
		{"each its own port", func(a, b *phone) (netip.AddrPort, netip.AddrPort) { return a.to, b.to }},
		{"each the other's", func(a, b *phone) (netip.AddrPort, netip.AddrPort) { return b.to, a.to }},
		{"both one", func(a, b *phone) (netip.AddrPort, netip.AddrPort) { return a.to, a.to }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakeNet()
				var sent atomic.Int32
				e := NewEngine(Config{Ports: [2]uint16{10000, 10100}, Listen: func(at netip.AddrPort) (Conn, error) {
					c, err := fake.listen(at)
					return &cutConn{c, &sent}, err
				}})
				defer e.Close()
				w := &world{t: t, net: fake, e: e}
				a, b := w.phone("10.0.0.2:4000"), w.phone("10.0.0.3:4000")
				toA, toB := tt.at(a, b)
				sa, sb := a.session(codec.PCMU, 0), b.session(codec.PCMU, 0)
				sa.Remote, sb.Remote = toA, toB
				a.port.Set(sa)
				b.port.Set(sb)
				a.port.Play(newLoop(1))
				b.port.Play(newLoop(1))
				time.Sleep(time.Second)
				Bridge(a.port, b.port)
				time.Sleep(time.Second)
				if st := w.e.Stats(); st.Relayed > 10 {
					t.Errorf("%d packets relayed, and nobody spoke", st.Relayed)
				}
			})
		})
	}
}

// RFC 3550 8.2: where the peer has chosen our SSRC, we take leave of it and choose another,
// once; what still has ours then has been ours.
func TestCollision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		a := w.phone("10.0.0.2:4000")
		s := a.session(codec.PCMU, 0)
		s.Mux = true
		a.port.Set(s)
		var places atomic.Int32
		a.port.OnPlace(func() { places.Add(1) })
		a.port.Play(newLoop(1))
		time.Sleep(time.Second)
		_, voice := controlled(t, a.conn)
		first := voice[0].SSRC

		a.ssrc = first
		a.say([]byte("collides"))
		time.Sleep(time.Second)
		left, voice := controlled(t, a.conn)
		stream(t, voice, 20)
		second := voice[0].SSRC
		if !slices.ContainsFunc(left, func(c compound) bool { return c.bye && c.sr != nil && c.sr.SSRC == first }) {
			t.Errorf("no leave taken, in %+v", left)
		}
		if second == first || !voice[0].Marker || places.Load() != 1 {
			t.Errorf("goes on with %x after %x, marker %v, %d places", second, first, voice[0].Marker, places.Load())
		}
		a.say([]byte("has its own now"))
		synctest.Wait()
		if a.port.Heard().IsZero() {
			t.Error("the peer is not heard")
		}

		heard := a.port.Heard()
		a.ssrc = second
		during(10, func(int) { a.say([]byte("a loop")) })
		_, voice = controlled(t, a.conn)
		if voice[len(voice)-1].SSRC != second || a.port.Heard() != heard {
			t.Error("a loop is taken for a peer")
		}
	})
}

// Packets of another payload type have come, though nobody hears them: they are not lost
// (RFC 3550 6.4.1).
func TestNoiseIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		a, conn, s := w.withRTCP("10.0.0.2:4000", "10.0.0.2:4001")
		b := w.phone("10.0.0.2:4002")
		a.port.Set(s)
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		during(500, func(i int) {
			if i%5 == 4 { // comfort noise (RFC 3389)
				a.seq, a.ts = a.seq+1, a.ts+160
				a.send(false, 13, a.seq, a.ts, []byte{40})
				return
			}
			a.say([]byte("voice"))
		})
		list, _ := controlled(t, conn)
		if len(list) == 0 {
			t.Fatal("no report")
		}
		for _, c := range list {
			if r := c.blocks()[0]; r.TotalLost != 0 || r.FractionLost != 0 {
				t.Errorf("%+v, and nothing was lost", r)
			}
		}
	})
}

// Datagrams of any length do no harm, and what does not fit is not passed on in part.
func TestLengths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		whole := []int{0, 1, 160, 1600, maxDatagram - 1 - packet.HeaderSize}
		for _, n := range append(whole, maxDatagram-packet.HeaderSize, 9000, 65000) {
			a.say(make([]byte, n))
		}
		synctest.Wait()
		var passed []int
		for _, p := range b.received() {
			passed = append(passed, len(p.Payload))
		}
		if !slices.Equal(passed, whole) {
			t.Errorf("passed on %d, want %d", passed, whole)
		}
		for n := range 24 {
			for _, first := range []string{"\x80\x00", "\x80\xC8", "\xBF\x65", "\x00\x01", "\x16\xFE"} { // RTP, RTCP, all its options, STUN, DTLS
				_, _ = a.conn.WriteToUDPAddrPort(append([]byte(first), make([]byte, 22)...)[:n], a.to)
			}
		}
		synctest.Wait()
		if st := w.e.Stats(); st.Invalid < 90 {
			t.Errorf("stats %+v", st)
		}
	})
}

// A description that names an address of the other kind leads nowhere: nobody tries to send
// there fifty times a second. From where such a peer is heard it is sent to.
func TestAddressOfTheOtherKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		a := w.phone("10.0.0.2:4000")
		s := a.session(codec.PCMU, 0)
		s.Remote = netip.MustParseAddrPort("[2001:db8::2]:4000")
		s.Mux, s.RTCP = true, s.Remote
		a.port.Set(s)
		a.port.Play(newLoop(1))
		time.Sleep(20 * time.Second)
		if st := w.e.Stats(); st.Out+st.Reports+st.Failed != 0 || st.Streams != 0 {
			t.Errorf("stats %+v", st)
		}
		during(3, func(int) { a.say(make([]byte, 160)) })
		time.Sleep(time.Second)
		if _, voice := controlled(t, a.conn); len(voice) < 49 {
			t.Errorf("%d packets of music", len(voice))
		}
	})
}

// What a peer receives never goes back in time, whatever the other one does.
func TestTimeThatGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		during(200, func(i int) {
			switch i % 40 {
			case 10:
				a.ts -= 8000 // a second
			case 30:
				a.ts += 1 << 31
			}
			a.say([]byte{byte(i)})
		})
		got := b.received()
		if len(got) != 200 {
			t.Fatalf("%d packets of 200", len(got))
		}
		for i := 1; i < len(got); i++ {
			if d := int32(got[i].Timestamp - got[i-1].Timestamp); d <= 0 || d > 2*8000 || got[i].SequenceNumber != got[i-1].SequenceNumber+1 {
				t.Errorf("packet %d: %v after %v", i, got[i].Header, got[i-1].Header)
			}
		}
	})
}

// A peer that stopped to send SRs a day ago is told of no delay since the last one, which
// would be another one modulo 2^32.
func TestDelayThatFitsNoReport(t *testing.T) {
	for _, tt := range []struct {
		since time.Duration
		want  uint32
	}{{time.Second, 1 << 16}, {18 * time.Hour, 18 * 3600 << 16}, {19 * time.Hour, 0}, {1000 * time.Hour, 0}} {
		c := &reports{lsr: 5, lsrOf: 7, lsrAt: time.Minute, rx: received{begun: true, ssrc: 7, count: 1}}
		if b, _ := c.block(time.Minute + tt.since); b.Delay != tt.want || (b.LastSenderReport != 0) != (tt.want != 0) {
			t.Errorf("%v after an SR: %+v", tt.since, b)
		}
	}
}

// cutConn loses whatever is sent after the thousandth packet of all: a loop that never
// ends would have the time of a bubble stand still.
type cutConn struct {
	*fakeConn
	sent *atomic.Int32
}

func (c *cutConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if c.sent.Add(1) > 1000 {
		return len(b), nil
	}
	return c.fakeConn.WriteToUDPAddrPort(b, to)
}
