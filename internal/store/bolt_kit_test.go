package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// disk is a file system whose files can be made to fail, by what the kernel
// itself answers: a full device is put under the open file.
type disk struct {
	t      testing.TB
	mu     sync.Mutex    // guards what follows
	broken error         // what opening a file answers
	hang   chan struct{} // opening one waits until it is closed
	file   *os.File      // opened last for writing
}

// full fails with ENOSPC, as every write to it does.
const full = "/dev/full"

func (d *disk) open(name string, flag int, mode os.FileMode) (*os.File, error) {
	d.mu.Lock()
	hang := d.hang
	d.mu.Unlock()
	if hang != nil && flag&os.O_RDWR != 0 {
		<-hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil && flag&os.O_RDWR != 0 {
		return nil, &os.PathError{Op: "open", Path: name, Err: d.broken}
	}
	f, err := os.OpenFile(name, flag, mode)
	if flag&os.O_CREATE != 0 { // bbolt's
		d.file = f
	}
	return f, err
}

// fail makes the open file full, and others impossible to open; nil repairs that.
func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken = err; err == nil {
		return
	}
	dev, err := os.OpenFile(full, os.O_RDWR, 0)
	if err != nil {
		d.t.Skip(err)
	}
	defer func() { _ = dev.Close() }()
	if err := putUnder(dev, d.file); err != nil && !errors.Is(err, os.ErrClosed) {
		d.t.Fatal(err)
	}
}

// errFull is what a broken disk of a test says.
var errFull = error(syscall.ENOSPC)

// openAt opens the store in a directory, and closes it at the end of the test. A disk
// that is shared with others may be slow: it is given up only where a test is about that.
func openAt(t testing.TB, dir string, o BoltOptions) *Bolt {
	t.Helper()
	if o.patience == 0 {
		o.patience = time.Minute
	}
	b, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// write appends a batch and waits for its result.
func write(s Store, batch Batch) error {
	result := make(chan error, 1)
	s.Append(batch, func(err error) { result <- err })
	return <-result
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that another goroutine does.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(10 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}

// file is the path of the file in a directory.
func file(dir string) string { return filepath.Join(dir, boltName) }
