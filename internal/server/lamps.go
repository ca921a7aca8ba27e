package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"parkd/internal/blf"
	"parkd/internal/config"
	"parkd/internal/orbit"
	"parkd/internal/presence"
)

// lamps are the documents of orbits. It implements presence.Source and presence.Lists.
type lamps struct {
	world   *world
	looks   atomic.Pointer[looks]
	listing atomic.Pointer[listing]
}

// sight is a view, and the documents that it was rendered in: nothing is ever
// taken from those of an older one.
type sight struct {
	orbit.View

	mu   sync.Mutex // leaf
	docs []rendered
}

// rendered is a document of a style. It goes with the next collection of garbage
// once everybody has been told: most lamps are quiet most of the time.
type rendered struct {
	style    blf.Style
	template weak.Pointer[blf.Template]
}

// maxRendered bounds the styles that are kept of a view; there are more only where
// a configuration changes again and again.
const maxRendered = 32

// in returns the document of a style, which is rendered once.
func (s *sight) in(style blf.Style) *blf.Template {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.docs {
		d := &s.docs[i]
		if d.style != style {
			continue
		}
		t := d.template.Value()
		if t == nil {
			t = blf.New(s.View, style)
			d.template = weak.Make(t)
		}
		return t
	}
	if len(s.docs) >= maxRendered {
		s.docs = s.docs[:0]
	}
	t := blf.New(s.View, style)
	s.docs = append(s.docs, rendered{style, weak.Make(t)})
	return t
}

func newLamps(c *config.Config, w *world) *lamps {
	l := &lamps{world: w}
	l.use(c)
	l.relist(c)
	return l
}

// use has documents follow a configuration. It returns the orbits whose lamps may
// look different now. One that is configured no more looks as it did while there
// are calls in it.
func (l *lamps) use(c *config.Config) (changed []string) {
	next := newLooks(c)
	if old := l.looks.Load(); old != nil {
		for ext, before := range old.orbits {
			now, stays := next.orbits[ext]
			switch {
			case stays && before != now:
				changed = append(changed, ext)
			case !stays && l.world.sight(ext) != nil:
				next.orbits[ext] = before
			}
		}
		if !old.same(next) {
			changed = l.world.seen()
		}
	}
	l.looks.Store(next)
	return changed
}

// Resolve implements presence.Source.
func (l *lamps) Resolve(user string) (string, bool) {
	v := l.world.sight(user)
	return user, v != nil && v.Enabled
}

// nowhere is the sight of an orbit that is gone.
var nowhere sight

// docRoom is what most documents take, in bytes.
const docRoom = 1024

// Document implements presence.Source.
func (l *lamps) Document(resource string, p presence.Params) (presence.Document, bool) {
	v := l.world.sight(resource)
	ok := v != nil
	if !ok {
		v = &nowhere
	}
	style := l.looks.Load().style(resource, blf.TypeOf(p.Accept), p)
	fill := blf.Fill{Entity: p.Entity, Version: p.Version, Target: p.Target}
	body := v.in(style).Append(slices.Grow(p.Room[:0], docRoom), fill)
	if len(body) > blf.DefaultLimit && !p.Reliable {
		body = blf.Document(v.View, style, fill, blf.DefaultLimit)
	}
	return presence.Document{Body: body, ContentType: style.Type.String(), Shown: blf.Shown(v.View)}, ok
}
