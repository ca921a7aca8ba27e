package orbit

// named is an orbit as a party that phones show. Its URI is for the leg to fill in.
func (p *place) named() Party {
	if p.Name != "" {
		return Party{Name: p.Name}
	}
	return Party{Name: "Parked on " + p.Extension}
}

// tellConsulting: whoever dialled a pool may be about to transfer somebody there, and
// is told the orbit that they are in themselves until then.
func (s *State) tellConsulting(ch *Change, c *Call) {
	pool, p := s.pools[c.Pool], s.places[c.At]
	if pool == nil || p == nil {
		return
	}
	c.Told = true
	ch.after(Identify{c.Caller, p.named()})
	if pool.Announce {
		ch.after(Say{c.Caller, append([]string{WordParkedOn}, Spell(c.At)...), p.Music})
	}
}

// tellParker: whoever has transferred a caller into a pool is sent the orbit.
func (s *State) tellParker(ch *Change, c *Call, through string) {
	pool := s.pools[through]
	if pool == nil || !pool.Message || c.Parker == "" {
		return
	}
	ch.after(Message{Leg: c.Caller, Call: c.ID, Orbit: c.At, Target: c.Parker, From: s.places[c.At].named(), Text: c.says()})
}

// completed: the consultation call to a pool, if the call was one, is another caller's
// now. It returns the pool that the parker has transferred them to.
func (c *Call) completed() (through string) {
	if c.Consult {
		through = c.Pool
	}
	c.Pool, c.Consult = "", false
	return through
}

// through notes the pool that a call came to its orbit by, nil if by none.
func (c *Call) through(p *pool) {
	c.Pool, c.Consult = "", false
	if p != nil {
		c.Pool = p.Extension
	}
}

// says is the call as a line of text: Ann 12 is parked on 701.
func (c *Call) says() string {
	who, number := c.Name, user(c.URI)
	switch {
	case who == "" && number == "":
		who = "An unknown caller"
	case who == "":
		who = number
	case number != "" && number != who:
		who += " " + number
	}
	return who + " is parked on " + c.At
}
