package server

import (
	"context"
	"maps"

	"parkd/internal/orbit"
)

// Sizes counts what the server holds of what comes and goes with calls, lamps
// and messages, by kind. All are 0 in a server that has none and was sent no
// message for 64*T1.
func (s *Server) Sizes() map[string]int {
	media := s.engine.Stats()
	n := map[string]int{
		"dialogs": s.table.Len(), "timers": s.wheel.Len(), "media_ports": media.Ports, "streams": media.Streams,
	}
	maps.Copy(n, s.legs.Sizes())
	maps.Copy(n, s.notifier.Sizes())
	maps.Copy(n, s.endpoint.Sizes())
	ctx, cancel := context.WithTimeout(s.ctx, grace)
	defer cancel()
	_ = s.runner.Look(ctx, func(st *orbit.State) { maps.Copy(n, st.Sizes()) }) // a server that stops decides nothing
	return n
}
