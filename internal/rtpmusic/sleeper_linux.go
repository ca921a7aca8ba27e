package rtpmusic

import (
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threadSleeper keeps its goroutine on a thread of its own and sleeps by
// clock_nanosleep to absolute times: later than asked for by microseconds, where
// timers of a busy Go program are by milliseconds.
//
// The runtime is not told that the thread sleeps. If it were, its monitor would
// take the processor slot (P) away within the millisecond, each millisecond, and
// spin at 20 us for that: a tenth of a core, measured. So the sleeper keeps its
// slot, and adds one to GOMAXPROCS so that nobody misses it.
type threadSleeper struct {
	e    *Engine
	zero time.Duration // the engine's zero on CLOCK_MONOTONIC
}

// timerSlack is how much later than asked for the kernel may wake the thread, in
// nanoseconds; 50 us is what threads have by default.
const timerSlack = 1000

// threadName is what top -H and /proc/PID/task/*/comm show of a pacing thread.
var threadName = [...]byte{'p', 'a', 'r', 'k', 'd', ' ', 'm', 'u', 's', 'i', 'c', 0}

// newSleeper makes the sleeper of the pacer that calls it.
func newSleeper(e *Engine) sleeper {
	if e.listen != nil {
		return newTimerSleeper(e)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		e.log.Warn().Err(err).Msg("media thread without a monotonic clock, pacing by timers")
		return newTimerSleeper(e)
	}
	s := &threadSleeper{e: e, zero: time.Duration(ts.Nano()) - e.now()}
	addSlots(1)
	runtime.LockOSThread() // until its goroutine ends, and the thread with it
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0); err != nil {
		e.log.Debug().Err(err).Msg("media thread keeps its timer slack")
	}
	s.hurry()
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&threadName[0])), 0, 0, 0) // for people who look
	return s
}

// slice is how long the kernel lets the thread run before others have a turn, the shortest
// that there is, in nanoseconds. It is no more of the CPU: who asks for little at a time
// gets it sooner (sched(7), EEVDF), where others would go on for three milliseconds first.
const slice = 100_000

// hurry asks for it. Kernels before 6.12 take no notice.
func (s *threadSleeper) hurry() {
	a, err := unix.SchedGetAttr(0, 0)
	if err == nil {
		a.Runtime = slice
		err = unix.SchedSetAttr(0, a, 0)
	}
	if err != nil {
		s.e.log.Debug().Err(err).Msg("media thread keeps its time slice")
	}
}

func (s *threadSleeper) until(at time.Duration) bool {
	if at > s.e.now() {
		ts := unix.NsecToTimespec(int64(s.zero + at))
		for {
			_, _, err := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME,
				uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
			if err != unix.EINTR {
				break
			}
			runtime.Gosched() // a signal of the runtime: somebody, as the collector, waits for this slot
		}
	}
	select {
	case <-s.e.done:
		return false
	default:
		return true
	}
}

func (s *threadSleeper) end() { addSlots(-1) }

// slots are what the sleepers of all engines have added to GOMAXPROCS.
var slots struct {
	sync.Mutex
	added int
}

// addSlots gives the process n processor slots more, or takes them back.
func addSlots(n int) {
	slots.Lock()
	defer slots.Unlock()
	slots.added += n
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
}

// cores is how many cores Go code may use, without what sleepers added.
func cores() int {
	slots.Lock()
	defer slots.Unlock()
	return runtime.GOMAXPROCS(0) - slots.added
}
