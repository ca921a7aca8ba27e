package presence

import (
	"errors"
	"maps"
	"sync"
	"time"
)

var errDisk = errors.New("no space left on device")

// disk is a journal in memory, as the server's: ordered, and what could not be
// written is written before what comes after.
type disk struct {
	mu      sync.Mutex
	durable map[string][]byte
	debt    []write
	queue   []write
	delay   time.Duration // of each write
	failing bool
	stuck   bool // nothing is written
	writes  int  // that came
	forgets int
	epoch   uint64
	counts  bool // its epochs
}

type write struct {
	epoch  uint64
	id     string
	record []byte
	done   func(error)
}

func newDisk() *disk { return &disk{durable: map[string][]byte{}, counts: true} }

// handle is the journal of one server.
type handle struct {
	d     *disk
	epoch uint64
}

func (d *disk) open() (Journal, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	d.queue, d.debt = nil, nil
	if !d.counts {
		return handle{d, d.epoch}, 0
	}
	return handle{d, d.epoch}, d.epoch
}

// crash ends what the present server writes.
func (d *disk) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	d.queue, d.debt = nil, nil
}

// Keep implements Journal.
func (h handle) Keep(resource, id string, record []byte, done func(error)) {
	h.d.mu.Lock()
	if h.d.epoch != h.epoch {
		h.d.mu.Unlock()
		return
	}
	h.d.writes++
	if record == nil {
		h.d.forgets++
	}
	h.d.queue = append(h.d.queue, write{h.epoch, id, record, done})
	delay := h.d.delay
	h.d.mu.Unlock()
	if delay > 0 {
		time.AfterFunc(delay, h.d.step)
	} else {
		h.d.step()
	}
}

// step writes the oldest.
func (d *disk) step() {
	d.mu.Lock()
	if len(d.queue) == 0 || d.stuck {
		d.mu.Unlock()
		return
	}
	w := d.queue[0]
	d.queue = d.queue[1:]
	d.debt = append(d.debt, w)
	var err error
	if d.failing {
		err = errDisk
	} else {
		for _, w := range d.debt {
			if w.record == nil {
				delete(d.durable, w.id)
			} else {
				d.durable[w.id] = w.record
			}
		}
		d.debt = nil
	}
	d.mu.Unlock()
	if w.done != nil {
		w.done(err)
	}
}

func (d *disk) set(f func(*disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// records are what a server that starts now finds.
func (d *disk) records() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.durable)
}

func (d *disk) count() (writes, forgets int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes, d.forgets
}
