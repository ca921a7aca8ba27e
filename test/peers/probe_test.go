//go:build unix

package peers

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// answersOptions waits until a SIP program answers an OPTIONS, whatever the
// answer is.
func (s *scene) answersOptions(network, addr, name string) {
	s.Helper()
	s.eventually(func() bool { return options(network, addr) == nil }, "%s answers OPTIONS at %s %s", name, network, addr)
}

// options asks once and waits up to 300 ms.
func options(network, addr string) error {
	conn, err := net.Dial(network, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	via := strings.ToUpper(network)
	id := fmt.Sprintf("%x", time.Now().UnixNano())
	req := strings.Join([]string{
		"OPTIONS sip:ping@" + addr + " SIP/2.0",
		"Via: SIP/2.0/" + via + " " + conn.LocalAddr().String() + ";branch=z9hG4bK" + id + ";rport",
		"Max-Forwards: 70",
		"From: <sip:ping@" + conn.LocalAddr().String() + ">;tag=" + id,
		"To: <sip:ping@" + addr + ">",
		"Call-ID: " + id,
		"CSeq: 1 OPTIONS",
		"Contact: <sip:ping@" + conn.LocalAddr().String() + ">",
		"Content-Length: 0", "", "",
	}, "\r\n")
	if _, err := conn.Write([]byte(req)); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return err
	}
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(b[:n]), "SIP/2.0 ") {
		return fmt.Errorf("not a SIP answer: %.40q", b[:n])
	}
	return nil
}

// listens waits until somebody has bound a UDP socket of this scene, for
// programs that must not be asked anything because it would count as a call.
// Linux lists its sockets in /proc/net/udp, addresses with their bytes turned.
func (s *scene) listens(host, port int) {
	s.Helper()
	b := netip.MustParseAddr(s.ip(host)).As4()
	want := fmt.Sprintf(" %02X%02X%02X%02X:%04X ", b[3], b[2], b[1], b[0], port)
	s.eventually(func() bool { return strings.Contains(contents("/proc/net/udp"), want) }, "somebody listens at %s:%d", s.ip(host), port)
}
