package kit

import (
	"time"

	"parkd/internal/config"
)

// Kept is a configuration whose calls a stop leaves in the journal, which at a
// site made by RunCut is one in memory.
func Kept(c *config.Config) { c.Store.Kind = "bolt" }

// Restart stops the server, as SIGTERM does, and starts another after a while,
// from its journal. At a site made by RunCut and with Kept only.
func (s *Site) Restart(down time.Duration) {
	s.T.Helper()
	s.RestartAnd(down, func() {})
}

// RestartAnd is Restart that does something while there is no server.
func (s *Site) RestartAnd(down time.Duration, meanwhile func()) {
	s.T.Helper()
	s.Ladder.Note("the server is stopped")
	s.Stop()
	s.reopen()
	meanwhile()
	time.Sleep(down)
	s.Ladder.Note("another server is started")
	s.Start()
}

// reopen is what the next server's process does with the journal.
func (s *Site) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.medium = s.medium.Reopen()
}

// stopAt stops a server at a point of its life and sees to its successor.
func (s *Site) stopAt(l *life, c Cut) {
	s.mu.Lock()
	if s.life != l {
		s.mu.Unlock()
		return
	}
	s.life = nil
	s.killed = append(s.killed, l)
	number := s.outage(c)
	s.coming++
	s.mu.Unlock()
	s.Ladder.Note("the server is stopped: %v", c)
	l.stop()
	close(l.struck)
	go func() {
		err := <-l.ended
		l.ended <- err
		time.Sleep(time.Millisecond) // a request that came in last may be on its way to being refused
		if bound := s.Net.Bound(Server.Addr()); err != nil || len(bound) > 0 {
			s.T.Errorf("the server has stopped: %v; still bound %v", err, bound)
		}
		if s.Operator != nil {
			s.Operator.hangUp()
		}
		s.reopen()
		s.succeed(number, c)
	}()
}

// stopped is how many legs the last server that stopped said that it has.
func (s *Site) stopped() (legs float64, ok bool) {
	if s.Config.Store.Kind == "memory" {
		return s.Log.Number("stopping", "legs")
	}
	return s.Log.Number("stopping, calls are kept", "legs")
}
