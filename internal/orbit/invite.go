package orbit

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// guard is how long after a plain press nobody can take the presser's place:
// the phone may have meant its call as the consultation of a transfer, and
// whoever it transfers must not find themselves talking to the parked caller.
const guard = 10 * time.Second

// invite reads an INVITE in the order of the design: Replaces, retrieve code,
// parker header, press of a watcher, direct dial. So a late press never
// fetches somebody else's call, and nobody is joined because an orbit
// happened to be busy.
func (s *State) invite(now time.Time, in Invite) (Change, error) {
	if in.Replaces != nil {
		return s.replaces(now, in)
	}
	ext, code := s.route(in.To)
	if !s.ours(ext) {
		return Change{}, fmt.Errorf("invite to %q: %w", in.To, ErrUnknown)
	}
	if code || in.Retrieve {
		if in.Barred { // they do not learn either whether there is somebody
			return Change{}, &Refusal{ext, "retrieve", ErrBarred}
		}
		e := s.head(ext)
		if e == nil {
			return Change{}, &Refusal{ext, "retrieve", ErrNothing}
		}
		return s.retrieve(now, e.Call, in), nil
	}
	p, through, err := s.lot(ext, in.Leg)
	if err != nil {
		return Change{}, err
	}
	if in.Referred || through != nil { // nobody presses a pool's key for a call
		return s.park(now, p, through, in)
	}
	if e, pressed := s.pressed(p, in); pressed {
		if in.Barred { // nor are they parked, who wanted to fetch somebody
			return Change{}, &Refusal{ext, "press", ErrBarred}
		}
		if e == nil {
			return Change{}, &Refusal{ext, "press", ErrNothing}
		}
		c := e.Call
		c.Guard = now.Add(guard)
		return s.retrieve(now, c, in), nil
	}
	return s.park(now, p, nil, in)
}

// route splits what was dialled into an extension and whether a retrieve code
// stood before it. An orbit's or pool's own extension wins over a code.
func (s *State) route(user string) (ext string, code bool) {
	if s.ours(user) {
		return user, false
	}
	for _, c := range s.codes {
		if ext, ok := strings.CutPrefix(user, c); ok && s.ours(ext) {
			return ext, true
		}
	}
	return user, false
}

// pressed reports whether a plain INVITE is the press of a lamp key, and the
// call it is for: nil if that call is gone.
func (s *State) pressed(p *place, in Invite) (*entry, bool) {
	switch {
	case p.Press == PressNever:
		return nil, false
	case in.Shown != "":
		e := s.alias[in.Shown]
		if e == nil || s.places[e.At] != p {
			return nil, true // gone: never parked instead
		}
		return e, true
	case p.Press == PressAlways && p.head != nil:
		return p.head, true
	}
	return nil, false
}

// replaces: an alias is a press, a real dialog of ours is a transfer.
func (s *State) replaces(now time.Time, in Invite) (Change, error) {
	r := in.Replaces
	if e := s.aliased(r); e != nil {
		if in.Barred {
			return Change{}, &Refusal{e.At, "press", ErrBarred}
		}
		return s.retrieve(now, e.Call, in), nil
	}
	e, err := s.replaceable(now, r)
	if err != nil {
		return Change{}, fmt.Errorf("invite with replaces: %w", err)
	}
	return s.transfer(now, e.Call, in), nil
}

// aliased finds the parked call whose alias a Replaces names.
func (s *State) aliased(r *Replaces) *entry {
	e := s.alias[r.CallID]
	if e == nil {
		return nil
	}
	// Phones build Replaces from the document with the tags in either order.
	a := e.Alias()
	if (r.ToTag == a.LocalTag && r.FromTag == a.RemoteTag) || (r.ToTag == a.RemoteTag && r.FromTag == a.LocalTag) {
		return e
	}
	return nil
}

// replaceable finds the call in which a leg of ours, named by a Replaces, may give
// its place to another.
func (s *State) replaceable(now time.Time, r *Replaces) (*entry, error) {
	e := s.call(r.Leg)
	switch {
	case e == nil || r.Leg == e.called() || e.Handing == HandingOn: // a leg that rings is no dialog to replace
		return nil, ErrReplaces
	case r.EarlyOnly: // RFC 3891 3: all our real dialogs are confirmed
		return nil, ErrEarly
	case r.Leg == e.Other && now.Before(e.Guard):
		return nil, ErrGuarded
	case e.Phase == Transferring || e.Phase == Inviting:
		return nil, ErrPending
	}
	return e, nil
}

// transfer gives a leg's place and age to a new leg.
func (s *State) transfer(now time.Time, c Call, in Invite) (ch Change) {
	old, through := in.Replaces.Leg, ""
	c.By = Identity{}
	answer := Answer{Leg: in.Leg, Call: c.ID, Orbit: c.Home}
	if c.Handing != 0 { // to somebody who is not there any more
		c.keepBridged()
	}
	switch {
	case old == c.Other: // the retriever's
		c.Other, c.With, c.Due = in.Leg, in.identity(), time.Time{}
		if c.Phase == Retrieving {
			c.Due = now.Add(ackWait) // of another 2xx
		}
		answer.Peer, answer.Party = c.Caller, Party{c.Name, c.URI}
	case c.Phase == Bridged || c.Phase == Retrieving:
		s.become(&c, in)
		answer.Peer = c.Other
	default: // parked: a consultation call is completed
		if c.Phase == Returning {
			ch.bye(c.Other, "caller transferred")
		}
		parker := s.parker(in.Parker)
		if parker == "" {
			parker = s.parker(c.Self)
		}
		through = c.completed()
		s.become(&c, in)
		c.Parker, c.Tries, c.Referred = parker, 0, true
		c.Turn++ // another caller: a press on the old lamp must not fetch them
		s.parkAgain(now, &c)
		answer.Music = s.settings(c.At).Music
	}
	ch.leg(in.Leg, known(in.Record))
	ch.after(answer)
	ch.bye(old, "replaced") // RFC 3891 3: the replaced dialog is ended with a BYE
	s.tellParker(&ch, &c, through)
	if in.Leg == c.Other {
		ch.introduce(&c, c.Caller)
	} else {
		ch.introduce(&c, c.Other, c.Caller)
	}
	ch.put(c)
	ch.event(KindTransferred, &c, "")
	return ch
}

// become makes the new leg's party the caller, whom nobody tells about a pool.
func (s *State) become(c *Call, in Invite) {
	c.completed()
	c.Caller, c.Name, c.URI, c.Self, c.Codec = in.Leg, in.Name, in.URI, in.Self, in.Codec
}

// identity is who the new leg's party is.
func (in *Invite) identity() Identity { return Identity{in.Name, in.URI, in.Self} }

// retrieve joins a new leg with a parked call. A return under way loses.
func (s *State) retrieve(now time.Time, c Call, in Invite) (ch Change) {
	if c.Phase == Returning {
		ch.bye(c.Other, "retrieved")
		c.Answered, c.Rung, c.Then = false, "", ""
	}
	c.Phase, c.Other, c.With, c.Due, c.Asked = Retrieving, in.Leg, in.identity(), now.Add(ackWait), false
	ch.put(c)
	ch.leg(in.Leg, known(in.Record))
	// The answer first: the retriever waits for it.
	ch.After = append([]Effect{Answer{Leg: in.Leg, Call: c.ID, Orbit: c.Home, Peer: c.Caller, Party: Party{c.Name, c.URI}}}, ch.After...)
	return ch
}

// room reports why an orbit takes no other call, nil if it does.
func (s *State) room(p *place) error {
	switch limit := p.capacity(); {
	case !p.Enabled:
		return ErrUnknown
	case limit > 0 && p.count >= limit:
		return ErrFull
	case s.drain:
		return ErrDraining
	case s.set.MaxCalls > 0 && s.parked >= s.set.MaxCalls:
		return ErrLimit
	}
	return nil
}

// park takes a new call into an orbit; through is the pool that was dialled, if any.
func (s *State) park(now time.Time, p *place, through *pool, in Invite) (ch Change, err error) {
	if err := s.room(p); err != nil {
		return Change{}, &Refusal{p.Extension, "park", err}
	}
	c := Call{ID: in.Leg, At: p.Extension, Home: p.Extension, Seq: s.seq + 1, Since: now, Referred: in.Referred}
	s.become(&c, in)
	if in.Referred {
		c.Parker = s.parker(in.Parker)
	}
	c.through(through)
	c.Consult = through != nil && !in.Referred
	s.arm(now, &c)
	ch.put(c)
	ch.leg(in.Leg, known(in.Record))
	answer := Answer{Leg: in.Leg, Call: c.ID, Orbit: p.Extension, Music: p.Music}
	if through != nil {
		answer.Party = p.named()
	}
	ch.after(answer)
	if in.Referred {
		s.tellParker(&ch, &c, c.Pool)
	}
	ch.event(KindParked, &c, "")
	ch.park = in.Leg
	return ch, nil
}

// parker drops a return target that would come back to us: an orbit, a pool or a
// retrieve code.
func (s *State) parker(uri string) string {
	if ext, _ := s.route(user(uri)); s.ours(ext) {
		return ""
	}
	return uri
}

// user is the user part of a SIP URI, unescaped, without a password or
// parameters of its own (RFC 3261 19.1.1), or the number of a tel URI.
func user(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	u, _, ok := strings.Cut(rest, "@")
	if !ok && scheme != "tel" {
		return ""
	}
	u, _, _ = strings.Cut(u, ":")
	u, _, _ = strings.Cut(u, ";")
	if plain, err := url.PathUnescape(u); err == nil {
		return plain
	}
	return u
}

// known makes sure that a leg is known from its first change on: no snapshot
// would mean that it is gone.
func known(record []byte) []byte {
	if record == nil {
		return []byte{}
	}
	return record
}
