//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Sizes of the row of idle subscriptions.
const (
	idlers     = 10000
	expires    = 3600             // seconds
	refreshing = 64 * time.Second // for which there are refreshes: what they leave to be written later is written twice
	timeouts   = 34 * time.Second // 64*T1 and a little: transactions are over
	scrapes    = 60               // of the heap
	// collector is the GOGC of the parkd whose memory is looked at: it collects
	// often, and its goal is so much more than what lives.
	collector = 10
)

// idle: what subscriptions cost of which nothing is told: memory, and the CPU of
// their refreshes, which phones send when half of the time is over. Its floor is
// the same parkd before they came. Two take them, side by side: one whose
// collector runs often, for the memory, and one as it is, for the CPU.
func idle(o options) error {
	var beds [2]*bed
	for i, env := range []string{fmt.Sprint("GOGC=", collector), "GOGC=100"} {
		b, err := makeBed(o, env)
		if err != nil {
			return err
		}
		defer b.close()
		beds[i] = b
	}
	time.Sleep(timeouts)
	lean, usual := beds[0], beds[1]
	heap, err := lean.parkd.live()
	if err != nil {
		return err
	}
	fmt.Printf("idle     %d subscriptions: %.0f bytes of the heap each, %.0f resident (some of it garbage); %.1f MB of the heap live with them, %.1f without\n",
		idlers, (heap-lean.heap)/idlers, float64(usual.parkd.memory()-usual.resident)/idlers, heap/(1<<20), lean.heap/(1<<20))
	still := usual.parkd.rest(3 * o.window)
	refreshes := int(refreshing.Seconds() * 2 * idlers / expires)
	busy, err := usual.refresh(refreshes, refreshing)
	if err != nil {
		return err
	}
	_, sync, err := bareSyncs(o.disk, 50, refreshing/time.Duration(refreshes))
	if err != nil {
		return err
	}
	each := (busy - time.Duration(float64(still)*refreshing.Seconds()/(3*o.window.Seconds()))) / time.Duration(refreshes)
	part := func(d, of time.Duration) float64 { return 100 * d.Seconds() / of.Seconds() }
	fmt.Printf("idle     they cost %.2f %% of a core, with %d refreshes in %v, as at Expires %d; %.2f %% without refreshes, parkd without them %.2f %%; %v of CPU a refresh, two bare syncs as seldom, as of a commit for each, %v: ratio %.2f\n",
		part(busy, refreshing), refreshes, refreshing, expires, part(still, 3*o.window), part(usual.alone, 3*o.window),
		each.Round(time.Microsecond), (2 * sync).Round(time.Microsecond), float64(each)/float64(2*sync))
	return nil
}

// bed is a parkd with its subscribers, and what it was before they came.
type bed struct {
	parkd    *process
	phones   *phones
	alone    time.Duration // CPU in a window
	heap     float64
	resident int64
}

func makeBed(o options, env string) (*bed, error) {
	p, err := startKind(o.parkd, "bolt", o.disk, env)
	if err != nil {
		return nil, err
	}
	ph, err := newPhones(p.sip, idlers)
	if err != nil {
		p.stop()
		return nil, err
	}
	b := &bed{parkd: p, phones: ph}
	time.Sleep(time.Second) // what a start leaves to do
	b.alone, b.resident = p.rest(3*o.window), p.memory()
	if b.heap, err = p.live(); err == nil {
		err = ph.watch(2*o.rate, func(i int) string { return strconv.Itoa(701 + i%99) })
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bed) close() {
	b.phones.close()
	b.parkd.stop()
}

// refresh spreads so many refreshes over a span and returns the CPU of it.
func (b *bed) refresh(n int, span time.Duration) (time.Duration, error) {
	b.phones.mu.Lock()
	b.phones.agreed = 0
	b.phones.mu.Unlock()
	cpu, begin := b.parkd.cpu(), time.Now()
	i := 0
	var failed error
	paced(n, int(float64(n)/span.Seconds())+1, func() {
		failed = errors.Join(failed, b.phones.subscribe(i, "", expires))
		i += idlers / n
	})
	if failed != nil {
		return 0, failed
	}
	if err := b.phones.answered(n); err != nil {
		return 0, err
	}
	time.Sleep(time.Until(begin.Add(span)))
	return b.parkd.cpu() - cpu, nil
}

// rest is the CPU time that passes while nothing is done.
func (p *process) rest(span time.Duration) time.Duration {
	cpu := p.cpu()
	time.Sleep(span)
	return p.cpu() - cpu
}

// answered waits until so many refreshes have their 200.
func (p *phones) answered(n int) error {
	for deadline := time.After(5 * time.Second); ; {
		p.mu.Lock()
		done := p.agreed >= n
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-p.agree:
		case <-deadline:
			return fmt.Errorf("of %d refreshes not all were answered", n)
		}
	}
}

// live is what the last collection found alive on the heap. Looking makes enough
// garbage for several more.
func (p *process) live() (float64, error) {
	least := math.Inf(1)
	for range scrapes {
		goal, err := p.metric("go_memstats_next_gc_bytes ")
		if err != nil {
			return 0, err
		}
		least = min(least, goal)
	}
	return least / (1 + collector/100.0), nil // but for globals, which are always there
}
