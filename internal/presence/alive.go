package presence

import (
	"math/rand/v2"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
)

// phases are the groups that the flows are in: each group has its turn once an
// interval, so that ten thousand of them go out evenly and with one goroutine.
const phases = 128

// flow is a way to watchers that a NAT may close behind us, however many
// subscriptions go by it.
type flow struct {
	sipua.Flow
	phase int
	users int // subscriptions
}

// flows are those that are kept alive; owned by index.mu.
type flows struct {
	all    map[sipua.Flow]*flow
	groups [phases]map[*flow]struct{}
	begun  func() // a phase has its first flow; must not block
}

// keptAlive is the flow of a subscription if it is to be kept alive, else zero: to
// UDP watchers behind NAT, and every connection. Where a proxy stands between it is
// the proxy that the NAT's binding leads to.
func keptAlive(d *dialog.Dialog) sipua.Flow {
	if !d.Flow.Remote.IsValid() || len(d.Routes) > 0 || d.Flow.Network == "udp" && !d.NAT {
		return sipua.Flow{}
	}
	return d.Flow
}

// move has a subscription go by a flow, or with a zero one by none.
func (x *flows) move(s *sub, to sipua.Flow) {
	f := s.face.alive
	if f != nil && f.Flow == to || f == nil && to == (sipua.Flow{}) {
		return
	}
	if f != nil {
		if f.users--; f.users == 0 {
			delete(x.all, f.Flow)
			delete(x.groups[f.phase], f)
		}
		s.face.alive = nil
	}
	if to == (sipua.Flow{}) {
		return
	}
	if f = x.all[to]; f == nil {
		f = &flow{Flow: to, phase: rand.IntN(phases)}
		if x.all == nil {
			x.all = map[sipua.Flow]*flow{}
		}
		if x.groups[f.phase] == nil {
			x.groups[f.phase] = map[*flow]struct{}{}
		}
		x.all[to], x.groups[f.phase][f] = f, struct{}{}
		if len(x.groups[f.phase]) == 1 {
			x.begun()
		}
	}
	f.users++
	s.face.alive = f
}

// after is the first beat later than one at which there is something to keep alive.
func (x *index) after(beat int) (next int, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range phases {
		if len(x.flows.groups[(beat+1+i)%phases]) > 0 {
			return beat + 1 + i, true
		}
	}
	return 0, false
}

// turn lists the flows whose turn a beat is.
func (x *index) turn(beat int, list []sipua.Flow) []sipua.Flow {
	x.mu.Lock()
	defer x.mu.Unlock()
	for f := range x.flows.groups[beat%phases] {
		list = append(list, f.Flow)
	}
	return list
}

// KeepAlive has flows kept alive once in an interval from now on; 0 = never.
func (n *Notifier) KeepAlive(every time.Duration) {
	n.every.Store(int64(every))
	n.open()
}

// open has keepOpen look what there is to do.
func (n *Notifier) open() {
	select {
	case n.flows <- struct{}{}:
	default:
	}
}

// keepOpen keeps flows alive, one phase after the other.
func (n *Notifier) keepOpen() {
	var (
		list  []sipua.Flow
		every time.Duration // 0 = never
		start time.Time     // of beat 0
		beat  int           // the last one
	)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if d := time.Duration(n.every.Load()); d != every {
			every, start, beat = d, time.Now(), 0
		}
		var due <-chan time.Time
		next, ok := 0, false
		if step := every / phases; step > 0 {
			// One that was missed while there was nothing to do is made up for.
			next, ok = n.index.after(max(beat, int(time.Since(start)/step)-1))
			timer.Reset(time.Until(start.Add(time.Duration(next) * step)))
		}
		if ok {
			due = timer.C
		}
		select {
		case <-n.ctx.Done():
			return
		case <-n.flows: // another interval, or the first flow of its phase
			continue
		case <-due:
		}
		beat = next
		list = n.index.turn(beat, list[:0])
		for _, f := range list {
			// What fails is a connection that is no more: its phone comes by another.
			_ = n.o.Endpoint.KeepAlive(f)
		}
	}
}
