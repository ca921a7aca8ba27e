package dialog

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		var panics, overflows int
		q := NewQueue(QueueConfig{Limit: 4, Overflow: func() { overflows++ }, Panic: func(any, []byte) { panics++ }})
		block := make(chan struct{})
		q.Post(func() { <-block })
		synctest.Wait()
		for i := range 4 {
			if err := q.Post(func() {
				if i == 1 {
					panic("as asked")
				}
				got = append(got, i)
			}); err != nil {
				t.Error(err)
			}
		}
		for range 2 {
			if err := q.Post(func() {}); !errors.Is(err, ErrFull) {
				t.Error(err)
			}
		}
		close(block)
		synctest.Wait()
		if fmt.Sprint(got) != "[0 2 3]" || panics != 1 || overflows != 1 {
			t.Error(got, panics, overflows)
		}
		q.Post(func() { q.Close(); got = append(got, 9) })
		q.Post(func() { got = append(got, 10) })
		synctest.Wait()
		if fmt.Sprint(got) != "[0 2 3 9]" {
			t.Error(got)
		}
		if err := q.Post(func() {}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// tried is work that says that it ran.
type tried struct{ times int }

func (w *tried) Run() { w.times++ }

// Try runs work there and then, or never.
func TestQueueTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(QueueConfig{})
		var w tried
		if !q.Try(&w) || w.times != 1 {
			t.Errorf("it ran %d times on an idle queue", w.times)
		}
		block, after := make(chan struct{}), false
		q.Post(func() { <-block })
		synctest.Wait()
		if q.Try(&w) || w.times != 1 {
			t.Errorf("it ran %d times on a busy queue", w.times)
		}
		close(block)
		synctest.Wait()
		q.Post(func() { after = true })
		synctest.Wait()
		q.Close()
		if q.Try(&w) || w.times != 1 || !after {
			t.Errorf("it ran %d times on a closed queue", w.times)
		}
	})
}

// Do runs its own function and no other.
func TestQueueDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := 0
		q := NewQueue(QueueConfig{Panic: func(any, []byte) { panics++ }})
		var got []int
		block := make(chan struct{})
		q.Do(func() {
			q.Do(func() { <-block; got = append(got, 2) })
			q.Post(func() { got = append(got, 3) })
			got = append(got, 1)
		})
		if fmt.Sprint(got) != "[1]" {
			t.Error(got)
		}
		q.Do(func() { got = append(got, 4) }) // waits behind them
		close(block)
		synctest.Wait()
		q.Do(func() { panic("as asked") })
		q.Do(func() { got = append(got, 5); q.Close() })
		if fmt.Sprint(got) != "[1 2 3 4 5]" || panics != 1 {
			t.Error(got, panics)
		}
		if err := q.Do(func() {}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// TestQueueOrder: many posters, each in order, never two at a time.
func TestQueueOrder(t *testing.T) {
	q := NewQueue(QueueConfig{Limit: 100000})
	last, count := map[int]int{}, 0 // owned by the queue
	var wg sync.WaitGroup
	for p := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				q.Post(func() {
					if last[p] != i {
						t.Errorf("poster %d: %d after %d", p, i, last[p])
					}
					last[p], count = i+1, count+1
				})
			}
		})
	}
	wg.Wait()
	done := make(chan int)
	q.Post(func() { done <- count })
	if n := <-done; n != 16000 {
		t.Error(n)
	}
}

func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWheel()
		defer w.Close()
		q := NewQueue(QueueConfig{})
		start := time.Now()
		var mu sync.Mutex
		fired := map[time.Duration]time.Duration{}
		note := func(d time.Duration, since time.Time) func() {
			return func() {
				mu.Lock()
				defer mu.Unlock()
				fired[d] = time.Since(since)
			}
		}
		waits := []time.Duration{-1, 0, time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, time.Second,
			5120 * time.Millisecond, 5130 * time.Millisecond, time.Minute, time.Hour}
		for _, d := range waits {
			w.After(d, q, note(d, start))
		}
		stopped := w.After(time.Second, q, func() { t.Error("a stopped timer ran") })
		if !stopped.Stop() || stopped.Stop() {
			t.Error("Stop")
		}
		var none *Timer
		if none.Stop() {
			t.Error("a nil timer was stopped")
		}
		if n := w.Len(); n != len(waits) {
			t.Errorf("%d timers, want %d", n, len(waits))
		}
		time.Sleep(2 * time.Hour)
		if n := w.Len(); n != 0 {
			t.Errorf("%d timers left", n)
		}
		for _, d := range waits {
			mu.Lock()
			got, ok := fired[d]
			mu.Unlock()
			if late := got - max(d, 0); !ok || late < 0 || late > 20*time.Millisecond {
				t.Errorf("%v: after %v (%v)", d, got, ok)
			}
		}
		// Later timers, after the wheel slept for good.
		begin := time.Now()
		w.After(30*time.Millisecond, q, note(1, begin))
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if fired[1] < 30*time.Millisecond || fired[1] > 50*time.Millisecond {
			t.Error(fired[1])
		}
	})
}

// TestWheelStopOnQueue: a timer that is due, but has not run, can be stopped
// by what runs before it on its queue.
func TestWheelStopOnQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWheel()
		q := NewQueue(QueueConfig{})
		var tm *Timer
		q.Post(func() {
			tm = w.After(10*time.Millisecond, q, func() { t.Error("it ran") })
			time.Sleep(time.Second) // it has been posted meanwhile
			if !tm.Stop() {
				t.Error("Stop says that it ran")
			}
		})
		time.Sleep(2 * time.Second)
		late := w.After(time.Hour, q, func() { t.Error("ran after Close") })
		w.Close()
		w.Close()
		w.After(0, q, func() { t.Error("ran after Close") })
		late.Stop()
		if n := w.Len(); n != 0 {
			t.Errorf("%d timers after Close", n)
		}
		time.Sleep(2 * time.Hour)
	})
}

func BenchmarkWheel(b *testing.B) {
	w := NewWheel()
	defer w.Close()
	q := NewQueue(QueueConfig{})
	for range 100000 {
		w.After(time.Hour, q, func() {})
	}
	for b.Loop() {
		w.After(time.Minute, q, func() {}).Stop()
	}
}

func BenchmarkQueue(b *testing.B) {
	q := NewQueue(QueueConfig{})
	done := make(chan struct{})
	for b.Loop() {
		q.Post(func() { done <- struct{}{} })
		<-done
	}
}

type counted struct{ n int }

func (c *counted) Run() { c.n++ }

func TestRunTakesNoMemory(t *testing.T) {
	q, w := NewQueue(QueueConfig{}), &counted{}
	if n := testing.AllocsPerRun(100, func() { _ = q.Run(w) }); n > 0 || w.n != 101 {
		t.Errorf("%v allocations, %d runs", n, w.n)
	}
}
