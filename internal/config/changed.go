package config

import (
	"reflect"
	"regexp"
	"slices"
)

// Changes is what differs between two configurations.
type Changes struct {
	// Keys are the dotted keys whose values differ, sorted: log.level. An orbit
	// that was added or removed is orbits.701, one that was changed has a key for
	// each difference, orbits.701.music; orbits in another order are orbits. What
	// an orbit only takes over from defaults stands once, as defaults.music.
	Keys []string
	// Restart are those of them that the next start puts in force, sorted.
	Restart []string
}

// Changed compares two configurations. It shows keys only, no values, and so no
// secrets. With ten thousand orbits it takes milliseconds, tens if each differs.
func Changed(old, new *Config) Changes {
	live := Live(old, new)
	return Changes{Keys: differences(old, new), Restart: differences(&live, new)}
}

// Live is the configuration in force after new was read while old is in force: new,
// but for what only a restart changes (sip.listen, data_dir, store.kind,
// admin.listen, media.ports, log.format). A listener that stays keeps what it can't
// be without: the TLS files, the password to listen beyond loopback.
func Live(old, new *Config) Config {
	c := *new
	c.Log.Format = old.Log.Format
	c.DataDir = old.DataDir
	c.SIP.Listen = old.SIP.Listen
	c.Media.Ports = old.Media.Ports
	c.Admin.Listen = old.Admin.Listen
	c.Store.Kind = old.Store.Kind
	if c.listensTLS() && c.SIP.TLS.Cert == "" {
		c.SIP.TLS = old.SIP.TLS
	}
	var r report
	if c.Admin.validate(&r); len(r.faults) > 0 {
		c.Admin.Password = old.Admin.Password
	}
	return c
}

// differences are the sorted keys whose values differ.
func differences(old, new *Config) []string {
	keys := differ(reflect.ValueOf(*old), reflect.ValueOf(*new), "", nil)
	keys = append(keys, differentOrbits(old, new)...)
	slices.Sort(keys)
	return keys
}

// differ appends the keys below prefix whose values differ, but for those of orbits.
func differ(a, b reflect.Value, prefix string, keys []string) []string {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		name := f.Tag.Get("mapstructure")
		_, isLeaf := leaves[f.Type]
		switch {
		case name == "-" || f.Type == reflect.TypeFor[[]Orbit]():
		case name == ",squash":
			keys = differ(a.Field(i), b.Field(i), prefix, keys)
		case !isLeaf && f.Type.Kind() == reflect.Struct:
			keys = differ(a.Field(i), b.Field(i), join(prefix, name), keys)
		case !equal(a.Field(i), b.Field(i)):
			keys = append(keys, join(prefix, name))
		}
	}
	return keys
}

// equal compares the values of one key, whatever they were made of.
func equal(a, b reflect.Value) bool {
	if a.Type() == reflect.TypeFor[*regexp.Regexp]() {
		return a.Interface().(*regexp.Regexp).String() == b.Interface().(*regexp.Regexp).String()
	}
	if a.Comparable() {
		return a.Equal(b)
	}
	return a.Len() == 0 && b.Len() == 0 || reflect.DeepEqual(a.Interface(), b.Interface())
}

// differentOrbits are the keys of orbits that differ.
func differentOrbits(old, new *Config) []string {
	before := make(map[string]*Orbit, len(old.Orbits))
	for i := range old.Orbits {
		before[old.Orbits[i].Extension] = &old.Orbits[i]
	}
	var keys, stayed []string // stayed: in the new order
	for i := range new.Orbits {
		o := &new.Orbits[i]
		was := before[o.Extension]
		if was == nil {
			keys = append(keys, "orbits."+o.Extension)
			continue
		}
		delete(before, o.Extension)
		stayed = append(stayed, o.Extension)
		for _, key := range orbitKeys(was, o, &old.Defaults, &new.Defaults) {
			keys = append(keys, "orbits."+o.Extension+"."+key)
		}
	}
	for ext := range before {
		keys = append(keys, "orbits."+ext)
	}
	var order []string // of those that stayed, before
	for i := range old.Orbits {
		if ext := old.Orbits[i].Extension; before[ext] == nil {
			order = append(order, ext)
		}
	}
	if !slices.Equal(order, stayed) {
		keys = append(keys, "orbits")
	}
	return keys
}

// orbitKeys are the keys of one orbit that differ, without those that are as the
// defaults say, before and after.
func orbitKeys(a, b *Orbit, before, after *Options) []string {
	var keys []string
	if a.Description != b.Description {
		keys = append(keys, "description")
	}
	if a.Name != b.Name {
		keys = append(keys, "name")
	}
	if a.Options == b.Options || a.Options == *before && b.Options == *after {
		return keys
	}
	va, vb := reflect.ValueOf(a.Options), reflect.ValueOf(b.Options)
	own := differ(va, reflect.ValueOf(*before), "", nil)
	own = differ(vb, reflect.ValueOf(*after), "", own)
	for _, key := range differ(va, vb, "", nil) {
		if slices.Contains(own, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
