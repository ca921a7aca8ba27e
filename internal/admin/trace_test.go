package admin

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"parkd/internal/orbit"
)

// told is a step of a watcher of a lamp.
func told(s *Server, resource string, n uint32) {
	s.Trace("notify", resource, "", Step{Watcher: "sip:bob@example.com", Source: "udp 192.0.2.1:5060", CSeq: n, Version: &n})
}

// A lamp as it stands, then what happens to it; neither other lamps nor what others
// see of events, and nobody who follows events sees its steps.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, office(t), "")
		l, stop := serve(t, s)
		if f := s.Following(); len(f) != 0 {
			t.Errorf("nobody follows %v", f)
		}
		_, lines := l.get(t, "/api/v1/lamps/701/trace")
		_, events := l.get(t, "/api/v1/events")
		until(t, events, "retry: 2000")
		until(t, lines, "event: lamp")
		if got := until(t, lines, "data:"); got != `data: {"type":"lamp","time":"2000-01-01T00:00:00Z","orbit":"701","call":"ann","state":"parked"}` {
			t.Error(got)
		}
		until(t, lines, "event: watcher")
		if got := until(t, lines, "data:"); got != `data: {"type":"watcher","time":"2000-01-01T00:00:00Z","orbit":"701","event":"dialog","watcher":"sip:bob@example.com","source":"udp 192.0.2.1:5060","version":0,"shown":"early","code":200,"expires":848687820}` {
			t.Error(got)
		}
		until(t, lines, "event: watcher")
		until(t, lines, "data:")
		if f := s.Following(); !slices.Equal(f, []string{"701"}) {
			t.Errorf("followed: %v", f)
		}
		s.Tell(orbit.Event{Kind: orbit.KindParked, Orbit: "701"}) // seen as the lamp's state
		s.Show(orbit.View{Orbit: "702", State: "free"})
		told(s, "702", 1)
		told(s, "701", 2)
		if got := until(t, lines, "data:"); got != `data: {"type":"notify","time":"2000-01-01T00:00:00Z","orbit":"701","watcher":"sip:bob@example.com","source":"udp 192.0.2.1:5060","cseq":2,"version":2}` {
			t.Error(got)
		}
		s.Show(orbit.View{Orbit: "701", State: "free"})
		until(t, lines, "event: lamp")
		until(t, events, "event: parked")
		until(t, events, "event: lamp")
		until(t, events, "event: lamp")
		ended, others := rest(lines), rest(events)
		stop()
		for _, c := range []<-chan error{ended, others} {
			if err := <-c; err != nil {
				t.Error(err)
			}
		}
		if f := s.Following(); len(f) != 0 {
			t.Errorf("followed after the end: %v", f)
		}
	})
}

// Whoever does not read is dropped; then the lamp is followed by nobody.
func TestSlowFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, office(t), "")
		l, stop := serve(t, s)
		_, lines := l.get(t, "/api/v1/lamps/702/trace")
		until(t, lines, "event: watcher")
		for n := range uint32(traceQueue + 10) {
			told(s, "702", n)
		}
		if f := s.Following(); len(f) != 0 {
			t.Errorf("still followed: %v", f)
		}
		rest(lines)
		stop()
	})
}

func TestTooManyTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, office(t), "")
		l, stop := serve(t, s)
		for range maxTraces {
			_, lines := l.get(t, "/api/v1/lamps/701/trace")
			until(t, lines, "event: lamp")
			rest(lines)
		}
		if f := s.Following(); !slices.Equal(f, []string{"701"}) {
			t.Errorf("followed: %v", f)
		}
		_, lines := l.get(t, "/api/v1/lamps/702/trace")
		until(t, lines, "HTTP/1.1 503")
		rest(lines)
		_, lines = l.get(t, "/api/v1/events")
		until(t, lines, "retry")
		rest(lines)
		stop()
	})
}

func TestNoTrace(t *testing.T) {
	s := server(t, office(t), "")
	for _, row := range []struct {
		method, resource string
		code             int
	}{{"GET", "799", 404}, {"HEAD", "799", 404}, {"HEAD", "701", 200}, {"HEAD", "700", 200}, {"POST", "701", 405}} {
		if res := ask(s, row.method, fmt.Sprintf("/api/v1/lamps/%s/trace", row.resource)); res.StatusCode != row.code {
			t.Errorf("%s %s: %d, want %d", row.method, row.resource, res.StatusCode, row.code)
		}
	}
}
