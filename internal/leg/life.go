package leg

import (
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
)

// How the life of a leg is proven. Silence is legal (hold), so it only asks.
const (
	lifeTick = 30 * time.Second // how often, while there is doubt
	lifeEnd  = 5 * time.Minute  // without any answer: the peer is gone
)

// life watches whether a leg's peer is still there: silence or one failed
// keep-alive starts OPTIONS within the dialog every 30 s; 481 ends the leg, as
// do five minutes without any answer. Owned by the leg's queue.
type life struct {
	timer   *dialog.Timer
	last    time.Time // when the peer last proved to be there by SIP
	asked   time.Time // when it was last asked
	pending bool
	doubt   bool
}

func (f *life) start(l *Leg) {
	f.proven()
	f.asked = time.Now()
	f.timer = l.after(lifeTick, func() { f.tick(l) })
}

// resume watches a restored leg: each at a time of its own, and behind what the start
// owes it, whose answer proves as much.
func (f *life) resume(l *Leg) {
	f.proven()
	f.asked = time.Now()
	f.timer = l.after(time.Second+2*l.m.spread()+rand.N(lifeTick), func() { f.tick(l) })
}

func (f *life) stop() { f.timer.Stop() }

// proven: the peer has sent a request or a response.
func (f *life) proven() {
	f.last, f.doubt = time.Now(), false
}

func (f *life) tick(l *Leg) {
	now := time.Now()
	f.timer = l.after(lifeTick, func() { f.tick(l) })
	if l.state != confirmed || f.pending {
		return
	}
	heard := l.port.Heard()
	silent := now.Sub(heard) > lifeTick
	if !silent {
		f.last = heard
	}
	if now.Sub(f.last) >= lifeEnd {
		l.lost("peer does not answer")
		return
	}
	if silent || f.doubt || now.Sub(f.asked) >= l.m.policy.Load().KeepAlive {
		f.ask(l, now)
	}
}

// ask sends a keep-alive. Any answer but 481 and 408 proves life (RFC 3261
// 12.2.1.2: those two end the dialog; a proxy's 408 is no answer of the peer).
func (f *life) ask(l *Leg, now time.Time) {
	f.asked = now
	req, err := l.dialog.NewRequest(sip.OPTIONS)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no keep-alive possible")
		return
	}
	f.pending = true
	l.send(req, func(res *sip.Response, err error) {
		if err == nil && res.StatusCode < 200 {
			return
		}
		f.pending = false
		switch {
		case l.state != confirmed:
		case err != nil || res.StatusCode == sip.StatusRequestTimeout:
			f.doubt = true
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists:
			l.lost("peer does not know the call")
		default:
			f.proven()
			l.tellSoon()
		}
	})
}
