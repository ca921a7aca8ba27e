package sipua

import (
	"sync"
	"time"
)

// bucket is a token bucket.
type bucket struct {
	mu     sync.Mutex // leaf
	rate   float64    // tokens a second; 0 = no limit
	burst  float64
	tokens float64
	last   time.Time
}

// set changes the limits; tokens in hand are kept as far as they fit.
func (b *bucket) set(rate float64, burst int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := b.last.IsZero()
	b.rate, b.burst = rate, max(1, float64(burst))
	if fresh {
		b.tokens = b.burst
	}
	b.tokens = min(b.tokens, b.burst)
	b.last = time.Now()
}

func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate <= 0 {
		return true
	}
	now := time.Now()
	b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
