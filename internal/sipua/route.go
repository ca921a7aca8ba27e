package sipua

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// maxUDP is the size in bytes from which a request goes by TCP when the peer
// takes it (RFC 3261 18.1.1).
const maxUDP = 1300

// hop is one way to send a request.
type hop struct {
	layer   *layer
	network string
	addr    string         // host:port; a name only for tls, whose certificate must match it
	local   netip.AddrPort // UDP: the listener's socket
	live    bool           // over a connection that stands
	large   bool           // only for what is too long for UDP
}

// hops lists the ways to send a request, the best one first. It may ask DNS.
func (e *Endpoint) hops(ctx context.Context, req *sip.Request, to Target) ([]hop, error) {
	uri, err := e.nextHop(req, to)
	if err != nil {
		return nil, err
	}
	var list []hop
	if h, ok := e.liveHop(to.Flow); ok {
		list = append(list, h) // RFC 5923: reuse
	}
	network, addr := to.Flow.Network, to.Addr
	if network == "" {
		network = "udp"
	}
	if addr == "" {
		if network, addr, err = resolve(ctx, uri, to.Flow.Network); err != nil && len(list) == 0 && !to.Flow.Remote.IsValid() {
			return nil, err
		}
	}
	// A phone may say transport=tcp over UDP, and take no connection.
	odd := to.Flow.Network == "udp" && network != "udp" && to.Flow.Remote.IsValid()
	if addr != "" && !(odd && e.noTCP.has(addr)) {
		list = append(list, e.hopsTo(network, addr, to.Flow)...)
	}
	if odd {
		list = append(list, e.hopsTo("udp", to.Flow.Remote.String(), to.Flow)...)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s to %q: %w", network, addr, ErrNoRoute)
	}
	return list, nil
}

// nextHop is the URI that the request is sent to (RFC 3261 8.1.2). A request
// outside dialogs to a name gets the outbound proxy as its route.
func (e *Endpoint) nextHop(req *sip.Request, to Target) (sip.Uri, error) {
	var uri sip.Uri
	if to.URI != "" {
		if err := sip.ParseUri(to.URI, &uri); err != nil {
			return uri, fmt.Errorf("next hop %q: %w", to.URI, err)
		}
		return uri, nil
	}
	if r := req.Route(); r != nil {
		return r.Address, nil
	}
	proxy := e.settings.Load().proxy
	if _, err := ParseHost(req.Recipient.Host); err != nil && proxy != nil && ToTag(req) == "" && to.Addr == "" {
		req.AppendHeader(proxy.Clone())
		return proxy.Address, nil
	}
	return req.Recipient, nil
}

// liveHop is the connection that the peer came by, if it stands.
func (e *Endpoint) liveHop(f Flow) (hop, bool) {
	if e.stream == nil || f.Network != "tcp" && f.Network != "tls" || !f.Remote.IsValid() {
		return hop{}, false
	}
	c, err := e.stream.tpl.GetConnection(f.Network, f.Remote.String())
	if err != nil {
		return hop{}, false
	}
	c.TryClose()
	return hop{layer: e.stream, network: f.Network, addr: f.Remote.String(), live: true}, true
}

func (e *Endpoint) hopsTo(network, addr string, f Flow) []hop {
	if network != "udp" {
		if e.stream == nil {
			return nil
		}
		return []hop{{layer: e.stream, network: network, addr: addr}}
	}
	remote, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil
	}
	l := e.udpLayer(f, remote.Addr())
	if l == nil {
		return nil
	}
	return []hop{{layer: l, network: "udp", addr: addr, local: l.packet.local}}
}

// udpLayer is the listener that the flow came by, else one that can reach the
// address: of its family, and on the loopback only what is on the loopback.
func (e *Endpoint) udpLayer(f Flow, remote netip.Addr) *layer {
	var best *layer
	rank := 0
	for _, l := range e.layers {
		if l.packet == nil {
			continue
		}
		local := l.packet.local
		if f.Network == "udp" && f.Local == local {
			return l
		}
		if n := reach(local.Addr(), remote.Unmap()); n > rank {
			best, rank = l, n
		}
	}
	return best
}

// reach ranks how well a socket on that address reaches the peer; 0 = not.
func reach(local, remote netip.Addr) int {
	switch {
	case local.IsUnspecified() && local.Is6():
		return 2 // Go opens it for both families
	case local.Is4() != remote.Is4():
		return 0
	case local.IsUnspecified():
		return 3
	case local.IsLoopback() != remote.IsLoopback():
		return 1
	}
	return 4
}

// resolve finds network and address of a URI (RFC 3263 4). came is the network
// that the peer used itself, which counts where the URI names none.
func resolve(ctx context.Context, uri sip.Uri, came string) (network, addr string, err error) {
	network = transportOf(&uri, came)
	port := uri.Port
	if maddr, ok := URIParam(uri.UriParams, "maddr"); ok && maddr != "" {
		uri.Host = maddr
	}
	if a, err := ParseHost(uri.Host); err == nil {
		if port == 0 {
			port = sip.DefaultPort(network)
		}
		return network, netip.AddrPortFrom(a, uint16(port)).String(), nil
	}
	if uri.Host == "" {
		return network, "", fmt.Errorf("%q: %w", uri.String(), ErrNoRoute)
	}
	if network == "tls" { // the certificate is for the name
		if port == 0 {
			port = sip.DefaultTlsPort
		}
		return network, net.JoinHostPort(uri.Host, strconv.Itoa(port)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	host := uri.Host
	if port == 0 { // RFC 3263 4.2: SRV only without a port
		port = sip.DefaultPort(network)
		if _, srv, err := net.DefaultResolver.LookupSRV(ctx, "sip", network, host); err == nil && len(srv) > 0 {
			host, port = strings.TrimSuffix(srv[0].Target, "."), int(srv[0].Port)
		}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return network, "", fmt.Errorf("%q: %w: %w", host, ErrTransport, err)
	}
	for _, ip := range ips {
		if ip.Unmap().Is4() { // as sipgo: IPv4 first
			return network, netip.AddrPortFrom(ip.Unmap(), uint16(port)).String(), nil
		}
	}
	return network, netip.AddrPortFrom(ips[0], uint16(port)).String(), nil
}

// transportOf chooses the transport (RFC 3263 4.1).
func transportOf(uri *sip.Uri, came string) string {
	t, _ := URIParam(uri.UriParams, "transport")
	switch t = strings.ToLower(t); {
	case uri.Scheme == "sips", t == "tls":
		return "tls"
	case t == "tcp" && came == "tls":
		return "tls" // RFC 3261 26.2.2: the phone means the connection that it has
	case t == "tcp", t == "udp":
		return t
	case came != "":
		return came
	}
	return "udp"
}

// noTCP remembers who did not take a TCP connection, so that not every request that
// should go by one waits.
type noTCP struct {
	mu sync.Mutex // leaf
	at map[string]time.Time
}

const (
	noTCPFor = 2 * time.Hour // as long as a phone may be silent between two SUBSCRIBEs
	maxNoTCP = 20000         // as many as there are watchers
)

func (n *noTCP) add(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at == nil || len(n.at) >= maxNoTCP {
		n.at = map[string]time.Time{}
	}
	n.at[addr] = time.Now()
}

func (n *noTCP) has(addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	t, ok := n.at[addr]
	return ok && time.Since(t) < noTCPFor
}

// Connects says whether requests to a URI go by TCP or TLS because it asks for that
// (RFC 3263 4.1): if connections are served here, and whoever is there has not
// refused one lately. It asks nobody.
func (e *Endpoint) Connects(uri string) bool {
	var u sip.Uri
	if e.stream == nil || sip.ParseUri(uri, &u) != nil || transportOf(&u, "udp") == "udp" {
		return false
	}
	if _, err := ParseHost(u.Host); err != nil {
		return true // a name, of which nothing is known
	}
	_, addr, err := resolve(context.Background(), u, "udp")
	return err == nil && !e.noTCP.has(addr)
}

// connects says whether a connection to an address is worth trying.
func (e *Endpoint) connects(addr string) bool {
	return e.stream != nil && e.stream.tcp.IsValid() && !e.noTCP.has(addr)
}

// large puts TCP before UDP where a request is too long for UDP (RFC 3261
// 18.1.1) and connections are served here at all.
func (e *Endpoint) large(req *sip.Request, to Target, list []hop) []hop {
	if to.NAT || list[0].network != "udp" || !e.connects(list[0].addr) {
		return list
	}
	if !long(req) {
		return list
	}
	return append([]hop{{layer: e.stream, network: "tcp", addr: list[0].addr, large: true}}, list...)
}

// long says whether a request without its Via is too long for UDP.
func long(req *sip.Request) bool {
	const via = 120 // what that will add
	return len(req.String())+via > maxUDP
}
