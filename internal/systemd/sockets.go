package systemd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/coreos/go-systemd/v22/activation"
)

// Names of sockets (FileDescriptorName= of the socket unit) that say what they are
// for. A socket named TLS is never served as plain TCP, one named Admin never as SIP.
const (
	TLS   = "tls"
	Admin = "admin"
)

// ErrKind is why a passed socket cannot be used.
var ErrKind = errors.New("neither a UDP socket nor a TCP listener")

// Listener is a socket that the service manager opened, and keeps open.
type Listener struct {
	Network string         // udp or tcp
	Packet  net.PacketConn // of udp
	Stream  net.Listener   // of tcp
	Name    string         // FileDescriptorName=; the unit's name where it says none
}

// Addr is where the socket listens.
func (l Listener) Addr() netip.AddrPort {
	if l.Packet != nil {
		return l.Packet.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	return l.Stream.Addr().(*net.TCPAddr).AddrPort()
}

// String is the socket in logs: udp://[::]:5060 (sip).
func (l Listener) String() string { return fmt.Sprintf("%s://%s (%s)", l.Network, l.Addr(), l.Name) }

// Close closes our end of the socket; the service manager's stays open.
func (l Listener) Close() error {
	if l.Packet != nil {
		return l.Packet.Close()
	}
	return l.Stream.Close()
}

// Sockets are passed sockets that nobody has taken. It has one owner.
type Sockets []Listener

// Listeners returns the sockets that the service manager passed to this process
// (LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID), in its order, and takes the variables
// out of the environment: a second call returns none. An error names each socket
// that cannot be used; the others are returned beside it. Their buffers are as the
// socket unit wants them, which may be more than the process is allowed to ask for.
func Listeners() (Sockets, error) {
	var list Sockets
	var faults []error
	for _, f := range activation.Files(true) {
		l, err := listener(f)
		f.Close() // l has a descriptor of its own
		if err != nil {
			faults = append(faults, fmt.Errorf("passed socket %s: %w", f.Name(), err))
			continue
		}
		list = append(list, l)
	}
	return list, errors.Join(faults...)
}

func listener(f *os.File) (Listener, error) {
	if c, err := net.FilePacketConn(f); err == nil {
		if _, ok := c.(*net.UDPConn); ok {
			return Listener{Network: "udp", Packet: c, Name: f.Name()}, nil
		}
		c.Close()
		return Listener{}, ErrKind
	}
	s, err := net.FileListener(f)
	if err != nil {
		return Listener{}, fmt.Errorf("%w: %w", ErrKind, err)
	}
	// With Accept=yes the socket is a connection that was accepted already.
	if t, ok := s.(*net.TCPListener); ok && listening(t) {
		return Listener{Network: "tcp", Stream: s, Name: f.Name()}, nil
	}
	s.Close()
	return Listener{}, ErrKind
}

// Take takes out what serves a listener of the configuration: network is udp, tcp,
// tls or Admin (HTTP), and addr its address, whose Addr is not valid for all of them.
// There can be several: IPv4 and IPv6 apart, or one port opened many times. Sockets
// for all addresses serve each entry for all addresses, as net.Listen makes no
// difference between them either: [::]:5060, which takes IPv4 too, stands for
// udp://:5060 and for udp://0.0.0.0:5060. Port 0 wants a free port, so none of these.
func (s *Sockets) Take(network string, addr netip.AddrPort) []Listener {
	var taken []Listener
	*s = slices.DeleteFunc(*s, func(l Listener) bool {
		fits := l.serves(network) && same(l.Addr(), addr)
		if fits {
			taken = append(taken, l)
		}
		return fits
	})
	return taken
}

// Close closes what nobody has taken.
func (s *Sockets) Close() error {
	var faults []error
	for _, l := range *s {
		faults = append(faults, l.Close())
	}
	*s = nil
	return errors.Join(faults...)
}

func (l Listener) serves(network string) bool {
	switch network {
	case "udp":
		return l.Network == "udp"
	case "tcp":
		return l.Network == "tcp" && l.Name != TLS && l.Name != Admin
	case TLS:
		return l.Network == "tcp" && l.Name != Admin
	case Admin:
		return l.Network == "tcp" && l.Name != TLS
	}
	return false
}

// same tells whether a socket listens where the configuration wants it.
func same(have, want netip.AddrPort) bool {
	if have.Port() != want.Port() {
		return false
	}
	a, b := have.Addr().Unmap(), want.Addr().Unmap()
	if !b.IsValid() || b.IsUnspecified() {
		return a.IsUnspecified()
	}
	return a == b
}
