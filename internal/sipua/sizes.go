package sipua

import "time"

// Sizes counts what the endpoint holds for messages, by kind; all are 0 once
// there was none for 64*T1.
func (e *Endpoint) Sizes() map[string]int {
	n := map[string]int{"requests_served": int(e.served.Load()), "requests_sent": int(e.sent.Load())}
	now := time.Now()
	c := &e.cancels
	c.mu.Lock()
	n["open_invites"], n["early_cancels"] = len(c.live), len(c.early)
	n["answered_invites"] = c.answered.count(now)
	c.mu.Unlock()
	e.merged.mu.Lock()
	n["merged"] = len(e.merged.seen)
	e.merged.mu.Unlock()
	for _, l := range e.layers {
		if l.exchanges != nil {
			n["requests_sent"] += int(l.exchanges.count.Load())
		}
		l.rejected.mu.Lock()
		n["refused_invites"] += len(l.rejected.open) + l.rejected.acks.count(now)
		l.rejected.mu.Unlock()
	}
	return n
}
