package presence

import (
	"context"
	"sync"
	"time"

	"parkd/internal/sipua"
)

// Why a subscription has ended, as its last NOTIFY says, which is what its watcher
// does next (RFC 6665 4.1.3). giveup and invariant are never said: no subscription
// waits for a permission here, and no state is the last one.
const (
	timedOut    = "timeout"     // not refreshed, unsubscribed, or fetched: it may come again at once
	noResource  = "noresource"  // what it watches is configured no more: it should not come again
	deactivated = "deactivated" // it would be asked for a password now: it should come again at once
	rejected    = "rejected"    // it is served no more: it should not come again
	probation   = "probation"   // the server stops, and keeps nothing: it should come again later
)

// comeBack is when a watcher may come again after probation, in seconds: no sooner than
// one that subscribes meanwhile is told.
const comeBack = 5

// End tells all watchers that their subscriptions end with this process, which keeps
// nothing, and that they may come again in a while: else they would look at a lamp that
// nobody changes until their next refresh. It returns when all have answered, or ctx
// ends. Nobody can subscribe any more; Close follows.
func (n *Notifier) End(ctx context.Context) {
	n.ending.Store(true)
	var left sync.WaitGroup
	for _, s := range n.index.all() {
		left.Add(1)
		if s.queue.Post(func() { s.part(left.Done) }) != nil {
			left.Done()
		}
	}
	told := make(chan struct{})
	go func() {
		left.Wait()
		close(told)
	}()
	select {
	case <-told:
	case <-ctx.Done():
	}
}

// part ends the subscription with the process, and calls done when that is over.
func (s *sub) part(done func()) {
	if s.gone || !s.open {
		done()
		return
	}
	s.parted = done
	if s.closing == "" {
		s.close(probation)
	}
}

// Recheck ends the subscriptions of those whom the endpoint's settings serve no
// more: what they ask for in their dialogs is not asked for a password.
func (n *Notifier) Recheck() {
	for _, s := range n.index.all() {
		_ = s.queue.Post(func() {
			if s.gone || s.closing != "" {
				return
			}
			if reason := barred(n.o.Endpoint, &s.rec); reason != "" {
				s.log().Info().Str("reason", reason).Msg("lamp ended, its watcher is not served any more")
				s.close(reason)
			}
		})
	}
}

// barred is why a watcher is served no more; "" if it is.
func barred(e *sipua.Endpoint, rec *Subscription) string {
	switch ok, password := e.Serves(rec.Dialog.Flow.Remote.Addr(), rec.By); {
	case ok:
		return ""
	case rec.By == "" && password:
		return deactivated
	}
	return rejected
}

// subject is the resource that the next NOTIFY is about: none, when whoever watches is
// served no more and must not learn of it (RFC 6665 6.1); the lamp goes dark.
func (s *sub) subject() string {
	if s.closing == rejected || s.closing == deactivated {
		return ""
	}
	return s.rec.Resource
}

// terminated is the Subscription-State of the last NOTIFY (RFC 6665 8.2.3).
func terminated(reason string) sipua.SubscriptionState {
	st := sipua.SubscriptionState{State: "terminated", Reason: reason, Expires: -1, RetryAfter: -1}
	if reason == probation {
		st.RetryAfter = comeBack
	}
	return st
}

// active is that of any other, in whole seconds: rounded up they would lengthen the
// subscription (RFC 6665 4.2.2), and 0 would be its end.
func active(left time.Duration) sipua.SubscriptionState {
	st := sipua.SubscriptionState{State: "active", RetryAfter: -1}
	st.Expires = int64(max(time.Second, left) / time.Second)
	return st
}
