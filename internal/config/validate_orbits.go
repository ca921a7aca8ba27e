package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// AllOrbits is the event list of all orbits, sip:orbits@host.
const AllOrbits = "orbits"

// validate checks the values of defaults, or of one orbit.
func (o Options) validate(r *report, key string, after DurationRange) {
	if strings.ContainsAny(o.Music, "/\\\x00") || strings.HasPrefix(o.Music, ".") || o.Music == "" {
		r.addf(key+".music", "%q is not the name of a file without .wav", o.Music)
	}
	between(r, key+".max_calls", o.MaxCalls, 0, 1_000_000)
	if t := o.Timeout.After; after.Min <= after.Max && (t < after.Min || t > after.Max) {
		r.add(key+".timeout.after", fmt.Sprintf("%s is outside park.timeout_range, %s to %s",
			formatDuration(t), formatDuration(after.Min), formatDuration(after.Max)), "park.timeout_range")
	}
	between(r, key+".timeout.ring", o.Timeout.Ring, time.Second, 3*time.Minute) // RFC 3261 16.6: timer C ends it anyway
	between(r, key+".timeout.fallback_after", o.Timeout.FallbackAfter, 1, 1000)
	if f := o.Timeout.Fallback; f != "" && !extensionPattern.MatchString(f) {
		r.addf(key+".timeout.fallback", "%q is not an extension (letters, digits and * # + . _ -)", f)
	}
	r.oneOf(key+".timeout.action", o.Timeout.Action, "parker", "fallback", "keep")
	if o.Timeout.Action == "fallback" && o.Timeout.Fallback == "" {
		r.add(key+".timeout.action", "fallback needs timeout.fallback, the extension to call")
	}
	if k := o.Transfer.Key; len(k) != 1 || !strings.Contains("0123456789*#", k) {
		r.addf(key+".transfer.key", "%q is not one of 0-9 * #", k)
	}
	r.oneOf(key+".retrieve", o.Retrieve, "bridge", "direct", "refer")
	r.oneOf(key+".lamp.state", o.Lamp.State, "early", "confirmed")
	r.oneOf(key+".lamp.press", o.Lamp.Press, "watchers", "always", "never")
	r.oneOf(key+".lamp.identity", o.Lamp.Identity, "full", "number", "none")
}

// validateOrbits checks each orbit; what is wrong with the defaults is not said again.
func (c *Config) validateOrbits(r *report, name func(int) string) {
	base := &report{}
	c.Defaults.validate(base, "", c.Park.TimeoutRange)
	last := "" // the orbits of a range have one entry's values
	for i, o := range c.Orbits {
		key := name(i)
		if !extensionPattern.MatchString(o.Extension) {
			r.addf(key+".extension", "%q is not an extension (letters, digits and * # + . _ -)", o.Extension)
		}
		if key == last {
			continue
		}
		last = key
		r.label(key+".name", o.Name)
		r.label(key+".description", o.Description)
		own := &report{}
		o.validate(own, "", c.Park.TimeoutRange)
		for _, f := range own.faults {
			if !slices.Contains(base.faults, f) {
				r.add(key+f.Key, f.Text)
			}
		}
	}
}

// label is the fault of a text that can't be shown on a phone.
func (r *report) label(key, s string) {
	if len(s) > 256 || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0xfffd }) {
		r.add(key, "is longer than 256 bytes, or has control characters")
	}
}

// validateLists checks the event lists, but for what their names mean.
func (c *Config) validateLists(r *report) {
	for i, l := range c.Lists {
		key := fmt.Sprintf("lists[%d]", i)
		if !extensionPattern.MatchString(l.Name) {
			r.addf(key+".name", "%q is not a name (letters, digits and * # + . _ -)", l.Name)
		}
		c.members(r, key+".orbits", l.Orbits)
	}
}

// members is the faults of the orbits that a pool or list names.
func (c *Config) members(r *report, key string, orbits Extensions) {
	if len(orbits) == 0 {
		r.add(key, "at least one orbit is needed")
	}
	known := map[string]bool{}
	for _, o := range c.Orbits {
		known[o.Extension] = true
	}
	for n, e := range orbits {
		if !known[e] {
			r.addf(key, "%s is not an orbit", e)
		}
		if first := slices.Index(orbits, e); first < n && slices.Index(orbits[first+1:], e) == n-first-1 {
			r.addf(key, "%s is in it more than once", e)
		}
	}
}

// validateDialled checks that whatever can be dialled means one thing.
func (c *Config) validateDialled(r *report, orbit func(int) string) {
	means := map[string]string{AllOrbits: "the list of all orbits"}
	claim := func(key, dialled, what string) {
		if other, taken := means[dialled]; taken {
			r.addf(key, "%s is already %s", dialled, other)
			return
		}
		means[dialled] = what
	}
	for i, o := range c.Orbits {
		claim(orbit(i)+".extension", o.Extension, r.name(orbit(i)))
	}
	for i, p := range c.Pools {
		key := fmt.Sprintf("pools[%d]", i)
		claim(key+".extension", p.Extension, r.name(key))
	}
	for i, l := range c.Lists {
		key := fmt.Sprintf("lists[%d]", i)
		claim(key+".name", l.Name, r.name(key))
	}
	for i, code := range c.Park.RetrieveCodes {
		key := fmt.Sprintf("park.retrieve_codes[%d]", i)
		if code == "" {
			continue
		}
		claim(key, code, "the retrieve code "+code)
		for i, o := range c.Orbits {
			if means[o.Extension] == r.name(orbit(i)) { // else it has a fault already
				claim(key, code+o.Extension, fmt.Sprintf("the retrieve code %s with orbit %s", code, o.Extension))
			}
		}
		for i, p := range c.Pools {
			if means[p.Extension] == r.name(fmt.Sprintf("pools[%d]", i)) {
				claim(key, code+p.Extension, fmt.Sprintf("the retrieve code %s with pool %s", code, p.Extension))
			}
		}
	}
	c.validateOverflows(r, means)
	c.validateFallback(r, "defaults", c.Defaults.Timeout.Fallback, means)
	for i, o := range c.Orbits {
		if f := o.Timeout.Fallback; f != c.Defaults.Timeout.Fallback {
			c.validateFallback(r, orbit(i), f, means)
		}
	}
}

// validateFallback is the fault of a fallback that would only park the call again.
func (c *Config) validateFallback(r *report, key, fallback string, means map[string]string) {
	if what, own := means[fallback]; own && fallback != "" {
		r.addf(key+".timeout.fallback", "%s is %s, where a call can't be sent to be answered", fallback, what)
	}
}

// validateMusic looks for the file of each music that an orbit plays, but for those
// in had; that of default is built in.
func (c *Config) validateMusic(r *report, orbit func(int) string, had map[string]bool) {
	look := func(key, music string) {
		if music == builtinMusic || had[music] || strings.ContainsAny(music, "/\\\x00") || music == "" {
			return
		}
		path := c.musicFile(music)
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			r.add(key+".music", "there is no file "+path)
			r.faults[len(r.faults)-1].Missing = absolute(path)
		}
	}
	look("defaults", c.Defaults.Music)
	for i, o := range c.Orbits {
		if o.Music != c.Defaults.Music && (i == 0 || orbit(i) != orbit(i-1)) {
			look(orbit(i), o.Music)
		}
	}
}
