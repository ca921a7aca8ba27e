// Package admin serves operators over HTTP: orbits, calls, lamps and the server's
// own state as JSON, live events, metrics and health, the two things that an
// operator may do to a call, and the reload of the configuration. It promises that nothing it serves blocks a decision, that every
// connection, body and queue is bounded, that no web page of another origin
// can act through an operator's browser, and that errors are problem documents
// (RFC 9457). It decides nothing: what is done to a call is asked of package
// orbit, and what a reload changes, of whoever gave Options.
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
	reloadTimeout  = 25 * time.Second // music is read anew
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
	// Lamps lists the subscriptions to a resource, and to event lists that it is in;
	// "" = all.
	Lamps(resource string) []Lamp
	Resolve(user string) (resource string, known bool) // what a phone may subscribe to
}

// Lamp is a subscription as operators see it.
type Lamp struct {
	Resource string    `json:"resource"`
	List     bool      `json:"list,omitempty"` // an event list
	Event    string    `json:"event"`
	Watcher  string    `json:"watcher"`
	Contact  string    `json:"contact"`
	Source   string    `json:"source"` // network and address
	Agent    string    `json:"agent,omitempty"`
	Since    time.Time `json:"since"`
	Expires  time.Time `json:"expires"`
	Told     time.Time `json:"told,omitzero"`     // the last NOTIFY
	Answer   int       `json:"answer,omitempty"`  // its status; 0 = none yet
	Shown    string    `json:"shown,omitempty"`   // as of the last answered one; not of a list
	Lit      int       `json:"lit,omitempty"`     // of a list: members that show a call, as of what was answered
	Silent   bool      `json:"silent,omitempty"`  // does not answer
	Version  uint32    `json:"version,omitempty"` // of the last document
}

// Registrations are the registrations with hosted PBXs.
type Registrations interface{ Registrations() []Registration }

// Registration is a registration as operators see it.
type Registration struct {
	AOR       string    `json:"aor"`
	Registrar string    `json:"registrar"`
	Extension string    `json:"extension"` // where its calls come to
	State     string    `json:"state"`     // trying registered failed
	Since     time.Time `json:"since"`     // in that state
	Expires   time.Time `json:"expires_at,omitzero"`
	Next      time.Time `json:"next_at,omitzero"` // when it is renewed, or tried again
	Contact   string    `json:"contact,omitempty"`
	Routes    []string  `json:"service_route,omitempty"`
	Error     string    `json:"error,omitempty"` // of the last try
}

// Options is what a Server is built from.
type Options struct {
	Orbits        Orbits
	Lamps         Lamps
	Registrations Registrations // nil = there can be none
	Metrics       *Metrics
	Password      string // of user admin until SetPassword; "" = nobody is asked for one
	Log           zerolog.Logger

	// Health says why the journal is behind what was decided (store.Store.Fault),
	// nil = it is not. A server that is sick in this way still serves: /healthz
	// shows it as a warning. It must not block; may be nil.
	Health func() error
	// Status is the server's own state; nil = /api/v1/status is not implemented.
	Status func() Status
	// Reload reads the configuration anew and puts it in force. A context that
	// ends does not undo what was begun. An error that says nothing about time
	// or a server that stops is a faulty configuration, of which nothing was put
	// in force, each line of its text one fault. Nil = not implemented.
	Reload func(context.Context) (Reloaded, error)
}

// Reloaded is what came of a reload, as dotted keys of the configuration.
type Reloaded struct {
	Changed []string `json:"changed"`
	Restart []string `json:"restart"` // those of them that wait for the next start
}

// Status is the server's own state.
type Status struct {
	Version       string         `json:"version"`
	Started       time.Time      `json:"started"`
	Orbits        int            `json:"orbits"`
	ParkedCalls   int            `json:"parked_calls"`
	Subscriptions int            `json:"subscriptions"`
	Registrations map[string]int `json:"registrations,omitempty"` // by state
	Shutdown      string         `json:"shutdown"`                // keep drain return
	Journal       Journal        `json:"journal"`
	Reload        Reload         `json:"reload"`
}

// Journal is where calls are kept.
type Journal struct {
	Kind  string `json:"kind"`            // bolt memory
	Fault string `json:"fault,omitempty"` // why it is behind what was decided
}

// Reload is the last reload. Faults: it was refused, and the configuration before
// it is in force.
type Reload struct {
	At      time.Time `json:"at,omitzero"` // zero = none since the start
	Changed []string  `json:"changed"`
	Restart []string  `json:"restart"` // what waits for the next start, of all reloads
	Faults  []string  `json:"faults"`  // FILE:LINE: key: what is wrong
}

// Server is the HTTP interface.
type Server struct {
	o        Options
	hub      *hub
	http     *http.Server
	ready    atomic.Bool
	password atomic.Pointer[string]
}

// New returns a server that is not ready yet.
func New(o Options) *Server {
	s := &Server{o: o, hub: newHub()}
	s.SetPassword(o.Password)
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

// SetReady says whether /readyz is to answer 200: between start and stop.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// SetPassword changes the password of user admin; "" = nobody is asked for one.
// Event streams that are open stay so.
func (s *Server) SetPassword(password string) { s.password.Store(&password) }

// Tell passes an event on to those who watch. It never blocks.
func (s *Server) Tell(e orbit.Event) {
	s.hub.tell(event{Type: string(e.Kind), Orbit: e.Orbit, Call: e.Call, Detail: e.Detail})
}

// Show passes the new state of a lamp on to those who watch. It never blocks.
func (s *Server) Show(v orbit.View) {
	s.hub.tell(lampOf(v))
}

func lampOf(v orbit.View) event {
	e := event{Type: typeLamp, Orbit: v.Orbit, State: v.State}
	if v.Head != nil {
		e.Call = v.Head.ID
	}
	return e
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
