package rtpmusic

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// BenchmarkIncoming has many peers talk, and reports what a packet costs beyond
// the sending of it: when it is listened to and dropped, as a parked caller's, and
// when it is relayed to the other end of a bridge, without and with transcoding.
func BenchmarkIncoming(b *testing.B) {
	const n = 1000
	for _, tt := range []struct {
		name   string
		bridge bool
		codec  string // of every other port
	}{
		{"parked", false, "PCMU"},
		{"bridged", true, "PCMU"},
		{"transcoded/G711", true, "PCMA"},
		{"transcoded/G722", true, "G722"},
	} {
		b.Run(tt.name, func(b *testing.B) { benchIncoming(b, n, tt.bridge, tt.codec) })
	}
}

func benchIncoming(b *testing.B, n int, bridge bool, other string) {
	raiseFiles(b, 4*n)
	deaf, peers := newSinks(b, n), newSinks(b, n)
	e := NewEngine(Config{Ports: [2]uint16{10000, 30000}})
	defer e.Close()
	floor, talk := new(floor), new(floor)
	ports := make([]*Port, n)
	for i := range ports {
		ports[i] = peers[i].open(b, e)
		if i%2 == 1 {
			s := ports[i].session
			s.Codec = other
			ports[i].Set(s)
			if bridge {
				Bridge(ports[i-1], ports[i])
			}
		}
		to := &rawSocket{fd: peers[i].fd}
		to.aim(deaf[i].addr)
		floor.socks = append(floor.socks, to)
		to = &rawSocket{fd: peers[i].fd}
		to.aim(netip.AddrPortFrom(loopback, ports[i].LocalPort()))
		talk.socks = append(talk.socks, to)
	}
	var cost, ratio []float64
	b.ResetTimer()
	for range b.N {
		for range benchRounds {
			f := whole(e, floor)
			t := whole(e, talk)
			cost, ratio = append(cost, t-f), append(ratio, (t-f)/f)
		}
	}
	b.StopTimer()
	b.ReportMetric(median(cost), "ns/pkt")
	b.ReportMetric(median(ratio), "x-floor")
	st := e.Stats()
	b.ReportMetric(float64(st.Relayed)/float64(st.In), "relayed/in")
	b.ReportMetric(float64(st.In)/float64(talk.total), "in/sent")
}

// whole has a sender send for a round, waits until the engine has read all of it,
// and returns the CPU time a packet, in ns.
func whole(e *Engine, f *floor) float64 {
	n, c := f.total, cpuTime()
	f.run()
	for in := e.Stats().In; ; {
		sleep(benchSettle)
		if now := e.Stats().In; now == in {
			break
		} else {
			in = now
		}
	}
	return float64(cpuTime()-c) / float64(f.total-n)
}

// BenchmarkOpenClose opens and closes a port beside others that are open.
func BenchmarkOpenClose(b *testing.B) {
	for _, n := range []int{10, 5000} {
		b.Run(fmt.Sprintf("open=%d", n), func(b *testing.B) {
			raiseFiles(b, n+100)
			e := NewEngine(Config{Ports: [2]uint16{10000, 30000}})
			defer e.Close()
			heapBefore, slabBefore := heap(), slab()
			for range n {
				_, err := e.Open(loopback)
				must(b, err)
			}
			perHeap, perSlab := float64(heap()-heapBefore)/float64(n), (slab()-slabBefore)/float64(n)
			for b.Loop() {
				p, err := e.Open(loopback)
				must(b, err)
				p.Close()
			}
			b.ReportMetric(perHeap, "heap-B/port")
			b.ReportMetric(perSlab, "slab-B/port")
		})
	}
}

// BenchmarkPlayStop starts and stops a stream beside others that play.
func BenchmarkPlayStop(b *testing.B) {
	for _, n := range []int{10, 5000} {
		b.Run(fmt.Sprintf("playing=%d", n), func(b *testing.B) {
			raiseFiles(b, n+100)
			e := NewEngine(Config{Ports: [2]uint16{10000, 30000}})
			defer e.Close()
			tune := newLoop(1)
			var p *Port
			for range n {
				var err error
				p, err = e.Open(loopback)
				must(b, err)
				p.Play(tune)
			}
			for b.Loop() {
				p.Stop()
				p.Play(tune)
			}
		})
	}
}

// slab returns the memory that the kernel has in its object caches, in octets.
func slab() float64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "Slab: %f kB", &kb); n == 1 {
			return kb * 1024
		}
	}
	return 0
}
