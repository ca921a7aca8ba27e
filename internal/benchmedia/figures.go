// Package benchmedia measures what music, talking callers and bridges cost, beside
// the least that they could: a bare paced sender of as many streams, in the same
// run. `make bench` and `parkd bench media` are made of it. It keeps to the loopback
// interface. It needs Linux.
package benchmedia

import (
	"maps"
	"slices"
	"time"

	"parkd/internal/rtpmusic"
)

// Slots is how many milliseconds a usual packet of sound is long: streams are
// spread over so many phases, and callers over so many sockets.
const Slots = 20

// Sent is what somebody sent within a window.
type Sent struct {
	Packets int
	Skipped int // packets left out because their time was over
	Took    time.Duration
	CPU     time.Duration // of all the packets
	Late    Lateness
}

// Packet is the CPU time of a packet.
func (s Sent) Packet() time.Duration { return s.CPU / time.Duration(max(s.Packets, 1)) }

// Lateness is how late packets were sent, by the buckets of parkd's own histogram.
type Lateness struct {
	Counts []uint64 // as many as there are bounds, and one for what is beyond them
}

var bounds = rtpmusic.LatenessBounds()

// NewLateness takes over what an engine has counted.
func NewLateness(h rtpmusic.Histogram) Lateness {
	l := Lateness{Counts: make([]uint64, len(bounds)+1)}
	below := uint64(0)
	for i, le := range slices.Sorted(maps.Keys(h.Buckets)) {
		l.Counts[i] = h.Buckets[le] - below
		below = h.Buckets[le]
	}
	l.Counts[len(bounds)] = h.Count - below
	return l
}

// add counts n packets that were d late.
func (l *Lateness) add(d time.Duration, n int) {
	if l.Counts == nil {
		l.Counts = make([]uint64, len(bounds)+1)
	}
	i, _ := slices.BinarySearch(bounds, d)
	l.Counts[i] += uint64(n)
}

// Plus is what is in either.
func (l Lateness) Plus(o Lateness) Lateness { return l.combine(o, 1) }

// Since is what came since before.
func (l Lateness) Since(before Lateness) Lateness { return l.combine(before, ^uint64(0)) }

func (l Lateness) combine(o Lateness, factor uint64) Lateness {
	sum := Lateness{Counts: make([]uint64, len(bounds)+1)}
	copy(sum.Counts, l.Counts)
	for i, n := range o.Counts {
		sum.Counts[i] += factor * n
	}
	return sum
}

// At is the lateness that a part q of the packets does not exceed, taken as evenly
// spread between the bounds of a bucket; the last bound if it is beyond.
func (l Lateness) At(q float64) time.Duration {
	all := uint64(0)
	for _, n := range l.Counts {
		all += n
	}
	if all == 0 {
		return 0
	}
	left, low := q*float64(all), time.Duration(0)
	for i, bound := range bounds {
		n := float64(l.Counts[i])
		if n > 0 && left <= n {
			return low + time.Duration(left/n*float64(bound-low))
		}
		left, low = left-n, bound
	}
	return low
}
