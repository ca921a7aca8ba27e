package rtpmusic

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
)

func TestCompoundsAreAsOthersWriteThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		p := w.phone("10.0.0.2:4000").port
		time.Sleep(time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := range 8 {
			if i&1 != 0 {
				p.out.packets, p.out.octets = p.out.packets+7, p.out.octets+1120
			}
			if p.reports.before = p.out.packets; i&1 != 0 {
				p.reports.before--
			}
			if i&2 != 0 {
				p.reports.rx = received{begun: true, ssrc: 9, seq: 70, base: 1, count: 60, reported: 1, jitter: 999}
				p.reports.lsr, p.reports.lsrOf = 5, 9
			}
			b := p.compound(nil, w.e.now(), i&4 != 0)
			asOthersWrite(t, b)
			list, _ := rtcp.Unmarshal(b)
			if _, sr := list[0].(*rtcp.SenderReport); sr != (i&1 != 0) || len(list) != 2+i>>2 {
				t.Errorf("%d: %v", i, list)
			}
		}
	})
}

// reporters are ports with peers that get RTCP, and a round of the wheel's visits to all.
func reporters(tb testing.TB, n int) (round func()) {
	e := newTestEngine(tb)
	sink := newSocket(tb, loopback)
	ports := make([]*Port, n)
	for i := range ports {
		p, err := e.Open(loopback)
		must(tb, err)
		p.Set(Session{Remote: netip.AddrPortFrom(loopback, 9), RTCP: addrOf(sink), Codec: "PCMU", Send: true, Recv: true})
		ports[i] = p
	}
	var room [reportRoom]byte
	return func() {
		for _, p := range ports {
			p.mu.Lock()
			p.out.packets++ // it has sent, as far as anybody knows
			p.mu.Unlock()
			p.visit(room[:0])
		}
	}
}

// What the wheel writes for a port does not allocate, nor does its turning. (Sending does:
// sendNow makes two small objects to get at Go's descriptor.)
func TestWheelDoesNotAllocate(t *testing.T) {
	p := &Port{e: newTestEngine(t)}
	var room [reportRoom]byte
	if n := testing.AllocsPerRun(50, func() {
		p.out.packets++
		p.compound(room[:0], p.e.now(), true)
	}); n > 0 {
		t.Errorf("%v allocations for a report", n)
	}
	w := newWheel(nil)
	turn := func() {
		for range 10 {
			w.add(&Port{closed: true}, 0)
		}
		w.step()
	}
	for range 2 * wheelSlots {
		turn()
	}
	ports := [10]*Port{}
	for i := range ports {
		ports[i] = &Port{closed: true}
	}
	if n := testing.AllocsPerRun(50, func() {
		for _, p := range ports {
			w.add(p, 0)
		}
		w.step()
	}); n > 0 {
		t.Errorf("%v allocations a step", n)
	}
}

// BenchmarkReports is what visits of the wheel cost with 2,000 calls that get reports;
// percent-of-a-core is at the usual interval of RFC 3550 6.2. The floor is a datagram of
// that size from one socket.
func BenchmarkReports(b *testing.B) {
	const calls = 2000
	from, sink := newSocket(b, loopback), newSocket(b, loopback)
	b.Run("floor", func(b *testing.B) { perReport(b, calls, func() { bare(b, from, addrOf(sink), calls) }) })
	b.Run("wheel", func(b *testing.B) { perReport(b, calls, reporters(b, calls)) })
}

// bare sends n datagrams of a report's size.
func bare(b *testing.B, from *net.UDPConn, to netip.AddrPort, n int) {
	var packet [srSize + sdesSize]byte
	for range n {
		_, err := from.WriteToUDPAddrPort(packet[:], to)
		must(b, err)
	}
}

// perReport says what one of so many costs.
func perReport(b *testing.B, calls int, round func()) {
	b.ReportAllocs()
	begun := cpuTime()
	for b.Loop() {
		round()
	}
	each := (cpuTime() - begun) / time.Duration(b.N*calls)
	b.ReportMetric(float64(each.Nanoseconds()), "cpu-ns/report")
	b.ReportMetric(100*float64(calls)*each.Seconds()*compensation/reportEvery.Seconds(), "percent-of-a-core")
}
