package store

import "sync"

// reports calls the done of each batch, in order and one at a time, in whatever
// goroutine comes by.
type reports struct {
	mu      sync.Mutex // guards everything below; done is called without it
	queue   []result
	calling bool // somebody calls them
	idle    *sync.Cond
}

// result is how a batch came out, and who is told.
type result struct {
	done func(error)
	err  error
}

func newReports() *reports {
	r := &reports{}
	r.idle = sync.NewCond(&r.mu)
	return r
}

// add puts results behind those before them. Whoever adds calls run afterwards.
func (r *reports) add(results ...result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, results...)
}

// run calls what there is to call, unless somebody is at it, who then calls
// this too.
func (r *reports) run() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calling {
		return
	}
	r.calling = true
	for len(r.queue) > 0 {
		next := r.queue[0]
		r.queue[0] = result{}
		r.queue = r.queue[1:]
		r.mu.Unlock()
		next.done(next.err)
		r.mu.Lock()
	}
	r.calling = false
	r.idle.Broadcast()
}

// wait returns when all that was added has been called.
func (r *reports) wait() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.calling || len(r.queue) > 0 {
		r.idle.Wait()
	}
}
