package sipua

import (
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/shrink"
)

const (
	cancelWait  = 20 * time.Millisecond // how long a CANCEL waits for its INVITE
	maxEarly    = 1024                  // CANCELs that wait; more get 481 at once
	maxAnswered = 16384                 // answered INVITEs that are remembered
)

// uncancelled is the method under which a CANCEL passes the transaction layer,
// which else would answer it, with a To tag of its own; no method that is read
// has a space in it.
const uncancelled sip.RequestMethod = " CANCEL"

// cancels joins CANCELs and INVITEs, in whatever order sipgo hands them over.
type cancels struct {
	mu       sync.Mutex // leaf
	live     map[string]*Request
	answered recent[string] // To tags of INVITEs that have their final response
	early    map[string]*earlyCancel
}

type earlyCancel struct {
	req   *Request
	timer *time.Timer
}

// cancelKey is what a CANCEL and its INVITE have in common (RFC 3261 9.2,
// 17.2.3).
func cancelKey(m sip.Message) string {
	branch, sentBy := branchOf(m)
	if strings.HasPrefix(branch, sip.RFC3261BranchMagicCookie) {
		return branch + " " + strings.ToLower(sentBy)
	}
	return branch + " " + sentBy + " " + CallID(m) + " " + FromTag(m) + " " + strconv.Itoa(int(CSeq(m)))
}

// add notes an INVITE and returns the CANCEL that came before it, if any.
func (c *cancels) add(r *Request) *Request {
	key := cancelKey(r.Request)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == nil {
		c.live = map[string]*Request{}
	}
	c.live[key] = r
	if e := c.early[key]; e != nil {
		e.timer.Stop()
		delete(c.early, key)
		return e.req
	}
	return nil
}

// done remembers only the To tag of an INVITE that has its final response.
func (c *cancels) done(r *Request) {
	if !r.IsInvite() {
		return
	}
	key := cancelKey(r.Request)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live[key] == r {
		delete(c.live, key)
	}
	c.answered.put(key, r.LocalTag(), maxAnswered)
}

// take answers a CANCEL, or has it wait for its INVITE.
func (c *cancels) take(e *Endpoint, cancel *Request) {
	key := cancelKey(cancel.Request)
	c.mu.Lock()
	if r := c.live[key]; r != nil {
		c.mu.Unlock()
		c.cancel(r, cancel)
		return
	}
	if tag, ok := c.answered.get(key); ok {
		c.mu.Unlock()
		cancel.SetLocalTag(tag)
		cancel.Reply(sip.StatusOK, "") // RFC 3261 9.2: too late, without effect
		return
	}
	if c.early == nil {
		c.early = map[string]*earlyCancel{}
	}
	full := len(c.early) >= maxEarly || c.early[key] != nil
	if !full {
		c.early[key] = &earlyCancel{req: cancel, timer: e.after(cancelWait, func() { c.expire(e, key) })}
	}
	c.mu.Unlock()
	if full {
		e.refuse(cancel, &refusal{code: sip.StatusCallTransactionDoesNotExists, reason: ReasonDialog})
	}
}

func (c *cancels) expire(e *Endpoint, key string) {
	c.mu.Lock()
	early := c.early[key]
	delete(c.early, key)
	c.mu.Unlock()
	if early != nil {
		defer e.recovered("CANCEL")
		e.refuse(early.req, &refusal{code: sip.StatusCallTransactionDoesNotExists, reason: ReasonDialog})
	}
}

// cancel ends an INVITE by its CANCEL: 200 to the one, then 487 to the other,
// if that has no final response yet (RFC 3261 9.2).
func (c *cancels) cancel(r, cancel *Request) {
	cancel.SetLocalTag(r.LocalTag()) // 9.2: the same To tag
	cancel.Reply(sip.StatusOK, "")
	if r.state.CompareAndSwap(pending, cancelled) {
		c.done(r)
		r.tx.Respond(r.NewResponse(sip.StatusRequestTerminated, ""))
		r.fireCancel()
	}
}

func (c *cancels) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.early {
		e.timer.Stop()
	}
	c.live, c.answered, c.early = nil, recent[string]{}, nil
}

// merged recognises a request that reached us by two ways (RFC 3261 8.2.2.2). It
// knows requests and branches by their hashes, whose seed nobody else knows: texts of
// some hundred bytes would be kept for each, for as long as its transaction lasts.
type merged struct {
	mu   sync.Mutex // leaf
	seed maphash.Seed
	seen map[uint64]uint64 // branches by request
	most int               // shrink's
}

// copied is what copies of a request have in common.
type copied struct{ from, callID, cseq string }

// enter notes a request until its transaction ends; false means that the same
// request is being served with another branch.
func (m *merged) enter(r *Request) bool {
	m.mu.Lock()
	if m.seen == nil {
		m.seen, m.seed = map[uint64]uint64{}, maphash.MakeSeed()
	}
	key := maphash.Comparable(m.seed, copied{FromTag(r.Request), CallID(r.Request), r.CSeq().Value()})
	branch := maphash.String(m.seed, cancelKey(r.Request))
	if first, ok := m.seen[key]; ok && first != branch {
		m.mu.Unlock()
		return false
	}
	m.seen[key] = branch
	m.mu.Unlock()
	leave := func(string, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.seen[key] == branch {
			m.seen = shrink.Delete(m.seen, &m.most, key)
		}
	}
	if !r.tx.OnTerminate(leave) {
		leave("", nil)
	}
	return true
}
