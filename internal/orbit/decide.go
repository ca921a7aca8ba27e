package orbit

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

// Decide says what a command changes and what is to be done then. It only
// reads. After an error the state is as before and nothing is to be done but
// to tell whoever asked.
func (s *State) Decide(now time.Time, c Command) (Change, error) {
	switch c := c.(type) {
	case Invite:
		return s.invite(now, c)
	case Acked:
		return s.acked(now, c), nil
	case Refer:
		return s.refer(now, c)
	case Summon:
		return s.summon(now, c)
	case Progress:
		return s.progress(c), nil
	case Answered:
		return s.answered(now, c), nil
	case Hangup:
		return s.hangup(now, c), nil
	case Key:
		return s.key(now, c), nil
	case HandedOff:
		return s.handedOff(c), nil
	case Identified:
		return s.identified(now, c), nil
	case Note:
		return s.note(c), nil
	case Return:
		return s.returnNow(now, c)
	case Drop:
		return s.drop(c)
	case Due:
		return s.passed(now), nil
	case Undo:
		return s.undo(c), nil
	case Drain:
		return s.stop(now, c), nil
	case Restart:
		return s.restart(now), nil
	case Configure:
		return s.configured(now, c), nil
	}
	return Change{}, fmt.Errorf("unknown command %T", c)
}

// call finds the call that a leg belongs to, nil if it belongs to none.
func (s *State) call(leg string) *entry {
	l, ok := s.legs[leg]
	if !ok || l.call == "" {
		return nil
	}
	return s.calls[l.call]
}

// settings returns the configuration of an orbit, all of it off if there is no
// such orbit.
func (s *State) settings(ext string) Orbit {
	if p := s.places[ext]; p != nil {
		return p.Orbit
	}
	return Orbit{}
}

// acked: a retriever's ACK frees the place in the orbit.
func (s *State) acked(now time.Time, in Acked) (ch Change) {
	if _, known := s.legs[in.Leg]; known && in.Record != nil {
		ch.leg(in.Leg, in.Record)
	}
	e := s.call(in.Leg)
	if e == nil {
		return ch
	}
	c := e.Call
	consults := c.Phase == Parked && c.Consult
	switch {
	case c.Phase == Retrieving && c.Other == in.Leg:
		c.Phase, c.At, c.Due = Bridged, "", time.Time{}
		if c.Told {
			ch.after(c.introduction(c.Caller))
		}
		ch.event(KindRetrieved, &c, "")
		s.straighten(&ch, &c)
		s.handOff(now, &ch, &c)
	case c.Caller == in.Leg && (consults || in.Codec != "" && in.Codec != c.Codec):
		c.Codec = cmp.Or(in.Codec, c.Codec) // an offerless INVITE brings its codec with the ACK
		if consults {
			s.tellConsulting(&ch, &c)
		}
	default:
		if c.Phase == Bridged { // it took the place of one of the two
			s.straighten(&ch, &c)
		}
		return ch
	}
	ch.put(c)
	return ch
}

// bridge joins the two of a call that is confirmed.
func (s *State) bridge(c *Call) Bridge {
	return Bridge{Leg: c.Caller, Peer: c.Other, Direct: s.settings(c.Home).Retrieve == RetrieveDirect}
}

// straighten lets the media of two who are joined flow past parkd, if it may: not
// before both have confirmed.
func (s *State) straighten(ch *Change, c *Call) {
	if b := s.bridge(c); b.Direct {
		ch.after(b)
	}
}

// answered: whoever was called is there, unless somebody was faster.
func (s *State) answered(now time.Time, in Answered) (ch Change) {
	e := s.call(in.Leg)
	switch {
	case e == nil || e.called() != in.Leg:
		ch.bye(in.Leg, "no longer wanted")
		return ch
	case e.Answered: // carried out before
		return ch
	}
	if e.Phase == Returning {
		s.returned(now, &ch, e.Call, in)
	} else {
		s.transferred(now, &ch, e.Call, in)
	}
	return ch
}

// hangup: a leg has ended, and with it goes what hangs on it.
func (s *State) hangup(now time.Time, in Hangup) (ch Change) {
	if in.Reply {
		ch.after(Noted{in.Leg})
	}
	if _, known := s.legs[in.Leg]; !known {
		return ch
	}
	if !in.Ending {
		ch.leg(in.Leg, nil)
	}
	e := s.call(in.Leg)
	if e == nil { // one that we were ending
		return ch
	}
	c := e.Call
	switch {
	case c.Phase == Transferring || c.Phase == Inviting:
		s.hangupMeanwhile(now, &ch, c, in)
	case c.Phase == Bridged && c.Handing == 0 && (in.Early || in.Leg == c.Other && now.Before(c.Due)):
		s.leftAlone(now, &ch, c.without(in.Leg))
	case in.Leg == c.Caller:
		ch.end(&c, "caller hung up", c.Other)
	case c.Phase == Bridged && in.Lost:
		s.neverMet(now, &ch, c)
	case c.Handing == HandingOff:
		s.handOffLeft(&ch, c)
	case c.Phase == Bridged:
		ch.end(&c, "retriever hung up", c.Caller)
	case c.Phase == Returning:
		s.refused(now, &ch, c, in)
	default:
		s.retrieveFailed(now, &ch, c)
	}
	return ch
}

// retrieveFailed: the retriever never confirmed. Parked again, in their place.
func (s *State) retrieveFailed(now time.Time, ch *Change, c Call) {
	s.parkAgain(now, &c)
	c.Turn++ // RFC 4235 3.7.1: a terminated dialog does not come back
	ch.put(c)
	ch.after(Play{c.Caller, s.settings(c.At).Music})
	ch.event(KindKept, &c, unconfirmed)
}

// neverMet: the caller is back where they waited, over its capacity if somebody
// has taken the place, and as after any return that a restart cut off.
func (s *State) neverMet(now time.Time, ch *Change, c Call) {
	if c.By != (Identity{}) { // of a transfer: they have not been parked for long
		c.Since = now
	}
	s.parkHome(now, &c, c.Asked)
	ch.put(c)
	ch.after(Play{c.Caller, s.settings(c.At).Music})
	ch.event(KindKept, &c, restarted)
}

// parkHome puts a caller who was joined with somebody back where they waited, over
// its capacity if the place is taken: somebody is called for them in a moment, if
// there is anybody. Asked: whatever timeout.action says.
func (s *State) parkHome(now time.Time, c *Call, asked bool) {
	if parker := s.parker(c.By.Self); parker != "" {
		c.Parker, c.Tries = parker, 0 // whoever transferred them last
	}
	c.At = c.Home
	c.Turn++ // RFC 4235 3.7.1: a terminated dialog does not come back
	s.parkAgain(now, c)
	if asked || c.Parker != "" || !c.Due.IsZero() { // be its orbit configured no more
		c.Due, c.Asked = now.Add(callOff), asked
	}
}

// end drops a call and the legs that are left of it.
func (ch *Change) end(c *Call, reason string, left ...string) {
	ch.Del = append(ch.Del, c.ID)
	for _, leg := range left {
		ch.bye(leg, reason)
	}
	ch.event(KindEnded, c, reason)
}

// Details of KindKept, which Event.Result reads.
const (
	unconfirmed  = "retriever did not confirm"
	restarted    = "restarted"
	notConfirmed = "nobody pressed 1"
	refusedByKey = "refused by a key"
	machine      = "answered by a machine"
	unavailable  = "answered 480 at once"
	answeredWith = "answered "
)

// failure says how an INVITE of ours ended; rang is whether its phone did.
func failure(code int, rang bool) string {
	switch {
	case code == 0:
		return "no answer"
	case code == 480 && !rang: // RFC 3261 21.4.18: nobody may be disturbed, or is there
		return unavailable
	}
	return answeredWith + strconv.Itoa(code)
}

// note: a leg that is gone has nothing to keep, and waits for nothing.
func (s *State) note(in Note) (ch Change) {
	if _, known := s.legs[in.Leg]; !known {
		return ch
	}
	if in.Record != nil {
		ch.leg(in.Leg, in.Record)
	}
	if in.Reply {
		ch.after(Noted{in.Leg})
	}
	return ch
}

func (s *State) drop(in Drop) (ch Change, err error) {
	e := s.calls[in.Call]
	if e == nil {
		return ch, fmt.Errorf("drop %s: %w", in.Call, ErrGone)
	}
	c := e.Call
	ch.end(&c, "dropped", c.Caller, c.Other, c.Left)
	return ch, nil
}

// stop: no more parks; and no more parked calls, or none at all, if that is
// asked for.
func (s *State) stop(now time.Time, in Drain) (ch Change) {
	ch.Drain = true
	if !in.End && !in.Return {
		return ch
	}
	for _, c := range s.ordered() {
		switch {
		case in.End:
			ch.end(&c, "shutting down", c.Caller, c.Other, c.Left)
		case c.Phase == Parked:
			s.ask(now, &ch, c)
		}
	}
	return ch
}

// undo takes a park back whose record could not be written.
func (s *State) undo(in Undo) (ch Change) {
	e := s.call(in.Leg)
	if e == nil || e.Caller != in.Leg || e.Phase != Parked {
		return ch
	}
	c := e.Call
	ch.Del = append(ch.Del, c.ID)
	ch.leg(in.Leg, nil)
	ch.Now = append(ch.Now, Refuse{in.Leg, ErrStore})
	ch.event(KindEnded, &c, ErrStore.Error())
	return ch
}

// fetched reports whether somebody is being joined with the caller on leg:
// too late to refuse them.
func (s *State) fetched(leg string) bool {
	e := s.call(leg)
	return e != nil && e.Phase != Parked
}

// passed: the earliest deadline, if it lies behind us.
func (s *State) passed(now time.Time) (ch Change) {
	if len(s.due) == 0 || s.due[0].at.After(now) {
		return ch
	}
	c := s.due[0].Call
	switch {
	case c.Handing != 0:
		s.handOffOver(&ch, c)
	case c.Phase == Transferring || c.Phase == Inviting:
		ch.bye(c.called(), "no answer")
		s.transferFailed(now, &ch, c, noAnswer)
	case s.set.MaxTime > 0 && !c.Since.Add(s.set.MaxTime).After(now):
		ch.end(&c, "parked for too long", c.Caller, c.Other)
	case c.Phase == Returning:
		why := "no answer"
		if c.Answered {
			why = notConfirmed
		}
		ch.bye(c.Other, why)
		s.returnFailed(now, &ch, c, why)
	case c.Phase == Parked:
		s.fallsDue(now, &ch, c)
	}
	return ch
}
