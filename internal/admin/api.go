package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"parkd/internal/orbit"
)

// chunk is how many orbits are read between two decisions.
const chunk = 64

// methods are the handlers of one path.
type methods map[string]http.HandlerFunc

// ServeHTTP implements http.Handler.
func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if h := m[method]; h != nil {
		h(w, r)
		return
	}
	var allowed []string
	for name := range m {
		if allowed = append(allowed, name); name == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	w.Header().Set("Allow", strings.Join(allowed, ", ")) // RFC 9110 15.5.6
	fail(w, r, http.StatusMethodNotAllowed, "")
}

// Handler is everything that is served.
func (s *Server) Handler() http.Handler {
	get := func(h http.HandlerFunc) methods { return methods{http.MethodGet: h} }
	mux := http.NewServeMux()
	mux.Handle("/api/v1/orbits", get(s.orbits))
	mux.Handle("/api/v1/orbits/{ext}", get(s.orbit))
	mux.Handle("/api/v1/pools", get(s.pools))
	mux.Handle("/api/v1/calls", get(s.calls))
	mux.Handle("/api/v1/calls/{id}", methods{http.MethodDelete: s.drop})
	mux.Handle("/api/v1/calls/{id}/return", methods{http.MethodPost: s.giveBack})
	mux.Handle("/api/v1/lamps", get(s.lamps))
	mux.Handle("/api/v1/lamps/{resource}/trace", get(s.trace))
	mux.Handle("/api/v1/registrations", get(s.registrations))
	mux.Handle("/api/v1/events", get(s.events))
	mux.Handle("/api/v1/status", get(s.status))
	mux.Handle("/api/v1/reload", methods{http.MethodPost: s.reload})
	mux.Handle("/metrics", get(s.o.Metrics.handler(s.o.Log).ServeHTTP))
	mux.Handle("/healthz", get(s.healthz))
	mux.Handle("/readyz", get(s.readyz))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fail(w, r, http.StatusNotFound, "") })
	return s.guard(mux)
}

// orbitJSON is an orbit as the API shows it.
type orbitJSON struct {
	Extension string     `json:"extension"`
	Name      string     `json:"name"`
	Enabled   bool       `json:"enabled"`
	State     string     `json:"state"` // free parked returning
	Music     string     `json:"music"`
	Calls     []callJSON `json:"calls"` // the oldest first
	Watchers  int        `json:"watchers"`
}

// callJSON is a call as the API shows it.
type callJSON struct {
	ID        string     `json:"id"`
	Orbit     string     `json:"orbit,omitempty"` // only where the orbit does not stand around it
	State     string     `json:"state"`           // parked retrieving returning bridged transferring inviting
	Caller    partyJSON  `json:"caller"`
	With      *partyJSON `json:"with,omitempty"` // whom they are joined with, or who is rung
	ParkedBy  string     `json:"parked_by"`
	Since     time.Time  `json:"since"`
	ReturnsAt *time.Time `json:"returns_at,omitempty"`
	Codec     string     `json:"codec"`
}

type partyJSON struct {
	Name string `json:"name"`
	URI  string `json:"uri"`
}

func call(c *orbit.Call) callJSON {
	v := c.View()
	j := callJSON{
		ID: v.ID, State: v.State, Caller: partyJSON(v.Caller), ParkedBy: v.Parker,
		Since: v.Since.UTC().Truncate(time.Second), Codec: v.Codec,
	}
	if v.With != (orbit.Party{}) {
		with := partyJSON(v.With)
		j.With = &with
	}
	if !v.Returns.IsZero() {
		at := v.Returns.UTC().Truncate(time.Second)
		j.ReturnsAt = &at
	}
	return j
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Server) orbits(w http.ResponseWriter, r *http.Request) {
	var exts []string
	if err := s.look(r, func(st *orbit.State) { exts = st.Extensions() }); err != nil {
		failWith(w, r, err)
		return
	}
	list := make([]orbitJSON, 0, len(exts))
	for some := range slices.Chunk(exts, chunk) {
		found, err := s.read(r, some...)
		if err != nil {
			failWith(w, r, err)
			return
		}
		list = append(list, found...)
	}
	answer(w, list)
}

func (s *Server) orbit(w http.ResponseWriter, r *http.Request) {
	found, err := s.read(r, r.PathValue("ext"))
	if err == nil && len(found) == 0 {
		err = orbit.ErrUnknown
	}
	if err != nil {
		failWith(w, r, err)
		return
	}
	answer(w, found[0])
}

// read looks at some orbits at one moment. Those that are not there are left out.
func (s *Server) read(r *http.Request, exts ...string) ([]orbitJSON, error) {
	type place struct {
		view  orbit.View
		calls []orbit.Call
	}
	places := make([]place, 0, len(exts))
	err := s.look(r, func(st *orbit.State) {
		for _, ext := range exts {
			if v, ok := st.View(ext); ok {
				places = append(places, place{v, st.CallsAt(ext)})
			}
		}
	})
	if err != nil { // what was asked for may still be read
		return nil, err
	}
	list := make([]orbitJSON, len(places))
	for i, p := range places {
		list[i] = orbitJSON{
			Extension: p.view.Orbit, Name: p.view.Name, Enabled: p.view.Enabled, State: p.view.State,
			Music: p.view.Music, Calls: make([]callJSON, len(p.calls)), Watchers: s.o.Lamps.Watchers(p.view.Orbit),
		}
		for k := range p.calls {
			list[i].Calls[k] = call(&p.calls[k])
		}
	}
	return list, nil
}

// poolJSON is a pool as the API shows it.
type poolJSON struct {
	Extension string `json:"extension"`
	Free      int    `json:"free"`  // orbits that a call may take
	Total     int    `json:"total"` // all of them
	Watchers  int    `json:"watchers"`
}

func (s *Server) pools(w http.ResponseWriter, r *http.Request) {
	var pools []orbit.PoolView
	if err := s.look(r, func(st *orbit.State) { pools = st.Pools() }); err != nil {
		failWith(w, r, err)
		return
	}
	list := make([]poolJSON, len(pools))
	for i, p := range pools {
		list[i] = poolJSON{p.Extension, p.Free, p.Total, s.o.Lamps.Watchers(p.Extension)}
	}
	answer(w, list)
}

func (s *Server) calls(w http.ResponseWriter, r *http.Request) {
	var calls []orbit.Call
	err := s.look(r, func(st *orbit.State) {
		calls = make([]orbit.Call, 0, st.Held())
		for c := range st.All() {
			calls = append(calls, c)
		}
	})
	if err != nil {
		failWith(w, r, err)
		return
	}
	slices.SortFunc(calls, func(a, b orbit.Call) int { return cmp.Compare(a.Seq, b.Seq) })
	list := make([]callJSON, len(calls))
	for i := range calls {
		list[i] = call(&calls[i])
		list[i].Orbit = calls[i].Home
	}
	answer(w, list)
}

// giveBack starts a return. What comes of it is seen in the events.
func (s *Server) giveBack(w http.ResponseWriter, r *http.Request) {
	s.ask(w, r, orbit.Return{Call: r.PathValue("id")}, http.StatusAccepted)
}

func (s *Server) drop(w http.ResponseWriter, r *http.Request) {
	s.ask(w, r, orbit.Drop{Call: r.PathValue("id")}, http.StatusNoContent)
}

func (s *Server) ask(w http.ResponseWriter, r *http.Request, c orbit.Command, done int) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	err := s.o.Orbits.Ask(ctx, c)
	if errors.Is(err, orbit.ErrGone) {
		err = s.why(r, err)
	}
	if err != nil {
		failWith(w, r, err)
		return
	}
	s.o.Log.Info().Str("call", r.PathValue("id")).Str("remote", r.RemoteAddr).Str("method", r.Method).Msg("operator's request")
	w.WriteHeader(done)
}

// why tells a call that there is not from one that is in another state.
func (s *Server) why(r *http.Request, err error) error {
	var c orbit.Call
	var there bool
	if look := s.look(r, func(st *orbit.State) { c, there = st.Call(r.PathValue("id")) }); look != nil {
		return look
	}
	if there {
		return errBusy{c.Phase.String()}
	}
	return err
}

func (s *Server) look(r *http.Request, f func(*orbit.State)) error {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	return s.o.Orbits.Look(ctx, f)
}

func (s *Server) lamps(w http.ResponseWriter, r *http.Request) {
	lamps := s.o.Lamps.Lamps(r.URL.Query().Get("resource"))
	if lamps == nil {
		lamps = []Lamp{}
	}
	answer(w, lamps)
}

func (s *Server) registrations(w http.ResponseWriter, _ *http.Request) {
	list := []Registration{}
	if s.o.Registrations != nil {
		list = s.o.Registrations.Registrations()
	}
	answer(w, list)
}
