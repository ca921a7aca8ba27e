package crash

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parkd/test/live"
)

// A look is what a server at rest takes up, as it says and as it seems from
// outside.
type look struct {
	cycles     int // before it
	goroutines float64
	fds        float64 // of the process, by its own count
	sockets    float64 // from outside
	heap       float64 // bytes in use right after a garbage collection
	resident   float64 // bytes, from outside
	beside     float64 // bytes of them that are not in the heap: how much of that the runtime keeps for later is weather
	journal    float64 // bytes
}

// String is a line of figures.
func (l look) String() string {
	return fmt.Sprintf("%6d calls: %.0f goroutines, %.0f descriptors, %.0f sockets, heap %.2f MB, resident %.1f MB, of which beside the heap %.1f MB, journal %.0f KB",
		l.cycles, l.goroutines, l.fds, l.sockets, l.heap/1e6, l.resident/1e6, l.beside/1e6, l.journal/1e3)
}

// look waits until the server holds nothing any more, with whole nothing of
// messages either, and looks at it.
func (s *site) look(cycles int, whole bool) look {
	s.Helper()
	limit := live.Patience
	if whole {
		limit += 35 * time.Second // 64*T1
	}
	var m map[string]float64
	var left string
	if !eventually(limit, func() bool {
		m = s.metrics()
		left = still(m, whole)
		return left == ""
	}) {
		s.Fatalf("after %d calls the server still holds %s", cycles, left)
	}
	heap := m["go_memstats_heap_alloc_bytes"]
	if whole { // what is asked for the metrics makes for garbage, too
		before := m["go_gc_duration_seconds_count"]
		s.until("garbage is collected", 3*time.Minute, func() bool {
			m = s.metrics()
			heap = min(heap, m["go_memstats_heap_alloc_bytes"])
			return m["go_gc_duration_seconds_count"] > before+1
		})
	}
	l := look{
		cycles: cycles, goroutines: m["go_goroutines"], fds: m["process_open_fds"], sockets: s.now.sockets(),
		heap: heap, resident: s.now.resident(), beside: math.Inf(1),
	}
	if info, err := os.Stat(s.journal()); err == nil {
		l.journal = float64(info.Size())
	}
	for range 20 { // a scrape before this one may still be ending
		m = s.metrics()
		l.goroutines, l.fds = min(l.goroutines, m["go_goroutines"]), min(l.fds, m["process_open_fds"])
		l.sockets, l.beside = min(l.sockets, s.now.sockets()), min(l.beside, s.now.resident()-inRAM(m))
	}
	return l
}

// still says what a server still holds; "" = nothing.
func still(m map[string]float64, whole bool) string {
	kinds := 0
	for _, name := range slices.Sorted(maps.Keys(m)) {
		kind, ok := strings.CutPrefix(name, `parkd_held{kind="`)
		if kind = strings.TrimSuffix(kind, `"}`); ok {
			kinds++
		}
		if m[name] > 0 && (ok && (whole || !ephemeral[kind]) || name == "parkd_parked_calls" || name == "parkd_subscriptions") {
			return fmt.Sprint(m[name], " ", name)
		}
	}
	if kinds == 0 {
		return "it does not say"
	}
	return ""
}

// metrics reads all figures of the server's, by what stands before them.
func (s *site) metrics() map[string]float64 {
	s.Helper()
	_, body := s.http("GET", "/metrics")
	m := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			s.Fatalf("%q: %v", line, err)
		}
		m[line[:i]] = v
	}
	return m
}

// inRAM is how much of the heap is in memory, as far as the runtime knows.
func inRAM(m map[string]float64) float64 {
	return m["go_memstats_heap_inuse_bytes"] + m["go_memstats_heap_idle_bytes"] - m["go_memstats_heap_released_bytes"]
}

// sockets counts the process's descriptors that are sockets.
func (p *process) sockets() (n float64) {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// resident is the process's memory that is in RAM, in bytes; 0 where the system
// does not say.
func (p *process) resident() float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	_, rest, _ := bytes.Cut(text, []byte("VmRSS:"))
	var kb float64
	fmt.Sscan(string(rest), &kb)
	return kb * 1024
}

// growth lists what has grown from look to look: what the middle one of all
// slopes between two looks makes of the way from the first to the last.
// Without whole nothing is said of memory: a server holds what was sent to it
// for 64*T1.
func growth(seen []look, whole bool) (faults []string) {
	for _, f := range []struct {
		name   string
		of     func(look) float64
		limit  float64 // that noise stays below
		always bool
	}{
		{"goroutines", func(l look) float64 { return l.goroutines }, 1.5, true},
		{"descriptors", func(l look) float64 { return l.fds }, 1.5, true},
		{"sockets", func(l look) float64 { return l.sockets }, 1.5, true},
		{"journal", func(l look) float64 { return l.journal }, 64 << 10, whole},
		{"heap", func(l look) float64 { return l.heap }, 512 << 10, whole},
		{"memory beside the heap", func(l look) float64 { return l.beside }, 2 << 20, whole},
	} {
		way := float64(seen[len(seen)-1].cycles - seen[0].cycles)
		if more := slope(seen, f.of) * way; f.always && more > f.limit {
			faults = append(faults, fmt.Sprintf("%s: %.0f more after %.0f calls", f.name, more, way))
		}
	}
	return faults
}

// slope is the median of the slopes between each two looks (Theil and Sen): an
// outlier does not move it.
func slope(seen []look, of func(look) float64) float64 {
	var all []float64
	for i, a := range seen {
		for _, b := range seen[i+1:] {
			all = append(all, (of(b)-of(a))/float64(b.cycles-a.cycles))
		}
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func TestGrowthIsFound(t *testing.T) {
	const n = 8
	for name, row := range map[string]struct {
		of    func(i int) look
		whole bool
		want  int // faults
	}{
		"nothing":            {func(i int) look { return look{goroutines: 20, fds: 9, heap: 9e6} }, true, 0},
		"noise":              {func(i int) look { return look{goroutines: 20 + float64(i%2), heap: 9e6 + float64(i*37%5)*1e5} }, true, 0},
		"one outlier":        {func(i int) look { return look{sockets: float64(i / (n - 1) * 500), resident: 3e7} }, true, 0},
		"shrinking":          {func(i int) look { return look{journal: float64(n-i) * 1e6} }, true, 0},
		"a goroutine a look": {func(i int) look { return look{goroutines: 20 + float64(i)} }, false, 1},
		"a socket a look":    {func(i int) look { return look{fds: float64(i), sockets: float64(i)} }, false, 2},
		"50 bytes a call":    {func(i int) look { return look{heap: 9e6 + float64(i)*2000*50} }, true, 1},
		"memory, of few":     {func(i int) look { return look{heap: 9e6 + float64(i)*2000*50} }, false, 0},
		"a slow journal":     {func(i int) look { return look{journal: float64(i) * 20000} }, true, 1},
		"beside the heap":    {func(i int) look { return look{beside: float64(i) * 1e6} }, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []look
			for i := range n {
				l := row.of(i)
				l.cycles = 2000 * (i + 1)
				seen = append(seen, l)
			}
			if got := growth(seen, row.whole); len(got) != row.want {
				t.Errorf("%q, want %d", got, row.want)
			}
		})
	}
}
