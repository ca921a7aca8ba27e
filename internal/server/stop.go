package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"parkd/internal/orbit"
	"parkd/internal/systemd"
)

// grace is how long a stop waits for calls to be ended. While it drains it looks
// whether all have gone once each poll, and asks a service manager for another
// extension of its time.
const (
	grace     = 3 * time.Second
	poll      = 200 * time.Millisecond
	extension = 30 * time.Second
)

// lifetime is of something that runs until it is told to end.
type lifetime struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     *sync.WaitGroup
}

func newLifetime() lifetime {
	l := lifetime{wg: new(sync.WaitGroup)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l lifetime) run(f func(context.Context)) { l.wg.Go(func() { f(l.ctx) }) }

// end ends it and waits for that.
func (l lifetime) end() {
	l.cancel()
	l.wg.Wait()
}

// keeps reports whether what is parked outlives the process.
func (s *Server) keeps() bool { return s.config.Load().Store.Kind != "memory" }

// linger waits, where shutdown is drain or return, until no call is left, and
// everybody knows that theirs has ended. A second signal ends the process
// meanwhile, and the journal keeps the rest.
func (s *Server) linger(fail chan error) {
	back := s.config.Load().Shutdown == "return"
	if s.config.Load().Shutdown == "keep" {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go func() { s.manager(systemd.Extend(ctx, extension)) }()
	s.operators.admin.SetReady(false)
	if s.runner.Ask(s.ctx, orbit.Drain{Return: back}) != nil {
		return
	}
	s.log.Info().Str("shutdown", s.config.Load().Shutdown).Int("calls", s.held()).Msg("draining")
	tick := time.NewTicker(poll)
	defer tick.Stop()
	told := 0
	for {
		n, ending := s.awaited(back)
		if n+ending == 0 {
			return
		}
		if n != told {
			s.manager(systemd.Status(fmt.Sprintf("draining, %d calls left", n)))
			told = n
		}
		select {
		case <-tick.C:
		case err := <-fail:
			fail <- err
			return
		}
	}
}

// awaited counts what a stop waits for: all calls, or, when they are sent back,
// those that somebody is to be called for or that are bridged; and the legs of
// calls that have ended, whose BYE is not answered yet.
func (s *Server) awaited(back bool) (calls, ending int) {
	ctx, cancel := context.WithTimeout(s.ctx, grace)
	defer cancel()
	left, legs := 0, s.legs.Count()
	err := s.runner.Look(ctx, func(st *orbit.State) {
		for c := range st.All() {
			for _, leg := range c.Legs() {
				if leg != "" && !(c.Outside && leg == c.Left) {
					legs--
				}
			}
			if !back || c.Phase != orbit.Parked || !c.Due.IsZero() {
				left++
			}
		}
	})
	if err != nil { // stopped
		return 0, 0
	}
	return left, max(0, legs)
}

// held counts the calls that there are.
func (s *Server) held() int {
	ctx, cancel := context.WithTimeout(s.ctx, grace)
	defer cancel()
	var n int
	if s.runner.Look(ctx, func(st *orbit.State) { n = st.Held() }) != nil {
		return 0 // stopped
	}
	return n
}

// deregister ends the registrations. The next process goes on with those that it is
// to have; where there is to be none, nobody is to be called here any more.
func (s *Server) deregister() {
	ctx, cancel := context.WithTimeout(context.Background(), grace/2)
	defer cancel()
	s.registrar.Close(ctx, !s.keeps() || s.config.Load().Shutdown != "keep")
}

// stop ends the server. Calls that the journal keeps go on in the next one:
// nothing is said to anybody, and from the first moment on nothing is taken in
// that would then be lost. Without a journal they are ended.
func (s *Server) stop() {
	s.operators.admin.SetReady(false)
	s.deregister()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if s.keeps() {
		s.endpoint.Freeze()
		s.log.Info().Int("calls", s.held()).Int("legs", s.legs.Count()).Msg("stopping, calls are kept")
		s.deciding.end()
	} else {
		_ = s.runner.Ask(ctx, orbit.Drain{End: true})
		s.log.Info().Int("legs", s.legs.Count()).Msg("stopping")
		s.legs.Close(ctx)
		told, cancel := context.WithTimeout(context.Background(), grace/3)
		s.notifier.End(told)
		cancel()
	}
	s.notifier.Close()
	s.operators.stop(ctx)
	s.deciding.end()
	s.cancel()
}
