// Package admin serves operators over HTTP: orbits, calls and lamps as JSON,
// live events, metrics and health, and the two things that an operator may do
// to a call. It promises that nothing it serves blocks a decision, that every
// connection, body and queue is bounded, that no web page of another origin
// can act through an operator's browser, and that errors are problem documents
// (RFC 9457). It decides nothing: what is done to a call is asked of package
// orbit.
package admin

import (
	"context"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"

	"parkd/internal/orbit"
)

// Bounds of what clients can take.
const (
	maxConnections = 256
	maxHeader      = 16 << 10 // bytes
	maxBody        = 64 << 10 // bytes
	askTimeout     = 5 * time.Second
	writeTimeout   = 30 * time.Second
)

// Orbits are the calls, behind the goroutine that owns them.
type Orbits interface {
	Look(ctx context.Context, f func(*orbit.State)) error
	Ask(ctx context.Context, c orbit.Command) error
}

// Lamps are the subscriptions.
type Lamps interface {
	Watchers(resource string) int
	Lamps() []Lamp
}

// Lamp is a subscription as operators see it.
type Lamp struct {
	Resource string    `json:"resource"`
	Event    string    `json:"event"`
	Watcher  string    `json:"watcher"`
	Contact  string    `json:"contact"`
	Source   string    `json:"source"` // network and address
	Agent    string    `json:"agent,omitempty"`
	Since    time.Time `json:"since"`
	Expires  time.Time `json:"expires"`
	Told     time.Time `json:"told,omitzero"`     // the last NOTIFY
	Answer   int       `json:"answer,omitempty"`  // its status; 0 = none yet
	Shown    string    `json:"shown,omitempty"`   // as of the last answered one
	Silent   bool      `json:"silent,omitempty"`  // does not answer
	Version  uint32    `json:"version,omitempty"` // of the last document
}

// Options is what a Server is built from.
type Options struct {
	Orbits   Orbits
	Lamps    Lamps
	Metrics  *Metrics
	Password string // of user admin; "" = nobody is asked for one
	Log      zerolog.Logger

	// Health says what is wrong with the server, nil = nothing. It must not
	// block; may be nil.
	Health func() error
}

// Server is the HTTP interface.
type Server struct {
	o     Options
	hub   *hub
	http  *http.Server
	ready atomic.Bool
}

// New returns a server that is not ready yet.
func New(o Options) *Server {
	s := &Server{o: o, hub: newHub()}
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      writeTimeout, // the event stream sets its own
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(complaints{o.Log}, "", 0),
	}
	return s
}

// Serve serves a listener until Shutdown, and returns http.ErrServerClosed then.
func (s *Server) Serve(l net.Listener) error {
	return s.http.Serve(netutil.LimitListener(l, maxConnections))
}

// SetReady says whether /readyz is to answer 200.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// Tell passes an event on to those who watch. It never blocks.
func (s *Server) Tell(e orbit.Event) {
	s.hub.tell(event{Type: string(e.Kind), Orbit: e.Orbit, Call: e.Call, Detail: e.Detail})
}

// Show passes the new state of a lamp on to those who watch. It never blocks.
func (s *Server) Show(v orbit.View) {
	e := event{Type: "lamp", Orbit: v.Orbit, State: v.State}
	if v.Head != nil {
		e.Call = v.Head.ID
	}
	s.hub.tell(e)
}

// Shutdown ends the event streams, lets other requests finish until ctx ends,
// and closes what is left then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.SetReady(false)
	s.hub.close()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// complaints are the lines that net/http logs: bad handshakes, panics.
type complaints struct{ log zerolog.Logger }

// Write implements io.Writer.
func (c complaints) Write(line []byte) (int, error) {
	c.log.Warn().Str("error", string(line)).Msg("http")
	return len(line), nil
}
