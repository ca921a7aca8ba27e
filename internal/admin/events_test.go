package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"parkd/internal/orbit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener without a network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func listen() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// get sends a request and returns what comes back, line by line.
func (p *pipes) get(t *testing.T, path string) (net.Conn, *bufio.Scanner) {
	t.Helper()
	near, far := net.Pipe()
	p.conns <- far
	if _, err := fmt.Fprintf(near, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near, bufio.NewScanner(near)
}

// until reads lines up to one that begins with something.
func until(t *testing.T, lines *bufio.Scanner, prefix string) string {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return lines.Text()
		}
	}
	t.Fatalf("the stream ended before %q: %v", prefix, lines.Err())
	return ""
}

// rest reads on to the end of a stream: a pipe holds nothing.
func rest(lines *bufio.Scanner) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for lines.Scan() {
		}
		ended <- lines.Err()
	}()
	return ended
}

// serve runs a server in a bubble; the function that it returns ends it.
func serve(t *testing.T, s *Server) (*pipes, func()) {
	t.Helper()
	l := listen()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	synctest.Wait()
	return l, func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, office(t), "")
		l, stop := serve(t, s)
		s.Tell(orbit.Event{Kind: orbit.KindParked, Orbit: "700"}) // to nobody
		_, lines := l.get(t, "/api/v1/events")
		if got := until(t, lines, "Content-Type"); got != "Content-Type: text/event-stream" {
			t.Error(got)
		}
		until(t, lines, "retry: 2000")
		s.Tell(orbit.Event{Kind: orbit.KindParked, Orbit: "701", Call: "a", Detail: "two\nlines"})
		until(t, lines, "event: parked")
		until(t, lines, "id: 1")
		if got := until(t, lines, "data:"); got != `data: {"type":"parked","time":"2000-01-01T00:00:00Z","orbit":"701","call":"a","detail":"two\nlines"}` {
			t.Error(got)
		}
		s.Show(orbit.View{Orbit: "701", State: "parked", Head: &orbit.CallView{ID: "a"}})
		until(t, lines, "event: lamp")
		if got := until(t, lines, "data:"); got != `data: {"type":"lamp","time":"2000-01-01T00:00:00Z","orbit":"701","call":"a","state":"parked"}` {
			t.Error(got)
		}
		// A quiet stream lives, past every time-out of the server.
		for range 20 {
			until(t, lines, ":")
		}
		if got := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); got != 20*heartbeat {
			t.Errorf("20 beats in %s", got)
		}
		s.Tell(orbit.Event{Kind: orbit.KindEnded, Orbit: "701", Call: "a"})
		until(t, lines, "event: ended")
		ended := rest(lines)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A client that does not read is dropped, and nobody waits for it.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, office(t), "")
		l, stop := serve(t, s)
		_, slow := l.get(t, "/api/v1/events")
		_, quick := l.get(t, "/api/v1/events")
		until(t, slow, "retry")
		until(t, quick, "retry")
		for i := range 2 * streamQueue {
			s.Tell(orbit.Event{Kind: orbit.KindParked, Call: fmt.Sprint(i)})
			until(t, quick, "data:")
		}
		if n := s.hub.busy.Load(); n != 1 {
			t.Errorf("%d streams are left", n)
		}
		time.Sleep(streamWrite + time.Second) // the write that it blocked fails
		n := 0
		for slow.Scan() {
			n++
		}
		if n > 4*streamQueue {
			t.Errorf("%d lines were kept for a client that does not read", n)
		}
		stop()
	})
}

func TestClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, office(t), "")
		l, stop := serve(t, s)
		conn, lines := l.get(t, "/api/v1/events")
		until(t, lines, "retry")
		conn.Close()
		synctest.Wait()
		if n := s.hub.busy.Load(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
		stop()
	})
}

func TestTooManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, office(t), "")
		l, stop := serve(t, s)
		for range maxStreams {
			_, lines := l.get(t, "/api/v1/events")
			until(t, lines, "retry")
			rest(lines)
		}
		_, lines := l.get(t, "/api/v1/events")
		until(t, lines, "HTTP/1.1 503")
		until(t, lines, "Content-Type: application/problem+json")
		rest(lines)
		stop()
		if res := ask(s, "GET", "/api/v1/events"); res.StatusCode != 503 {
			t.Errorf("after the end: %d", res.StatusCode)
		}
		if res := ask(s, "HEAD", "/api/v1/events"); res.StatusCode != 200 {
			t.Errorf("HEAD: %d", res.StatusCode)
		}
	})
}

// Headers without end, and a client that never finishes them.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(t, office(t), "")
		l, stop := serve(t, s)
		near, far := net.Pipe()
		l.conns <- far
		go func() {
			fmt.Fprintf(near, "GET / HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeader))
		}()
		until(t, bufio.NewScanner(near), "HTTP/1.1 431")
		near.Close()
		near, far = net.Pipe()
		l.conns <- far
		begin := time.Now()
		fmt.Fprint(near, "GET / HTTP/1.1\r\n")
		lines := bufio.NewScanner(near)
		for lines.Scan() {
		}
		if d := time.Since(begin); d != s.http.ReadHeaderTimeout {
			t.Errorf("an unfinished request was kept for %s", d)
		}
		stop()
	})
}

func TestOnARealSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := server(t, office(t), "")
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{}}
	res, err := client.Get("http://" + l.Addr().String() + "/api/v1/orbits/701")
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	body(t, res)
	res.Body.Close()
	client.CloseIdleConnections()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
