package dialog

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestWheelInTime: whatever timers there are, begun whenever, each fires once, in
// time, unless it is stopped.
func TestWheelInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWheel()
		defer w.Close()
		rnd := rand.New(rand.NewPCG(1, 2))
		spans := []time.Duration{50 * time.Millisecond, 6 * time.Second, time.Minute, 50 * time.Minute, 100 * time.Hour}
		some := func() time.Duration { return time.Duration(rnd.Int64N(int64(spans[rnd.IntN(len(spans))]))) }
		begun, fired, kept := 0, 0, 0
		q := NewQueue(QueueConfig{})
		for range 300 {
			for range rnd.IntN(20) {
				d, at := some(), time.Now()
				ran, stopped := false, false
				timer := w.After(d, q, func() {
					if late := time.Since(at) - d; ran || stopped || late < 0 || late > 2*tick {
						t.Errorf("%v: ran before %v, stopped %v, late %v", d, ran, stopped, late)
					}
					ran = true
					fired++
				})
				if begun++; rnd.IntN(4) == 0 {
					w.After(some(), q, func() {
						if stopped = timer.Stop(); stopped {
							kept++
						}
					})
				}
			}
			time.Sleep(some() / 10)
		}
		time.Sleep(200 * time.Hour)
		synctest.Wait()
		if fired+kept != begun || begun < 2000 || kept < 100 || w.Len() != 0 {
			t.Errorf("%d timers: %d fired, %d stopped, %d left", begun, fired, kept, w.Len())
		}
	})
}

// TestWheelSleeps: timers that are far away wake nobody tick after tick.
func TestWheelSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWheel()
		defer w.Close()
		q := NewQueue(QueueConfig{})
		for i := range 10000 {
			w.After(time.Hour+time.Duration(i)*tick, q, func() {})
		}
		slept := 0
		for end := time.Now().Add(time.Hour - time.Second); time.Now().Before(end); slept++ {
			synctest.Wait()
			w.mu.Lock()
			until := w.start.Add(time.Duration(w.until) * tick)
			w.mu.Unlock()
			time.Sleep(time.Until(until) + 1)
		}
		if slept > 50 { // there are slots of 21 turns, met twice
			t.Errorf("it woke %d times", slept)
		}
	})
}
