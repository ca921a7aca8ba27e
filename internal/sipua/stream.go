package sipua

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// streamListener accepts connections for sipgo: a bounded number of them, and
// on through errors that pass (as too many open files).
type streamListener struct {
	net.Listener
	e       *Endpoint
	network string

	mu     sync.Mutex // leaf
	conns  map[*streamConn]struct{}
	closed bool
}

func newStreamListener(e *Endpoint, l Listener) *streamListener {
	return &streamListener{Listener: l.Stream, e: e, network: l.Network, conns: map[*streamConn]struct{}{}}
}

// Accept waits for the next connection; it fails only when the listener is
// closed.
func (l *streamListener) Accept() (net.Conn, error) {
	wait := readBackoff
	for {
		if l.e.frozen.Load() { // what waits is for whoever has the socket next
			<-l.e.done
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			if l.e.frozen.Load() {
				continue
			}
			if errors.Is(err, net.ErrClosed) || l.e.closed() {
				return nil, net.ErrClosed
			}
			l.e.log.Warn().Err(err).Str("network", l.network).Msg("accept failed")
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-l.e.done:
				t.Stop()
			}
			wait = min(2*wait, readBackoffs)
			continue
		}
		wait = readBackoff
		if s := l.add(c); s != nil {
			return s, nil
		}
		l.e.refused(ReasonConnections)
		c.Close()
	}
}

func (l *streamListener) add(c net.Conn) *streamConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= l.e.opts.MaxConns {
		return nil
	}
	s := &streamConn{Conn: c, l: l}
	l.conns[s] = struct{}{}
	return s
}

// Close closes the listener and its connections.
func (l *streamListener) Close() error {
	l.mu.Lock()
	l.closed = true
	conns := l.conns
	l.conns = map[*streamConn]struct{}{}
	l.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
	return l.Listener.Close()
}

// streamConn is an accepted connection. A failed write closes it, since what
// follows half a message cannot be read.
type streamConn struct {
	net.Conn
	l     *streamListener
	heard atomic.Bool
}

// SetReadDeadline gives a peer that has said nothing yet less time.
func (c *streamConn) SetReadDeadline(t time.Time) error {
	if !c.heard.Load() {
		t = time.Now().Add(firstLimit)
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *streamConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.l.e.frozen.Load() {
		<-c.l.e.done
		return 0, net.ErrClosed
	}
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
		c.connected()
	}
	return n, err
}

func (c *streamConn) Write(b []byte) (int, error) {
	c.l.e.traceWire("sent", c.l.network, c.LocalAddr(), c.RemoteAddr(), b)
	n, err := c.Conn.Write(b)
	if err != nil {
		c.Close()
	}
	return n, err
}

func (c *streamConn) Close() error {
	c.l.mu.Lock()
	delete(c.l.conns, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}
