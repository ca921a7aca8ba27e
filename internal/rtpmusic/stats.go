package rtpmusic

import (
	"slices"
	"sync/atomic"
	"time"
)

// Stats is a snapshot of the engine. Counters never fall.
type Stats struct {
	Ports   int // open now
	Free    int // ports of the range that nobody has; those that rest are among them
	Streams int // music that is being sent now, or was some milliseconds ago

	In        uint64 // RTP and RTCP packets taken from peers
	Out       uint64 // RTP packets sent: music and relayed
	Relayed   uint64 // those of Out that came from a bridged peer
	Late      uint64 // music sent lateAfter or more after its time
	Skipped   uint64 // music left out because its time was over
	Strangers uint64 // packets dropped: not from the peer's address
	Reports   uint64 // RTCP packets sent
	Invalid   uint64 // packets dropped: neither RTP nor RTCP, or of a payload type not agreed on
	Forged    uint64 // packets dropped: not made with the peer's key of SRTP, or repeated
	Failed    uint64 // packets that the system refused to send

	Lateness Histogram // of music: from when a packet was due to when it was sent
}

// Histogram is shaped for prometheus.NewConstHistogram.
type Histogram struct {
	Count   uint64
	Sum     float64            // seconds
	Buckets map[float64]uint64 // upper bound in seconds to how many were at most that
}

// lateAfter is when music counts as late: a quarter of a usual frame.
const lateAfter = 5 * time.Millisecond

// latenessBounds are the upper bounds of the histogram's buckets.
var latenessBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 1500 * time.Microsecond, 2 * time.Millisecond, 2500 * time.Microsecond,
	3 * time.Millisecond, 4 * time.Millisecond, 5 * time.Millisecond, 7500 * time.Microsecond,
	10 * time.Millisecond, 15 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond,
}

// LatenessBounds returns the upper bounds of the buckets of Stats.Lateness.
func LatenessBounds() []time.Duration { return slices.Clone(latenessBounds[:]) }

// counters are those of one sender or reader: written by it alone, so that no two
// cores fight for a cache line, and read by Stats.
type counters struct {
	in, out, relayed, late, skipped, strangers, reports, invalid, forged, failed atomic.Uint64

	lateness [len(latenessBounds) + 1]atomic.Uint64
	lateSum  atomic.Int64 // ns

	_ [64]byte // the next one's first line is not ours
}

// sent counts n packets of music that were d late.
func (c *counters) sent(n int, d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(latenessBounds) && d > latenessBounds[i] {
		i++
	}
	c.lateness[i].Add(uint64(n))
	c.lateSum.Add(int64(n) * int64(d))
	c.out.Add(uint64(n))
	if d >= lateAfter {
		c.late.Add(uint64(n))
	}
}

// addTo adds c to s and its lateness to counts.
func (c *counters) addTo(s *Stats, counts *[len(latenessBounds) + 1]uint64) {
	s.In += c.in.Load()
	s.Out += c.out.Load()
	s.Relayed += c.relayed.Load()
	s.Late += c.late.Load()
	s.Skipped += c.skipped.Load()
	s.Strangers += c.strangers.Load()
	s.Invalid += c.invalid.Load()
	s.Forged += c.forged.Load()
	s.Reports += c.reports.Load()
	s.Failed += c.failed.Load()
	for i := range counts {
		counts[i] += c.lateness[i].Load()
	}
	s.Lateness.Sum += time.Duration(c.lateSum.Load()).Seconds()
}

// Stats returns the figures of now. It is cheap enough for every scrape.
func (e *Engine) Stats() Stats {
	var s Stats
	var counts [len(latenessBounds) + 1]uint64
	for _, w := range e.pacers {
		w.count.addTo(&s, &counts)
		s.Streams += int(w.load.Load())
	}
	for i := range e.readers {
		e.readers[i].addTo(&s, &counts)
	}
	s.Lateness.Buckets = make(map[float64]uint64, len(latenessBounds))
	for i, bound := range latenessBounds {
		s.Lateness.Count += counts[i]
		s.Lateness.Buckets[bound.Seconds()] = s.Lateness.Count
	}
	s.Lateness.Count += counts[len(latenessBounds)]
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Ports = len(e.open)
	s.Free = e.pool.n[freeQueue] + e.pool.n[restQueue] + e.pool.n[takenQueue]
	return s
}
