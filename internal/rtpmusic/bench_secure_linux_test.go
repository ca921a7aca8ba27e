package rtpmusic

import (
	"runtime"
	"testing"
	"time"

	"parkd/internal/sdp"
)

// BenchmarkSecureMusic reports what a packet of paced music costs in the clear and by
// each suite of SRTP, and how much heap a port takes.
func BenchmarkSecureMusic(b *testing.B) {
	for _, suite := range append([]string{""}, sdp.Suites()...) {
		name := suite
		if suite == "" {
			name = "clear"
		}
		b.Run(name, func(b *testing.B) { benchSecureMusic(b, suite) })
	}
}

func benchSecureMusic(b *testing.B, suite string) {
	const n = 1000
	raiseFiles(b, 3*n)
	sinks := newSinks(b, n)
	e := NewEngine(Config{Ports: [2]uint16{10000, 30000}})
	defer e.Close()
	ports := make([]*Port, n)
	for i := range ports {
		ports[i] = sinks[i].open(b, e)
	}
	runtime.GC()
	before := heap()
	for _, p := range ports {
		s := p.session
		if suite != "" {
			s.Secured = secured(suite, 1, 2)
		}
		p.Set(s)
	}
	perPort := float64(heap()-before) / n
	tune := newLoop(10)
	for _, p := range ports {
		p.Play(tune)
	}
	time.Sleep(200 * time.Millisecond)
	var cost []float64
	b.ResetTimer()
	for range b.N {
		out, cpu := e.Stats().Out, cpuTime()
		time.Sleep(time.Second)
		cost = append(cost, float64(cpuTime()-cpu)/float64(e.Stats().Out-out))
	}
	b.StopTimer()
	b.ReportMetric(median(cost), "ns/pkt")
	b.ReportMetric(perPort, "heap-B/port")
}
