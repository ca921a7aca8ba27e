package presence

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPacer(t *testing.T) {
	var p pacer
	start := time.Unix(1000, 0)
	var told []time.Duration
	now := start
	for _, change := range []time.Duration{0, 1, 2, 3, 4, 1500, 2100, 9000, 9001, 9002, 9003} {
		if at := start.Add(change * time.Millisecond); at.After(now) {
			now = at
		}
		now = p.ready(now)
		p.spend(now)
		told = append(told, now.Sub(start)/time.Millisecond)
	}
	if want := []time.Duration{0, 1, 2, 1002, 2002, 3002, 4002, 9000, 9001, 9002, 10002}; !slices.Equal(told, want) {
		t.Errorf("got %v, want %v", told, want)
	}
}

// After any history no change waits longer than a second, and any four in a row
// are a second apart, first to last.
func TestPacerBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pacer
		now := time.Unix(1000, 0)
		var told []time.Time
		for range rapid.IntRange(1, 50).Draw(t, "n") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "gap")) * time.Millisecond)
			at := p.ready(now)
			if at.Before(now) || at.Sub(now) > apart {
				t.Fatalf("a change at %v waits until %v", now, at)
			}
			p.spend(at)
			now = at
			told = append(told, at)
		}
		for i := burst; i < len(told); i++ {
			if told[i].Sub(told[i-burst]) < apart {
				t.Fatalf("%v", told)
			}
		}
	})
}
