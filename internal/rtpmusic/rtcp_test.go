package rtpmusic

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// compound is RTCP that a phone received.
type compound struct {
	sr   *rtcp.SenderReport
	rr   *rtcp.ReceiverReport
	name string
	bye  bool
	from netip.AddrPort
	at   time.Time
}

// blocks are the reception reports in it.
func (c compound) blocks() []rtcp.ReceptionReport {
	if c.sr != nil {
		return c.sr.Reports
	}
	return c.rr.Reports
}

// controlled is the RTCP among what came to a phone's socket since it was last asked,
// and how many packets of RTP came beside it. RFC 3550 6.1: it begins with SR or RR,
// and has a CNAME.
func controlled(t *testing.T, conn *fakeConn) (list []compound, voice []heardPacket) {
	t.Helper()
	for {
		select {
		case d := <-conn.in:
			h := heardPacket{from: d.from, at: d.at}
			switch h.Parse(d.b) {
			case packet.RTP:
				voice = append(voice, h)
				continue
			case packet.Other:
				t.Fatalf("neither RTP nor RTCP: %x", d.b)
			}
			c := compound{from: d.from, at: d.at}
			all, err := rtcp.Unmarshal(d.b)
			must(t, err)
			for i, p := range all {
				switch p := p.(type) {
				case *rtcp.SenderReport:
					c.sr = p
				case *rtcp.ReceiverReport:
					c.rr = p
				case *rtcp.SourceDescription:
					c.name = p.Chunks[0].Items[0].Text
				case *rtcp.Goodbye:
					c.bye = true
				}
				if i == 0 && c.sr == nil && c.rr == nil {
					t.Fatalf("a compound begins with %T", p)
				}
			}
			if len(c.name) != cnameSize {
				t.Fatalf("CNAME %q", c.name)
			}
			list = append(list, c)
		default:
			return list, voice
		}
	}
}

// spaced checks the times of reports: the first after 1 to 3.1 s, the others 2 to 6.2 s
// after the one before, and not all alike (RFC 3550 6.2, 6.3.1).
func spaced(t *testing.T, begun time.Time, list []compound) {
	t.Helper()
	var gaps []time.Duration
	for i, c := range list {
		low, high := 2*time.Second, 6300*time.Millisecond
		if i == 0 {
			low, high = time.Second, 3200*time.Millisecond
		}
		gap := c.at.Sub(begun)
		if gap < low || gap > high {
			t.Errorf("report %d after %v", i, gap)
		}
		begun = c.at
		gaps = append(gaps, gap)
	}
	if n := len(gaps); n > 10 && slices.Max(gaps[1:])-slices.Min(gaps[1:]) < time.Second {
		t.Errorf("all are alike: %v", gaps)
	}
}

// withRTCP is a phone with a socket of its own for RTCP.
func (w *world) withRTCP(at, control string) (f *phone, conn *fakeConn, s Session) {
	w.t.Helper()
	f = w.phone(at)
	conn, err := w.net.listen(netip.MustParseAddrPort(control))
	must(w.t, err)
	s = f.session(codec.PCMU, 0)
	s.RTCP = conn.addr
	return f, conn, s
}

// What a peer is told of the stream fits the stream: when its time is what on the
// clock, how many packets and octets it had; on hold too.
func TestReportsOfAStream(t *testing.T) {
	for _, mux := range []bool{false, true} {
		t.Run(map[bool]string{true: "mux", false: "apart"}[mux], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.e.Close()
				f, conn, s := w.withRTCP("10.0.0.2:4000", "10.0.0.2:4005")
				at := netip.AddrPortFrom(ourIP, 10001)
				if s.Mux = mux; mux {
					s.RTCP, conn, at = s.Remote, f.conn, f.to
				}
				begun := time.Now()
				f.port.Set(s)
				f.port.Play(newLoop(3))
				time.Sleep(2 * time.Minute)
				list, voice := controlled(t, conn)
				if !mux {
					_, voice = controlled(t, f.conn)
				}
				spaced(t, begun, list)
				if len(list) < 20 {
					t.Fatalf("%d reports in two minutes", len(list))
				}
				for _, c := range list {
					if c.sr == nil || c.from != at || c.bye || c.name != list[0].name {
						t.Fatalf("%+v", c)
					}
					if got := time.Unix(int64(c.sr.NTPTime>>32)-2208988800, int64(c.sr.NTPTime&0xFFFFFFFF)*1e9>>32); got.Sub(c.at).Abs() > time.Microsecond {
						t.Errorf("NTP time %v at %v", got, c.at)
					}
					n := 0
					for n < len(voice) && !voice[n].at.After(c.at) {
						n++
					}
					if d := int(c.sr.PacketCount) - n; d < -1 || d > 1 || c.sr.OctetCount != 160*c.sr.PacketCount {
						t.Errorf("%d packets with %d octets, %d came", c.sr.PacketCount, c.sr.OctetCount, n)
					}
					v := voice[n-1]
					if c.sr.SSRC != v.SSRC || c.sr.RTPTime != v.Timestamp+ticks(c.at.Sub(v.at)) {
						t.Errorf("timestamp %d, %v after that of %d", c.sr.RTPTime, c.at.Sub(v.at), v.Timestamp)
					}
				}

				s.Send = false
				f.port.Set(s)
				time.Sleep(time.Minute)
				list, _ = controlled(t, conn)
				for i, c := range list {
					if sender := c.sr != nil; i != 1 && sender != (i == 0) { // RFC 3550 6.4; the second if there was a frame after the report before
						t.Errorf("on hold, report %d is of a sender: %t", i, sender)
					}
				}
				if len(list) < 9 {
					t.Errorf("%d reports on hold", len(list))
				}
				s.Remote = netip.AddrPort{} // nowhere to send to
				f.port.Set(s)
				time.Sleep(time.Minute)
				if list, _ := controlled(t, conn); len(list) > 0 {
					t.Errorf("%d reports to nowhere", len(list))
				}
				s.Remote = f.conn.addr
				f.port.Set(s)
				f.port.Close()
				synctest.Wait()
				if list, _ := controlled(t, conn); len(list) != 1 || !list[0].bye {
					t.Errorf("at the end: %+v", list)
				}
				if st := w.e.Stats(); st.Reports < 30 || st.Failed != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// A peer that was told nothing is told nothing at the end, and none is told of the end
// of a process.
func TestNoByeOutOfPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f, conn, s := w.withRTCP("10.0.0.2:4000", "10.0.0.2:4001")
		f.port.Set(s)
		f.port.Close() // RFC 3550 6.3.7
		g, other, s := w.withRTCP("10.0.0.2:4002", "10.0.0.2:4003")
		g.port.Set(s)
		g.port.Play(newLoop(1))
		time.Sleep(time.Second / 2)
		w.e.Close()
		for _, c := range []*fakeConn{conn, other} {
			if list, _ := controlled(t, c); len(list) > 0 {
				t.Errorf("%v got %+v", c.addr, list)
			}
		}
	})
}

// The next process goes on with what reports say: the name stays, counts do not fall
// however often it was killed, RTCP is where it was.
func TestReportsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		blocker, err := w.net.listen(netip.AddrPortFrom(ourIP, 10001)) // somebody else's, for now
		must(t, err)
		f, conn, s := w.withRTCP("10.0.0.2:4000", "10.0.0.2:4001")
		if n := f.port.RTCPPort(); n != 10003 {
			t.Errorf("RTCP at %d", n)
		}
		place := f.port.Place()
		f.port.Set(s)
		f.port.Play(newLoop(1))
		time.Sleep(time.Minute)
		list, _ := controlled(t, conn)
		before := list[len(list)-1]
		_ = blocker.Close()
		w.e.Close()
		for lives := range uint64(3) {
			e := NewEngine(Config{Ports: [2]uint16{10000, 10100}, Listen: w.net.Listen})
			p, err := e.OpenAt(f.to)
			must(t, err)
			p.Resume(place.After(lives))
			if n := p.RTCPPort(); n != 10003 {
				t.Errorf("RTCP at %d", n)
			}
			p.Set(s)
			p.Play(newLoop(1))
			time.Sleep(time.Minute)
			list, _ := controlled(t, conn)
			for _, c := range list {
				if c.sr == nil || c.sr.SSRC != before.sr.SSRC || c.name != before.name || c.from != before.from {
					t.Fatalf("%+v after %+v", c, before)
				}
				if c.sr.PacketCount <= before.sr.PacketCount || c.sr.OctetCount <= before.sr.OctetCount {
					t.Errorf("%d packets with %d octets after %d with %d", c.sr.PacketCount, c.sr.OctetCount, before.sr.PacketCount, before.sr.OctetCount)
				}
				gap := ticks(c.at.Sub(before.at))
				if d := int32(c.sr.RTPTime - before.sr.RTPTime - gap); d < -8 || d > 168 { // At is in whole ms, and the first frame may be one later
					t.Errorf("timestamps went by %d ticks from the clock", d)
				}
				before = c
			}
			e.Close()
		}
	})
}

// What a bridged peer loses is reported to it; of a parked one nothing is, for its
// voice is not listened to.
func TestReportsOfWhatIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		a, conn, s := w.withRTCP("10.0.0.2:4000", "10.0.0.2:4001")
		b := w.phone("10.0.0.2:4002")
		a.port.Set(s)
		b.port.Set(b.session(codec.PCMU, 0))
		a.port.Play(newLoop(1))
		a.seq = 65400 // it wraps
		during(500, func(int) { a.say([]byte("voice")) })
		list, _ := controlled(t, conn)
		for _, c := range list {
			if len(c.blocks()) > 0 {
				t.Fatalf("a parked caller is told %+v", c.blocks())
			}
		}
		Bridge(a.port, b.port)
		start := a.seq + 1
		sent := time.Now()
		must(t, sendRTCP(a, conn, &rtcp.SenderReport{SSRC: a.ssrc, NTPTime: 0x1234_5678_9ABC_DEF0}))
		during(1000, func(i int) {
			if a.say([]byte("voice")); i%10 == 5 {
				a.seq++ // one in eleven is lost
				a.ts += 160
				time.Sleep(20 * time.Millisecond)
			}
		})
		list, _ = controlled(t, conn)
		lost := uint32(0)
		for _, c := range list {
			blocks := c.blocks()
			if len(blocks) != 1 {
				t.Fatalf("%d blocks", len(blocks))
			}
			r := blocks[0]
			seen := r.LastSequenceNumber - uint32(start) + 1
			if r.SSRC != a.ssrc || r.TotalLost < lost || r.TotalLost < seen/12 || r.TotalLost > seen/10+1 || r.FractionLost > 40 || r.Jitter > 1 ||
				seen > 200 && (r.FractionLost < 18 || r.FractionLost > 28) {
				t.Errorf("%+v after %d packets", r, seen)
			}
			if r.LastSenderReport != 0x5678_9ABC || r.Delay != short(c.at.Sub(sent)) {
				t.Errorf("%+v, %v after its SR", r, c.at.Sub(sent))
			}
			lost = r.TotalLost
		}
		if len(list) < 3 {
			t.Errorf("%d reports", len(list))
		}
		during(10, func(int) {}) // what was on its way
		time.Sleep(15 * time.Second)
		controlled(t, conn)
		time.Sleep(15 * time.Second)
		for list, _ := controlled(t, conn); len(list) > 0; list = list[1:] {
			if len(list[0].blocks()) > 0 {
				t.Error("a report of what did not come")
			}
		}
	})
}

// sendRTCP sends RTCP from a phone's socket to the one that ports share.
func sendRTCP(f *phone, conn *fakeConn, packets ...rtcp.Packet) error {
	b, err := rtcp.Marshal(packets)
	if err == nil {
		_, err = conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(ourIP, f.port.RTCPPort()))
	}
	return err
}

// Jitter as RFC 3550 A.8 estimates it, and keys that do not disturb it.
func TestJitterOfWhatIsHeard(t *testing.T) {
	var v received
	at := 10 * time.Second
	for i := range 1000 {
		h := &packet.Packet{}
		h.SSRC, h.SequenceNumber, h.Timestamp = 5, uint16(i), uint32(i*160)
		late := time.Duration(i%2) * 4 * time.Millisecond // 32 ticks off the packet before
		v.take(h, false, at+time.Duration(i)*20*time.Millisecond+late)
		h.Timestamp = 7
		v.take(h, true, at+time.Duration(i)*20*time.Millisecond)
	}
	if got := v.jitter >> 4; got < 30 || got > 32 {
		t.Errorf("jitter %d ticks, want 32", got)
	}
	c := reports{rx: v}
	if b, ok := c.block(at); !ok || b.TotalLost != 1<<24-1000 || b.FractionLost != 0 { // RFC 3550 A.3: signed
		t.Errorf("%+v of packets that came twice", b)
	}
	if b, ok := c.block(at); ok {
		t.Errorf("%+v of nothing new", b)
	}
}

// What a peer says is noted, and is a sign of life; what others say is not.
func TestReportsOfAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f, conn, s := w.withRTCP("10.0.0.2:4000", "10.0.0.2:4001")
		g, far, s2 := w.withRTCP("10.0.0.2:4002", "10.0.0.2:4003")
		f.port.Set(s)
		g.port.Set(s2)
		if f.port.RTCPPort() != g.port.RTCPPort() {
			t.Fatal("a second socket for RTCP")
		}
		f.port.Play(newLoop(1))
		var sr *rtcp.SenderReport
		for sr == nil {
			time.Sleep(time.Second)
			for list, _ := controlled(t, conn); len(list) > 0; list = list[1:] {
				sr = list[0].sr
				time.Sleep(time.Second - time.Since(list[0].at)) // it answers a second after
			}
		}
		if !f.port.Heard().IsZero() {
			t.Error("heard before anything came")
		}
		block := rtcp.ReceptionReport{SSRC: sr.SSRC, FractionLost: 64, TotalLost: 77, Jitter: 80,
			LastSenderReport: middle(sr.NTPTime), Delay: short(900 * time.Millisecond)}
		must(t, sendRTCP(f, conn, &rtcp.ReceiverReport{SSRC: 5, Reports: []rtcp.ReceptionReport{{SSRC: 9, TotalLost: 5}, block}}))
		synctest.Wait()
		f.port.mu.Lock()
		h := f.port.reports.heard
		f.port.mu.Unlock()
		if !h.known || h.loss != 0.25 || h.lost != 77 || h.jitter != 10*time.Millisecond || (h.trip-100*time.Millisecond).Abs() > time.Millisecond {
			t.Errorf("%+v", h)
		}
		if f.port.Heard() != time.Now() || !g.port.Heard().IsZero() {
			t.Errorf("heard %v and %v", f.port.Heard(), g.port.Heard())
		}
		time.Sleep(time.Second)
		must(t, sendRTCP(g, far, &rtcp.ReceiverReport{SSRC: 5}, &rtcp.Goodbye{Sources: []uint32{5}}))
		stranger, err := w.net.listen(netip.MustParseAddrPort("10.0.0.66:9"))
		must(t, err)
		must(t, sendRTCP(f, stranger, &rtcp.ReceiverReport{SSRC: 5}))
		_, _ = conn.WriteToUDPAddrPort([]byte("noise of a kind"), netip.AddrPortFrom(ourIP, f.port.RTCPPort()))
		synctest.Wait()
		g.port.mu.Lock()
		parted := g.port.reports.parted
		g.port.mu.Unlock()
		if !parted || g.port.Heard() != time.Now() || f.port.Heard() == time.Now() {
			t.Errorf("BYE %t, heard %v and %v", parted, g.port.Heard(), f.port.Heard())
		}
		if st := w.e.Stats(); st.Strangers != 1 || st.Invalid != 1 || st.In != 2 {
			t.Errorf("stats %+v", st)
		}
		// The socket is there for as long as anybody needs it.
		at := netip.AddrPortFrom(ourIP, f.port.RTCPPort())
		f.port.Close()
		if _, err := w.net.listen(at); err == nil {
			t.Error("the socket was closed under another call")
		}
		g.port.Close()
		if c, err := w.net.listen(at); err != nil {
			t.Errorf("the socket is still there: %v", err)
		} else {
			_ = c.Close()
		}
	})
}

// Peers behind NAT whose RTCP goes to an address that nobody is at get none.
func TestNoReportsIntoTheDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("203.0.113.9:61000")
		dark, err := w.net.listen(netip.MustParseAddrPort("192.168.1.5:4001")) // somebody else
		must(t, err)
		s := f.session(codec.PCMU, 0)
		s.Remote, s.RTCP = netip.MustParseAddrPort("192.168.1.5:4000"), dark.addr
		f.port.Set(s)
		f.port.Play(newLoop(1))
		during(3, func(int) { f.say([]byte("x")) })
		time.Sleep(time.Minute)
		if list, _ := controlled(t, dark); len(list) > 0 {
			t.Errorf("%d reports", len(list))
		}
		s.Mux, s.RTCP = true, s.Remote
		f.port.Set(s)
		time.Sleep(time.Minute)
		if list, _ := controlled(t, f.conn); len(list) < 9 {
			t.Errorf("%d reports where RTP goes", len(list))
		}
	})
}

// FuzzRTCP reads whatever comes as a peer's RTCP.
func FuzzRTCP(f *testing.F) {
	for _, p := range []rtcp.Packet{
		&rtcp.SenderReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 2}}}, &rtcp.ReceiverReport{SSRC: 1},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: 1, Items: []rtcp.SourceDescriptionItem{{Type: 1, Text: "x"}}}}},
		&rtcp.Goodbye{Sources: []uint32{1}, Reason: "tired"},
	} {
		b, err := p.Marshal()
		must(f, err)
		f.Add(b)
	}
	both, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}, &rtcp.Goodbye{Sources: []uint32{1}}})
	must(f, err)
	f.Add(both)
	f.Add(append(both, 0xa0, 203, 0, 1, 0, 0, 0, 4))
	f.Add([]byte("\x81\xcc\x00\x02abcdname"))
	f.Add([]byte(strings.Repeat("\x80\xcf\x00\x00", 20)))
	e := NewEngine(Config{Ports: [2]uint16{10000, 10100}, Listen: newFakeNet().Listen})
	f.Cleanup(e.Close)
	p, err := e.Open(ourIP)
	must(f, err)
	p.out.ssrc = 2
	p.reports.member = member{1, ourIP}
	r := &reader{e: e, count: e.spare()}
	f.Fuzz(func(t *testing.T, b []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		from := netip.AddrPortFrom(ourIP, 9)
		r.takeControl(p, from, memberOf(from, b), b) // of who p's peer may be
		if found := p.reports.found.IsValid(); found && !isCompound(b) {
			t.Error("found by what is no compound")
		}
		p.reports.found = netip.AddrPort{}
		p.reports.at = 0
		p.reports.source = from
		r.takeControl(p, from, member{}, b)
		p.reports.source = netip.AddrPort{}
		if h := p.reports.heard; h.loss < 0 || h.loss >= 1 || h.jitter < 0 || h.trip < 0 {
			t.Errorf("%+v", h)
		}
		asOthersWrite(t, p.compound(nil, p.e.now(), true))
	})
}
