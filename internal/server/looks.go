package server

import (
	"regexp"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/blf"
	"parkd/internal/config"
	"parkd/internal/presence"
	"parkd/internal/sipua"
)

// looks are what lamps look like: to whom, as a configuration has it. Only memos
// ever change in it.
type looks struct {
	orbits   map[string]look
	phones   []config.Phone
	users    *regexp.Regexp // who may retrieve
	code     string         // that retrieves, as a URI has it
	profiles memo[kind]
	allowed  memo[bool]
}

// look is what an orbit's lamp looks like.
type look struct {
	confirmed bool
	identity  blf.Identity
}

// kind is a make of phones.
type kind struct {
	blf.Profile
	state string // that it is shown whatever an orbit says: early, confirmed; "" = none
}

var identities = map[string]blf.Identity{"full": blf.Full, "number": blf.Number, "none": blf.Nobody}

var renderings = map[string]blf.Rendering{"pval": blf.Pval, "pvalue": blf.Pvalue, "none": blf.NoRendering}

func newLooks(c *config.Config) *looks {
	l := &looks{orbits: make(map[string]look, len(c.Orbits)), phones: c.Phones, users: c.Access.RetrieveUsers, code: sipua.EscapeUser(c.Park.RetrieveCodes[0])}
	for i := range c.Orbits {
		lamp := &c.Orbits[i].Lamp
		l.orbits[c.Orbits[i].Extension] = look{lamp.State == "confirmed", identities[lamp.Identity]}
	}
	return l
}

// same reports whether watchers are told apart by the same rules.
func (l *looks) same(o *looks) bool {
	if l.users.String() != o.users.String() || l.code != o.code || len(l.phones) != len(o.phones) {
		return false
	}
	for i := range l.phones {
		a, b := l.phones[i], o.phones[i]
		if a.UserAgent.String() != b.UserAgent.String() {
			return false
		}
		a.UserAgent, b.UserAgent = nil, nil
		if a != b {
			return false
		}
	}
	return true
}

// style is the look of an orbit to a phone, and to somebody who watches it.
func (l *looks) style(ext string, t blf.Type, p presence.Params) blf.Style {
	k, look := l.profiles.of(p.Agent, l.kind), l.orbits[ext]
	s := blf.Style{Type: t, Profile: k.Profile, Identity: look.identity}
	s.Profile.Confirmed = look.confirmed && k.state == "" || k.state == "confirmed"
	if l.users.String() != "" && !l.retrieves(p.User, p.Watcher) {
		s.Identity = blf.Withheld
	}
	return s
}

// retrieves reports whether a watcher may retrieve: by their name, or if nobody asked
// for one by their URI. No name has a colon.
func (l *looks) retrieves(name, uri string) bool {
	if name != "" {
		return l.allowed.of(name, l.users.MatchString)
	}
	return l.allowed.of(uri, func(text string) bool {
		var u sip.Uri
		return sip.ParseUri(text, &u) == nil && l.users.MatchString(sipua.UserOf(&u))
	})
}

// kind is what the first rule that fits says of a User-Agent; for the rest, what is
// known of that make.
func (l *looks) kind(agent string) kind {
	k := kind{Profile: blf.ProfileOf(agent)}
	for i := range l.phones {
		p := &l.phones[i]
		if !p.UserAgent.MatchString(agent) {
			continue
		}
		k.state = p.State
		if p.Rendering != "" {
			k.Rendering = renderings[p.Rendering]
		}
		switch p.Target {
		case "code":
			k.Code = l.code
		case "orbit":
			k.Code = ""
		}
		if p.IDs != "" {
			k.Anonymous = p.IDs == "none"
		}
		if p.Presence != "" {
			k.Closed = p.Presence == "closed"
		}
		break
	}
	return k
}

// maxMemo bounds a memo: what it is asked for comes from the network. It has room for
// as many watchers as there may be.
const maxMemo = 1 << 15

// memo remembers what a function of a text comes to. Its mutex is a leaf.
type memo[T any] struct {
	mu    sync.Mutex
	known map[string]T
}

func (m *memo[T]) of(text string, f func(string) T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.known[text]; ok {
		return v
	}
	if m.known == nil || len(m.known) >= maxMemo {
		m.known = map[string]T{}
	}
	v := f(text)
	m.known[strings.Clone(text)] = v // not all of the message that it is part of
	return v
}
