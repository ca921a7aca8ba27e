package rtpmusic

import "time"

// sleeper is how a pacer waits.
type sleeper interface {
	// until returns at the time at, on the engine's clock, or at once if that is
	// over; false if the engine is closed.
	until(at time.Duration) bool
	end()
}

// timerSleeper waits by a timer of package time, and so by fake time too.
type timerSleeper struct {
	e     *Engine
	timer *time.Timer
}

func newTimerSleeper(e *Engine) *timerSleeper {
	return &timerSleeper{e: e, timer: time.NewTimer(0)}
}

func (s *timerSleeper) until(at time.Duration) bool {
	s.timer.Reset(at - s.e.now())
	select {
	case <-s.timer.C:
		return true
	case <-s.e.done:
		return false
	}
}

func (s *timerSleeper) end() { s.timer.Stop() }
