package rtpmusic

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/sdp"
)

// TestHostileEverything is for the race detector: what TestEverythingAtOnce does, with
// all that descriptions can say, beside peers and strangers that send all there is.
func TestHostileEverything(t *testing.T) {
	e := newTestEngine(t)
	peers := make([]*peer, 6)
	for i := range peers {
		peers[i] = newPeer(t, e, loopback)
	}
	some := func(r *rand.Rand, f *peer) Session {
		s := f.session(addrOf(f.conn))
		s.Codec = codec.Names()[r.IntN(len(codec.Names()))]
		s.Ptime, s.Send, s.Recv, s.Mux = 10*r.IntN(9), r.IntN(8) > 0, r.IntN(8) > 0, r.IntN(2) == 0
		s.EventClock = 8000 * (1 + r.IntN(2))
		switch r.IntN(8) {
		case 0:
			s.Remote = netip.MustParseAddrPort("0.0.0.0:9")
		case 1:
			s.Remote = netip.MustParseAddrPort("[2001:db8::1]:4000")
		case 2:
			s.Remote = f.to // our own
		case 3:
			s.Secured = sdp.Secured{Suite: "AEAD_AES_128_GCM", Ours: sdp.Key(strings.Repeat("a", 27) + string(rune('a'+r.IntN(26)))),
				Theirs: sdp.Key(strings.Repeat("b", 27) + string(rune('a'+r.IntN(26))))}
		}
		s.RTCP = netip.AddrPortFrom(s.Remote.Addr(), s.Remote.Port()|1)
		return s
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			report, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 1}, &rtcp.Goodbye{Sources: []uint32{1, 2, 3}}})
			for range 500 {
				a, b := peers[r.IntN(len(peers))], peers[r.IntN(len(peers))]
				switch r.IntN(9) {
				case 0:
					a.port.Play(newLoop(1))
				case 1:
					a.port.Stop()
				case 2, 3:
					a.port.Set(some(r, a))
				case 4, 5:
					Bridge(a.port, b.port)
				case 6:
					a.port.Press('5', time.Duration(r.IntN(200))*time.Millisecond)
				case 7:
					p, err := e.Open(loopback)
					if err != nil {
						t.Error(err)
						return
					}
					p.Set(some(r, b))
					p.Play(newLoop(1))
					Bridge(p, b.port)
					wg.Go(p.Close)
				case 8:
					a.port.visit(nil)
				}
				for i := range 20 {
					pt := []uint8{0, 8, 9, 13, 101, 127}[r.IntN(6)]
					seq := uint16(r.IntN(200))
					_, _ = b.conn.WriteToUDPAddrPort(rtpBytes(i == 3, pt, seq, uint32(seq)*160, uint32(r.IntN(3)), make([]byte, r.IntN(1500))), a.to)
				}
				_, _ = a.conn.WriteToUDPAddrPort(report, a.to)
				_, _ = a.conn.WriteToUDPAddrPort(report, netip.AddrPortFrom(loopback, a.port.RTCPPort()))
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
	e.controls.mu.Lock()
	defer e.controls.mu.Unlock()
	if n := len(e.controls.by); n > 0 {
		t.Errorf("%d sockets of RTCP open", n)
	}
}
