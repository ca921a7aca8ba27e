package rtpmusic

import (
	"net/netip"
	"testing"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// checkedSocket is a socket that checks what is sent.
type checkedSocket struct {
	t    *testing.T
	ssrc uint32
	pts  [2]uint8
	sent int
}

func (s *checkedSocket) aim(netip.AddrPort)                 {}
func (s *checkedSocket) join(bool) bool                     { return false }
func (s *checkedSocket) filter(*filter) bool                { return false }
func (s *checkedSocket) watch(bool)                         {}
func (s *checkedSocket) fetch()                             {}
func (s *checkedSocket) doze(bool) bool                     { return false }
func (s *checkedSocket) drain(func([]byte, netip.AddrPort)) {}
func (s *checkedSocket) close()                             {}

func (s *checkedSocket) send(b []byte) error {
	var p packet.Packet
	if p.Parse(b) != packet.RTP {
		s.t.Fatalf("sent something that is not RTP: %x", b)
	}
	if p.SSRC != s.ssrc || p.PayloadType != s.pts[0] && p.PayloadType != s.pts[1] {
		s.t.Fatalf("sent %v", p.Header)
	}
	s.sent++
	return nil
}

// state is how much was sent from p, and how many packets wait.
func (s *checkedSocket) state(p *Port) (sent, held int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.sent, len(p.relay.held)
}

// FuzzRelay has a peer send arbitrary datagrams into a bridge. Its first octets choose
// codecs and clocks; then comes, for each datagram, its length and an octet that says
// where it comes from and whether time goes by or the bridge changes. None is answered
// by more than one packet and what waited, and all that is sent is of one stream.
func FuzzRelay(f *testing.F) {
	add := func(choice byte, packets ...[]byte) {
		b := []byte{choice}
		for i, p := range packets {
			b = append(append(b, byte(len(p)), byte(16*i)), p...)
		}
		f.Add(b)
	}
	voice := func(seq uint16) []byte { return rtpBytes(false, 0, seq, 160*uint32(seq), 7, make([]byte, 40)) }
	key := func(seq uint16, end byte) []byte { return rtpBytes(seq == 3, 101, seq, 480, 7, []byte{5, end, 1, 2}) }
	for choice := range byte(9) {
		add(choice, voice(1), voice(2), voice(4), voice(3), key(5, 10), key(6, 0x8A), voice(7), voice(9), voice(10), voice(11), voice(12), voice(8))
	}
	add(0x32, voice(65535), voice(0), voice(2), rtpBytes(false, 13, 3, 480, 7, []byte{40}), voice(1), rtpBytes(true, 0, 9, 1, 8, nil))
	add(0x11, []byte{0x80, 200, 0, 1, 1, 2, 3, 4}, []byte("x"), voice(1))
	names := codec.Names()
	e := NewEngine(Config{Ports: [2]uint16{10000, 10100}, Threads: 1, Listen: newFakeNet().Listen})
	f.Cleanup(e.Close)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		port := func(name string, clock int) (*Port, *checkedSocket) {
			p := newPort(e, netip.AddrPortFrom(ourIP, 10000))
			s := &checkedSocket{t: t, ssrc: p.out.ssrc, pts: [2]uint8{96, 101}}
			p.sock = s
			p.Set(Session{Remote: netip.MustParseAddrPort("10.0.0.9:4000"), Codec: name, PT: 96, RecvPT: 0,
				EventPT: 101, EventRecvPT: 101, EventClock: clock, Send: true, Recv: true})
			return p, s
		}
		p, _ := port(names[b[0]%3], 8000+8000*int(b[0]>>4&1))
		q, out := port(names[b[0]/3%3], 8000+8000*int(b[0]>>5&1))
		Bridge(p, q)
		r := &reader{e: e, count: e.spare()}
		from := [2]netip.AddrPort{netip.MustParseAddrPort("10.0.0.9:4000"), netip.MustParseAddrPort("10.0.0.9:5000")}
		for b = b[1:]; len(b) >= 2; {
			n, how := min(int(b[0]), len(b)-2), b[1]
			data := append([]byte(nil), b[2:2+n]...)
			b = b[2+n:]
			sent, _ := out.state(q)
			p.mu.Lock()
			r.take(p, data, from[how&1])
			p.mu.Unlock()
			r.act(p)
			if now, held := out.state(q); now > sent+1+maxHeld || held > maxHeld {
				t.Fatalf("a datagram made %d packets; %d wait", now-sent, held)
			}
			switch how >> 1 & 7 {
			case 1:
				q.mu.Lock()
				for i := range q.relay.held { // time goes by
					q.relay.held[i].at -= time.Hour
				}
				q.mu.Unlock()
				q.overdue()
			case 2:
				s := q.session
				s.Codec = names[how>>4%3]
				q.Set(s)
			case 3:
				Bridge(p, q)
			}
		}
		Unbridge(p, q)
	})
}
