package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the event streams.
const (
	maxStreams  = 64
	maxTraces   = 8     // of them: their queues are long, 2 MB each
	streamQueue = 256   // a client that is further behind is dropped; it connects again by itself
	traceQueue  = 16384 // of one that follows a lamp: 1,000 watchers are told within milliseconds
	heartbeat   = 15 * time.Second
	streamWrite = 10 * time.Second // for one write to a client
)

// event is what a stream carries.
type event struct {
	Type   string    `json:"type"` // parked retrieved returning returned ended lamp, kept transferred
	Time   time.Time `json:"time"`
	Orbit  string    `json:"orbit"`
	Call   string    `json:"call,omitempty"`
	State  string    `json:"state,omitempty"` // of a lamp
	Detail string    `json:"detail,omitempty"`
	*Step            // of a lamp's trace only
	number uint64
}

// hub hands events to streams. Telling never blocks: whoever does not keep up
// is dropped.
type hub struct {
	busy      atomic.Int32             // streams: what is told to nobody costs nothing
	following atomic.Pointer[[]string] // lamps that some of them follow, each once

	mu      sync.Mutex             // leaf
	streams map[chan event]*string // to the lamp that it follows; nil = it is told every event
	traces  int
	number  uint64
	closed  bool
}

func newHub() *hub {
	h := &hub{streams: map[chan event]*string{}}
	h.count()
	return h
}

// count notes what the streams are. The lock is held, or nobody has the hub yet.
func (h *hub) count() {
	h.busy.Store(int32(len(h.streams)))
	var lamps []string
	h.traces = 0
	for _, lamp := range h.streams {
		if lamp == nil {
			continue
		}
		h.traces++
		if !slices.Contains(lamps, *lamp) {
			lamps = append(lamps, *lamp)
		}
	}
	h.following.Store(&lamps)
}

// join returns a stream of events, or of one lamp's steps and states, closed by
// the hub when it ends; nil if there are too many or the hub is closed.
func (h *hub) join(lamp *string) chan event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.streams) >= maxStreams || lamp != nil && h.traces >= maxTraces {
		return nil
	}
	queue := streamQueue
	if lamp != nil {
		queue = traceQueue
	}
	c := make(chan event, queue)
	h.streams[c] = lamp
	h.count()
	return c
}

// leave ends a stream, if it has not ended already.
func (h *hub) leave(c chan event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(c)
}

func (h *hub) drop(c chan event) {
	if _, known := h.streams[c]; known {
		delete(h.streams, c)
		close(c)
		h.count()
	}
}

func (h *hub) tell(e event) {
	if h.busy.Load() == 0 {
		return
	}
	e.Time = time.Now().UTC()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.number++
	e.number = h.number
	for c, lamp := range h.streams {
		if !e.concerns(lamp) {
			continue
		}
		select {
		case c <- e:
		default:
			h.drop(c)
		}
	}
}

// concerns reports whether a stream is to have an event: steps are for those who
// follow that lamp.
func (e *event) concerns(lamp *string) bool {
	if lamp == nil {
		return e.Step == nil
	}
	return *lamp == e.Orbit && (e.Step != nil || e.Type == typeLamp)
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.streams {
		h.drop(c)
	}
}

// events is a stream of server-sent events (WHATWG HTML 9.2).
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	s.stream(w, r, nil, nil)
}

// stream sends the events of a stream, or of one lamp's, until the client goes;
// after what the function first, which may be nil, has.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, lamp *string, first func() []event) {
	c := s.hub.join(lamp)
	if c == nil {
		w.Header().Set("Retry-After", "5")
		fail(w, r, http.StatusServiceUnavailable, "too many event streams, or shutting down")
		return
	}
	defer s.hub.leave(c)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes it on at once
	out := stream{w, http.NewResponseController(w)}
	err := out.write("retry: 2000\n\n")
	if first != nil {
		for _, e := range first() {
			if err == nil {
				err = out.event(e)
			}
		}
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for err == nil {
		select {
		case e, more := <-c:
			if !more {
				return
			}
			err = out.event(e)
		case <-beat.C:
			err = out.write(":\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s stream) event(e event) error {
	data, err := json.Marshal(e) // on one line, whatever a caller's name holds
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", e.Type, e.number, data))
}

func (s stream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
