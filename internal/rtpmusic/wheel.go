package rtpmusic

import (
	"sync"
	"time"
)

// wheel visits every open port now and then: it is the clock of all that has seconds
// of time. It has one goroutine for all ports and one place for each, and what it
// does for one costs the same with one port open and with ten thousand.
type wheel struct {
	e    *Engine
	wake chan struct{} // capacity 1: there is a port

	mu    sync.Mutex
	slots [wheelSlots][]*Port // guarded by mu
	cur   int                 // guarded by mu; the slot that is visited next
	n     int                 // guarded by mu; ports in slots

	spare  []*Port          // owned by run; room for a slot
	packet [reportRoom]byte // owned by run; a report
}

const (
	wheelStep  = 100 * time.Millisecond // what times are rounded to
	wheelSlots = 64                     // it turns once in as many steps
)

func newWheel(e *Engine) *wheel { return &wheel{e: e, wake: make(chan struct{}, 1)} }

// add has p visited in d, at most wheelSlots-1 steps from now.
func (w *wheel) add(p *Port, d time.Duration) {
	w.mu.Lock()
	i := (w.cur + min(int(d/wheelStep), wheelSlots-1)) % wheelSlots
	w.slots[i] = append(w.slots[i], p)
	w.n++
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run visits until the engine closes. While no port is open it sleeps.
func (w *wheel) run() {
	tick := time.NewTicker(wheelStep)
	defer tick.Stop()
	for {
		if w.idle() {
			tick.Stop()
			select {
			case <-w.wake:
				tick.Reset(wheelStep)
			case <-w.e.done:
				return
			}
		}
		select {
		case <-tick.C:
			w.step()
		case <-w.e.done:
			return
		}
	}
}

func (w *wheel) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n == 0
}

// step visits the ports of the next slot.
func (w *wheel) step() {
	w.mu.Lock()
	ports := w.slots[w.cur]
	w.slots[w.cur] = w.spare[:0]
	w.cur = (w.cur + 1) % wheelSlots
	w.n -= len(ports)
	w.mu.Unlock()
	for _, p := range ports {
		if d := p.visit(w.packet[:0]); d > 0 {
			w.add(p, d)
		}
	}
	clear(ports) // who is closed may go
	w.spare = ports
}
