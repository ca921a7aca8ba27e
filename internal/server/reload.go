package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"parkd/internal/config"
	"parkd/internal/orbit"
	"parkd/internal/rtpmusic/library"
	"parkd/internal/systemd"
)

// ErrNoReload is returned by Reload for a server that was not given Options.Load.
var ErrNoReload = errors.New("this server cannot read its configuration again")

// reloads remembers how the last reload went.
type reloads struct {
	mu   sync.Mutex // one reload at a time
	last last
}

// last is the outcome of a reload.
type last struct {
	mu      sync.Mutex // leaf
	at      time.Time
	changes config.Changes
	err     error
}

func (l *last) set(ch config.Changes, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.err = time.Now(), err
	if err == nil {
		l.changes = ch
	}
}

func (l *last) get() (time.Time, config.Changes, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at, l.changes, l.err
}

// Reload reads the configuration and puts what changed in force, with no call
// touched. After an error, which may hold config.Faults, nothing has changed. What
// only a restart can change stays as it is, and is named. ctx counts until it is
// this reload's turn: what has begun is carried through.
func (s *Server) Reload(ctx context.Context) (config.Changes, error) {
	s.reloads.mu.Lock()
	defer s.reloads.mu.Unlock()
	s.manager(systemd.Reloading())
	defer func() { s.manager(systemd.Ready()) }()
	if err := ctx.Err(); err != nil { // it waited for another reload
		return config.Changes{}, err
	}
	ch, err := s.reload()
	s.reloads.last.set(ch, err)
	s.operators.metrics.Reloaded(err)
	switch {
	case err != nil:
		s.log.Error().Err(err).Msg("configuration not reloaded, the old one stays in force")
	default:
		s.log.Info().Strs("changed", ch.Keys).Msg("configuration reloaded")
		if len(ch.Restart) > 0 {
			s.log.Warn().Strs("keys", ch.Restart).Msg("changes need a restart")
		}
	}
	return ch, err
}

func (s *Server) reload() (config.Changes, error) {
	if s.o.Load == nil {
		return config.Changes{}, ErrNoReload
	}
	next, err := s.o.Load()
	if err != nil {
		return config.Changes{}, err
	}
	ch := config.Changed(s.config.Load(), &next)
	c := config.Live(s.config.Load(), &next)
	// Everything that can fail, before anything that cannot be taken back.
	id, err := s.certs.load(&c.SIP.TLS)
	if err != nil {
		return config.Changes{}, fmt.Errorf("sip.tls: %w", err)
	}
	tunes, err := s.tunes.Reload(musicDir(&c), music(&c))
	switch {
	case errors.Is(err, library.ErrGone):
		s.log.Warn().Err(err).Msg("default music in place of a file that is gone")
	case err != nil:
		return config.Changes{}, fmt.Errorf("music: %w", err)
	}
	if err := s.endpoint.Update(s.endpointSettings(&c)); err != nil { // validated: cannot happen
		return config.Changes{}, err
	}
	s.engine.SetLatch(latching(&c))
	s.speak(&c)
	if len(tunes) > 0 {
		s.log.Info().Strs("tunes", tunes).Msg("music changes at the end of its loop")
	}
	s.certs.use(id)
	s.engine.Mark(c.Media.DSCP)
	s.legs.Update(s.policy(&c))
	s.notifier.KeepAlive(c.SIP.NATKeepalive)
	if slices.ContainsFunc(ch.Keys, func(key string) bool { return strings.HasPrefix(key, "access.") }) {
		s.notifier.Recheck()
	}
	s.operators.admin.SetPassword(c.Admin.Password.Reveal())
	if s.o.Level != nil {
		s.o.Level(c.Log.Level)
	}
	changed, lists := s.lamps.use(&c), s.lamps.relist(&c)
	s.config.Store(&c)
	if err := s.runner.Ask(s.ctx, orbit.Configure{Settings: settings(&c)}); err != nil {
		return ch, err // the server ends
	}
	for _, ext := range changed {
		s.notifier.Changed(ext)
	}
	for _, name := range lists {
		s.notifier.ListChanged(name)
	}
	s.registrar.Update(accounts(&c)) // a new orbit is there before anybody is told of it
	return ch, nil
}
