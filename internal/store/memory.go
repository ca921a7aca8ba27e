package store

import (
	"strings"
	"sync"
)

// Memory is a Store whose bytes last as long as the process, for tests and for
// those who want no disk. A batch is durable, and its done has been called,
// when Append returns, unless another Append is under way. Reopen stands for a
// restart.
type Memory struct {
	medium *medium
	epoch  uint64
}

// medium is what handles of the same keys share.
type medium struct {
	mu      sync.Mutex // guards everything below; done is called without it
	values  map[string][]byte
	epoch   uint64   // of the newest handle
	closed  bool     // the newest handle is
	broken  error    // why nothing can be written now
	debt    debt     // what could not be written
	results []result // whose done is to be called, in order
	calling bool     // somebody calls them
	idle    *sync.Cond
}

type result struct {
	done func(error)
	err  error
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &medium{values: map[string][]byte{}, debt: debt{}}
	m.idle = sync.NewCond(&m.mu)
	return m.open()
}

// Reopen returns a new handle on the same keys, as a restarted process has: what
// was durable is there, what was not is gone, and the old handle is fenced.
func (m *Memory) Reopen() *Memory { return m.medium.open() }

func (m *medium) open() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.closed = false
	clear(m.debt)
	return &Memory{medium: m, epoch: m.epoch}
}

// Break makes writing fail with err, as a full disk does; nil repairs it.
func (m *Memory) Break(err error) {
	m.medium.mu.Lock()
	defer m.medium.mu.Unlock()
	m.medium.broken = err
}

// Append implements Store.
func (m *Memory) Append(b Batch, done func(error)) {
	d := m.medium
	d.mu.Lock()
	defer d.mu.Unlock()
	d.results = append(d.results, result{done, d.write(m.epoch, b)})
	if d.calling {
		return // whoever does calls this one too
	}
	d.calling = true
	for len(d.results) > 0 {
		r := d.results[0]
		d.results = d.results[1:]
		d.mu.Unlock()
		r.done(r.err)
		d.mu.Lock()
	}
	d.calling = false
	d.idle.Broadcast()
}

// write is Append without its report.
func (m *medium) write(epoch uint64, b Batch) error {
	switch {
	case epoch != m.epoch:
		return ErrFenced
	case m.closed:
		return ErrClosed
	}
	if err := b.check(); err != nil {
		return err
	}
	m.debt.add(b) // behind what could not be written before
	if m.broken != nil {
		return m.broken
	}
	for k, v := range m.debt {
		if v == nil {
			delete(m.values, k)
		} else {
			m.values[k] = v
		}
	}
	clear(m.debt)
	return nil
}

// Load implements Store.
func (m *Memory) Load(prefix string) (map[string][]byte, error) {
	d := m.medium
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed && m.epoch == d.epoch {
		return nil, ErrClosed
	}
	found := map[string][]byte{}
	for k, v := range d.values {
		if strings.HasPrefix(k, prefix) {
			found[k] = append([]byte{}, v...)
		}
	}
	return found, nil
}

// Epoch implements Store.
func (m *Memory) Epoch() uint64 { return m.epoch }

// Close implements Store.
func (m *Memory) Close() error {
	d := m.medium
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.epoch == d.epoch {
		d.closed = true
	}
	for d.calling {
		d.idle.Wait()
	}
	return nil
}
