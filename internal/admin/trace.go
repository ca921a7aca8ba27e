package admin

import (
	"net/http"
	"time"

	"parkd/internal/orbit"
)

// typeLamp is the event of a lamp's new state, typeWatcher that of somebody who
// watches it when its trace begins.
const (
	typeLamp    = "lamp"
	typeWatcher = "watcher"
)

// Step is something that happened to one watcher of a lamp: its subscription came,
// was refreshed or ended, or it was sent a NOTIFY or answered one.
type Step struct {
	List    string  `json:"list,omitempty"`  // the event list by which it is watched
	Event   string  `json:"event,omitempty"` // package
	Watcher string  `json:"watcher"`
	Source  string  `json:"source"` // network and address
	Agent   string  `json:"agent,omitempty"`
	CSeq    uint32  `json:"cseq,omitempty"`    // of the NOTIFY
	Version *uint32 `json:"version,omitempty"` // of its document
	Shown   string  `json:"shown,omitempty"`   // the call in it
	Code    int     `json:"code,omitempty"`    // of the answer
	Seconds float64 `json:"seconds,omitempty"` // from the NOTIFY to its answer
	Expires int     `json:"expires,omitempty"` // seconds, of the subscription
}

// Following are the lamps whose trace somebody follows, each once. Nobody changes
// the list.
func (s *Server) Following() []string { return *s.hub.following.Load() }

// Trace passes a step on to those who follow a lamp. It never blocks.
func (s *Server) Trace(kind, resource, detail string, step Step) {
	s.hub.tell(event{Type: kind, Orbit: resource, Detail: detail, Step: &step})
}

// trace is the stream of one lamp: its state and its watchers as they are, then
// what changes.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	resource, known := s.o.Lamps.Resolve(r.PathValue("resource"))
	if !known {
		failWith(w, r, orbit.ErrUnknown)
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	s.stream(w, r, &resource, func() []event { return s.standing(r, resource) })
}

// standing is how a lamp and its watchers are now. What changes meanwhile comes
// behind it, if it is not in it already.
func (s *Server) standing(r *http.Request, resource string) (list []event) {
	now := time.Now().UTC()
	err := s.look(r, func(st *orbit.State) {
		if v, ok := st.Lamp(resource); ok {
			e := lampOf(v)
			e.Time = now
			list = append(list, e)
		}
	})
	if err != nil { // stopping: the stream ends too
		return nil
	}
	for _, l := range s.o.Lamps.Lamps(resource) {
		step := &Step{
			Event: l.Event, Watcher: l.Watcher, Source: l.Source, Agent: l.Agent, Version: &l.Version, Shown: l.Shown,
			Code: l.Answer, Expires: int(l.Expires.Sub(now) / time.Second),
		}
		if l.List {
			step.List = l.Resource
		}
		list = append(list, event{Type: typeWatcher, Time: now, Orbit: resource, Step: step})
	}
	return list
}
