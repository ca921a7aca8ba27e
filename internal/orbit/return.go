package orbit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// target is whom a return of a call calls that somebody asks for: the parker,
// after enough failures the fallback, where there is neither "". A parker whose
// number has become an orbit's or a code since would come back to us.
func (s *State) target(c *Call) string {
	t := s.settings(c.At).Timeout
	parker := s.parker(c.Parker)
	if t.Fallback != "" && (parker == "" || c.Tries >= t.FallbackAfter) {
		return t.Fallback
	}
	return parker
}

// overdue is whom a time-out calls, "" = nobody.
func (s *State) overdue(c *Call) string {
	switch t := s.settings(c.At).Timeout; t.Action {
	case Keep:
		return ""
	case ToFallback:
		return t.Fallback
	}
	return s.target(c)
}

// wait is how long a call is parked before it is returned; false = for ever.
func (s *State) wait(c *Call) (time.Duration, bool) {
	t := s.settings(c.At).Timeout
	if !t.Enabled || s.overdue(c) == "" {
		return 0, false
	}
	return t.After, true
}

// arm sets when a call is next to be returned.
func (s *State) arm(now time.Time, c *Call) {
	c.Due = time.Time{}
	if wait, returns := s.wait(c); returns {
		c.Due = now.Add(wait)
	}
}

// parkAgain puts a call back where it was after a retrieve or return that came
// to nothing. The next return is a time-out away.
func (s *State) parkAgain(now time.Time, c *Call) {
	c.Phase, c.Other, c.With, c.By, c.Guard, c.Asked = Parked, "", Identity{}, Identity{}, time.Time{}, false
	c.Answered, c.Rung, c.Then = false, "", ""
	c.Handing = 0
	s.arm(now, c)
}

// fallsDue: a return's time has come, be it of one that was asked for and cut off by a
// restart.
func (s *State) fallsDue(now time.Time, ch *Change, c Call) {
	target := s.overdue(&c)
	if c.Asked {
		target = s.target(&c)
	}
	if target == "" {
		c.Due, c.Asked = time.Time{}, false
		ch.put(c)
		return
	}
	c.Rung, c.Then = "", ""
	s.ring(now, ch, c, target)
}

// ask starts the return that somebody asks for, if there is anybody to call.
func (s *State) ask(now time.Time, ch *Change, c Call) bool {
	target := s.target(&c)
	if target == "" {
		return false
	}
	c.Asked, c.Rung, c.Then = true, "", ""
	s.ring(now, ch, c, target)
	return true
}

// ring calls target for a return, on a leg of its own, while the caller keeps
// their place and the music.
func (s *State) ring(now time.Time, ch *Change, c Call, target string) {
	c.Attempt++
	c.Phase, c.Due = Returning, now.Add(s.settings(c.At).Timeout.Ring)
	c.Other = c.ID + "." + strconv.Itoa(c.Attempt)
	c.With = Identity{URI: target, Self: target}
	c.Rung = strings.TrimSpace(c.Rung + " " + target)
	ch.put(c)
	ch.leg(c.Other, []byte{})
	ch.after(Ring{
		Leg: c.Other, Call: c.ID, Target: target, Caller: c.Caller, Orbit: c.Home, Party: s.shown(&c),
		Alert: s.set.Return.AlertInfo, Person: c.personal(),
	})
	ch.event(KindReturning, &c, target)
}

// personal reports whether the return is for the parker: the fallback may be a
// machine, for somebody has set it so.
func (c *Call) personal() bool {
	first, _, _ := strings.Cut(c.Rung, " ")
	return first == c.Parker
}

// maxRung is how many a return calls at most, one after the other.
const maxRung = 5

// refused: the next of those whom a 3xx named is called for the same return (RFC
// 3261 8.1.3.4), unless nobody anywhere takes the call (21.6). None of them twice,
// and never ourselves: that ends where numbers are forwarded in a circle.
func (s *State) refused(now time.Time, ch *Change, c Call, in Hangup) {
	if c.Answered {
		s.returnFailed(now, ch, c, notConfirmed)
		return
	}
	then := slices.Concat(in.Moved, strings.Fields(c.Then))
	rung := strings.Fields(c.Rung)
	for i, target := range then {
		again := slices.ContainsFunc(rung, func(uri string) bool { return strings.EqualFold(uri, target) })
		if again || s.parker(target) == "" || in.Code >= 600 || len(rung) >= maxRung {
			continue
		}
		c.Then = strings.Join(then[i+1:], " ")
		s.ring(now, ch, c, target)
		return
	}
	s.returnFailed(now, ch, c, failure(in.Code, in.Rang))
}

// returned: somebody has answered. They have the caller, unless they are a machine
// or are to say first that they are there.
func (s *State) returned(now time.Time, ch *Change, c Call, in Answered) {
	ch.leg(in.Leg, known(in.Record))
	if in.Machine && c.personal() {
		ch.bye(in.Leg, machine)
		s.returnFailed(now, ch, c, machine)
		return
	}
	if s.confirms(&c, in) {
		s.question(now, ch, c)
		return
	}
	s.taken(now, ch, c)
}

// returnFailed: parked still, tried again a time-out later.
func (s *State) returnFailed(now time.Time, ch *Change, c Call, why string) {
	c.Tries++
	s.parkAgain(now, &c)
	ch.put(c)
	ch.event(KindKept, &c, why)
}

// key: of two who are joined the other one is to know of it. The transfer key brings
// a parked caller back to the parker at once; whoever answers a return takes or
// refuses the caller by a key.
func (s *State) key(now time.Time, in Key) (ch Change) {
	e := s.call(in.Leg)
	if e != nil {
		if peer := e.joined(in.Leg); peer != "" {
			ch.Now = append(ch.Now, PassKey{peer, in})
			return ch
		}
	}
	if in.Info != 0 {
		ch.Now = append(ch.Now, KeyTaken{in.Leg, in.Info}) // not a word about what is durable
	}
	if e != nil && e.Phase == Returning && e.Answered && e.Other == in.Leg {
		s.answeredKey(now, &ch, e.Call, in.Digit)
		return ch
	}
	if e == nil || e.Phase != Parked || e.Caller != in.Leg {
		return ch
	}
	if key := s.settings(e.At).TransferKey; key == 0 || key != in.Digit {
		return ch
	}
	s.ask(now, &ch, e.Call)
	return ch
}

// returnNow: an operator asks for the same.
func (s *State) returnNow(now time.Time, in Return) (ch Change, err error) {
	e := s.calls[in.Call]
	if e == nil || e.Phase != Parked {
		return ch, fmt.Errorf("return %s: %w", in.Call, ErrGone)
	}
	if !s.ask(now, &ch, e.Call) {
		return ch, fmt.Errorf("return %s: %w", in.Call, ErrNobody)
	}
	return ch, nil
}
