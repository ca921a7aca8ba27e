package crash

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"parkd/test/live"
)

// What a new server has for putting things right.
const (
	musicWithin = time.Second     // of its start
	lampsWithin = 2 * time.Second // of its being ready
)

// An outage is the time between two servers.
type outage struct {
	*process           // the second one
	s        *site     // where it was
	struck   time.Time // when the first one was told to end
	before   []held    // the calls that it had
}

// crash kills parkd, starts another, and checks that it has the same calls, at
// the same places, with the same deadlines.
func (s *site) crash() *outage {
	s.Helper()
	o := s.kill()
	o.restart()
	o.same()
	return o
}

// kill kills parkd.
func (s *site) kill() *outage {
	s.Helper()
	o := &outage{s: s, before: s.calls(), struck: time.Now()}
	s.now.kill()
	return o
}

func (o *outage) restart() {
	o.s.Helper()
	o.process = o.s.start()
	o.s.Logf("ready %v after the start", o.ready.Sub(o.began).Round(time.Millisecond))
}

// written waits until all that was decided is on the disk: a SUBSCRIBE is
// answered when it is, and so is all that came before.
func (s *site) written() {
	s.Helper()
	s.phone("probe").Watch("701").Served()
}

// same checks that the new server has the calls that the former one had.
func (o *outage) same() {
	o.s.Helper()
	if after := o.s.calls(); !reflect.DeepEqual(after, o.before) {
		o.s.Errorf("calls after the outage: %+v\nbefore: %+v", after, o.before)
	}
}

// goesOn checks that callers hear what they heard before: the same stream, from
// the same port, within a second, and only that.
func (o *outage) goesOn(calls ...*live.Call) {
	o.s.Helper()
	limit := musicWithin + o.starved()
	for _, c := range calls {
		c.Media.Until("sound after the outage", func(all []live.Packet) bool {
			n := len(all)
			return n >= 10 && all[n-10].At.After(o.began)
		})
		late, err := resumed(c, o.began)
		o.s.Logf("%s hears sound %v after the start", c.Phone.Name, late.Round(time.Millisecond))
		if err != nil {
			o.s.Errorf("%s: %v", c.Dialog.Identity, err)
		}
		if late > limit {
			o.s.Errorf("%s was in silence for %v after the start, limit %v", c.Phone.Name, late, limit)
		}
	}
}

// resumed tells how long after the start of a server a caller heard something,
// which must be the stream that was heard before.
func resumed(c *live.Call, began time.Time) (late time.Duration, err error) {
	all := c.Media.From(0)
	i := slices.IndexFunc(all, func(p live.Packet) bool { return p.At.After(began) })
	if i < 1 {
		return 0, fmt.Errorf("%d packets, none of them before or none after the start", len(all))
	}
	late = all[i].At.Sub(began)
	for ; i < len(all); i++ {
		was, is := all[i-1], all[i]
		if is.From != was.From || is.SSRC != was.SSRC || int16(is.Seq-was.Seq) <= 0 || int32(is.TS-was.TS) <= 0 {
			return late, fmt.Errorf("%d at %d of %x from %s follows %d at %d of %x from %s",
				is.Seq, is.TS, is.SSRC, is.From, was.Seq, was.TS, was.SSRC, was.From)
		}
	}
	return late, nil
}

// silent checks that nothing was said to callers since the former server was
// struck, and is not for half a second more; they may be asked whether they are
// there.
func (o *outage) silent(calls ...*live.Call) {
	o.s.Helper()
	<-time.After(time.Until(o.ready.Add(time.Second)))
	for _, c := range calls {
		for _, g := range c.Got(o.struck) {
			if g.Method() != "OPTIONS" {
				o.s.Errorf("%s was sent\n%s", c.Phone.Name, g.Start)
			}
		}
	}
}

// told checks that watchers are told the whole state again, by a later document
// in the dialog that they had.
func (o *outage) told(state string, lamps ...*live.Lamp) {
	o.s.Helper()
	for _, l := range lamps {
		notes := l.Notes()
		i := slices.IndexFunc(notes, func(n live.Note) bool { return n.At.After(o.began) })
		if i < 0 {
			if n := l.Next(len(notes), time.Until(o.ready.Add(lampsWithin))); n == nil {
				o.s.Errorf("%s: not told within %v", l.Phone.Name, lampsWithin)
				continue
			}
			notes, i = l.Notes(), len(notes)
		}
		was, is := notes[i-1], notes[i]
		o.s.Logf("%s is told %v after ready", l.Phone.Name, is.At.Sub(o.ready).Round(time.Millisecond))
		if is.At.Sub(o.ready) > lampsWithin {
			o.s.Errorf("%s: told after %v only", l.Phone.Name, is.At.Sub(o.ready))
		}
		if !is.Full || is.CSeq <= was.CSeq || is.Version <= was.Version {
			o.s.Errorf("%s: document %d (full: %v) with CSeq %d after document %d with CSeq %d",
				l.Phone.Name, is.Version, is.Full, is.CSeq, was.Version, was.CSeq)
		}
		if is.State != state || is.Call != was.Call {
			o.s.Errorf("%s: shows %s of %q, showed %s of %q", l.Phone.Name, is.State, is.Call, was.State, was.Call)
		}
	}
}
