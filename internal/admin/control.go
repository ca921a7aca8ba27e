package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"parkd/internal/orbit"
)

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	if s.o.Status == nil {
		fail(w, r, http.StatusNotImplemented, "")
		return
	}
	st := s.o.Status()
	st.Started = st.Started.UTC()
	if !st.Reload.At.IsZero() {
		st.Reload.At = st.Reload.At.UTC()
	}
	for _, list := range []*[]string{&st.Reload.Changed, &st.Reload.Restart, &st.Reload.Faults} {
		*list = listed(*list)
	}
	answer(w, st)
}

// reload has the configuration read anew. A client that leaves does not stop it
// halfway.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if s.o.Reload == nil {
		fail(w, r, http.StatusNotImplemented, "")
		return
	}
	s.o.Log.Info().Str("remote", r.RemoteAddr).Str("method", r.Method).Str("path", r.URL.Path).Msg("operator's request")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), reloadTimeout)
	defer cancel()
	done, err := s.o.Reload(ctx)
	switch {
	case err == nil:
		answer(w, Reloaded{listed(done.Changed), listed(done.Restart)})
	case errors.Is(err, orbit.ErrClosed), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		failWith(w, r, err)
	default:
		failFaulty(w, r, strings.Split(err.Error(), "\n"))
	}
}

// listed is a list that JSON shows as one even if it is empty.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// healthz is whether the process lives, for whoever would start it anew: decisions
// are made. A journal that can't be written, on a full disk say, is a warning
// beside that: a restart would heal nothing, and lose what only memory still holds.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if err := s.look(r, func(*orbit.State) {}); err != nil {
		fail(w, r, http.StatusServiceUnavailable, err.Error())
		return
	}
	health := struct {
		Status  string `json:"status"`
		Journal string `json:"journal,omitempty"` // why it is behind
	}{Status: "ok"}
	if s.o.Health != nil {
		if err := s.o.Health(); err != nil {
			health.Journal = err.Error()
		}
	}
	answer(w, health)
}

// readyz is whether SIP is served and new calls are parked: neither before the
// start is done, nor once a stop has begun. A sick journal does not change it, for
// retrieves and everything else are served all the same.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if !s.ready.Load() {
		fail(w, r, http.StatusServiceUnavailable, "not ready")
		return
	}
	answer(w, map[string]string{"status": "ready"})
}
