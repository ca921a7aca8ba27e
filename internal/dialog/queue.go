package dialog

import (
	"errors"
	"runtime/debug"
	"sync"
)

// ErrClosed is returned by Post after Close, ErrFull when the queue is full.
var (
	ErrClosed = errors.New("queue is closed")
	ErrFull   = errors.New("queue is full")
)

// QueueConfig says what a queue does when things go wrong; nil hooks are
// ignored. Overflow runs on a goroutine of its own, Panic on the
// queue's.
type QueueConfig struct {
	Limit    int                           // functions that may wait; 0 = 256
	Overflow func()                        // once, when it was full for the first time: a bug, which should end its owner
	Panic    func(value any, stack []byte) // after each panic of a function
}

// Queue runs functions one after the other, in the order of Post. It has a
// goroutine only while there is something to run. A panic in a function is
// caught and costs that function only.
type Queue struct {
	cfg QueueConfig

	mu       sync.Mutex // leaf: nothing is called under it
	waiting  []func()
	running  bool
	closed   bool
	overflow bool
}

// NewQueue makes an empty queue.
func NewQueue(cfg QueueConfig) *Queue {
	if cfg.Limit <= 0 {
		cfg.Limit = 256
	}
	return &Queue{cfg: cfg}
}

// Post queues f and never blocks. ErrFull: f will not run and Overflow has
// been called; ErrClosed: f will not run.
func (q *Queue) Post(f func()) error {
	idle, err := q.push(f)
	if idle {
		go q.run()
	}
	return err
}

// Work is a function with what it needs, for Run.
type Work interface{ Run() }

type work func()

func (w work) Run() { w() }

// Do queues f like Post, but if the queue is idle the caller runs f, which saves
// the start of a goroutine. What is queued meanwhile, and may take longer than the
// caller has time, runs on one after it.
func (q *Queue) Do(f func()) error { return q.Run(work(f)) }

// Run is Do for work that is there already, and so takes no memory.
func (q *Queue) Run(w Work) error {
	if q.Try(w) {
		return nil
	}
	return q.Post(w.Run)
}

// Try runs work if the queue is idle, and otherwise, or if it is closed, does nothing:
// for work that is good only there and then.
func (q *Queue) Try(w Work) bool {
	q.mu.Lock()
	if q.closed || q.running {
		q.mu.Unlock()
		return false
	}
	q.running = true
	q.mu.Unlock()
	q.call(w)
	q.mu.Lock()
	more := len(q.waiting) > 0
	q.running = more
	q.mu.Unlock()
	if more {
		go q.run()
	}
	return true
}

// push queues f. If the queue was idle, whoever pushed has to run it.
func (q *Queue) push(f func()) (idle bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, ErrClosed
	}
	if len(q.waiting) >= q.cfg.Limit {
		if !q.overflow && q.cfg.Overflow != nil {
			go q.cfg.Overflow()
		}
		q.overflow = true
		return false, ErrFull
	}
	q.waiting = append(q.waiting, f)
	idle = !q.running
	q.running = true
	return idle, nil
}

// Close drops what waits and refuses what comes. The function that is running
// ends by itself; Close may be called from it.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.waiting = nil
	q.mu.Unlock()
}

// run takes the waiting functions a batch at a time until there are none.
func (q *Queue) run() {
	var batch []func()
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.running = false
			q.waiting = nil // an idle queue holds no memory
			q.mu.Unlock()
			return
		}
		batch, q.waiting = q.waiting, batch[:0]
		q.mu.Unlock()
		for i, f := range batch {
			batch[i] = nil
			if q.isClosed() {
				break
			}
			q.call(work(f))
		}
	}
}

func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

func (q *Queue) call(w Work) {
	defer func() {
		if p := recover(); p != nil && q.cfg.Panic != nil {
			q.cfg.Panic(p, debug.Stack())
		}
	}()
	w.Run()
}
