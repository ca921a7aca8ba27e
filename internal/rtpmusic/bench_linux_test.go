package rtpmusic

import (
	"fmt"
	"net/netip"
	"runtime"
	"sort"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// Figures of the bench. Each round measures the floor and the engine one after
// the other, so that what the machine does meanwhile meets both.
const (
	benchRounds = 3
	benchRound  = 2 * time.Second
	benchSettle = 300 * time.Millisecond

	// A round in which something else had the processors measures nothing: one that
	// is late sends in bursts, which are cheap, and the other skips. So many of them
	// are measured again.
	benchStarved = 6
)

// BenchmarkMusic plays to many peers and reports, per packet, the CPU time (user
// and system, by getrusage) of the engine and of a bare paced sender of as many
// plain sockets: one thread, phases of 1 ms, one sendto a packet and nothing
// else. Peers are sockets that nobody reads.
func BenchmarkMusic(b *testing.B) {
	for _, n := range []int{1000, 4000} {
		for _, joined := range []bool{false, true} {
			b.Run(fmt.Sprintf("streams=%d/joined=%t", n, joined), func(b *testing.B) { benchMusic(b, n, joined) })
		}
	}
}

func benchMusic(b *testing.B, n int, joined bool) {
	raiseFiles(b, 4*n)
	sinks := newSinks(b, n)
	e := NewEngine(Config{Ports: [2]uint16{10000, 30000}})
	defer e.Close()
	ports := make([]*Port, n)
	before := heap()
	for i := range ports {
		ports[i] = sinks[i].open(b, e)
	}
	perPort := float64(heap()-before) / float64(n)
	floor := newFloor(b, sinks)
	tune := newLoop(60)
	var ratios, ours, bare []float64
	starved := 0
	b.ResetTimer()
	for range b.N {
		for good := 0; good < benchRounds; {
			f := floor.run()
			for i, p := range ports {
				if joined { // it lasts looseAfter, longer than a round
					sinks[i].talk(b, p)
					for !p.isJoined() {
						runtime.Gosched()
					}
				}
				p.Play(tune)
			}
			sleep(benchSettle)
			s0, c0 := e.Stats(), cpuTime()
			sleep(benchRound)
			s1, c1 := e.Stats(), cpuTime()
			for _, p := range ports {
				p.Stop()
			}
			sleep(benchSettle)
			if (floor.starved || s1.Skipped > s0.Skipped) && starved < benchStarved {
				starved++
				continue
			}
			good++
			o := float64(c1-c0) / float64(s1.Out-s0.Out)
			ratios, ours, bare = append(ratios, o/f), append(ours, o), append(bare, f)
		}
	}
	b.StopTimer()
	s := e.Stats()
	b.ReportMetric(median(ratios), "x-floor")
	b.ReportMetric(median(ours), "ns/pkt")
	b.ReportMetric(median(bare), "floor-ns/pkt")
	b.ReportMetric(quantile(s.Lateness, 0.999)*1e3, "late-p99.9-ms")
	b.ReportMetric(floor.late(0.999).Seconds()*1e3, "floor-late-p99.9-ms")
	b.ReportMetric(float64(s.Skipped), "skipped")
	b.ReportMetric(float64(s.Failed), "failed")
	b.ReportMetric(float64(starved), "starved-rounds")
	b.ReportMetric(perPort, "heap-B/port")
}

// sink is a peer that nobody reads.
type sink struct {
	fd   int
	addr netip.AddrPort
}

func newSinks(b *testing.B, n int) []sink {
	sinks := make([]sink, n)
	for i := range sinks {
		fd := udpSocket(b)
		sa, err := unix.Getsockname(fd)
		must(b, err)
		sinks[i] = sink{fd, netip.AddrPortFrom(loopback, uint16(sa.(*unix.SockaddrInet4).Port))}
	}
	return sinks
}

var loopback = netip.MustParseAddr("127.0.0.1")

func udpSocket(b *testing.B) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(b, err)
	b.Cleanup(func() { _ = unix.Close(fd) })
	must(b, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096))
	must(b, unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback.As4()}))
	return fd
}

func (s sink) open(b *testing.B, e *Engine) *Port {
	p, err := e.Open(loopback)
	must(b, err)
	p.Set(Session{Remote: s.addr, Codec: codec.PCMU, EventPT: 101, EventRecvPT: 101, Send: true, Recv: true})
	return p
}

// talk sends the port a packet.
func (s sink) talk(b *testing.B, p *Port) {
	must(b, unix.Sendto(s.fd, rtpBytes(false, 0, 1, 0, 7, make([]byte, 160)), 0,
		&unix.SockaddrInet4{Addr: loopback.As4(), Port: int(p.LocalPort())}))
}

func (p *Port) isJoined() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.joined
}

// floor is the bare paced sender.
type floor struct {
	socks []*rawSocket
	lates []time.Duration
	seq   uint16 // of 1 ms
	total int    // packets sent

	starved bool // in the last run it was late by more than a frame
}

func newFloor(b *testing.B, sinks []sink) *floor {
	f := new(floor)
	for _, to := range sinks {
		s := &rawSocket{fd: udpSocket(b)}
		s.aim(to.addr)
		f.socks = append(f.socks, s)
	}
	return f
}

// run sends for a round and returns the CPU time a packet, in ns.
func (f *floor) run() float64 {
	result := make(chan float64)
	f.starved = false
	go func() {
		e := &Engine{start: time.Now(), done: make(chan struct{})}
		nap := newSleeper(e)
		var b [packet.HeaderSize + framePtime*bytesPerMs]byte
		var sent int
		var c0 time.Duration
		begin := int64(benchSettle / time.Millisecond)
		for tick := int64(0); tick < begin+int64(benchRound/time.Millisecond); tick++ {
			if tick == begin {
				sent, c0 = 0, cpuTime()
			}
			nap.until(time.Duration(tick) * time.Millisecond)
			f.seq++
			packet.PutHeader(b[:], false, 0, f.seq/framePtime, uint32(f.seq/framePtime)*160, 7)
			n := 0
			for i := int(tick % framePtime); i < len(f.socks); i += framePtime {
				_ = f.socks[i].sendto(b[:])
				if n++; n%16 == 0 {
					late := e.now() - time.Duration(tick)*time.Millisecond
					f.lates = append(f.lates, late)
					f.starved = f.starved || late > framePtime*time.Millisecond
				}
			}
			sent += n
			f.total += n
		}
		result <- float64(cpuTime()-c0) / float64(sent)
	}()
	return <-result
}

func (f *floor) late(q float64) time.Duration {
	sort.Slice(f.lates, func(i, j int) bool { return f.lates[i] < f.lates[j] })
	if len(f.lates) == 0 {
		return 0
	}
	return f.lates[int(q*float64(len(f.lates)-1))]
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func sleep(d time.Duration) { <-time.After(d) }

func median(v []float64) float64 {
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	return s[len(s)/2]
}

// quantile returns the bucket bound at or above a quantile, in seconds.
func quantile(h Histogram, q float64) float64 {
	bounds := make([]float64, 0, len(h.Buckets))
	for b := range h.Buckets {
		bounds = append(bounds, b)
	}
	sort.Float64s(bounds)
	for _, b := range bounds {
		if float64(h.Buckets[b]) >= q*float64(h.Count) {
			return b
		}
	}
	return bounds[len(bounds)-1]
}

func raiseFiles(b *testing.B, n int) {
	var l unix.Rlimit
	must(b, unix.Getrlimit(unix.RLIMIT_NOFILE, &l))
	if l.Cur < uint64(n) {
		l.Cur = min(l.Max, uint64(n))
		must(b, unix.Setrlimit(unix.RLIMIT_NOFILE, &l))
	}
}
