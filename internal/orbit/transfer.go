package orbit

import (
	"fmt"
	"strconv"
	"time"
)

// Summon asks to call somebody and park them: a REFER to an orbit, outside of any
// dialog (RFC 5359 2.15). Leg names the REFER, and the call that it may become. Its
// refusal is a Report.
type Summon struct {
	Refer
	At     string // user part of its Request-URI, unescaped
	Parker string // whom a return may call, "" if nobody
}

// summon keeps a place for somebody who is called into it. Whoever is at the other
// end of a leg of ours is there already.
func (s *State) summon(now time.Time, in Summon) (ch Change, err error) {
	dialled, code := s.route(in.At)
	if code {
		return ch, fmt.Errorf("refer at %q: %w", in.At, ErrUnknown)
	}
	p, through, err := s.lot(dialled, in.Leg)
	if err != nil {
		return ch, err
	}
	ext := p.Extension
	if err := s.room(p); err != nil {
		return ch, &Refusal{ext, "park", err}
	}
	whom, _ := s.route(in.To)
	switch {
	case in.Replaces != nil && in.Replaces.Leg != "":
		return s.summonPeer(now, p, through, in)
	case in.Replaces != nil && s.aliased(in.Replaces) != nil, in.Ours && s.ours(whom):
		return ch, fmt.Errorf("refer at %q to %q: %w", in.At, in.To, ErrRefer)
	case in.Target == "":
		return ch, fmt.Errorf("refer at %q to %q: %w", in.At, in.To, ErrTarget)
	}
	c := Call{
		ID: in.Leg, At: ext, Home: ext, Seq: s.seq + 1, Since: now, Due: now.Add(transferRing), Attempt: 1,
		Phase: Inviting, Left: in.Leg, Outside: true, Parker: s.parker(in.Parker),
	}
	c.through(through)
	c.is(c.ID+"."+strconv.Itoa(c.Attempt), Identity{URI: in.Target, Self: in.Target}, "")
	ch.put(c)
	ch.leg(c.Left, []byte{})
	ch.leg(c.Caller, []byte{})
	// In this order: one who wants no reports is gone after the first.
	ch.after(Ring{Leg: c.Caller, Call: c.ID, Target: in.Target, Caller: in.Leg, Orbit: ext, Party: Party{Name: p.Name}, Refer: in.Carries})
	ch.report(in.Leg, 100)
	ch.event(KindTransfer, &c, in.Target)
	return ch, nil
}

// summonPeer parks whoever is joined with a leg of ours that the REFER asks to
// replace: their phone is behind us.
func (s *State) summonPeer(now time.Time, p *place, through *pool, in Summon) (ch Change, err error) {
	e, err := s.replaceable(now, in.Replaces)
	switch {
	case err != nil:
		return ch, fmt.Errorf("refer at %q with replaces: %w", in.At, err)
	case e.Phase == Retrieving || e.Handing != 0:
		return ch, fmt.Errorf("refer at %q with replaces: %w", in.At, ErrPending)
	case e.At != "":
		return ch, fmt.Errorf("refer at %q with replaces: %w", in.At, ErrRefer)
	}
	c := e.Call.without(in.Replaces.Leg)
	s.moveTo(now, &ch, &c, p, through, in.Parker)
	ch.report(in.Leg, transferDone)
	ch.bye(in.Replaces.Leg, "replaced") // RFC 3891 3
	return ch, nil
}

// progress: whoever sent the REFER hears that somebody rings.
func (s *State) progress(in Progress) (ch Change) {
	e := s.call(in.Leg)
	if e != nil && e.called() == in.Leg && e.Left != "" {
		ch.Now = append(ch.Now, Report{Leg: e.Left, Code: in.Code})
	}
	return ch
}

// transferred: whoever was called for a transfer has answered.
func (s *State) transferred(now time.Time, ch *Change, c Call, in Answered) {
	left, kind := c.Left, KindTransferred
	if c.Phase == Transferring {
		c.Phase, c.Left, c.Due, c.Guard = Bridged, "", time.Time{}, time.Time{}
		s.unite(ch, &c)
	} else {
		parker := c.By.Self
		if c.Outside {
			kind, parker, c.Since = KindParked, c.Parker, now
		}
		c.Codec, c.Told = in.Codec, true // that the orbit calls
		s.parkFor(now, &c, parker)
		ch.after(Park{c.Caller, c.ID, c.Home, s.settings(c.At).Music})
		if kind == KindParked {
			s.tellParker(ch, &c, c.Pool)
		}
		ch.put(c)
	}
	ch.leg(in.Leg, known(in.Record))
	ch.report(left, transferDone)
	ch.event(kind, &c, "")
}

// hangupMeanwhile: a leg of a call has ended while somebody is called for a transfer.
func (s *State) hangupMeanwhile(now time.Time, ch *Change, c Call, in Hangup) {
	switch in.Leg {
	case c.Left: // what they asked for goes on: phones hang up early
		c.Left, c.Guard = "", time.Time{}
		if leg, ext := c.waiting(); leg != "" {
			ch.after(Play{leg, s.settings(ext).Music})
		}
		ch.put(c)
	case c.called():
		code := in.Code
		if code == 0 {
			code = unreachable
		}
		s.transferFailed(now, ch, c, code)
	default:
		ch.end(&c, "caller hung up", c.Other, c.Left)
	}
}

// leftAlone: whoever sent a REFER, and is not in the call any more, hangs up, for they
// do not know yet that it has failed, or that a restart has cut it off.
func (s *State) leftAlone(now time.Time, ch *Change, c Call) {
	c.Since = now
	s.parkHome(now, &c, true)
	ch.put(c)
	ch.after(Play{c.Caller, s.settings(c.At).Music})
	ch.event(KindParked, &c, "transferred in vain")
}

// transferFailed: nobody takes the place of whoever sent the REFER, who is told so
// and keeps it. If they have hung up, the caller is parked, and they are called.
func (s *State) transferFailed(now time.Time, ch *Change, c Call, code int) {
	ch.report(c.Left, code)
	s.takenBack(now, ch, c, answeredWith+strconv.Itoa(code))
}

// transferLost: a restart has cut a transfer off.
func (s *State) transferLost(now time.Time, ch *Change, c Call) {
	ch.bye(c.called(), restarted)
	s.takenBack(now, ch, c, restarted)
	if i := len(ch.Put) - 1; i >= 0 && ch.Put[i].ID == c.ID && ch.Put[i].Phase == Bridged {
		ch.Put[i].Due = now.Add(transferRing) // until then they may think that it goes on
	}
}

func (s *State) takenBack(now time.Time, ch *Change, c Call, why string) {
	kind := KindStayed
	switch {
	case c.Phase == Inviting && (c.Left == "" || c.Outside): // nobody is there
		ch.end(&c, why, c.Left)
		return
	case c.Phase == Inviting:
		c.is(c.Left, c.By, "")
		c.Left = ""
		s.parkAgain(now, &c)
	case c.Left != "":
		c.Phase, c.Other, c.With = Bridged, c.Left, c.By
		c.Left, c.By, c.Due = "", Identity{}, time.Time{}
		if c.Told { // and may have changed meanwhile
			ch.after(c.introduction(c.Caller))
		}
		ch.introduce(&c, c.Other)
	default:
		kind = KindParked
		c.Since = now
		s.parkHome(now, &c, true)
		if p := s.places[c.At]; p == nil || p.removed { // they hear the music of an orbit that has gone since
			ch.after(Play{c.Caller, s.settings(c.At).Music})
		}
	}
	ch.put(c)
	ch.event(kind, &c, why)
}
