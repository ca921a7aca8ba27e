// Package server builds the parts of parkd, joins them by small adapters and
// starts and stops them. It holds no SIP, no SDP and no decisions.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"parkd/internal/config"
	"parkd/internal/dialog"
	"parkd/internal/leg"
	"parkd/internal/orbit"
	"parkd/internal/presence"
	"parkd/internal/rtpmusic"
	"parkd/internal/rtpmusic/library"
	"parkd/internal/sipua"
	"parkd/internal/store"
)

// Bounds of what strangers can ask of us in a second; the burst lets a whole
// office subscribe at once.
const (
	admissionRate  = 2000
	admissionBurst = 4000
)

// grace is how long a stop waits for calls to be ended.
const grace = 3 * time.Second

// Options is what a server is made of. What is nil is made from Config.
type Options struct {
	Config    config.Config
	Version   string
	Log       zerolog.Logger
	Listeners []sipua.Listener // SIP sockets
	Listen    func(netip.AddrPort) (rtpmusic.Conn, error)
	Admin     net.Listener // HTTP; with NoAdmin none is opened
	NoAdmin   bool
	Store     store.Store
	Ready     func() // called once, when the server serves
}

// Server is a parkd.
type Server struct {
	o         Options
	log       zerolog.Logger
	endpoint  *sipua.Endpoint
	table     *dialog.Table
	wheel     *dialog.Wheel
	engine    *rtpmusic.Engine
	legs      *leg.Manager
	notifier  *presence.Notifier
	runner    *orbit.Runner
	operators *operators
	cancel    context.CancelFunc // ends what the parts do on their own
	ctx       context.Context
}

// Run builds a server from a configuration and runs it until ctx ends.
func Run(ctx context.Context, cfg config.Config, log zerolog.Logger, version string) error {
	s, err := New(Options{Config: cfg, Version: version, Log: log})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// New builds a server and opens its sockets. After an error nothing is open.
func New(o Options) (*Server, error) {
	s := &Server{o: o, log: o.Log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.build(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) build() error {
	c := &s.o.Config
	tunes, err := library.Load(musicDir(c), music(c))
	if err != nil {
		return fmt.Errorf("music: %w", err)
	}
	if s.o.Store == nil {
		if err := writable(c); err != nil {
			return fmt.Errorf("data directory %s: %w", c.DataDir, err)
		}
		s.o.Store = store.NewMemory()
	}
	state := orbit.NewState(settings(c))
	if err := restore(s.o.Store, state); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if s.o.Listeners == nil {
		if s.o.Listeners, err = listen(c); err != nil {
			return err
		}
	}
	if s.operators, err = newOperators(&s.o); err != nil {
		return err
	}
	w := newWorld(s.log, s.operators, state)
	options, err := s.endpointOptions(w.known)
	if err != nil {
		return err
	}
	if s.endpoint, err = sipua.New(options); err != nil {
		return err
	}
	s.wheel = dialog.NewWheel()
	s.table = dialog.NewTable(s.wheel)
	s.engine = rtpmusic.NewEngine(rtpmusic.Config{
		Ports: [2]uint16{c.Media.Ports.Low, c.Media.Ports.High}, Listen: s.o.Listen, Log: s.log,
	})
	s.runner = orbit.NewRunner(state, journal{s.o.Store}, w)
	s.buildUsages(w, media{s.engine, tunes})
	s.operators.watch(s)
	return nil
}

// writable makes the data directory, where it is to be used, and tries it.
func writable(c *config.Config) error {
	if c.Store.Kind == "memory" {
		return nil
	}
	if err := os.MkdirAll(c.DataDir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.DataDir, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func musicDir(c *config.Config) string {
	if filepath.IsAbs(c.Media.MusicDir) || c.File == "" {
		return c.Media.MusicDir
	}
	return filepath.Join(filepath.Dir(c.File), c.Media.MusicDir)
}

// Run serves until ctx ends, then refuses new parks, ends the calls and stops.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	var wg sync.WaitGroup
	fail := make(chan error, 2)
	wg.Go(func() { s.runner.Run(s.ctx) })
	wg.Go(func() { fail <- s.endpoint.Serve(s.ctx) })
	wg.Go(func() {
		if err := s.operators.serve(); err != nil {
			fail <- err
		}
	})
	var err error
	select {
	case <-s.endpoint.Ready():
		s.ready()
		select {
		case err = <-fail:
		case <-ctx.Done():
		}
	case err = <-fail:
	case <-ctx.Done():
	}
	s.stop()
	wg.Wait()
	return err
}

func (s *Server) ready() {
	s.operators.admin.SetReady(true)
	for _, l := range s.o.Listeners {
		s.log.Info().Str("network", l.Network).Str("address", address(l)).Msg("listening")
	}
	s.log.Info().Str("version", s.o.Version).Int("orbits", len(s.o.Config.Orbits)).Msg("ready")
	if s.o.Ready != nil {
		s.o.Ready()
	}
}

// stop: refuse, drain, close, under a deadline.
func (s *Server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.operators.admin.SetReady(false)
	_ = s.runner.Ask(ctx, orbit.Drain{End: true})
	s.log.Info().Int("legs", s.legs.Count()).Msg("stopping")
	s.legs.Close(ctx)
	s.notifier.Close()
	s.operators.stop(ctx)
	s.cancel()
}

// close releases everything that New opened.
func (s *Server) close() {
	s.cancel()
	if s.endpoint != nil {
		s.endpoint.Shutdown()
	} else {
		for _, l := range s.o.Listeners {
			closeListener(l)
		}
	}
	if s.operators != nil {
		s.operators.close()
	}
	if s.engine != nil {
		s.engine.Close()
	}
	if s.wheel != nil {
		s.wheel.Close()
	}
	if s.o.Store != nil {
		s.o.Store.Close()
	}
}
