package store

import (
	"fmt"
	"time"
)

// patience is how long a commit may take until what waits for it, or for the
// next one, is reported with ErrSlow: so no report takes longer than two
// commits and a pause, 11 s. A disk that fails often hangs for minutes first,
// and a request is to be answered within 32 s (RFC 3261 17.1.2.2, timer F).
const patience = 5 * time.Second

// late is called when writing has taken as long as there is patience for, by a
// goroutine of its own: perhaps when it has just ended.
func (b *Bolt) late() {
	b.mu.Lock()
	if !b.due.IsZero() && !time.Now().Before(b.due) {
		b.giveUp()
	}
	b.mu.Unlock()
	b.reports.run()
}

// giveUp reports all batches that wait with ErrSlow. They stay owed. Until
// something is written, those to come are reported at once. mu is held.
func (b *Bolt) giveUp() {
	err := fmt.Errorf("%w: %s", ErrSlow, b.path)
	b.slow = true
	b.turn(err)
	if b.work != nil {
		b.tell(b.work, err)
	}
	b.group.late = len(b.group.debt) > 0
	b.tell(b.group, err)
}

// later lays a batch, whose report does not wait for that, over those that do
// wait. Of a key that comes and goes meanwhile nothing is kept. mu is held.
func (b *Bolt) later(batch Batch) {
	debt := b.group.debt
	debt.add(batch)
	b.values.mu.RLock()
	defer b.values.mu.RUnlock()
	for _, k := range batch.Del {
		_, coming := b.writer.owed[k]
		if debt[k] == nil && !b.values.has(k) && !coming {
			delete(debt, k)
		}
	}
	b.group.late = len(debt) > 0
}

// leave gives up what Close has waited for.
func (b *Bolt) leave() error {
	b.mu.Lock()
	b.giveUp()
	b.left = true
	b.mu.Unlock()
	b.reports.run()
	return fmt.Errorf("store %s: closed while it was written: %w", b.path, ErrSlow)
}
