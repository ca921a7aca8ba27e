package server

import (
	"strings"
	"sync/atomic"

	"parkd/internal/blf"
	"parkd/internal/config"
	"parkd/internal/presence"
)

// lamps are the documents of orbits. It implements presence.Source.
type lamps struct {
	world    *world
	profiles atomic.Pointer[map[string]blf.Profile]
}

func newLamps(c *config.Config, w *world) *lamps {
	l := &lamps{world: w}
	l.use(c)
	return l
}

// use has documents follow a configuration. It returns the orbits whose lamps
// look different now. One that is configured no more looks as it did while there
// are calls in it.
func (l *lamps) use(c *config.Config) (changed []string) {
	profiles := make(map[string]blf.Profile, len(c.Orbits))
	for i := range c.Orbits {
		profiles[c.Orbits[i].Extension] = blf.Profile{Confirmed: strings.EqualFold(c.Orbits[i].Lamp.State, "confirmed")}
	}
	if old := l.profiles.Load(); old != nil {
		for ext, before := range *old {
			p, stays := profiles[ext]
			_, shown := l.world.view(ext)
			switch {
			case stays && before != p:
				changed = append(changed, ext)
			case !stays && shown:
				profiles[ext] = before
			}
		}
	}
	l.profiles.Store(&profiles)
	return changed
}

// Resolve implements presence.Source.
func (l *lamps) Resolve(user string) (string, bool) {
	v, ok := l.world.view(user)
	return user, ok && v.Enabled
}

// Document implements presence.Source.
func (l *lamps) Document(resource string, p presence.Params) (presence.Document, bool) {
	v, ok := l.world.view(resource)
	limit := 0
	if p.Reliable {
		limit = -1
	}
	return presence.Document{
		Body: blf.Document(v, blf.Doc{
			Entity: p.Entity, Version: p.Version, Profile: (*l.profiles.Load())[resource], Target: p.Target, Limit: limit,
		}),
		ContentType: "application/dialog-info+xml",
		Shown:       blf.Shown(v),
	}, ok
}
