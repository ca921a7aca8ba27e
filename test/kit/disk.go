package kit

import (
	"sync"
	"time"

	"parkd/internal/store"
)

// disk is a handle on a store in memory that takes a while for each batch, as
// a disk does: what is appended meanwhile is written together, and is lost if
// the server is killed before.
type disk struct {
	store.Store
	slow time.Duration
	c    *cutter

	mu    sync.Mutex // leaf; guards all below
	queue []batch
	busy  bool       // a sync is under way
	owed  int        // reports that are to come
	idle  *sync.Cond // owed is 0
}

type batch struct {
	store.Batch
	done func(error)
	side Side // on which side of it the server is cut
}

func newDisk(m *store.Memory, slow time.Duration, c *cutter) *disk {
	d := &disk{Store: m, slow: slow, c: c}
	d.idle = sync.NewCond(&d.mu)
	return d
}

// Append implements store.Store.
func (d *disk) Append(b store.Batch, done func(error)) {
	w := batch{b, done, d.c.at(Append)}
	if w.side == Before {
		d.c.strike()
	}
	d.mu.Lock()
	d.owed++
	if d.slow == 0 {
		d.mu.Unlock()
		d.write(w)
		return
	}
	defer d.mu.Unlock()
	d.queue = append(d.queue, w)
	if !d.busy {
		d.busy = true
		time.AfterFunc(d.slow, d.sync)
	}
}

// sync writes what is queued, and goes on with what came meanwhile.
func (d *disk) sync() {
	d.mu.Lock()
	queue := d.queue
	d.queue = nil
	d.mu.Unlock()
	for _, b := range queue {
		d.write(b)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy = len(d.queue) > 0; d.busy {
		time.AfterFunc(d.slow, d.sync)
	}
}

func (d *disk) write(b batch) {
	d.Store.Append(b.Batch, func(err error) {
		if b.side == Between {
			d.c.strike()
		}
		b.done(err)
		d.reported()
	})
	if b.side == After {
		d.c.strike()
	}
}

func (d *disk) reported() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owed--; d.owed == 0 {
		d.idle.Broadcast()
	}
}

// Close implements store.Store.
func (d *disk) Close() error {
	d.mu.Lock()
	for d.owed > 0 {
		d.idle.Wait()
	}
	d.mu.Unlock()
	return d.Store.Close()
}
