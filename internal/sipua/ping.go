package sipua

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// pongLimit is how long a peer may take to answer a keep-alive (RFC 5626 4.4.1).
const pongLimit = 10 * time.Second

// pings are the keep-alives that wait for a sign of life. Whatever comes over
// the connection is one.
type pings struct {
	count   atomic.Int32
	mu      sync.Mutex // leaf
	waiting map[string][]chan struct{}
}

func (p *pings) begin(remote string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[string][]chan struct{}{}
	}
	c := make(chan struct{})
	p.waiting[remote] = append(p.waiting[remote], c)
	p.count.Add(1)
	return c
}

// end forgets a keep-alive that nobody has answered.
func (p *pings) end(remote string, c chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.waiting[remote] {
		if w == c {
			p.waiting[remote] = append(p.waiting[remote][:i], p.waiting[remote][i+1:]...)
			p.count.Add(-1)
		}
	}
	if len(p.waiting[remote]) == 0 {
		delete(p.waiting, remote)
	}
}

// read sees everything that comes over streams, in their reading goroutines.
func (p *pings) read(from sip.TransportReadProps, data []byte) ([]byte, error) {
	if p.count.Load() == 0 {
		return data, nil
	}
	remote := addrPort(from.RemoteAddr).String()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.waiting[remote] {
		close(c)
		p.count.Add(-1)
	}
	delete(p.waiting, remote)
	return data, nil
}

// Ping sends the keep-alive of RFC 5626 3.5.1 over the TCP or TLS connection of a
// flow and waits for the answer. A connection without one within 10 s is closed
// (RFC 5626 4.4.1). ErrTransport, wrapped: there is none, or it is of no use any
// more.
func (e *Endpoint) Ping(ctx context.Context, f Flow) error {
	c, err := e.stands(f)
	if err != nil {
		return unkept(f, err)
	}
	defer c.TryClose()
	answer := e.pings.begin(f.Remote.String())
	defer e.pings.end(f.Remote.String(), answer)
	if _, err := io.WriteString(c, ping); err != nil {
		c.Close()
		return unkept(f, err)
	}
	limit := time.NewTimer(pongLimit)
	defer limit.Stop()
	select {
	case <-answer:
		return nil
	case <-limit.C:
		c.Close()
		return unkept(f, ErrTimeout)
	case <-ctx.Done():
		return ctx.Err()
	case <-e.done:
		return ErrClosed
	}
}

// stream is a connection that takes bytes, as every stream of sipgo is.
type stream interface {
	sip.Connection
	io.Writer
}

// stands is the TCP or TLS connection of a flow, to be given back by TryClose.
func (e *Endpoint) stands(f Flow) (stream, error) {
	h, ok := e.liveHop(f)
	if !ok {
		return nil, net.ErrClosed
	}
	c, err := h.layer.tpl.GetConnection(h.network, h.addr)
	if err != nil {
		return nil, err
	}
	s, ok := c.(stream)
	if !ok {
		c.TryClose()
		return nil, ErrNoRoute
	}
	return s, nil
}

func unkept(f Flow, err error) error {
	return fmt.Errorf("keep-alive to %s %w: %w", f.Remote, ErrTransport, err)
}

// Towards is the way that a request to a URI would go: from which listener, and
// to which address. It may ask DNS.
func (e *Endpoint) Towards(ctx context.Context, uri string) (Flow, error) {
	var u sip.Uri
	if err := sip.ParseUri(uri, &u); err != nil {
		return Flow{}, fmt.Errorf("next hop %q: %w: %w", uri, ErrSyntax, err)
	}
	list, err := e.hops(ctx, sip.NewRequest(sip.OPTIONS, u), Target{URI: uri})
	if err != nil {
		return Flow{}, err
	}
	f := list[0].flow()
	if f.Remote.IsValid() {
		return f, nil
	}
	// A name that a certificate must match: only its address is wanted here.
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	_, port, err := sip.ParseAddr(list[0].addr)
	if err != nil {
		return f, fmt.Errorf("next hop %q: %w", uri, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Host)
	if err != nil || len(ips) == 0 {
		return f, fmt.Errorf("%q: %w: %w", u.Host, ErrTransport, err)
	}
	f.Remote = netip.AddrPortFrom(ips[0].Unmap(), uint16(port))
	return f, nil
}
