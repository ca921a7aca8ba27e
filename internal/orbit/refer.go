package orbit

import (
	"fmt"
	"strconv"
	"time"
)

// Refer asks to send whoever is at a leg's other end to somebody else (RFC 3515,
// RFC 5589): the target takes the leg's place there. Its refusal is a Report.
type Refer struct {
	Leg      string    // within whose dialog it came
	To       string    // user part of the target, unescaped
	Ours     bool      // the target's host is ours
	Retrieve bool      // ;operation=retrieve
	Barred   bool      // the leg's party may not retrieve
	Replaces *Replaces // whose place the target has in mind; nil if absent
	Target   string    // the target's URI, if a transfer may call it; else ""
	Carries  Reference // of the INVITE that follows, if one does
}

// Progress says that the party whom a REFER has called is being alerted.
type Progress struct {
	Leg  string
	Code int // provisional status, above 100
}

// transferRing is how long somebody is called for a transfer.
const transferRing = time.Minute

// Statuses that are reported where there was none from the called party.
const (
	transferDone = 200
	noAnswer     = 408 // RFC 3261 8.1.3.1
	unreachable  = 503 // RFC 3261 8.1.3.1
)

// called is the leg that rings for the call, "" if none does.
func (c *Call) called() string {
	switch c.Phase {
	case Returning, Transferring:
		return c.Other
	case Inviting:
		return c.Caller
	}
	return ""
}

// identity is who the caller is.
func (c *Call) identity() Identity { return Identity{c.Name, c.URI, c.Self} }

// is makes somebody the caller.
func (c *Call) is(leg string, who Identity, codec string) {
	c.Caller, c.Name, c.URI, c.Self, c.Codec = leg, who.Name, who.URI, who.Self, codec
}

// without is the call as it is when a leg of a bridged one goes: whoever stays is
// the caller, and By who goes.
func (c Call) without(leg string) Call {
	if leg == c.Other {
		c.By = c.With
	} else {
		stays := c.With
		c.By = c.identity()
		c.is(c.Other, stays, "")
		c.Told = true // by the answer that joined them
	}
	c.Other, c.With, c.Guard, c.Due = "", Identity{}, time.Time{}, time.Time{}
	return c
}

// refer reads a REFER within a dialog. What its target names of ours is done here,
// and no INVITE leaves for it.
func (s *State) refer(now time.Time, in Refer) (Change, error) {
	refuse := func(err error) (Change, error) {
		return Change{}, fmt.Errorf("refer to %q: %w", in.To, err)
	}
	e := s.call(in.Leg)
	switch {
	case e == nil:
		return refuse(ErrGone)
	case e.Handing != 0 || e.Phase != Bridged && (e.Phase != Parked && e.Phase != Returning || in.Leg != e.Caller):
		return refuse(ErrPending)
	case in.Replaces != nil && in.Leg == e.Other && now.Before(e.Guard): // as for an INVITE
		return refuse(ErrGuarded)
	}
	ext, code := s.route(in.To)
	switch {
	case in.Barred && in.Replaces != nil && s.aliased(in.Replaces) != nil:
		return refuse(ErrBarred)
	case in.Replaces != nil && s.aliased(in.Replaces) != nil:
		return s.fetch(e.Call, s.aliased(in.Replaces).Call, in)
	case in.Replaces != nil && in.Replaces.Leg != "":
		return s.meet(now, e.Call, in)
	case !s.ours(ext) || !in.Ours:
		return s.callFor(now, e.Call, in)
	case in.Replaces != nil:
		return refuse(ErrReplaces)
	case !code && !in.Retrieve:
		return s.move(now, e.Call, ext, in)
	case in.Barred:
		return refuse(ErrBarred)
	}
	head := s.head(ext)
	if head == nil {
		return Change{}, &Refusal{ext, "retrieve", ErrNothing}
	}
	return s.fetch(e.Call, head.Call, in)
}

// move parks whoever the leg is joined with: the leg's party is the parker.
func (s *State) move(now time.Time, c Call, ext string, in Refer) (ch Change, err error) {
	if c.At != "" {
		return ch, &Refusal{ext, "park", ErrRefer}
	}
	p, through, err := s.lot(ext, in.Leg)
	if err != nil {
		return ch, err
	}
	if err := s.room(p); err != nil {
		return ch, &Refusal{p.Extension, "park", err}
	}
	c = c.without(in.Leg)
	s.moveTo(now, &ch, &c, p, through, c.By.Self)
	ch.report(in.Leg, transferDone)
	return ch, nil
}

// moveTo parks the caller who is left of a bridged call.
func (s *State) moveTo(now time.Time, ch *Change, c *Call, p *place, through *pool, parker string) {
	c.through(through)
	c.At, c.Home, c.Seq, c.Since = p.Extension, p.Extension, s.seq+1, now
	s.parkFor(now, c, parker)
	ch.put(*c)
	ch.after(Park{c.Caller, c.ID, c.Home, p.Music})
	s.tellParker(ch, c, c.Pool)
	ch.event(KindParked, c, "")
}

// parkFor makes a call that is in an orbit a parked one, on behalf of a parker.
func (s *State) parkFor(now time.Time, c *Call, parker string) {
	c.Parker, c.Tries, c.Referred, c.Left, c.Outside = s.parker(parker), 0, true, "", false
	c.Turn++ // another caller: a press on the old lamp must not fetch them
	s.parkAgain(now, c)
}

// fetch joins whoever the leg is joined with with a parked call. A return under
// way loses.
func (s *State) fetch(c, d Call, in Refer) (ch Change, err error) {
	if c.At != "" {
		return ch, &Refusal{d.At, "retrieve", ErrRefer}
	}
	if d.Phase == Returning {
		ch.bye(d.Other, "retrieved")
		d.Asked, d.Answered, d.Rung, d.Then = false, false, "", ""
	}
	c = c.without(in.Leg)
	d.Phase, d.At, d.Due, d.Other, d.With, d.By = Bridged, "", time.Time{}, c.Caller, c.identity(), c.By
	ch.Del = append(ch.Del, c.ID)
	s.unite(&ch, &d)
	ch.report(in.Leg, transferDone)
	ch.event(KindRetrieved, &d, "")
	return ch, nil
}

// unite joins the two of a call who have not met before.
func (s *State) unite(ch *Change, c *Call) {
	ch.after(s.bridge(c))
	ch.introduce(c, c.Caller, c.Other)
	ch.put(*c)
}

// meet brings the other ends of two legs of ours together: of the one within whose
// dialog the REFER came, and of the one that it is to replace.
func (s *State) meet(now time.Time, c Call, in Refer) (ch Change, err error) {
	e, err := s.replaceable(now, in.Replaces)
	if err != nil {
		return ch, fmt.Errorf("refer with replaces: %w", err)
	}
	d, leg := e.Call, in.Replaces.Leg
	switch {
	case d.ID == c.ID || c.At != "" && d.At != "":
		return ch, fmt.Errorf("refer with replaces: %w", ErrRefer)
	case d.Phase == Retrieving || d.Handing != 0:
		return ch, fmt.Errorf("refer with replaces: %w", ErrPending)
	case c.At != "":
		s.adopt(now, &ch, c, d.without(leg))
	case d.At != "":
		s.adopt(now, &ch, d, c.without(in.Leg))
	default:
		c = c.without(in.Leg)
		d = d.without(leg)
		d.Other, d.With, d.By = c.Caller, c.identity(), c.By
		ch.Del = append(ch.Del, c.ID)
		s.unite(&ch, &d)
		ch.event(KindTransferred, &d, "")
	}
	ch.report(in.Leg, transferDone)
	ch.bye(leg, "replaced") // RFC 3891 3
	return ch, nil
}

// adopt gives the place and age of a parked call to whoever is left of another
// one: a consultation call is completed. The parker is who made it.
func (s *State) adopt(now time.Time, ch *Change, c, from Call) {
	if c.Phase == Returning {
		ch.bye(c.Other, "caller transferred")
	}
	parker := s.parker(from.By.Self)
	if parker == "" {
		parker = c.Self
	}
	through := c.completed()
	c.is(from.Caller, from.identity(), from.Codec)
	c.Told = c.Told || from.Told
	s.parkFor(now, &c, parker)
	ch.Del = append(ch.Del, from.ID)
	ch.put(c)
	ch.after(Park{c.Caller, c.ID, c.Home, s.settings(c.At).Music})
	s.tellParker(ch, &c, through)
	ch.event(KindTransferred, &c, "")
}

// callFor calls somebody who is not ours to take the leg's place, with whoever it
// is joined with or in its orbit.
func (s *State) callFor(now time.Time, c Call, in Refer) (ch Change, err error) {
	if in.Target == "" {
		return ch, fmt.Errorf("refer to %q: %w", in.To, ErrTarget)
	}
	c.Attempt++
	ring := Ring{Leg: c.ID + "." + strconv.Itoa(c.Attempt), Call: c.ID, Target: in.Target, Orbit: c.Home, Refer: in.Carries}
	who := Identity{URI: in.Target, Self: in.Target}
	if c.At != "" {
		if c.Phase == Returning {
			ch.bye(c.Other, "caller transferred")
		}
		c.Phase, c.By, c.Other, c.With, c.Asked = Inviting, c.identity(), "", Identity{}, false
		c.is(ring.Leg, who, "")
		c.Answered, c.Rung, c.Then = false, "", ""
		c.Turn++
		ring.Caller, ring.Party = in.Leg, Party{Name: s.settings(c.At).Name}
	} else {
		guard := time.Time{} // of a presser, who keeps it if nobody takes their place
		if in.Leg == c.Other {
			guard = c.Guard
		}
		c = c.without(in.Leg)
		c.Phase, c.Other, c.With, c.Guard = Transferring, ring.Leg, who, guard
		ring.Caller, ring.Party = c.Caller, Party{c.Name, c.URI}
	}
	c.Left, c.Due = in.Leg, now.Add(transferRing)
	ch.put(c)
	ch.leg(ring.Leg, []byte{})
	ch.report(in.Leg, 100)
	ch.after(ring)
	ch.event(KindTransfer, &c, in.Target)
	return ch, nil
}
