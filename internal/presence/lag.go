package presence

import (
	"reflect"
	"sync"
	"time"

	"parkd/internal/dialog"
)

// lag is how long the record of a refresh that changes nothing but the time may
// wait, so that many are written at once.
const lag = 30 * time.Second

// A refresh that leaves everything as it was is answered before it is written. That
// needs no more than what the journal has already: a record promises its Expires,
// and a restarted server keeps the subscription for another Interval, since a
// refresh may have come before that and not be written. What the watcher is told
// after a restart is what the record says, which is never longer than what it was
// promised (RFC 6665 4.2.2: a NOTIFY may shorten, and does not lengthen).

// laggards are the subscriptions with a refresh that is not written yet.
type laggards struct {
	mu    sync.Mutex // leaf
	list  []*sub
	timer *time.Timer
}

// covered says whether the record that the journal has is good enough for a
// refresh: nothing else changes, the watcher is promised no less than by the record,
// and no more than a restarted server would keep.
func (s *sub) covered(d dialog.Dialog, t terms) bool {
	was := s.rec.Dialog
	was.RemoteSeq = d.RemoteSeq // after a crash one from before it may pass again, which repeats a promise
	end, until := time.Now().Add(t.expires), s.until.time()
	return s.kept && s.firm && t.accept == s.rec.Accept && d.Target == s.rec.Contact && reflect.DeepEqual(was, d) &&
		!end.Before(until) && !end.After(until.Add(s.rec.interval()))
}

// interval is for how long a restarted server keeps it beyond Expires.
func (s *Subscription) interval() time.Duration { return time.Duration(s.Interval) * time.Second }

// promise is what the next record says of the time.
func (s *sub) promise(expires time.Duration) {
	s.until, s.rec.Interval, s.lagging = stampOf(time.Now().Add(expires)), uint32(expires/time.Second), false
}

// put has a refresh be written later.
func (l *laggards) put(s *sub, write func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list = append(l.list, s); len(l.list) > 1 {
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(lag, write)
	} else {
		l.timer.Reset(lag)
	}
}

// take empties the list.
func (l *laggards) take() []*sub {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// lags notes that its record is behind.
func (s *sub) lags() {
	if !s.lagging {
		s.lagging = true
		s.n.laggards.put(s, s.n.catchUp)
	}
}

// catchUp writes what lags.
func (n *Notifier) catchUp() {
	for _, s := range n.laggards.take() {
		_ = s.queue.Do(s.catchUp)
	}
}

func (s *sub) catchUp() {
	if s.lagging && !s.gone && s.kept {
		s.until, s.lagging = stampOf(s.rec.Expires), false
		s.keep(nil)
	}
}
