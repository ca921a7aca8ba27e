package orbit

import "time"

// HandedOff says what became of a HandOff: a final status of the INVITE that the
// caller's phone has sent to Peer's (RFC 3515 2.4.5), or why there was none.
type HandedOff struct {
	Leg, Peer string
	Code      int
}

func (HandedOff) command() {}

// HandOff refers a leg's party to the one at the other end, with Replaces of the
// dialog that parkd has with that one. A leg that has done so already for this peer
// does nothing. Its outcome is a HandedOff.
type HandOff struct{ Leg, Peer, Orbit string }

// LegID implements Effect.
func (e HandOff) LegID() string { return e.Leg }

// Handing is where the hand-off of a bridged call stands.
type Handing uint8

// The zero Handing is none. Until it is over both parties hear each other by us.
const (
	HandingOff Handing = iota + 1 // the caller has been referred to Other
	HandingOn                     // Other has hung up, as whoever is replaced does (RFC 3891 3)
)

// handOffTime is how long a hand-off may take: a transaction of 64*T1.
const handOffTime = ackWait

// handOff begins to hand a bridged call off, where the orbit has its calls handed
// off. The change is to put the call.
func (s *State) handOff(now time.Time, ch *Change, c *Call) {
	if s.settings(c.Home).Retrieve == RetrieveRefer {
		c.Handing, c.Due = HandingOff, now.Add(handOffTime)
		ch.after(c.handOff())
	}
}

func (c *Call) handOff() HandOff { return HandOff{c.Caller, c.Other, c.Home} }

// handedOff: the two talk to each other without us, or go on as they did. Whoever
// is left when the other one had hung up for another reason has nobody to talk to.
func (s *State) handedOff(in HandedOff) (ch Change) {
	e := s.call(in.Leg)
	if e == nil || e.Phase != Bridged || e.Caller != in.Leg || e.Other != in.Peer && e.Handing != HandingOn {
		return ch
	}
	c := e.Call
	switch {
	case in.Code >= 200 && in.Code < 300:
		ch.end(&c, handed, c.Caller)
		ch.bye(c.Other, handed)
	case c.Handing == HandingOn:
		ch.end(&c, "retriever hung up", c.Caller)
	case c.Handing == HandingOff:
		c.keepBridged()
		ch.put(c)
	}
	return ch
}

// handed is why legs end that are not needed any more.
const handed = "handed off"

// keepBridged ends a hand-off that came to nothing.
func (c *Call) keepBridged() { c.Handing, c.Due = 0, time.Time{} }

// handOffLeft: Other has hung up while the call is handed off. That is how a
// Replaces takes effect; the caller is let go when their phone says so, or hangs up.
func (s *State) handOffLeft(ch *Change, c Call) {
	c.Handing, c.Other = HandingOn, ""
	ch.put(c)
}

// handOffOver: nothing was heard of a hand-off.
func (s *State) handOffOver(ch *Change, c Call) {
	if c.Handing == HandingOn {
		ch.end(&c, "retriever hung up", c.Caller)
		return
	}
	c.keepBridged()
	ch.put(c)
}
