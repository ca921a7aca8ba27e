package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"parkd/internal/admin"
	"parkd/internal/orbit"
	"parkd/internal/presence"
	"parkd/internal/rtpmusic"
	"parkd/internal/systemd"
)

// operators is what looks at the server from outside: HTTP and its figures.
type operators struct {
	admin    *admin.Server
	listener net.Listener // nil = HTTP is off
	metrics  *admin.Metrics
}

// newOperators opens the HTTP listener if one is wanted.
func newOperators(o *Options, passed *systemd.Sockets) (*operators, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	op := &operators{metrics: admin.NewMetrics(registry), listener: o.Admin}
	if op.listener != nil || o.NoAdmin || o.Config.Admin.Listen == "" {
		return op, nil
	}
	if at, err := netip.ParseAddrPort(o.Config.Admin.Listen); err == nil {
		if taken := passed.Take(systemd.Admin, at); len(taken) > 0 {
			op.listener = taken[0].Stream
			return op, nil
		}
	}
	var err error
	if op.listener, err = net.Listen("tcp", o.Config.Admin.Listen); err != nil {
		return nil, fmt.Errorf("listen for http on %s: %w", o.Config.Admin.Listen, err)
	}
	return op, nil
}

// watch joins the operators with what they look at.
func (op *operators) watch(s *Server) {
	op.admin = admin.New(admin.Options{
		Orbits: s.runner, Lamps: lampList{s.notifier, s.lamps}, Registrations: registrations{s.registrar}, Metrics: op.metrics,
		Password: s.config.Load().Admin.Password.Reveal(), Log: s.log,
		Health: s.o.Store.Fault, Status: s.status, Reload: s.reloadFor(),
	})
	op.metrics.Read(admin.Figures{
		Parked:        func() int { return parked(s.runner) },
		Direct:        s.legs.Direct,
		Subscriptions: s.notifier.Len,
		Sizes:         s.Sizes,
		Registrations: func() map[string]int { return counts(s.registrar) },
		RTP:           func() admin.RTP { return rtp(s.engine) },
		Journal:       s.o.Store.Fault,
	})
}

// status is the server's own state.
func (s *Server) status() admin.Status {
	c := s.config.Load()
	st := admin.Status{
		Version: s.o.Version, Started: s.started, Orbits: len(c.Orbits), ParkedCalls: parked(s.runner),
		Subscriptions: s.notifier.Len(), Registrations: counts(s.registrar), Shutdown: c.Shutdown, Journal: admin.Journal{Kind: c.Store.Kind},
	}
	if err := s.o.Store.Fault(); err != nil {
		st.Journal.Fault = err.Error()
	}
	at, changes, err := s.reloads.last.get()
	st.Reload = admin.Reload{At: at, Changed: changes.Keys, Restart: changes.Restart}
	if err != nil {
		st.Reload.Faults = strings.Split(err.Error(), "\n")
	}
	return st
}

// reloadFor reloads for an operator; nil where that cannot be.
func (s *Server) reloadFor() func(context.Context) (admin.Reloaded, error) {
	if s.o.Load == nil {
		return nil
	}
	return func(ctx context.Context) (admin.Reloaded, error) {
		ch, err := s.Reload(ctx)
		return admin.Reloaded{Changed: ch.Keys, Restart: ch.Restart}, err
	}
}

// parked counts the calls in orbits.
func parked(r *orbit.Runner) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var n int
	if err := r.Look(ctx, func(st *orbit.State) { n = st.Parked() }); err != nil {
		return 0 // stopping
	}
	return n
}

// serve serves HTTP until stop.
func (op *operators) serve() error {
	if op.listener == nil {
		return nil
	}
	if err := op.admin.Serve(op.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http: %w", err)
	}
	return nil
}

func (op *operators) stop(ctx context.Context) { _ = op.admin.Shutdown(ctx) } // what is left is closed

// close releases the listener of a server that was never served.
func (op *operators) close() {
	if op.listener != nil {
		op.listener.Close()
	}
}

// lampList lists subscriptions for operators. It implements admin.Lamps.
type lampList struct {
	notifier *presence.Notifier
	lamps    *lamps
}

// Resolve implements admin.Lamps.
func (l lampList) Resolve(user string) (string, bool) {
	if resource, ok := l.lamps.Resolve(user); ok {
		return resource, true
	}
	_, ok := l.lamps.Members(user)
	return user, ok
}

// Watchers implements admin.Lamps.
func (l lampList) Watchers(resource string) int { return l.notifier.Watchers(resource) }

// Lamps implements admin.Lamps.
func (l lampList) Lamps(resource string) []admin.Lamp {
	var within []string
	if l.lamps.known(resource) {
		within = l.lamps.Within(resource)
	}
	var list []admin.Lamp
	for _, s := range l.notifier.Lamps() {
		if resource == "" || s.Resource == resource || s.List && slices.Contains(within, s.Resource) {
			list = append(list, admin.Lamp(s))
		}
	}
	return list
}

// follower tells operators who follow a lamp what happens to its subscriptions. It
// implements presence.Follower.
type follower struct{ operators *operators }

// Following implements presence.Follower.
func (f follower) Following() []string { return f.operators.admin.Following() }

// Step implements presence.Follower.
func (f follower) Step(st presence.Step) {
	step := admin.Step{
		List: st.List, Event: st.Event, Watcher: st.Watcher, Source: st.Source, Agent: st.Agent, CSeq: st.CSeq, Shown: st.Shown,
		Code: st.Code, Seconds: st.Took.Seconds(), Expires: int(st.Expires / time.Second),
	}
	if st.Kind == presence.StepNotify {
		step.Version = &st.Version
	}
	f.operators.admin.Trace(st.Kind, st.Resource, st.Detail, step)
}

// rtp is what the media engine has done.
func rtp(e *rtpmusic.Engine) admin.RTP {
	s := e.Stats()
	return admin.RTP{In: s.In, Out: s.Out, Late: s.Lateness.Count, LateSum: s.Lateness.Sum, Buckets: s.Lateness.Buckets}
}
