package presence

import "github.com/rs/zerolog"

// lines are what the log is told of a subscription. Whom it is about is added
// when there is something to say: a logger with that in it, for each, would be a
// fifth of all memory.
type lines struct{ s *sub }

func (s *sub) log() lines { return lines{s} }

func (l lines) Debug() *zerolog.Event { return l.about(l.s.n.o.Log.Debug()) }
func (l lines) Info() *zerolog.Event  { return l.about(l.s.n.o.Log.Info()) }
func (l lines) Error() *zerolog.Event { return l.about(l.s.n.o.Log.Error()) }

func (l lines) about(e *zerolog.Event) *zerolog.Event {
	return e.Str("orbit", l.s.rec.Resource).Str("watcher", l.s.rec.From)
}
