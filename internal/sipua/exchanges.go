package sipua

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/shrink"
)

// exchanges are the open ones of a UDP listener, and their timers. Timer E knows
// few intervals (T1, 2*T1, ... T2), and in a list of those that wait equally long
// the first is due first: so to start, to stop and to fire a timer costs the same
// however many there are, and one alarm serves all.
type exchanges struct {
	packet *packetConn
	count  atomic.Int32 // those that are live
	nudges uint64       // first half of the branches of keep-alives, which have no exchange

	branches branches

	mu     sync.Mutex           // leaf
	live   map[uint64]*Exchange // by the first half of the branch
	most   int                  // shrink's
	rounds []*round
	alarm  *time.Timer
	wakes  time.Time // when the alarm rings; zero = not
	closed bool
}

// round is who waits equally long, whoever is due first at the front.
type round struct {
	gap         time.Duration
	first, last *Exchange
}

func newExchanges() *exchanges {
	var seed [32]byte
	rand.Read(seed[:]) // never fails (crypto/rand)
	random := mathrand.NewChaCha8(seed)
	return &exchanges{nudges: random.Uint64(), branches: branches{random: random}, live: map[uint64]*Exchange{}}
}

// branches makes branches that nobody can guess, so that nobody can answer for another
// (RFC 3261 8.1.1.7). It has a mutex of its own: whoever begins messages does not wait for
// whoever reads answers.
type branches struct {
	mu     sync.Mutex // leaf
	random *mathrand.ChaCha8
}

func (b *branches) next() branch {
	b.mu.Lock()
	defer b.mu.Unlock()
	return branch{b.random.Uint64(), b.random.Uint64()}
}

// newNudge makes one for a keep-alive.
func (t *exchanges) newNudge() string {
	return string(branch{t.nudges, t.branches.next().b}.append(nil))
}

// add opens an exchange that is about to be sent.
func (t *exchanges) add(x *Exchange) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.open(x, now) {
		return false
	}
	x.readers++ // until it is sent
	return true
}

// open has an exchange wait for its answer; it holds mu.
func (t *exchanges) open(x *Exchange, now time.Time) bool {
	if t.closed || x.state != unsent || t.live[x.branch.a] != nil {
		return false
	}
	x.state, x.gap, x.end = open, sip.T1, now.Add(sip.Timer_F) // RFC 3261 17.1.2.2: 64*T1
	if x.Once > 0 {
		x.gap, x.end = x.Once, now.Add(x.Once)
	}
	t.live[x.branch.a] = x
	t.count.Store(int32(len(t.live)))
	t.wait(x, now)
	return true
}

// wait has an exchange wait for its next turn; it holds mu.
func (t *exchanges) wait(x *Exchange, now time.Time) {
	gap := min(x.gap, x.end.Sub(now))
	x.due = now.Add(gap)
	var r *round
	for _, have := range t.rounds {
		if have.gap == x.gap {
			r = have
		}
	}
	if r == nil {
		r = &round{gap: x.gap}
		t.rounds = append(t.rounds, r)
	}
	x.round, x.prev = r, r.last
	for x.prev != nil && x.prev.due.After(x.due) { // its last turn may be a short one
		x.prev = x.prev.prev
	}
	if x.prev == nil {
		x.next, r.first = r.first, x
	} else {
		x.next, x.prev.next = x.prev.next, x
	}
	if x.next == nil {
		r.last = x
	} else {
		x.next.prev = x
	}
	t.ring(x.due, now)
}

// ring sets the alarm, if it would come later; it holds mu.
func (t *exchanges) ring(at, now time.Time) {
	if !t.wakes.IsZero() && !at.Before(t.wakes) {
		return
	}
	t.wakes = at
	if t.alarm == nil {
		t.alarm = time.AfterFunc(at.Sub(now), t.turn)
	} else {
		t.alarm.Reset(at.Sub(now))
	}
}

// unlink takes an exchange out of its round; it holds mu.
func (x *Exchange) unlink() {
	r := x.round
	if r == nil {
		return
	}
	if x.prev == nil {
		r.first = x.next
	} else {
		x.prev.next = x.next
	}
	if x.next == nil {
		r.last = x.prev
	} else {
		x.next.prev = x.prev
	}
	x.round, x.next, x.prev = nil, nil, nil
}

// release says that whoever has read a message reads it no more.
func (t *exchanges) release(x *Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x.readers--
	x.vacate()
}

// vacate gives the room of a message that nobody needs any more to the next one; it
// holds mu.
func (x *Exchange) vacate() {
	if x.room != nil && x.readers == 0 && x.state > open {
		rooms.Put(x.room)
		x.room, x.wire = nil, nil
	}
}

// end ends an exchange; it holds mu.
func (t *exchanges) end(x *Exchange, state exchangeState) bool {
	if x.state != open {
		return false
	}
	x.state = state
	x.unlink()
	t.live = shrink.Delete(t.live, &t.most, x.branch.a)
	t.count.Store(int32(len(t.live)))
	x.vacate()
	return true
}

// remove ends an exchange, and says whether it was open.
func (t *exchanges) remove(x *Exchange) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.end(x, over)
}

// stop ends an exchange for good.
func (t *exchanges) stop(x *Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(x, stopped)
	x.state = stopped
	x.vacate()
}

// renew makes an exchange that has ended ready to be started again, under another
// branch; false if it was stopped.
func (t *exchanges) renew(x *Exchange) bool {
	b := t.branches.next()
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.state == stopped {
		return false
	}
	x.state, x.proceeding, x.branch = unsent, false, b
	return true
}

// turn sends again what is due, and ends what has waited long enough.
func (t *exchanges) turn() {
	now := time.Now()
	var again, late []*Exchange
	var repeated []repetition
	t.mu.Lock()
	t.wakes = time.Time{}
	for _, r := range t.rounds {
		for x := r.first; x != nil && !x.due.After(now); x = r.first {
			if !x.end.After(now) {
				t.end(x, over)
				late = append(late, x)
				continue
			}
			again = append(again, x)
			x.unlink()
		}
	}
	for _, x := range again {
		// RFC 3261 17.1.2.2: the interval doubles up to T2, where it is at once
		// after a provisional response.
		if x.gap = min(2*x.gap, sip.T2); x.proceeding {
			x.gap = sip.T2
		}
		t.wait(x, now)
		x.readers++
		repeated = append(repeated, repetition{x, x.branch, x.wire})
	}
	for _, r := range t.rounds {
		if r.first != nil {
			t.ring(r.first.due, now)
		}
	}
	t.mu.Unlock()
	for _, x := range late {
		x.tell(Answer{}, fmt.Errorf("%s: %w", x.method, ErrTimeout))
	}
	for _, r := range repeated {
		var err error
		if t.waits(r) { // else it has ended while those before it were sent
			err = t.packet.send(r.wire, r.x.Way.to)
		}
		t.release(r.x)
		// RFC 3261 17.1.4.
		if err != nil && t.remove(r.x) {
			r.x.tell(Answer{}, fmt.Errorf("%s: %w: %w", r.x.method, ErrTransport, err))
		}
	}
}

// repetition is a message that is to be sent again.
type repetition struct {
	x      *Exchange
	branch branch
	wire   []byte
}

// waits says whether the exchange still waits for the answer to that message.
func (t *exchanges) waits(r repetition) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.x.state == open && r.x.branch == r.branch
}

// match finds the exchange that a response belongs to (RFC 3261 17.1.3), and ends
// it if the response is a final one. After a challenge its message is still read.
func (t *exchanges) match(b branch, method string, code int) *Exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.live[b.a]
	if x == nil || x.branch != b || string(x.method) != method {
		return nil
	}
	if Challenges(code) {
		x.readers++
	}
	if code < 200 {
		x.proceeding = true
	} else {
		t.end(x, over)
	}
	return x
}

// take passes a datagram on if it is an ordinary answer to an exchange, and drops
// one to a keep-alive.
func (t *exchanges) take(datagram []byte) bool {
	a, ok := scanAnswer(datagram)
	if ok && a.branch.a == t.nudges && a.method == string(sip.OPTIONS) {
		return true // nobody waits for it
	}
	if !ok || Challenges(a.Code) {
		return false
	}
	x := t.match(a.branch, a.method, a.Code)
	if x == nil {
		return false
	}
	if a.Code >= 200 {
		x.tell(a.Answer, nil)
	}
	return true
}

// takeParsed does the same with a response that had to be taken apart.
func (t *exchanges) takeParsed(res *sip.Response) bool {
	cseq := res.CSeq()
	if cseq == nil {
		return false
	}
	text, _ := branchOf(res)
	b, ok := parseBranch([]byte(text))
	if !ok {
		return false
	}
	x := t.match(b, string(cseq.MethodName), res.StatusCode)
	switch {
	case x == nil:
		return false
	case Challenges(res.StatusCode):
		res = res.Clone() // the original is about to be changed
		if !t.packet.layer.e.spawn(func() { x.challenged(res) }) {
			t.release(x)
			x.tell(Answer{}, fmt.Errorf("%s: %w", x.method, ErrClosed))
		}
	case res.StatusCode >= 200:
		x.tell(AnswerOf(res), nil)
	}
	return true
}

// Challenges says whether a response with that code asks for a password (RFC 3261 22).
func Challenges(code int) bool {
	return code == sip.StatusUnauthorized || code == sip.StatusProxyAuthRequired
}

// close ends all exchanges.
func (t *exchanges) close() {
	t.mu.Lock()
	t.closed = true
	if t.alarm != nil {
		t.alarm.Stop()
	}
	list := make([]*Exchange, 0, len(t.live))
	for _, x := range t.live {
		list = append(list, x)
	}
	for _, x := range list {
		t.end(x, over)
	}
	t.mu.Unlock()
	for _, x := range list {
		x.tell(Answer{}, fmt.Errorf("%s: %w", x.method, ErrClosed))
	}
}
