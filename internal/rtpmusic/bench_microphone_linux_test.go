package rtpmusic

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// BenchmarkMicrophone has the peers of many ports talk 50 packets a second, and reports
// what CPU time a packet costs beyond one that the kernel throws away at once: read by
// the barest loop (the floor), by an engine that reads all of it, and by one that filters.
func BenchmarkMicrophone(b *testing.B) {
	const n = 1000
	raiseFiles(b, 6*n)
	deaf, bare, mouths := newSinks(b, n), newSinks(b, n), newSinks(b, n)
	nothing, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{}})
	must(b, err)
	for _, s := range deaf {
		to := &rawSocket{fd: s.fd}
		to.filter(&filter{nothing})
		to.attach()
	}
	e := NewEngine(Config{Ports: [2]uint16{10000, 30000}})
	defer e.Close()
	toDeaf, toBare, toRead, toFiltered := new(floor), new(floor), new(floor), new(floor)
	talk := func(f *floor, from sink, to netip.AddrPort) {
		s := &rawSocket{fd: from.fd}
		s.aim(to)
		f.socks = append(f.socks, s)
	}
	var filtered []*Port
	for i, from := range mouths {
		read, sieved := from.open(b, e), from.open(b, e)
		read.mu.Lock()
		read.deaf = nil
		read.mu.Unlock()
		filtered = append(filtered, sieved)
		talk(toDeaf, from, deaf[i].addr)
		talk(toBare, from, bare[i].addr)
		talk(toRead, from, netip.AddrPortFrom(loopback, read.LocalPort()))
		talk(toFiltered, from, netip.AddrPortFrom(loopback, sieved.LocalPort()))
	}
	for i, p := range filtered {
		for !p.isScreened() {
			mouths[i].talk(b, p)
			runtime.Gosched()
		}
	}
	stop := readBare(b, bare)
	defer stop()
	var floors, read, sieved, readRatio, ratio []float64
	b.ResetTimer()
	for range b.N {
		for range benchRounds {
			nobody := whole(e, toDeaf)
			f := whole(e, toBare) - nobody
			r := whole(e, toRead) - nobody
			s := whole(e, toFiltered) - nobody
			floors, read, sieved = append(floors, f), append(read, r), append(sieved, s)
			readRatio, ratio = append(readRatio, r/f), append(ratio, s/f)
		}
	}
	b.StopTimer()
	b.ReportMetric(median(floors), "floor-ns/pkt")
	b.ReportMetric(median(read), "read-ns/pkt")
	b.ReportMetric(median(sieved), "filtered-ns/pkt")
	b.ReportMetric(median(readRatio), "read-x-floor")
	b.ReportMetric(median(ratio), "filtered-x-floor")
}

func (p *Port) isScreened() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.filtered
}

// readBare reads sockets by one thread, one epoll descriptor and nothing else.
func readBare(b *testing.B, sinks []sink) (stop func()) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(b, err)
	for _, s := range sinks {
		must(b, unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.fd)}))
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer unix.Close(ep)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var events [128]unix.EpollEvent
		var buf [maxDatagram]byte
		var s rawSocket
		for {
			n, _ := unix.EpollWait(ep, events[:], 100)
			for i := range max(n, 0) {
				s.fd = int(events[i].Fd)
				_, _, _ = s.recv(buf[:])
			}
			select {
			case <-quit:
				return
			default:
			}
		}
	}()
	return func() { close(quit); <-done }
}

// BenchmarkFilterOnOff attaches a filter to many sockets and takes them off again, and
// reports the CPU time of either and what the kernel keeps for one.
func BenchmarkFilterOnOff(b *testing.B) {
	const n = 4000
	raiseFiles(b, n+100)
	sinks := newSinks(b, n)
	f := newFilter(101, 96)
	socks := make([]*rawSocket, n)
	var on, off, memory []float64
	for b.Loop() {
		before, c0 := kernelMemory(), cpuTime()
		for i, s := range sinks {
			socks[i] = &rawSocket{fd: s.fd}
			socks[i].filter(f)
			socks[i].attach()
		}
		c1 := cpuTime()
		memory = append(memory, (kernelMemory()-before)/n)
		c2 := cpuTime()
		for _, s := range socks {
			s.filter(nil)
		}
		on, off = append(on, float64(c1-c0)/n), append(off, float64(cpuTime()-c2)/n)
	}
	b.ReportMetric(median(memory), "kernel-B/filter")
	b.ReportMetric(median(on), "on-ns")
	b.ReportMetric(median(off), "off-ns")
}

// kernelMemory returns what the kernel has in object caches, in pages that it maps, and
// for each processor, in octets.
func kernelMemory() (sum float64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		switch name {
		case "Slab", "VmallocUsed", "Percpu":
			var kb float64
			_, _ = fmt.Sscan(rest, &kb)
			sum += kb * 1024
		}
	}
	return sum
}
