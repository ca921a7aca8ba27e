package orbit

import (
	"strings"
	"time"
)

// identified: a switch that is itself a back-to-back user agent completes an
// attended transfer by saying that the party on its leg is somebody else now. A
// parked call that nobody is known to have parked was a consultation call then:
// who made it is the parker, and the new party the caller. In every other call it
// is only the name that changes, and whoever they talk to is told. The same, or
// nobody, changes nothing.
func (s *State) identified(now time.Time, in Identified) (ch Change) {
	e := s.call(in.Leg)
	if e == nil || in.Who.URI == "" {
		return ch
	}
	c := e.Call
	was := c.With
	switch in.Leg {
	case c.Caller:
		was = c.identity()
	case c.Left:
		was = c.By
	}
	if !was.differs(in.Who) {
		return ch
	}
	switch {
	case in.Leg == c.Left:
		c.By, c.Told = in.Who, true
	case in.Leg == c.Other:
		c.With = in.Who
		ch.introduce(&c, c.Caller)
	case c.fetchable() && !c.Referred && c.Parker == "" && !was.samePerson(in.Who):
		s.consulted(now, &ch, &c, in.Who)
	default:
		c.Name, c.URI, c.Self = in.Who.Name, in.Who.URI, in.Who.Self
		c.Told = c.Told || c.Phase == Returning // whose phone rings with the former name
		ch.introduce(&c, c.Other)
	}
	ch.put(c)
	return ch
}

// consulted: the consultation call that was parked here is completed.
func (s *State) consulted(now time.Time, ch *Change, c *Call, who Identity) {
	if c.Phase == Returning { // to the fallback, as there was no parker
		ch.bye(c.Other, "caller transferred")
	}
	if c.Consult { // who is there now need not hear the orbit
		ch.after(Play{c.Caller, s.settings(c.At).Music})
	}
	through := c.completed()
	c.Parker, c.Tries, c.Referred = s.parker(c.Self), 0, true
	c.Name, c.URI, c.Self = who.Name, who.URI, who.Self
	c.Turn++ // another caller: a press on the old lamp must not fetch them
	s.parkAgain(now, c)
	s.tellParker(ch, c, through)
	ch.event(KindTransferred, c, "")
}

// introduce has legs of two that are joined tell their peers who is at the other
// end now.
func (ch *Change) introduce(c *Call, legs ...string) {
	if c.Phase != Bridged && c.Phase != Retrieving {
		return
	}
	c.Told = true
	for _, leg := range legs {
		if leg == "" { // being handed off, and gone already
			continue
		}
		ch.after(c.introduction(leg))
	}
}

// introduction says to one leg of the call who the other one's party is.
func (c *Call) introduction(leg string) Identify {
	if leg == c.Caller {
		return Identify{leg, Party{c.With.Name, c.With.URI}}
	}
	return Identify{leg, Party{c.Name, c.URI}}
}

// differs reports whether there is something new in an identity. One without a name
// does not take away the name that is known.
func (i Identity) differs(from Identity) bool {
	return from.URI != i.URI || from.Name != "" && from.Name != i.Name
}

// samePerson reports whether two identities are one person's: the same user. The
// host is the switch's own, and not the same in every header that it writes.
func (i Identity) samePerson(as Identity) bool {
	a, b := user(i.URI), user(as.URI)
	if a == "" || b == "" {
		return i.URI == as.URI
	}
	return strings.EqualFold(a, b)
}
