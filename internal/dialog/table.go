package dialog

import (
	"cmp"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/shrink"
	"parkd/internal/sipua"
)

// ErrExists is returned by Add for an identity that is taken.
var ErrExists = errors.New("dialog exists")

// Usage takes what comes in a dialog, on its queue.
type Usage interface {
	Request(r *sipua.Request) // must be answered; in CSeq order
	ACK(r *sipua.Request)
}

const (
	shards  = 64
	gap     = 20 * time.Millisecond // how long a request waits for its predecessor
	maxHeld = 16                    // requests that wait in one dialog
)

// Table finds the dialog of a request. It is safe for concurrent use; its
// locks are leaves.
type Table struct {
	wheel *Wheel
	seed  maphash.Seed
	shard [shards]shard
}

// shard has no texts of its own, of which there would be three in each place, free
// ones too: dialogs are found by a hash, and compared.
type shard struct {
	mu      sync.RWMutex
	entries map[uint64]*Entry // the first of a chain, by the hash of ID
	chained int               // dialogs in it
	most    int               // shrink's
}

// NewTable makes an empty table; the wheel times the waits for predecessors.
func NewTable(w *Wheel) *Table {
	t := &Table{wheel: w, seed: maphash.MakeSeed()}
	for i := range t.shard {
		t.shard[i].entries = map[uint64]*Entry{}
	}
	return t
}

// Entry is a dialog's place in the table.
type Entry struct {
	table *Table
	id    ID
	usage Usage
	next  *Entry // of those with the same hash; owned by the shard's mu

	mu    sync.Mutex // leaf, but for the queue's own lock
	last  uint32     // highest CSeq delivered; 0 = none
	queue *Queue
	hall  *hall // nil = nobody waits
}

// hall is where requests wait for their predecessors.
type hall struct {
	held  []held // by CSeq
	timer *Timer
}

// held is a request that waits for its predecessor until a time.
type held struct {
	r     *sipua.Request
	seq   uint32
	until time.Time
}

// Add puts a dialog into the table. remoteSeq is the highest CSeq that the
// peer has used, 0 if none. An ID without a remote tag stands for every
// dialog with that Call-ID and local tag that is not in the table itself: so
// do requests find us before, or beside, the response that completes it.
func (t *Table) Add(id ID, remoteSeq uint32, q *Queue, u Usage) (*Entry, error) {
	s, h := t.at(&id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(h, &id) != nil {
		return nil, ErrExists
	}
	e := &Entry{table: t, id: id, usage: u, queue: q, last: remoteSeq, next: s.entries[h]}
	s.entries[h] = e
	s.chained++
	return e, nil
}

// Remove takes a dialog out; requests that wait in it get 481.
func (t *Table) Remove(id ID) {
	s, h := t.at(&id)
	s.mu.Lock()
	e := s.find(h, &id)
	if e != nil {
		s.unchain(h, e)
	}
	s.mu.Unlock()
	if e == nil {
		return
	}
	e.mu.Lock()
	waiting := e.hall
	e.hall = nil
	e.mu.Unlock()
	if waiting == nil {
		return
	}
	waiting.timer.Stop()
	for _, h := range waiting.held {
		h.r.Reply(sip.StatusCallTransactionDoesNotExists, "")
	}
}

// find returns a dialog or nil; its caller holds mu.
func (s *shard) find(hash uint64, id *ID) *Entry {
	e := s.entries[hash]
	for e != nil && e.id != *id {
		e = e.next
	}
	return e
}

// unchain takes a dialog out; it holds mu.
func (s *shard) unchain(hash uint64, e *Entry) {
	s.chained--
	first := s.entries[hash]
	switch {
	case first == e && e.next == nil:
		s.entries = shrink.Delete(s.entries, &s.most, hash)
	case first == e:
		s.entries[hash] = e.next
	default:
		for first.next != e {
			first = first.next
		}
		first.next = e.next
	}
}

// Find returns the dialog with exactly that identity.
func (t *Table) Find(id ID) (*Entry, bool) {
	s, h := t.at(&id)
	s.mu.RLock()
	e := s.find(h, &id)
	s.mu.RUnlock()
	return e, e != nil
}

// Replaced finds the dialog that a Replaces header names: its to-tag is our
// local tag and its from-tag our remote one (RFC 3891 3). A tag of "0" also
// matches a peer without tags.
func (t *Table) Replaced(r sipua.Replaces) (*Entry, bool) {
	id := ID{CallID: r.CallID, Local: r.ToTag, Remote: r.FromTag}
	if e, ok := t.Find(id); ok {
		return e, true
	}
	if r.FromTag == "0" {
		id.Remote = ""
		return t.Find(id)
	}
	return nil, false
}

// Len counts the dialogs.
func (t *Table) Len() int {
	n := 0
	for i := range t.shard {
		s := &t.shard[i]
		s.mu.RLock()
		n += s.chained
		s.mu.RUnlock()
	}
	return n
}

// Request is the handler for sipua.Endpoint.HandleInDialog: it queues the
// request in its dialog, or answers 481 (RFC 3261 12.2.2).
func (t *Table) Request(r *sipua.Request) {
	e, ok := t.match(r)
	if !ok {
		r.Reply(sip.StatusCallTransactionDoesNotExists, "")
		return
	}
	e.deliver(r)
}

// ACK is the handler for sipua.Endpoint.HandleACK. An ACK carries the CSeq of
// its INVITE and so waits for nothing; one that matches no dialog is dropped.
func (t *Table) ACK(r *sipua.Request) {
	if e, ok := t.match(r); ok {
		q := e.Queue()
		q.Post(func() { e.usage.ACK(r) })
	}
}

// match finds the dialog of a request from the peer: the To tag is ours.
func (t *Table) match(r *sipua.Request) (*Entry, bool) {
	id := ID{CallID: sipua.CallID(r.Request), Local: sipua.ToTag(r.Request), Remote: sipua.FromTag(r.Request)}
	s, h := t.at(&id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.find(h, &id); e != nil {
		return e, true
	}
	id.Remote = ""
	e := s.find(maphash.Comparable(t.seed, id), &id) // in the same shard
	return e, e != nil
}

// at is where a dialog is, if it is there. All of a Call-ID are in one shard.
func (t *Table) at(id *ID) (*shard, uint64) {
	return &t.shard[maphash.String(t.seed, id.CallID)%shards], maphash.Comparable(t.seed, *id)
}

// ID is the dialog's identity, Usage what it was added with.
func (e *Entry) ID() ID       { return e.id }
func (e *Entry) Usage() Usage { return e.usage }

// Queue is the queue that the dialog's requests are delivered on.
func (e *Entry) Queue() *Queue {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.queue
}

// SetQueue delivers on another queue from now on, as when two legs are
// bridged. What was queued before still runs on the old one.
func (e *Entry) SetQueue(q *Queue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = q
}

// deliver queues a request, and what waited for it, in CSeq order. One whose
// predecessor is missing waits for it for 20 ms: the transaction layer hands
// messages over on a goroutine each, and networks reorder. So does the first
// one of a dialog, unless no number can be before its. A gap in the numbers is
// legal: when the time is over, the request goes ahead.
func (e *Entry) deliver(r *sipua.Request) {
	e.mu.Lock()
	q := e.queue
	seq := sipua.CSeq(r.Request)
	idle := false
	if seq <= e.last+1 {
		idle = e.post(r)
	} else {
		if e.hall == nil {
			e.hall = &hall{}
		}
		w := e.hall
		i, _ := slices.BinarySearchFunc(w.held, seq, func(h held, n uint32) int { return cmp.Compare(h.seq, n) })
		w.held = slices.Insert(w.held, i, held{r: r, seq: seq, until: time.Now().Add(gap)})
	}
	idle = e.release(time.Now()) || idle
	e.mu.Unlock()
	if idle { // this goroutine is the request's: it has nothing else to do
		q.run()
	}
}

// release delivers from those that wait all whose predecessor has come or
// whose time is over, with what is before them. It holds mu, and says whether
// the queue was idle: then the caller has to run it.
func (e *Entry) release(now time.Time) (idle bool) {
	w := e.hall
	if w == nil {
		return false
	}
	n := 0 // how many go
	for i, h := range w.held {
		if !now.Before(h.until) || len(w.held)-n > maxHeld {
			n = i + 1
		}
	}
	for i := 0; i < len(w.held); i++ {
		if i >= n && w.held[i].seq > e.last+1 {
			break
		}
		idle = e.post(w.held[i].r) || idle
		n = max(n, i+1)
	}
	w.held = w.held[n:]
	w.timer.Stop()
	if len(w.held) == 0 {
		e.hall = nil
		return idle
	}
	next := w.held[0].until
	for _, h := range w.held {
		if h.until.Before(next) {
			next = h.until
		}
	}
	w.timer = e.table.wheel.After(next.Sub(now), e.queue, func() {
		e.mu.Lock()
		q, idle := e.queue, e.release(time.Now())
		e.mu.Unlock()
		if idle { // not the queue that this runs on
			go q.run()
		}
	})
	return idle
}

// post queues one request; it holds mu, so that the order stands. What cannot
// be queued is refused: the owner of the queue is ending.
func (e *Entry) post(r *sipua.Request) (idle bool) {
	e.last = max(e.last, sipua.CSeq(r.Request))
	idle, err := e.queue.push(func() { e.usage.Request(r) })
	if err != nil {
		go r.Reply(sip.StatusCallTransactionDoesNotExists, "")
	}
	return idle
}
