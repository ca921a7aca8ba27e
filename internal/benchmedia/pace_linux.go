package benchmedia

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timerSlack is how much later than asked for the kernel may wake a thread, in
// nanoseconds; parkd's pacing threads have as much.
const timerSlack = 1000

// pace is the clock of a thread that sends. Its caller is locked to the thread.
type pace struct {
	begin int64 // CLOCK_MONOTONIC, in ns
}

func newPace() pace {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0) // without it, it is later, as parkd is
	return pace{begin: monotonic()}
}

func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // every Linux has it
	return ts.Nano()
}

// now is the time since the beginning.
func (p pace) now() time.Duration { return time.Duration(monotonic() - p.begin) }

// until sleeps, without the runtime's knowledge as parkd's pacing threads do.
func (p pace) until(at time.Duration) {
	ts := unix.NsecToTimespec(p.begin + int64(at))
	for {
		_, _, err := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if err != unix.EINTR {
			return
		}
	}
}

// threadCPU is the CPU time, user and system, of the calling thread so far.
func threadCPU() time.Duration { return spent(unix.CLOCK_THREAD_CPUTIME_ID) }

// processCPU is that of the whole process.
func processCPU() time.Duration { return spent(unix.CLOCK_PROCESS_CPUTIME_ID) }

func spent(id int32) time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts) // every Linux has both
	return time.Duration(ts.Nano())
}
