package sipua

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// advertised is Settings.Advertise taken apart; an empty host means none.
type advertised struct {
	host string
	port int // 0 = the listener's
}

func parseAdvertise(s string) (advertised, error) {
	if s == "" {
		return advertised{}, nil
	}
	literal := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		literal = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(literal); err == nil {
		return advertised{host: a.String()}, nil
	}
	host, port, ok := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		h, p, err := net.SplitHostPort(s)
		if err != nil {
			return advertised{}, fmt.Errorf("%w: %w", ErrSyntax, err)
		}
		host, port, ok = h, p, true
	}
	a := advertised{host: host}
	if ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return advertised{}, fmt.Errorf("port %w", ErrSyntax)
		}
		a.port = int(n)
	}
	if !isHost(host) {
		return advertised{}, fmt.Errorf("host %w", ErrSyntax)
	}
	return a, nil
}

// ParseHost reads the literal address of a URI or Via host, with or without
// brackets; an error means that it is a name.
func ParseHost(host string) (netip.Addr, error) {
	a, err := netip.ParseAddr(trimBrackets(host))
	return a.Unmap(), err
}

func trimBrackets(host string) string { return strings.Trim(host, "[]") }

// contacts remembers the local address towards a peer, for listeners on all
// addresses.
type contacts struct {
	mu    sync.Mutex // leaf
	local map[netip.Addr]netip.Addr
}

const maxContacts = 4096

// towards asks the kernel which address it would send from. Nothing is sent.
func (c *contacts) towards(remote netip.Addr) netip.Addr {
	c.mu.Lock()
	a, ok := c.local[remote]
	c.mu.Unlock()
	if ok {
		return a
	}
	conn, err := net.Dial("udp", netip.AddrPortFrom(remote, 9).String())
	if err != nil {
		return netip.Addr{}
	}
	a = addrPort(conn.LocalAddr()).Addr()
	conn.Close()
	c.mu.Lock()
	if len(c.local) >= maxContacts || c.local == nil {
		c.local = map[netip.Addr]netip.Addr{} // addresses move: a fresh look now and then
	}
	c.local[remote] = a
	c.mu.Unlock()
	return a
}

// sentBy is our host and port on a flow, as its peer reaches us.
func (e *Endpoint) sentBy(f Flow) (host string, port int) {
	host, addr := e.reachedAt(f)
	if host == "" {
		host = addr.Addr().String()
	}
	return host, int(addr.Port())
}

// appendSentBy appends the same as it stands in a Via.
func (e *Endpoint) appendSentBy(b []byte, f Flow) []byte {
	host, addr := e.reachedAt(f)
	switch {
	case host == "" && addr.Port() != 0:
		return addr.AppendTo(b)
	case host == "":
		host = addr.Addr().String()
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	b = append(b, host...)
	if addr.Port() != 0 {
		b = strconv.AppendUint(append(b, ':'), uint64(addr.Port()), 10)
	}
	return b
}

// reachedAt is where the peer at the end of a flow reaches us: at the host that
// is advertised, "" if none is, else at the address; at the port in any case.
func (e *Endpoint) reachedAt(f Flow) (host string, at netip.AddrPort) {
	listener := f.Local
	if f.Network != "udp" && e.stream != nil { // the connection may be one that we opened
		listener = e.stream.tcp
		if f.Network == "tls" || !listener.IsValid() {
			listener = e.stream.tls
		}
	}
	port := listener.Port()
	if adv := e.settings.Load().advertised; adv.host != "" {
		if adv.port != 0 {
			port = uint16(adv.port)
		}
		return adv.host, netip.AddrPortFrom(netip.Addr{}, port)
	}
	addr := f.Local.Addr()
	if at := listener.Addr(); f.Network != "udp" && f.Local.Port() != listener.Port() && at.IsValid() && !at.IsUnspecified() &&
		at.Is4() == addr.Is4() && at.IsLoopback() == addr.IsLoopback() {
		addr = at // a connection that we opened, be it from another address: there nobody listens
	}
	if !addr.IsValid() || addr.IsUnspecified() {
		addr = listener.Addr()
	}
	if (!addr.IsValid() || addr.IsUnspecified()) && f.Remote.IsValid() {
		addr = e.contacts.towards(f.Remote.Addr().Unmap())
	}
	if !addr.IsValid() || addr.IsUnspecified() {
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return "", netip.AddrPortFrom(addr.WithZone(""), port)
}

// ContactURI is the URI of Contact, as text.
func (e *Endpoint) ContactURI(user string, flow Flow) string {
	if flow.Network != "udp" {
		h := e.contact(user, flow)
		return h.Address.String()
	}
	set := e.settings.Load()
	if set.advertised.host == "" && !fixed(flow.Local.Addr()) {
		return e.newContactURI(user, flow) // it depends on whose it is, too
	}
	said := &e.said[saidSlot(user)]
	if s := said.Load(); s != nil && s.settings == set && s.user == user && s.local == flow.Local {
		return s.uri
	}
	s := &saidContact{settings: set, user: strings.Clone(user), local: flow.Local, uri: e.newContactURI(user, flow)}
	said.Store(s)
	return s.uri
}

func (e *Endpoint) newContactURI(user string, flow Flow) string {
	b := append(make([]byte, 0, 64), "sip:"...)
	if user != "" {
		b = append(append(b, EscapeUser(user)...), '@')
	}
	return string(e.appendSentBy(b, flow))
}

func (e *Endpoint) contact(user string, f Flow) sip.ContactHeader {
	host, port := e.sentBy(f)
	if port == 0 {
		port = sip.DefaultPort(f.Network) // never 0: sipgo would write it from two goroutines
	}
	h := sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: EscapeUser(user), Host: host, Port: port}}
	if f.Network == "tcp" || f.Network == "tls" {
		h.Address.UriParams = sip.HeaderParams{{K: "transport", V: f.Network}}
	}
	return h
}
