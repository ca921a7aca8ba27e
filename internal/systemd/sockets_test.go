//go:build linux

package systemd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

type fakePacket struct {
	net.PacketConn
	addr *net.UDPAddr
}

func (f fakePacket) LocalAddr() net.Addr { return f.addr }

type fakeStream struct {
	net.Listener
	addr *net.TCPAddr
}

func (f fakeStream) Addr() net.Addr { return f.addr }

func udp(name, addr string) Listener {
	return Listener{Network: "udp", Name: name, Packet: fakePacket{addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))}}
}

func tcp(name, addr string) Listener {
	return Listener{Network: "tcp", Name: name, Stream: fakeStream{addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}}
}

func TestTake(t *testing.T) {
	every := netip.Addr{} // sip.listen without a host
	in := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	office := Sockets{udp("sip", "[::]:5060"), tcp("sip", "[::]:5060"), tcp("sip", "[::]:5061"), tcp(Admin, "127.0.0.1:8080")}
	tests := []struct {
		name    string
		passed  Sockets
		network string
		addr    netip.Addr
		port    uint16
		want    string // the positions taken
	}{
		{"udp for all", office, "udp", every, 5060, "0"},
		{"tcp for all", office, "tcp", every, 5060, "1"},
		{"tls by its address", office, TLS, every, 5061, "2"},
		{"admin", office, Admin, in("127.0.0.1"), 8080, "3"},
		{"another port", office, "udp", every, 5070, ""},
		{"any port", office, "udp", every, 0, ""},
		{"all of IPv4 is all, as for net.Listen", office, "udp", in("0.0.0.0"), 5060, "0"},
		{"all of IPv6", office, "udp", in("::"), 5060, "0"},
		{"one address is not all", office, "udp", in("192.0.2.7"), 5060, ""},
		{"all is not one address", Sockets{udp("sip", "192.0.2.7:5060")}, "udp", every, 5060, ""},
		{"one address", Sockets{udp("sip", "192.0.2.8:5060"), udp("sip", "192.0.2.7:5060")}, "udp", in("192.0.2.7"), 5060, "1"},
		{"an address mapped into IPv6", Sockets{udp("sip", "[::ffff:192.0.2.7]:5060")}, "udp", in("192.0.2.7"), 5060, "0"},
		{"a link's address", Sockets{udp("sip", "[fe80::1%lo]:5060")}, "udp", in("fe80::1%lo"), 5060, "0"},
		{"the same address on another link", Sockets{udp("sip", "[fe80::1%lo]:5060")}, "udp", in("fe80::1%eth0"), 5060, ""},
		{"IPv4 only", Sockets{udp("sip", "0.0.0.0:5060")}, "udp", every, 5060, "0"},
		{"IPv4 and IPv6 apart", Sockets{udp("sip", "0.0.0.0:5060"), udp("sip", "[::]:5060")}, "udp", every, 5060, "01"},
		{"tcp is not udp", Sockets{tcp("sip", "[::]:5060")}, "udp", every, 5060, ""},
		{"udp is not tls", Sockets{udp(TLS, "[::]:5061")}, TLS, every, 5061, ""},
		{"a socket named tls is not served in the clear", Sockets{tcp(TLS, "[::]:5060")}, "tcp", every, 5060, ""},
		{"tls by its name", Sockets{tcp(TLS, "[::]:5061")}, TLS, every, 5061, "0"},
		{"a socket named tls is not http", Sockets{tcp(TLS, "[::]:8080")}, Admin, every, 8080, ""},
		{"a socket named admin is not tcp", Sockets{tcp(Admin, "[::]:5060")}, "tcp", every, 5060, ""},
		{"a socket named admin is not tls", Sockets{tcp(Admin, "[::]:5061")}, TLS, every, 5061, ""},
		{"admin is served where the configuration wants it", Sockets{tcp(Admin, "0.0.0.0:8080")}, Admin, in("127.0.0.1"), 8080, ""},
		{"no such network", office, "sctp", every, 5060, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			free := slices.Clone(tt.passed)
			taken := free.Take(tt.network, netip.AddrPortFrom(tt.addr, tt.port))
			got := ""
			for _, l := range taken {
				got += fmt.Sprint(slices.Index(tt.passed, l))
			}
			if got != tt.want {
				t.Errorf("took %v, want the positions %q", taken, tt.want)
			}
			for _, l := range tt.passed {
				if slices.Contains(free, l) == slices.Contains(taken, l) {
					t.Errorf("%s is left over: %v, taken: %v", l, free, taken)
				}
			}
		})
	}
}

type descriptor interface{ File() (*os.File, error) }

// file gives a socket away as a service manager does.
func file(t *testing.T, s any, err error) *os.File {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.(io.Closer).Close() })
	f, err := s.(descriptor).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestListeners passes sockets of all kinds to another process, which serves those
// that it can.
func TestListeners(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	uf := file(t, u, err)
	s, err := net.Listen("tcp", "[::1]:0")
	sf := file(t, s, err)
	both, err := net.ListenPacket("udp", "[::]:0")
	bf := file(t, both, err)
	web, err := net.Listen("tcp", "127.0.0.1:0")
	wf := file(t, web, err)
	unix, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socketPath(t), Net: "unixgram"})
	xf := file(t, unix, err)
	conn, err := net.Dial("tcp", web.Addr().String())
	cf := file(t, conn, err)
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_, port, _ := net.SplitHostPort(both.LocalAddr().String())

	cmd := child(t, "taker", []*os.File{uf, sf, bf, wf, xf, cf, plain}, "one:stream:both:admin:unix:connection:file",
		"udp="+u.LocalAddr().String(), "tcp="+s.Addr().String(), "udp=0.0.0.0:"+port)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for lines := bufio.NewScanner(output); lines.Scan() && lines.Text() != "end"; {
		line, _, _ := strings.Cut(lines.Text(), ": file ") // what the system says of a wrong kind
		got = append(got, line)
	}
	want := []string{
		"passed udp one", "passed tcp stream", "passed udp both", "passed tcp admin",
		"passed socket unix: neither a UDP socket nor a TCP listener",
		"passed socket connection: neither a UDP socket nor a TCP listener",
		"passed socket file: neither a UDP socket nor a TCP listener",
		"took udp one", "took tcp stream", "took udp both", "left admin",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the service says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	talk(t, "udp", u.LocalAddr().String(), "one")
	talk(t, "tcp", s.Addr().String(), "stream")
	talk(t, "udp", "127.0.0.1:"+port, "both")
	input.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// talk asks a socket of the child for its name.
func talk(t *testing.T, network, addr, want string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("?")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err != nil || string(b[:n]) != want {
		t.Errorf("%s %s answers %q, %v; want %q", network, addr, b[:n], err, want)
	}
}

// Sockets that were passed to another process are not ours, as when a wrapper
// around parkd was started by the service manager.
func TestListenersOfAnotherProcess(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_FDNAMES", "sip")
	if l, err := Listeners(); l != nil || err != nil {
		t.Errorf("got %v, %v", l, err)
	}
	if v, ok := os.LookupEnv("LISTEN_FDS"); ok {
		t.Errorf("LISTEN_FDS=%s is left for children", v)
	}
}

func TestClose(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Sockets{{Network: "udp", Packet: u}, {Network: "tcp", Stream: s}}
	if err := l.Close(); err != nil || len(l) != 0 {
		t.Errorf("%v, left %v", err, l)
	}
	if err := u.Close(); err == nil {
		t.Error("the packet socket was open")
	}
	if err := s.Close(); err == nil {
		t.Error("the listener was open")
	}
}
