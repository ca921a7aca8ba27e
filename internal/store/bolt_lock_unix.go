//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockStep is the time between two tries to get a lock.
const lockStep = 20 * time.Millisecond

// lock takes the lock on a file or directory for as long as that stays open:
// ErrLocked after lockWait. Where there are no locks, nothing is locked.
func lock(f *os.File) error {
	for end := time.Now().Add(lockWait); ; time.Sleep(lockStep) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%w: %s", ErrLocked, f.Name())
		}
	}
}
