package server

import (
	"slices"

	"parkd/internal/blf"
	"parkd/internal/config"
	"parkd/internal/presence"
)

// everything is the list of all orbits.
const everything = config.AllOrbits

// listing is a configuration's event lists.
type listing struct {
	members map[string][]string // by list: the configured ones, and pools
	within  map[string][]string // by orbit: the lists that it is in
	pools   map[string]bool
}

func listingOf(c *config.Config) *listing {
	l := &listing{members: map[string][]string{}, within: map[string][]string{}, pools: map[string]bool{}}
	all := make([]string, len(c.Orbits))
	for i := range c.Orbits {
		all[i] = c.Orbits[i].Extension
	}
	l.members[everything] = all
	add := func(name string, orbits []string) {
		l.members[name] = orbits
		for _, ext := range orbits {
			l.within[ext] = append(l.within[ext], name)
		}
	}
	for i := range c.Lists {
		add(c.Lists[i].Name, c.Lists[i].Orbits)
	}
	for i := range c.Pools {
		l.pools[c.Pools[i].Extension] = true
		add(c.Pools[i].Extension, c.Pools[i].Orbits)
	}
	return l
}

// relist has event lists follow a configuration. It returns those that are others now.
func (l *lamps) relist(c *config.Config) (changed []string) {
	next, old := listingOf(c), l.listing.Load()
	l.listing.Store(next)
	if old == nil {
		return nil
	}
	for name, members := range old.members {
		if now, ok := next.members[name]; !ok || !slices.Equal(members, now) {
			changed = append(changed, name)
		}
	}
	return changed
}

// Members implements presence.Lists: the orbits of a list that there are, and are not
// switched off. In the
// list of all, those that are configured no more stand behind the others, until
// their last call has gone.
func (l *lamps) Members(list string) ([]presence.Member, bool) {
	listing := l.listing.Load()
	names, ok := listing.members[list]
	if !ok {
		return nil, false
	}
	if list == everything {
		names = l.world.orbits(names, listing.pools)
	}
	members := make([]presence.Member, 0, len(names))
	for _, ext := range names {
		if v := l.world.sight(ext); v != nil && listed(v.View) {
			members = append(members, presence.Member{Resource: ext, Name: v.Name, Lit: v.Head != nil})
		}
	}
	return members, true
}

// Within implements presence.Lists.
func (l *lamps) Within(resource string) []string {
	listing := l.listing.Load()
	if _, list := listing.members[resource]; list || resource == "" {
		return nil
	}
	return append(slices.Clip(listing.within[resource]), everything)
}

// AppendRLMI implements presence.Lists.
func (l *lamps) AppendRLMI(dst []byte, r presence.Roll) []byte {
	var few [2]blf.Member
	roll := blf.Roll{URI: r.URI, Version: r.Version, Full: r.Full, Members: few[:0]}
	for _, e := range r.Resources {
		roll.Members = append(roll.Members, blf.Member(e))
	}
	return blf.AppendRLMI(dst, roll)
}

// known reports whether a user part of a URI is one of ours: for OPTIONS.
func (l *lamps) known(user string) bool {
	_, list := l.listing.Load().members[user]
	return list || l.world.known(user)
}
