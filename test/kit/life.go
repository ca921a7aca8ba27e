package kit

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"parkd/internal/rtpmusic"
	"parkd/internal/server"
	"parkd/internal/sipua"
	"parkd/test/kit/phone"
)

// life is one server of a site, from its start to its end.
type life struct {
	stop   context.CancelFunc
	ctx    context.Context
	ended  chan error    // its Run has returned
	ready  chan struct{} // closed when it serves
	voice  *voice
	cutter *cutter
	struck chan struct{}  // closed when it was cut or killed
	server *server.Server // set before ready is closed
}

// Start starts the server and waits until it serves, or is cut.
func (s *Site) Start() {
	s.T.Helper()
	if _, err := s.begin(); err != nil {
		s.T.Fatal(err)
	}
}

// begin is Start for any goroutine.
func (s *Site) begin() (*life, error) {
	l := &life{ended: make(chan error, 1), ready: make(chan struct{}), voice: s.Log.voice(), struck: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.cutter = newCutter(func(c Cut) { s.strike(l, c) })
	o, err := s.options(l)
	if err != nil {
		return nil, err
	}
	srv, err := server.New(o)
	if err != nil {
		return nil, err
	}
	l.server = srv
	go func() { l.ended <- srv.Run(l.ctx) }()
	select {
	case <-l.ready:
	case <-l.struck:
	case err := <-l.ended:
		l.ended <- err
		return nil, errEarlyEnd
	case <-time.After(phone.Patience):
		return nil, errNotReady
	}
	return l, nil
}

// options are what the next server is made of. It is the site's from now on,
// since it may be cut before it is made.
func (s *Site) options(l *life) (server.Options, error) {
	conn, err := s.Net.Listen(Server)
	if err != nil {
		return server.Options{}, err
	}
	o := server.Options{
		Config:    s.Config,
		Log:       l.voice.logger(),
		Listeners: []sipua.Listener{{Network: "udp", Packet: &cutConn{Conn: conn, c: l.cutter}}},
		Listen:    s.listenMedia,
		NoAdmin:   true,
		Load:      s.load,
		Ready:     func() { close(l.ready) },
	}
	if s.Operator != nil {
		o.NoAdmin, o.Admin = false, s.Operator.listen()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Store = s.Store; s.medium != nil {
		o.Store = newDisk(s.medium, s.slow, l.cutter)
	}
	if len(s.cuts) > 0 {
		l.cutter.arm(s.cuts[0])
		s.cuts = s.cuts[1:]
	}
	s.life = l
	return o, nil
}

// running is the server that runs; nil = none.
func (s *Site) running() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life
}

// Drain asks the server to stop and returns at once; Stopped waits for it.
func (s *Site) Drain() { s.running().stop() }

// Stopped waits until the server has stopped, and checks that it holds nothing
// any more.
func (s *Site) Stopped() {
	s.T.Helper()
	l := s.running()
	select {
	case err := <-l.ended:
		if err != nil {
			s.T.Errorf("server: %v", err)
		}
	case <-time.After(time.Minute):
		s.T.Fatal("server does not stop")
	}
	s.mu.Lock()
	s.life = nil
	s.mu.Unlock()
	if left := s.Net.Bound(Server.Addr()); len(left) > 0 {
		s.T.Errorf("server has stopped and still has bound %v", left)
	}
}

// Stop stops the server.
func (s *Site) Stop() {
	s.T.Helper()
	s.Drain()
	s.Stopped()
}

// Kill ends the server as a power cut would: at once, without a word, and its
// addresses are free for the next Start. What is left of it winds down unheard.
func (s *Site) Kill() { s.kill(s.running()) }

// kill reports whether the server was still alive.
func (s *Site) kill(l *life) bool {
	s.mu.Lock()
	if l == nil || s.life != l {
		s.mu.Unlock()
		return false
	}
	s.life = nil
	s.killed = append(s.killed, l)
	if s.medium != nil {
		s.medium = s.medium.Reopen() // fences the old handle
	}
	s.mu.Unlock()
	s.Net.Orphan(Server.Addr())
	if s.Operator != nil {
		s.Operator.hangUp()
	}
	l.voice.mute()
	l.stop()
	close(l.struck)
	return true
}

// end ends everything that still runs. Nothing is cut any more.
func (s *Site) end() {
	s.mu.Lock()
	s.cuts = nil
	if s.life != nil {
		s.life.cutter.disarm()
	}
	s.mu.Unlock()
	s.settle()
	if l := s.running(); l != nil {
		l.stop()
		<-l.ended
	}
	s.mu.Lock()
	killed := s.killed
	s.life = nil
	s.mu.Unlock()
	for _, l := range killed {
		<-l.ended
	}
}

// listenMedia binds a media socket of the server.
func (s *Site) listenMedia(addr netip.AddrPort) (rtpmusic.Conn, error) {
	if s.Down.Load() {
		return nil, fmt.Errorf("listen on %s: %w", addr, syscall.EADDRNOTAVAIL)
	}
	return s.Net.Listen(addr)
}
