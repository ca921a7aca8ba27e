package rtpmusic

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"

	"parkd/internal/rtpmusic/codec"
)

// hiddenPhone is a phone behind NAT that does not multiplex: it describes addresses of
// its own network, and RTP and RTCP come from two ports of the NAT's.
type hiddenPhone struct {
	*phone
	t    *testing.T
	w    *world
	s    Session
	rtcp *fakeConn // the NAT's port
	dark *fakeConn // what is described: nobody's, or a stranger's
}

// hides puts a phone behind NAT and has it be heard.
func (w *world) hides(at, rtcp string) *hiddenPhone {
	w.t.Helper()
	h := &hiddenPhone{phone: w.phone(at), t: w.t, w: w}
	h.rtcp = w.at(rtcp)
	if h.dark, _ = w.net.listen(netip.MustParseAddrPort("192.168.1.5:4001")); h.dark == nil {
		h.dark = h.rtcp // another phone's
	}
	h.s = h.session(codec.PCMU, 0)
	h.s.Remote, h.s.RTCP = netip.MustParseAddrPort("192.168.1.5:4000"), netip.MustParseAddrPort("192.168.1.5:4001")
	h.port.Set(h.s)
	h.port.Play(newLoop(1))
	during(3, func(int) { h.say([]byte("x")) })
	return h
}

func (w *world) at(addr string) *fakeConn {
	w.t.Helper()
	c, err := w.net.listen(netip.MustParseAddrPort(addr))
	must(w.t, err)
	return c
}

// reports sends a compound of an SSRC from an address.
func (h *hiddenPhone) reports(ssrc uint32, from *fakeConn, more ...rtcp.Packet) {
	h.t.Helper()
	must(h.t, sendRTCP(h.phone, from, append([]rtcp.Packet{&rtcp.SenderReport{SSRC: ssrc},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "x"}}}}}}, more...)...))
	synctest.Wait()
}

// told checks who gets reports in the next half a minute, in which the phone talks.
func (h *hiddenPhone) told(what string, who *fakeConn, others ...*fakeConn) {
	h.t.Helper()
	for _, c := range append(others, who, h.dark) {
		if c != nil {
			controlled(h.t, c)
		}
	}
	during(1500, func(int) { h.say([]byte("x")) })
	for _, c := range append(others, h.dark) {
		if c == who {
			continue
		}
		if list, _ := controlled(h.t, c); len(list) > 0 {
			h.t.Errorf("%s: %d reports to %v", what, len(list), c.addr)
		}
	}
	if who == nil {
		return
	}
	if list, _ := controlled(h.t, who); len(list) < 4 {
		h.t.Errorf("%s: %d reports", what, len(list))
	}
}

// A peer behind NAT gets reports where its own come from, and nobody takes them from it.
func TestReportsBehindNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.hides("203.0.113.9:61000", "203.0.113.9:61777")
		stranger, neighbour, later := w.at("198.51.100.1:9"), w.at("203.0.113.9:62000"), w.at("203.0.113.9:61999")
		f.told("nothing has come", nil, f.rtcp)

		f.reports(f.ssrc, stranger)    // another host
		f.reports(f.ssrc+1, neighbour) // another stream
		must(t, sendRTCP(f.phone, neighbour, &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: f.ssrc}}}))
		b, err := (&rtcp.SenderReport{SSRC: f.ssrc}).Marshal()
		must(t, err)
		for _, bad := range [][]byte{b[:8], append(b, 0x80, 201, 0, 9), append(b, 1, 2, 3)} { // no compound
			_, _ = neighbour.WriteToUDPAddrPort(bad, netip.AddrPortFrom(ourIP, f.port.RTCPPort()))
		}
		f.told("strangers have sent", nil, f.rtcp, stranger, neighbour)

		f.reports(f.ssrc, f.rtcp)
		if f.port.Heard() != time.Now() {
			t.Error("no sign of life")
		}
		f.told("it has sent", f.rtcp, stranger, neighbour)

		f.reports(f.ssrc, f.rtcp)
		f.reports(f.ssrc, neighbour, &rtcp.Goodbye{Sources: []uint32{f.ssrc}})
		f.port.mu.Lock()
		parted := f.port.reports.parted
		f.port.mu.Unlock()
		if parted {
			t.Error("a stranger took leave")
		}
		f.told("a stranger knows the SSRC", f.rtcp, neighbour)

		f.port.Set(f.s) // a session refresh
		f.told("refreshed", f.rtcp)
		f.reports(f.ssrc, f.rtcp)
		time.Sleep(goneAfter + time.Second) // and then the NAT has another port for it
		f.reports(f.ssrc, later)
		f.told("the NAT's port has changed", later, f.rtcp)

		moved := f.s
		moved.Remote, moved.RTCP = netip.MustParseAddrPort("192.168.1.6:4000"), netip.MustParseAddrPort("192.168.1.6:4001")
		f.port.Set(moved)
		f.told("another description", nil, f.rtcp, later)
		f.reports(f.ssrc, later)
		f.told("heard again", later)
		f.port.Close()
		if list, _ := controlled(t, later); len(list) != 1 || !list[0].bye {
			t.Errorf("at the end: %+v", list)
		}
	})
}

// Where the peer goes on from another host, its RTCP is looked for there.
func TestReportsFollowTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.hides("203.0.113.9:61000", "203.0.113.9:61777")
		f.reports(f.ssrc, f.rtcp)
		f.told("there", f.rtcp)
		time.Sleep(looseAfter)
		f.conn = w.at("203.0.113.70:5000")
		there := w.at("203.0.113.70:5001")
		f.told("moved", nil, f.rtcp, there)
		time.Sleep(goneAfter)
		f.say([]byte("x"))
		synctest.Wait()
		f.reports(f.ssrc, there)
		f.told("heard there", there, f.rtcp)
	})
}

// A peer that uses STUN describes the NAT's port of RTP, and has none to name for RTCP.
func TestReportsBesideATranslatedPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.hides("203.0.113.9:61000", "203.0.113.9:61777")
		f.s.Remote, f.s.RTCP = f.conn.addr, netip.MustParseAddrPort("203.0.113.9:61001")
		f.port.Set(f.s)
		during(3, func(int) { f.say([]byte("x")) })
		f.reports(f.ssrc, f.rtcp)
		f.told("it has sent", f.rtcp)
	})
}

// Two phones behind one NAT have the same SSRC: nobody knows whose RTCP it is, until
// one has gone.
func TestReportsOfTwoAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.hides("203.0.113.9:61000", "203.0.113.9:61777")
		g := w.hides("203.0.113.9:61002", "203.0.113.9:61779")
		f.reports(f.ssrc, f.rtcp)
		g.reports(g.ssrc, g.rtcp)
		f.told("alike", nil, f.rtcp, g.rtcp)
		f.ssrc++ // a stream of its own
		f.say([]byte("x"))
		synctest.Wait()
		f.reports(f.ssrc, f.rtcp)
		f.told("no more alike", f.rtcp, g.rtcp)
		c := f.port.control
		f.port.Close()
		c.mu.Lock()
		if len(c.members) != 1 {
			t.Errorf("%d members, one port", len(c.members))
		}
		c.mu.Unlock()
		g.port.Close()
		if len(c.members) != 0 || len(c.peers) != 0 {
			t.Errorf("left over: %v, %v", c.members, c.peers)
		}
	})
}

// media.latch: never takes descriptions at their word.
func TestReportsAreNotFoundWithoutLatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.hides("203.0.113.9:61000", "203.0.113.9:61777")
		f.reports(f.ssrc, f.rtcp)
		f.told("it has sent", f.rtcp)
		w.e.SetLatch(LatchNever)
		f.port.Set(f.s)
		f.reports(f.ssrc, f.rtcp)
		f.told("never", f.dark, f.rtcp) // what was described is right
	})
}

// With SRTP it takes the key.
func TestSecureReportsBehindNAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := &secretPhone{phone: w.phone("203.0.113.9:61000")}
		control, neighbour := w.at("203.0.113.9:61777"), w.at("203.0.113.9:62000")
		s := f.lock(secured("AES_CM_128_HMAC_SHA1_80", 1, 2))
		s.Remote, s.RTCP = netip.MustParseAddrPort("192.168.1.5:4000"), netip.MustParseAddrPort("192.168.1.5:4001")
		f.port.Set(s)
		f.port.Play(newLoop(1))
		during(3, func(int) { f.says(f.out, []byte("x")) })
		must(t, sendRTCP(f.phone, neighbour, &rtcp.SenderReport{SSRC: f.ssrc}))
		time.Sleep(20 * time.Second)
		if n := len(neighbour.in); n > 0 {
			t.Errorf("%d reports to a stranger", n)
		}
		b, err := (&rtcp.SenderReport{SSRC: f.ssrc}).Marshal()
		must(t, err)
		b, err = f.out.RTCP(b)
		must(t, err)
		to := netip.AddrPortFrom(ourIP, f.port.RTCPPort())
		_, _ = control.WriteToUDPAddrPort(b, to)
		time.Sleep(20 * time.Second)
		if n := len(control.in); n < 2 {
			t.Errorf("%d reports", n)
		}
		for len(control.in) > 0 {
			if _, err := f.in.RTCP((<-control.in).b); err != nil {
				t.Error(err)
			}
		}
		if st := w.e.Stats(); st.Forged != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}
