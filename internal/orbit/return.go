package orbit

import (
	"fmt"
	"strconv"
	"time"
)

// ring starts a return: the parker, or the fallback, is called on a leg of
// its own while the caller keeps their place and the music.
func (s *State) ring(now time.Time, ch *Change, c Call) {
	t := s.settings(c.At).Timeout
	target := c.target(t)
	if target == "" {
		c.Due = time.Time{}
		ch.put(c)
		return
	}
	c.Attempt++
	c.Phase, c.Due = Returning, now.Add(t.Ring)
	c.Other = c.ID + "." + strconv.Itoa(c.Attempt)
	ch.put(c)
	ch.leg(c.Other, []byte{})
	ch.after(Ring{Leg: c.Other, Call: c.ID, Target: target, Caller: c.Caller, Orbit: c.Home, Party: Party{c.Name, c.URI}})
	ch.event(KindReturning, &c, target)
}

// returnFailed: parked still, tried again a time-out later.
func (s *State) returnFailed(now time.Time, ch *Change, c Call, why string) {
	c.Tries++
	c.parkAgain(now, s.settings(c.At).Timeout)
	ch.put(c)
	ch.event(KindKept, &c, why)
}

// key: the transfer key brings a parked caller back to the parker at once.
func (s *State) key(now time.Time, in Key) (ch Change) {
	e := s.call(in.Leg)
	if e == nil || e.Phase != Parked || e.Caller != in.Leg {
		return ch
	}
	if key := s.settings(e.At).TransferKey; key == 0 || key != in.Digit {
		return ch
	}
	if e.target(s.settings(e.At).Timeout) != "" {
		s.ring(now, &ch, e.Call)
	}
	return ch
}

// returnNow: an operator asks for the same.
func (s *State) returnNow(now time.Time, in Return) (ch Change, err error) {
	e := s.calls[in.Call]
	if e == nil || e.Phase != Parked {
		return ch, fmt.Errorf("return %s: %w", in.Call, ErrGone)
	}
	if e.target(s.settings(e.At).Timeout) == "" {
		return ch, fmt.Errorf("return %s: %w", in.Call, ErrNobody)
	}
	s.ring(now, &ch, e.Call)
	return ch, nil
}

// Owed lists what the state still wants done, in the order of the calls'
// places, for a server that starts on a restored state. Each effect may have
// been carried out before; doing it again does no harm.
func (s *State) Owed() []Effect {
	var owed []Effect
	calls, _ := s.Snapshot()
	for i := range calls {
		c := &calls[i]
		o := s.settings(c.Home)
		switch c.Phase {
		case Parked:
			owed = append(owed, Answer{Leg: c.Caller, Call: c.ID, Orbit: c.Home, Music: o.Music}, Play{c.Caller, o.Music})
		case Returning:
			owed = append(owed, Answer{Leg: c.Caller, Call: c.ID, Orbit: c.Home, Music: o.Music}, Play{c.Caller, o.Music},
				Ring{Leg: c.Other, Call: c.ID, Target: c.target(o.Timeout), Caller: c.Caller, Orbit: c.Home, Party: Party{c.Name, c.URI}})
		case Retrieving, Bridged:
			owed = append(owed, Answer{Leg: c.Caller, Call: c.ID, Orbit: c.Home, Peer: c.Other},
				Answer{Leg: c.Other, Call: c.ID, Orbit: c.Home, Peer: c.Caller, Party: Party{c.Name, c.URI}},
				Bridge{c.Caller, c.Other})
		}
	}
	for _, id := range s.ending() {
		owed = append(owed, Bye{id, "restarted"})
	}
	return owed
}
