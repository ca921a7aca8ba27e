package benchmedia

import (
	"testing"
	"time"

	"parkd/internal/rtpmusic"
)

func TestLateness(t *testing.T) {
	var l Lateness
	l.add(50*time.Microsecond, 10) // of the first bucket, up to 100 µs
	l.add(2*time.Millisecond, 90)  // of the one from 1.5 to 2 ms
	for _, tt := range []struct {
		q    float64
		want time.Duration
	}{{0.05, 50 * time.Microsecond}, {0.1, 100 * time.Microsecond}, {0.55, 1750 * time.Microsecond}, {1, 2 * time.Millisecond}} {
		if got := l.At(tt.q); got != tt.want {
			t.Errorf("%v of the packets were late by at most %v, want %v", tt.q, got, tt.want)
		}
	}
	more := l
	more.Counts = append([]uint64(nil), l.Counts...)
	more.add(time.Second, 5)
	if got := more.At(1); got != 40*time.Millisecond {
		t.Errorf("beyond all buckets: %v, want the last bound", got)
	}
	if got := more.Since(l).At(0); got != 40*time.Millisecond {
		t.Errorf("what came since starts at %v", got)
	}
	if got := l.Plus(l).At(0.55); got != l.At(0.55) {
		t.Errorf("twice the same is %v at 55 %%", got)
	}
	if got := (Lateness{}).At(0.999); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestLatenessOfAnEngine(t *testing.T) {
	l := NewLateness(rtpmusic.Histogram{Count: 7, Buckets: map[float64]uint64{0.0001: 2, 0.00025: 6}})
	if l.Counts[0] != 2 || l.Counts[1] != 4 || l.Counts[len(l.Counts)-1] != 1 {
		t.Errorf("counts %v, want 2, 4 and 1 beyond the bounds", l.Counts)
	}
}
