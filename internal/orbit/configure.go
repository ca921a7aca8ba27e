package orbit

import "time"

// under returns a state without calls whose orbits are as they would be with
// other settings: an orbit with calls that is configured no more keeps what it
// has, but takes no new ones.
func (s *State) under(set Settings) *State {
	next := NewState(set)
	for ext, p := range s.places {
		if next.places[ext] == nil && p.count > 0 {
			q := &place{Orbit: p.Orbit, removed: true}
			q.Enabled = false
			next.places[ext] = q
		}
	}
	return next
}

// configured: no call is touched, but time-outs count by the new rules from
// now on, and music that has another name is changed.
func (s *State) configured(now time.Time, in Configure) (ch Change) {
	ch.Settings = &in.Settings
	next := s.under(in.Settings)
	for _, c := range s.ordered() {
		leg, ext := c.waiting()
		if leg == "" {
			continue
		}
		if music := next.settings(ext).Music; music != s.settings(ext).Music {
			ch.after(Play{leg, music})
		}
		if c.Phase == Parked {
			if due := s.rearmed(now, &c, next); !due.Equal(c.Due) {
				c.Due = due
				ch.put(c)
			}
		}
	}
	return ch
}

// rearmed is when a parked call is to be returned once next is in force: later
// or earlier by what the time-out has changed, but not in the past.
func (s *State) rearmed(now time.Time, c *Call, next *State) time.Time {
	if c.Asked { // cut off by a restart, and about to be tried again
		return c.Due
	}
	before, did := s.wait(c)
	after, does := next.wait(c)
	switch {
	case did == does && before == after:
		return c.Due
	case !does:
		return time.Time{}
	case c.Due.IsZero():
		return now.Add(after)
	case !did: // of an orbit that was unknown for a while: as it was
		return c.Due
	}
	due := c.Due.Add(after - before)
	if due.Before(now) {
		return now
	}
	return due
}

// configure puts settings in force.
func (s *State) configure(set Settings) {
	next := s.under(set)
	for ext := range s.places {
		if next.places[ext] == nil {
			delete(s.places, ext)
		}
	}
	for ext, q := range next.places {
		if p := s.places[ext]; p != nil {
			p.Orbit, p.removed = q.Orbit, q.removed
		} else {
			s.places[ext] = q
		}
	}
	s.pools = newPools(set.Pools, s.places, s.pools)
	s.stirred = s.stirred[:0]
	for _, p := range s.pools {
		if p.stir {
			s.stirred = append(s.stirred, p)
		}
	}
	moved := set.MaxTime != s.set.MaxTime
	s.set, s.codes = next.set, next.codes
	if moved {
		s.schedule()
	}
}

// added lists the orbits and pools that a change of settings brings. Asked before Apply.
func (s *State) added(ch *Change) (exts []string) {
	if ch.Settings == nil {
		return nil
	}
	for i := range ch.Settings.Orbits {
		if ext := ch.Settings.Orbits[i].Extension; s.places[ext] == nil {
			exts = append(exts, ext)
		}
	}
	for i := range ch.Settings.Pools {
		if ext := ch.Settings.Pools[i].Extension; s.pools[ext] == nil {
			exts = append(exts, ext)
		}
	}
	return exts
}

// altered lists the orbits that look different, or are there or not, and the pools
// that are there or not, once other settings are in force.
func (s *State) altered(set Settings) (exts []string) {
	next := s.under(set)
	for ext, p := range s.places {
		q := next.places[ext]
		if q == nil || p.Name != q.Name || p.Enabled != q.Enabled || p.Music != q.Music {
			exts = append(exts, ext)
		}
	}
	for ext := range next.places {
		if s.places[ext] == nil {
			exts = append(exts, ext)
		}
	}
	for ext := range s.pools {
		if next.pools[ext] == nil {
			exts = append(exts, ext)
		}
	}
	for ext := range next.pools {
		if s.pools[ext] == nil {
			exts = append(exts, ext)
		}
	}
	return exts
}
