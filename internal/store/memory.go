package store

import "sync"

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
	reports *reports

	mu     sync.Mutex // guards everything below
	values *copies
	epoch  uint64 // of the newest handle
	closed bool   // the newest handle is
	broken error  // why nothing can be written now
	debt   debt   // what could not be written
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &medium{reports: newReports(), values: newCopies(), debt: debt{}}
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

// Break makes writing fail with err, as a full disk does. nil repairs it, and
// what could not be written is written.
func (m *Memory) Break(err error) {
	m.medium.mu.Lock()
	defer m.medium.mu.Unlock()
	if m.medium.broken = err; err == nil && !m.medium.closed {
		m.medium.pay()
	}
}

// Append implements Store.
func (m *Memory) Append(b Batch, done func(error)) {
	m.medium.append(m.epoch, b, done)
	m.medium.reports.run()
}

func (m *medium) append(epoch uint64, b Batch, done func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports.add(result{done, m.write(epoch, b)})
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
	m.pay()
	return nil
}

// pay writes what is owed.
func (m *medium) pay() {
	for k, v := range m.debt {
		if v == nil {
			m.values.delete(k)
		} else {
			m.values.put(k, v, 0)
		}
	}
	clear(m.debt)
	for m.values.pack() {
	}
}

// Load implements Store.
func (m *Memory) Load(prefix string) (map[string][]byte, error) {
	d := m.medium
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed && m.epoch == d.epoch {
		return nil, ErrClosed
	}
	return d.values.load(prefix), nil
}

// Epoch implements Store.
func (m *Memory) Epoch() uint64 { return m.epoch }

// Fault implements Store.
func (m *Memory) Fault() error {
	d := m.medium
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case m.epoch != d.epoch:
		return ErrFenced
	case len(d.debt) > 0:
		return d.broken
	}
	return nil
}

// Close implements Store.
func (m *Memory) Close() error {
	d := m.medium
	d.mu.Lock()
	if m.epoch == d.epoch {
		d.closed = true
	}
	d.mu.Unlock()
	d.reports.wait()
	return nil
}
