package kit

import (
	"context"
	"slices"

	"parkd/internal/config"
)

// Reload has the server read its configuration anew, in which change was made
// meanwhile; nil changes nothing. Lists other than the orbits are to be replaced,
// not written into. What is refused has not changed the site's configuration
// either.
func (s *Site) Reload(change Configure) (config.Changes, error) {
	s.T.Helper()
	l := s.running()
	<-l.ready
	next := s.Config
	next.Orbits = slices.Clone(next.Orbits)
	if change != nil {
		change(&next)
	}
	s.mu.Lock()
	s.next = next
	s.mu.Unlock()
	s.Ladder.Note("the configuration is read anew")
	ch, err := l.server.Reload(context.Background())
	if err == nil {
		s.Config = next
	}
	return ch, err
}

// Reloaded is Reload that must be taken.
func (s *Site) Reloaded(change Configure) config.Changes {
	s.T.Helper()
	ch, err := s.Reload(change)
	if err != nil {
		s.T.Fatalf("not reloaded: %v", err)
	}
	return ch
}

// load is what the server reads its configuration with.
func (s *Site) load() (config.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next, s.next.Validate()
}
