package presence

import (
	"sync"
	"time"
)

// How fast a backlog goes out.
const (
	beat    = time.Millisecond
	share   = 10          // subscriptions a beat, at least
	spread  = time.Second // more a beat when it would take longer than that
	catchUp = 20          // beats that a busy machine may make up for at once
)

// backlog is who is to be told in turn and not all at once: everybody after a
// start, and those of a host that has come back. Changes of state do not pass
// through it and go ahead of it. Its mutex is a leaf.
type backlog struct {
	wake chan struct{} // 1: something is there

	mu    sync.Mutex
	first []*sub
	rest  []*sub
	share int // a beat
}

// add appends to the backlog, or to what goes before it.
func (b *backlog) add(list []*sub, first bool) {
	if len(list) == 0 {
		return
	}
	b.mu.Lock()
	if first {
		b.first = append(b.first, list...)
	} else {
		b.rest = append(b.rest, list...)
	}
	const beats = int(spread / beat)
	b.share = max(share, b.share, (len(b.first)+len(b.rest)+beats-1)/beats)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take moves those of the next beats to the end of a list.
func (b *backlog) take(list []*sub, beats int) []*sub {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := beats * b.share
	for _, from := range []*[]*sub{&b.first, &b.rest} {
		k := min(n, len(*from))
		list = append(list, (*from)[:k]...)
		clear((*from)[:k])
		*from = (*from)[k:]
		n -= k
		if len(*from) == 0 {
			*from = nil
		}
	}
	if b.first == nil && b.rest == nil {
		b.share = 0
	}
	return list
}

// drain gives those in the backlog their turn.
func (n *Notifier) drain() {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var list []*sub
	for {
		tick.Stop() // an idle one would wake a thousand times a second
		select {
		case <-n.ctx.Done():
			return
		case <-n.backlog.wake:
		}
		tick.Reset(beat)
		last := time.Now()
		for list = n.backlog.take(list[:0], 1); len(list) > 0; {
			for _, s := range list {
				_ = s.queue.Do(s.turn)
			}
			clear(list)
			select {
			case <-n.ctx.Done():
				return
			case <-tick.C:
			}
			beats := min(max(1, time.Since(last)/beat), catchUp)
			last = last.Add(beats * beat)
			list = n.backlog.take(list[:0], int(beats))
		}
	}
}
