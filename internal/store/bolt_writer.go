package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

const (
	retryPause = time.Second           // after which what is owed is tried again by itself
	holdPause  = 50 * time.Millisecond // between two tries at least, while writing fails,
	holdShare  = 4                     // … and so many times what the last one took, below retryPause

	keepBuffer = 1 << 18 // bytes of it that are kept from one transaction to the next
)

// group is what waits to be written in one transaction: the last word on each
// key, and who wants to know.
type group struct {
	debt    debt
	results []result // err: what is known already
	late    bool     // some of it has been reported with ErrSlow
}

func newGroup() *group { return &group{debt: debt{}} }

// add lays a batch over those before it, unless its result is known already.
func (g *group) add(b Batch, done func(error), final error) {
	if final == nil {
		g.debt.add(b)
	}
	g.results = append(g.results, result{done, final})
}

func (g *group) reset() {
	clear(g.debt)
	clear(g.results)
	g.results = g.results[:0]
	g.late = false
}

// writer is what belongs to the goroutine that writes: Open's, then run's.
type writer struct {
	file   *boltFile // nil: to be opened, and settled, before the next write
	txid   uint64    // of the newest commit that is known to be durable
	format int       // of the file, or of the one to be made
	headed bool      // format, epoch and release are in the file
	anew   bool      // the file is to be made anew …
	why    error     // … because of this, and the old one set aside; nil: it is in nobody's way
	lost   int       // what cannot be read of the old one
	named  bool      // the file has its name, durably
	owed   debt      // what is to be written, or could not be; guarded as durable says
	failed time.Time // when the last try did
	took   time.Duration
	spare  *group

	running bool     // Open has returned
	last    uint64   // no record in the file has a higher number, nor had one that failed
	keys    []string // of the transaction at work, in the order of their records
	buffer  []byte   // its records
}

// run writes what is appended, a group a transaction: while one is synced, the
// next gathers. What could not be written is tried again.
func (b *Bolt) run() {
	defer close(b.ended)
	b.pack() // what was read from the file
	for {
		b.wait()
		g := b.take()
		if g == nil {
			break
		}
		b.write()
		g.reset()
		b.writer.spare = g
	}
	if b.owes() {
		b.outcome(b.pay()) // once more
	}
	if err := b.Fault(); err != nil {
		b.result = fmt.Errorf("store %s: %d keys were not written: %w", b.path, len(b.writer.owed), err)
	}
	b.release()
}

// wait returns when there is something to write.
func (b *Bolt) wait() {
	var again <-chan time.Time
	if b.owes() {
		again = time.After(b.options.pause)
		hold := min(max(holdPause, holdShare*b.writer.took), b.options.pause)
		select {
		case <-time.After(hold - time.Since(b.writer.failed)):
		case <-b.closing:
		}
	}
	select {
	case <-b.wake:
	case <-again:
	case <-b.closing:
	}
}

// take returns the group that has gathered, whose debt is the writer's from now
// on, and leaves the spare one in its place: nil when the store is closed and
// nothing is left.
func (b *Bolt) take() *group {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.group
	if b.closed && len(g.results) == 0 && len(g.debt) == 0 {
		b.gone = true
		return nil
	}
	b.group, b.work = b.writer.spare, g
	b.due = time.Now().Add(b.options.patience)
	w := &b.writer
	b.values.mu.Lock()
	defer b.values.mu.Unlock()
	if len(w.owed) == 0 {
		w.owed, g.debt = g.debt, w.owed
	} else {
		maps.Copy(w.owed, g.debt)
	}
	return g
}

// write writes what is owed, and reports what was taken.
func (b *Bolt) write() {
	// A key that is not in the file need not be deleted: so what is owed stays
	// bounded, however long the disk is full.
	b.values.mu.Lock()
	maps.DeleteFunc(b.writer.owed, func(k string, v []byte) bool {
		return v == nil && !b.values.has(k)
	})
	b.values.mu.Unlock()
	late := time.AfterFunc(b.options.patience, b.late)
	err := b.pay()
	late.Stop()
	b.outcome(err)
}

// outcome notes how writing went, and reports it.
func (b *Bolt) outcome(err error) {
	b.mu.Lock()
	b.due = time.Time{}
	if err == nil {
		b.slow = false
	}
	if err != nil || !b.group.late { // else what was reported is not all durable yet
		b.turn(err)
	}
	if b.work != nil {
		b.tell(b.work, err)
		b.work = nil
	}
	b.mu.Unlock()
	b.reports.run()
	b.pack()
}

// turn notes why not all that was reported is durable. mu is held.
func (b *Bolt) turn(err error) {
	if (b.fault == nil) != (err == nil) && b.options.Faulty != nil && !b.left {
		b.reports.add(result{b.options.Faulty, err})
	}
	b.fault = err
}

// tell reports the batches of a group that were not yet. mu is held.
func (b *Bolt) tell(g *group, err error) {
	for i := range g.results {
		if g.results[i].err == nil {
			g.results[i].err = err
		}
	}
	b.reports.add(g.results...)
	clear(g.results)
	g.results = g.results[:0]
}

// owes tells whether there is something to write beside what is appended: after
// a failed commit at least the file is to be settled.
func (b *Bolt) owes() bool {
	w := &b.writer
	return len(w.owed) > 0 || w.file == nil || !w.headed || !w.named
}

// pay writes what is owed. A file that turns out to be damaged is made anew,
// once.
func (b *Bolt) pay() error {
	w, start := &b.writer, time.Now()
	err := b.try()
	if errors.Is(err, ErrDamaged) {
		w.anew, w.why, w.lost = true, err, 0
		err = b.try()
	}
	if err != nil {
		w.failed = time.Now()
		w.took = w.failed.Sub(start)
	}
	return err
}

func (b *Bolt) try() error {
	w := &b.writer
	if !b.owes() {
		return nil
	}
	err := b.ready()
	if err == nil && (len(w.owed) > 0 || !w.headed) {
		err = b.commit()
	}
	if err != nil && w.file != nil {
		_ = w.file.close() // whose state is not known any more
		w.file = nil
	}
	return err
}

// commit writes what is owed: the n-th of its keys becomes record first+n.
func (b *Bolt) commit() error {
	w := &b.writer
	w.keys = slices.AppendSeq(w.keys[:0], maps.Keys(w.owed))
	slices.Sort(w.keys)
	first := w.last + 1
	w.last += uint64(len(w.keys)) + 1 // also when it fails: no number is used twice
	if err := w.file.update(func(tx *bbolt.Tx) error { return b.change(tx, first) }); err != nil {
		return err
	}
	w.headed = true
	w.txid = w.file.txid
	b.values.mu.Lock()
	defer b.values.mu.Unlock()
	for n, k := range w.keys {
		if v := w.owed[k]; v == nil {
			b.values.delete(k)
		} else {
			b.values.put(k, v, first+uint64(n))
		}
	}
	clear(w.owed)
	w.forget()
	return nil
}

// pack packs the copies of what was written: after it was reported, so that nobody
// waits for that.
func (b *Bolt) pack() {
	for more := len(b.values.plain) > 0; more; {
		b.values.mu.Lock()
		more = b.values.copies.pack()
		b.values.mu.Unlock()
	}
}

// forget lets go of what only a transaction needed.
func (w *writer) forget() {
	clear(w.keys)
	if cap(w.buffer) > keepBuffer {
		w.keys, w.buffer = nil, nil
	}
}

// change puts each value into a record of its own, and takes away the one that
// its key had.
func (b *Bolt) change(tx *bbolt.Tx, first uint64) error {
	w := &b.writer
	data := tx.Bucket([]byte(dataBucket))
	if data == nil {
		return fmt.Errorf("%w: its data is not found", ErrDamaged)
	}
	if !w.headed {
		if err := b.header(tx); err != nil {
			return err
		}
	}
	data.FillPercent = 1 // nothing is ever put between two records
	w.buffer = w.buffer[:0]
	for n, k := range w.keys {
		if old, there := b.values.number(k); there {
			if err := data.Delete(numbered(old)); err != nil {
				return err
			}
		}
		if v := w.owed[k]; v != nil {
			if err := w.put(data, first+uint64(n), k, v); err != nil {
				return err
			}
		}
	}
	return data.SetSequence(w.last)
}

// put puts a record behind all others.
func (w *writer) put(data *bbolt.Bucket, n uint64, key string, value []byte) error {
	number, start := numbered(n), len(w.buffer)
	w.buffer = seal(w.buffer, number, key, value) // bbolt keeps it until it is written
	return data.Put(number, w.buffer[start:len(w.buffer):len(w.buffer)])
}
