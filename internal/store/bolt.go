package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Format is the format of the file that this parkd writes. Older ones are
// migrated when they are opened.
const Format = 1

// boltName is the name of the file in its directory.
const boltName = "parkd.db"

// Errors of Open, and why a file was set aside.
var (
	ErrLocked  = errors.New("store: another process has it open")
	ErrDamaged = errors.New("store: the file is damaged")
	ErrFormat  = errors.New("store: the file was written by a newer parkd")
)

// BoltOptions are options of Open. Its functions are called as the reports of
// batches are, one at a time and in one order with them, and must not block.
// They are not called once Close has returned.
type BoltOptions struct {
	Release string       // of this parkd: kept in the file as "written by"
	Faulty  func(error)  // writing began to fail, or works again (nil)
	Remade  func(Report) // the file had to be made anew after Open returned

	schema   *schema // nil: the one of this parkd
	open     openFunc
	pause    time.Duration // between two tries to write what is owed; 0: retryPause
	patience time.Duration // with one try; 0: patience
}

// Report says what was found when the file was opened.
type Report struct {
	SetAside  string // where the file is now that could not be used; "" = none
	Why       error  // why: wraps ErrDamaged or ErrFormat
	Salvaged  int    // records that were taken over from it
	Lost      int    // damaged records and unreadable pages in it; a page holds one record or several
	Migrated  int    // the older format that the file had; 0 = the present one
	Compacted bool   // the file was nearly empty and has been made anew
}

// Bolt is a Store in one file, written by bbolt. One process has it at a time.
//
// What is durable is in memory too, since its owner is told of it once and then
// only writes: so Load reads no file, and a file that is removed or damaged
// while in use is made anew with nothing lost.
type Bolt struct {
	options BoltOptions
	path    string
	locked  *os.File // the directory
	epoch   uint64
	reports *reports
	wake    chan struct{} // room for one: there is something to do
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed by run
	result  error         // of Close; written before ended is closed
	writer  writer        // owned by run

	mu     sync.Mutex // guards what follows
	group  *group     // what waits for the writer
	work   *group     // what the writer is at; nil: nothing
	due    time.Time  // when that has taken too long; zero: it is at nothing
	slow   bool       // it did, and nothing was written since
	closed bool
	gone   bool // the writer takes no more groups
	left   bool // Close has returned before the writer ended
	fault  error
	report Report

	values durable
}

// durable is what is in the file. Its mutex may be locked while Bolt's is.
type durable struct {
	mu sync.RWMutex
	// guarded by mu, as is the writer's debt; written by the writer alone, who
	// reads them without
	*copies
}

// Open opens the store in a directory, which exists. The file in it never
// prevents that: a damaged one, or one that a newer parkd wrote, is renamed to
// parkd.db.damaged-<UTC time> or parkd.db.newer-<UTC time>, as it is, and
// what can be read of a damaged one is taken over; see Report. When nothing can
// be written (a full disk) but there is a file, Open succeeds all the same, and
// Fault says why: the owner has the calls that are in it.
//
// ErrLocked after a second: another process has it open.
func Open(dir string, o BoltOptions) (*Bolt, error) {
	if o.schema == nil {
		o.schema = &present
	}
	if o.open == nil {
		o.open = os.OpenFile
	}
	if o.pause == 0 {
		o.pause = retryPause
	}
	if o.patience == 0 {
		o.patience = patience
	}
	locked, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	b := &Bolt{
		options: o,
		path:    filepath.Join(dir, boltName),
		locked:  locked,
		reports: newReports(),
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
		group:   newGroup(),
		writer:  writer{owed: debt{}, spare: newGroup()},
		values:  durable{copies: newCopies()},
	}
	if err := b.begin(); err != nil {
		b.release()
		return nil, fmt.Errorf("store %s: %w", b.path, err)
	}
	b.writer.running = true
	go b.run()
	return b, nil
}

// release lets file and directory go.
func (b *Bolt) release() {
	if b.writer.file != nil {
		_ = b.writer.file.close()
	}
	_ = b.locked.Close()
}

// Append implements Store.
func (b *Bolt) Append(batch Batch, done func(error)) {
	final := batch.check()
	b.mu.Lock()
	if b.closed {
		final = ErrClosed
	}
	if b.gone || b.slow {
		if final == nil {
			b.later(batch)
			final = b.fault
		}
		b.reports.add(result{done, final})
		b.mu.Unlock()
		b.stir()
		b.reports.run()
		return
	}
	b.group.add(batch, done, final)
	b.mu.Unlock()
	b.stir()
}

// stir wakes the writer.
func (b *Bolt) stir() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Load implements Store.
func (b *Bolt) Load(prefix string) (map[string][]byte, error) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	b.values.mu.RLock()
	defer b.values.mu.RUnlock()
	return b.values.load(prefix), nil
}

// Epoch implements Store: it counts the times that the file was opened. It is
// kept in the file, and durable when Open returns unless Fault says otherwise:
// of two starts in a row on a disk that takes nothing, both have the same.
func (b *Bolt) Epoch() uint64 { return b.epoch }

// Fault implements Store.
func (b *Bolt) Fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault
}

// Report says what was found when the file was opened, or when it had to be
// made anew since.
func (b *Bolt) Report() Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.report
}

// Close implements Store. Its error says that something was never written, or
// is not yet (ErrSlow): after twice the patience with a disk that does not
// answer Close returns, and the writer goes on until it does or the process ends.
func (b *Bolt) Close() error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first {
		close(b.closing)
	}
	var err error
	limit := time.NewTimer(2 * b.options.patience)
	defer limit.Stop()
	select {
	case <-b.ended:
		err = b.result
	case <-limit.C:
		err = b.leave()
	}
	b.reports.wait()
	if first {
		return err
	}
	return nil
}
