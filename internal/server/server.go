// Package server builds the parts of parkd, joins them by small adapters and
// starts and stops them. It holds no SIP, no SDP and no decisions.
package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"parkd/internal/config"
	"parkd/internal/dialog"
	"parkd/internal/leg"
	"parkd/internal/orbit"
	"parkd/internal/presence"
	"parkd/internal/register"
	"parkd/internal/rtpmusic"
	"parkd/internal/rtpmusic/library"
	"parkd/internal/sipua"
	"parkd/internal/store"
	"parkd/internal/systemd"
)

// Bounds of what strangers can ask of us in a second; the burst lets a whole
// office subscribe at once.
const (
	admissionRate  = 2000
	admissionBurst = 4000
)

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
	Load      func() (config.Config, error) // reads the configuration anew, for Reload
	Level     func(level string)            // sets the log level of a reloaded configuration
	Ready     func()                        // called once, when the server serves
}

// Server is a parkd.
type Server struct {
	o         Options
	log       zerolog.Logger
	certs     certificates
	tunes     *library.Library
	lamps     *lamps
	sockets   systemd.Sockets // opened by a service manager, until they are taken
	world     *world
	endpoint  *sipua.Endpoint
	table     *dialog.Table
	wheel     *dialog.Wheel
	engine    *rtpmusic.Engine
	legs      *leg.Manager
	notifier  *presence.Notifier
	registrar *register.Manager
	runner    *orbit.Runner
	operators *operators
	gone      map[string]error   // legs that could not be restored
	cancel    context.CancelFunc // ends what the parts do on their own
	ctx       context.Context
	deciding  lifetime // of the runner, which ends first
	reloads   reloads
	started   time.Time
	config    atomic.Pointer[config.Config]
}

// New builds a server and opens its sockets. After an error nothing is open.
func New(o Options) (*Server, error) {
	s := &Server{o: o, log: o.Log, started: time.Now()}
	s.config.Store(&o.Config)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.deciding = newLifetime()
	if err := s.build(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) build() error {
	c := s.config.Load()
	var err error
	if s.tunes, err = library.Load(musicDir(c), music(c)); err != nil {
		return fmt.Errorf("music: %w", err)
	}
	s.speak(c)
	if err := s.open(); err != nil {
		return err
	}
	if s.operators, err = newOperators(&s.o, &s.sockets); err != nil {
		return err
	}
	j := newJournal(s.o.Store, s.operators.metrics.Appended)
	kept, err := j.read()
	if err != nil {
		s.log.Error().Err(err).Msg("records of the journal set aside")
	}
	state := orbit.NewState(settings(c))
	state.Restore(kept.calls, kept.legs)
	s.world = newWorld(s.log, s.operators, state)
	if s.endpoint, err = sipua.New(s.endpointOptions(func(user string) bool { return s.lamps.known(user) })); err != nil {
		return err
	}
	s.registrar = register.New(register.Options{Endpoint: s.endpoint, Instance: instance(c), Log: s.log})
	s.wheel = dialog.NewWheel()
	s.table = dialog.NewTable(s.wheel)
	s.engine = rtpmusic.NewEngine(rtpmusic.Config{
		Ports: [2]uint16{c.Media.Ports.Low, c.Media.Ports.High}, Listen: s.o.Listen,
		DSCP: c.Media.DSCP, Latch: latching(c), Log: s.log,
	})
	s.runner = orbit.NewRunner(state, j, s.world)
	s.buildUsages(s.world, media{s.engine, s.tunes})
	s.operators.watch(s)
	s.restore(kept)
	return nil
}

// open opens the journal and the SIP sockets.
func (s *Server) open() error {
	c := s.config.Load()
	id, err := s.certs.load(&c.SIP.TLS)
	if err != nil {
		return fmt.Errorf("sip.tls: %w", err)
	}
	s.certs.use(id)
	if s.o.Store == nil {
		if s.o.Store, err = openStore(c, s.o.Version, s.log); err != nil {
			return err
		}
	}
	if s.o.Listeners == nil {
		if s.sockets, err = systemd.Listeners(); err != nil {
			s.log.Warn().Err(err).Msg("passed socket not used")
		}
		s.o.Listeners, err = listen(c, &s.certs, &s.sockets, s.log)
	}
	return err
}

// restore takes up what was kept: media, dialogs, subscriptions. Nothing is sent
// before the server serves.
func (s *Server) restore(k kept) {
	s.gone = s.legs.Restore(k.legs)
	for id, err := range s.gone {
		if err != nil { // else there was nothing of it yet
			s.log.Error().Str("leg", id).Err(err).Msg("leg cannot be restored")
			k.setAside(s.o.Store, id, false)
		}
	}
	for i := range k.calls {
		for _, id := range k.calls[i].Legs() {
			if _, ok := k.legs[id]; id != "" && !ok { // lost with a damaged journal
				s.log.Error().Str("leg", id).Str("call", k.calls[i].ID).Msg("leg has no record")
				s.gone[id] = nil
			}
		}
	}
	for id, err := range s.notifier.Restore(k.subs) {
		s.log.Error().Str("subscription", id).Err(err).Msg("subscription cannot be restored")
		k.setAside(s.o.Store, id, true)
	}
	if len(k.legs)+len(k.subs) == 0 {
		return
	}
	s.operators.metrics.Restored(len(k.calls), s.notifier.Len())
	s.log.Info().Int("calls", len(k.calls)).Int("legs", s.legs.Count()).Int("subscriptions", s.notifier.Len()).
		Dur("took", time.Since(s.started)).Msg("restored")
}

// speak has announcements made of the words that are configured. A file that is no
// word keeps nobody from parking: the built-in word is said.
func (s *Server) speak(c *config.Config) {
	if err := s.tunes.Speak(beside(c, c.Media.Announcements)); err != nil {
		s.log.Warn().Err(err).Msg("built-in words in place of files that cannot be used")
	}
}

func musicDir(c *config.Config) string { return beside(c, c.Media.MusicDir) }

// beside is a folder whose path is relative to the configuration file.
func beside(c *config.Config, dir string) string {
	if dir == "" || filepath.IsAbs(dir) || c.File == "" {
		return dir
	}
	return filepath.Join(filepath.Dir(c.File), dir)
}

// Run serves until ctx ends, then stops as the configuration has it.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	var serving sync.WaitGroup
	fail := make(chan error, 2)
	serving.Go(func() { fail <- s.endpoint.Serve(s.ctx) })
	serving.Go(func() {
		if err := s.operators.serve(); err != nil {
			fail <- err
		}
	})
	var err error
	select {
	case <-s.endpoint.Ready():
		s.deciding.run(s.runner.Run)
		for id := range s.gone {
			_ = s.runner.Do(orbit.Hangup{Leg: id}) // it runs: there is room
		}
		s.notifier.Resume()
		s.registrar.Update(accounts(s.config.Load()))
		s.ready()
		serving.Go(func() { s.manager(systemd.Watchdog(s.ctx, s.alive)) })
		select {
		case err = <-fail:
		case <-ctx.Done():
			s.manager(systemd.Stopping())
			s.linger(fail)
		}
	case err = <-fail:
	case <-ctx.Done():
	}
	s.stop()
	serving.Wait()
	return err
}

func (s *Server) ready() {
	s.operators.admin.SetReady(true)
	for _, l := range s.o.Listeners {
		s.log.Info().Str("network", l.Network).Str("address", address(l)).Msg("listening")
	}
	s.log.Info().Str("version", s.o.Version).Int("orbits", len(s.config.Load().Orbits)).Msg("ready")
	for _, l := range s.sockets {
		s.log.Warn().Stringer("socket", l).Msg("passed socket is neither in sip.listen nor admin.listen")
	}
	if err := s.sockets.Close(); err != nil {
		s.log.Warn().Err(err).Msg("passed socket not closed")
	}
	s.manager(systemd.Ready())
	if s.o.Ready != nil {
		s.o.Ready()
	}
}

// alive reports whether the decider decides: what a watchdog wants to know.
func (s *Server) alive(ctx context.Context) error {
	return s.runner.Look(ctx, func(*orbit.State) {})
}

// manager takes note of what a service manager could not be told.
func (s *Server) manager(err error) {
	if err != nil && s.ctx.Err() == nil {
		s.log.Warn().Err(err).Msg("service manager not told")
	}
}

// close releases everything that New opened.
func (s *Server) close() {
	s.deciding.end()
	s.cancel()
	if s.registrar != nil {
		s.registrar.Close(s.ctx, false)
	}
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
