package config

import (
	"fmt"
	"slices"
)

// picks are the values of pools[].pick.
var picks = []string{"first", "next", "random", "longest-free"}

// poolDefaults fills in what the entries of the key pools leave out.
func (c *checker) poolDefaults(pools []Pool) {
	for i := range pools {
		key := fmt.Sprintf("pools[%d]", i)
		if _, set := c.at[key+".pick"]; !set {
			pools[i].Pick = "first"
		}
		if _, set := c.at[key+".announce"]; !set {
			pools[i].Announce = true
		}
	}
}

// validatePools checks the pools, but for what their extensions and overflows mean.
func (c *Config) validatePools(r *report) {
	for i, p := range c.Pools {
		key := fmt.Sprintf("pools[%d]", i)
		if !extensionPattern.MatchString(p.Extension) {
			r.addf(key+".extension", "%q is not an extension (letters, digits and * # + . _ -)", p.Extension)
		}
		r.oneOf(key+".pick", p.Pick, picks...)
		if o := p.Overflow; o != "" && !extensionPattern.MatchString(o) {
			r.addf(key+".overflow", "%q is not an extension (letters, digits and * # + . _ -)", o)
		}
		c.members(r, key+".orbits", p.Orbits)
	}
}

// validateOverflows checks where calls go that find a pool full: another pool, an
// orbit, or else an extension of the PBX, and not in a circle. means is what can be
// dialled here.
func (c *Config) validateOverflows(r *report, means map[string]string) {
	index := map[string]int{}
	for i, p := range c.Pools {
		index[p.Extension] = i
	}
	for i, p := range c.Pools {
		key := fmt.Sprintf("pools[%d].overflow", i)
		if _, pool := index[p.Overflow]; pool {
			if way := c.circle(index, i); way != "" {
				r.addf(key, "leads back to the pool it begins at: %s", way)
			}
			continue
		}
		o := slices.IndexFunc(c.Orbits, func(o Orbit) bool { return o.Extension == p.Overflow })
		switch what, own := means[p.Overflow]; {
		case p.Overflow == "":
		case o >= 0 && slices.Contains(p.Orbits, p.Overflow) && !c.Orbits[o].AllowMultiple:
			r.addf(key, "%s is one of the pool's orbits, which are taken by then", p.Overflow)
		case o < 0 && own:
			r.addf(key, "%s is %s, where no call can be parked", p.Overflow, what)
		}
	}
}

// circle is the way of overflows from a pool back to it; "" if there is none, or if
// it has been found at an earlier pool.
func (c *Config) circle(index map[string]int, from int) string {
	way := c.Pools[from].Extension
	for i, n := from, 0; n <= len(c.Pools); n++ {
		way += " > " + c.Pools[i].Overflow
		next, pool := index[c.Pools[i].Overflow]
		switch {
		case pool && next == from:
			return way
		case !pool || next < from:
			return ""
		}
		i = next
	}
	return "" // it leads into one that it is not part of
}
