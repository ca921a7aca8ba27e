package kit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Operator uses the HTTP interface of a site's server, over connections in
// memory. It waits for an answer as long as a person does.
type Operator struct {
	client http.Client

	mu       sync.Mutex // leaf; guards all below
	listener *pipes     // of the server that runs; nil = none
}

var errNoServer = errors.New("connection refused")

// NewOperator returns an operator; it is to be set before the site starts.
func NewOperator() *Operator {
	o := &Operator{}
	o.client = http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return o.dial() },
	}}
	return o
}

// Do sends a request and returns the status, 0 if nobody answers, and the body.
func (o *Operator) Do(method, path string) (int, string) {
	req, err := http.NewRequest(method, "http://127.0.0.1:8080/api/v1"+path, nil)
	if err != nil {
		panic(err)
	}
	res, err := o.client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(body)
}

// Follow reads a stream of server-sent events until stop, which returns the data of
// all that came: status is 0 if nobody answers.
func (o *Operator) Follow(path string) (status int, stop func() []string) {
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8080/api/v1"+path, nil)
	if err != nil {
		panic(err)
	}
	client := o.client
	client.Timeout = 0
	res, err := client.Do(req)
	if err != nil {
		cancel()
		return 0, nil
	}
	var data []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if d, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				data = append(data, d)
			}
		}
	}()
	return res.StatusCode, func() []string { cancel(); <-ended; return data }
}

func (o *Operator) dial() (net.Conn, error) {
	o.mu.Lock()
	l := o.listener
	o.mu.Unlock()
	if l == nil {
		return nil, errNoServer
	}
	return l.dial()
}

// listen is the listener of the next server.
func (o *Operator) listen() net.Listener {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listener = &pipes{accept: make(chan net.Conn), done: make(chan struct{})}
	return o.listener
}

// hangUp ends all connections, as the end of the server's process does.
func (o *Operator) hangUp() {
	o.mu.Lock()
	l := o.listener
	o.listener = nil
	o.mu.Unlock()
	if l != nil {
		l.cut()
	}
}

// pipes is a listener in memory.
type pipes struct {
	accept chan net.Conn
	done   chan struct{} // closed by Close
	once   sync.Once

	mu    sync.Mutex // leaf
	conns []net.Conn // the clients' ends
}

func (l *pipes) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.accept <- server:
	case <-l.done:
		return nil, errNoServer
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, client)
	return client, nil
}

func (l *pipes) cut() {
	l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
}

// Accept implements net.Listener.
func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipes) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }
