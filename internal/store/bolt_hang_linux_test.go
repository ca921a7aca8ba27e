package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestACallThatHangs lets the kernel itself keep a write or a sync of a commit.
func TestACallThatHangs(t *testing.T) {
	t.Parallel()
	watched(t, "hang")
}

func init() { roles["hang"] = playHang }

// playHang is the child. A commit has a write, a sync, and a write and a sync of
// its meta page; each of them hangs once, and returns well or with an error.
func playHang() error {
	w, err := newWatch()
	if err != nil {
		return err
	}
	for _, errno := range []unix.Errno{0, unix.EIO} {
		for _, call := range []struct {
			kind string
			nth  int
		}{{"write", 1}, {"sync", 1}, {"sync", 2}} {
			dir, err := os.MkdirTemp(os.Getenv("STORE_TEST_DIR"), "")
			if err == nil {
				err = hangOne(w, dir, call.kind, call.nth, errno)
			}
			if err != nil {
				return fmt.Errorf("%s %d, then %v: %w", call.kind, call.nth, errno, err)
			}
		}
	}
	return nil
}

func hangOne(w *watch, dir, kind string, nth int, errno unix.Errno) error {
	faults := make(chan error, 10)
	b, err := Open(dir, BoltOptions{pause: soon, patience: short, Faulty: func(err error) { faults <- err }})
	if err != nil {
		return err
	}
	release, hangs := make(chan struct{}), make(chan struct{})
	w.begin(file(dir), func(_ int, k string) unix.Errno {
		if k == kind {
			nth--
		}
		if k != kind || nth != 0 {
			return 0
		}
		close(hangs)
		<-release
		return errno
	})
	var results [20]chan error
	for i := range results {
		if i == 1 {
			<-hangs
		}
		results[i] = make(chan error, 1)
		b.Append(Batch{Put: map[string][]byte{"last": []byte(strconv.Itoa(i))}}, func(err error) { results[i] <- err })
	}
	for i := range results {
		if err := <-results[i]; !errors.Is(err, ErrSlow) {
			return fmt.Errorf("batch %d: %w", i, err)
		}
	}
	if values, err := b.Load(""); err != nil || len(values) != 0 {
		return fmt.Errorf("loaded %q, %w", values, err)
	}
	if err := <-faults; !errors.Is(err, ErrSlow) || !errors.Is(b.Fault(), ErrSlow) {
		return fmt.Errorf("told %w, fault %w", err, b.Fault())
	}
	close(release)
	if err := <-faults; err != nil {
		return fmt.Errorf("told again: %w", err)
	}
	values, err := b.Load("")
	if err != nil || string(values["last"]) != "19" || b.Fault() != nil {
		return fmt.Errorf("in the end there is %q, %w, fault %w", values, err, b.Fault())
	}
	if err := b.Close(); err != nil {
		return err
	}
	w.end()
	if b, err = Open(dir, BoltOptions{}); err != nil {
		return err
	}
	if values, _ := b.Load(""); string(values["last"]) != "19" || b.Report() != (Report{}) {
		return fmt.Errorf("opened again there is %q, reported %+v", values, b.Report())
	}
	return b.Close()
}
