package rtpmusic

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"parkd/internal/rtpmusic/library"
)

// BenchmarkRestart does what a start after a crash does with so many parked calls,
// one after the other: open the port that a call had, resume its stream, set its
// session, and play. It reports what each took for all of them, and how long after
// the last Play every stream had sent its first packet.
func BenchmarkRestart(b *testing.B) {
	for _, n := range []int{1000, 8000} {
		b.Run(fmt.Sprintf("calls=%d", n), func(b *testing.B) { benchRestart(b, n) })
	}
}

func benchRestart(b *testing.B, n int) {
	raiseFiles(b, n+1000)
	sinks := newSinks(b, 500) // each is the peer of several
	tune := newLoop(60)
	ports := make([]*Port, n)
	steps := []string{"open-ms", "resume-ms", "place-ms", "set-ms", "play-ms", "heard-ms", "worst-open-us"}
	took := make([][]float64, len(steps))
	for b.Loop() {
		runtime.GC()
		e := NewEngine(Config{Ports: [2]uint16{10000, 32767}})
		begun := time.Now()
		done := func(step int) {
			took[step] = append(took[step], time.Since(begun).Seconds()*1e3)
			begun = time.Now()
		}
		var worst time.Duration
		for i := range ports {
			one := time.Now()
			p, err := e.OpenAt(netip.AddrPortFrom(loopback, uint16(10000+2*((i*4093)%n)))) // in no order
			must(b, err)
			ports[i], worst = p, max(worst, time.Since(one))
		}
		done(0)
		took[6] = append(took[6], float64(worst.Microseconds()))
		for i, p := range ports {
			p.Resume(Place{SSRC: uint32(i), Seq: uint16(i), TS: uint32(i), At: begun})
		}
		done(1)
		for _, p := range ports {
			p.Place()
		}
		done(2)
		for i, p := range ports {
			p.Set(Session{Remote: sinks[i%len(sinks)].addr, Codec: "PCMU", EventPT: 101, EventRecvPT: 101, Send: true, Recv: true})
		}
		done(3)
		for _, p := range ports {
			p.Play(tune)
		}
		done(4)
		for i := range ports {
			for !ports[i].hasSent(uint16(i)) {
				sleep(time.Millisecond)
			}
		}
		done(5)
		e.Close()
	}
	for i, v := range took {
		b.ReportMetric(median(v), steps[i])
	}
}

// BenchmarkReload replaces five minutes of music that many streams play, and
// reports what share of their packets was late by lateAfter or left out meanwhile,
// and before.
func BenchmarkReload(b *testing.B) {
	const n = 1000
	raiseFiles(b, 4*n)
	dir := b.TempDir()
	write := func(step int) { writeMusic(b, filepath.Join(dir, "music.wav"), 300, step) }
	write(100)
	lib, err := library.Load(dir, []string{"music"})
	must(b, err)
	e := NewEngine(Config{Ports: [2]uint16{10000, 30000}})
	defer e.Close()
	for _, s := range newSinks(b, n) {
		s.open(b, e).Play(lib.Tune("music"))
	}
	late := func(f func()) float64 {
		sleep(benchSettle)
		s0 := e.Stats()
		f()
		s1 := e.Stats()
		return 100 * float64(s1.Late-s0.Late+s1.Skipped-s0.Skipped) / float64(s1.Out-s0.Out+s1.Skipped-s0.Skipped)
	}
	var before, beside []float64
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		before = append(before, late(func() { sleep(benchRound) }))
		write(200 + i)
		b.StartTimer()
		beside = append(beside, late(func() {
			_, err := lib.Reload(dir, []string{"music"})
			must(b, err)
		}))
	}
	b.ReportMetric(median(before), "late-%-before")
	b.ReportMetric(median(beside), "late-%-beside")
}

// hasSent says whether anything was sent since the stream was resumed after seq.
func (p *Port) hasSent(seq uint16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.seq != seq
}
