package sipua

import (
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// KeepAlive sends something over a flow, so that the NATs on it keep it: over UDP an
// OPTIONS, whose answer, from the inside, is what counts for them (RFC 4787 4.3);
// over the TCP or TLS connection empty lines, which RFC 3261 7.5 has a peer ignore
// and RFC 5626 3.5.1 answer. Nobody waits for an answer, and nothing is repeated: a
// phone that has none is no worse off, and the next keep-alive follows. ErrTransport,
// wrapped: there is no such connection. Nobody waits for one that is stalled: it is
// closed after two seconds.
func (e *Endpoint) KeepAlive(f Flow) error {
	if !e.enter(&e.sending) {
		return ErrClosed
	}
	defer e.sending.Done()
	if err := e.keepAlive(f); err != nil {
		return unkept(f, err)
	}
	return nil
}

func (e *Endpoint) keepAlive(f Flow) error {
	if f.Network != "udp" {
		c, err := e.stands(f)
		if err != nil {
			return err
		}
		if !e.spawn(func() {
			defer c.TryClose()
			_, _ = io.WriteString(c, ping) // one that fails has closed the connection
		}) {
			c.TryClose()
			return ErrClosed
		}
		return nil
	}
	l := e.udpLayer(f, f.Remote.Addr())
	if l == nil {
		return ErrNoRoute
	}
	f.Local = l.packet.local
	return l.packet.send(e.nudge(f, l.exchanges.newNudge()), f.Remote)
}

// The keep-alive of a stream and its answer (RFC 5626 3.5.1).
const (
	ping = "\r\n\r\n"
	pong = "\r\n"
)

// nudge is an OPTIONS to the far end of a flow (RFC 3261 11.1), which asks nothing.
func (e *Endpoint) nudge(f Flow, branch string) []byte {
	host, port := e.sentBy(f)
	us := net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
	them := f.Remote.String()
	b := make([]byte, 0, 512)
	for _, s := range [...]string{
		"OPTIONS sip:", them, " SIP/2.0\r\nVia: SIP/2.0/UDP ", us, ";branch=", branch, ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:", us, ">;tag=", NewTag(),
		"\r\nTo: <sip:", them, ">\r\nCall-ID: ", NewCallID(), "\r\nCSeq: 1 OPTIONS\r\nContact: <sip:", us, ">\r\nAccept: application/sdp\r\n",
	} {
		b = append(b, s...)
	}
	if agent := e.settings.Load().UserAgent; agent != "" {
		b = append(append(append(b, "User-Agent: "...), Clean(agent)...), "\r\n"...)
	}
	return append(b, "Content-Length: 0\r\n\r\n"...)
}

// pinged answers a keep-alive over UDP, in the reading goroutine, and says whether
// it was one. Empty lines are answered as those over a stream are (RFC 5626 3.5.1;
// for UDP it has STUN in their place, which phones behind cheap NATs have not); a
// single one, and the zeros that some send, want no answer. An answer is never longer
// than what it answers.
func (p *packetConn) pinged(b []byte, from netip.AddrPort) bool {
	if len(b) == 0 || len(b) > len(ping) || strings.Trim(string(b), "\r\n\x00") != "" {
		return false
	}
	if string(b) == ping {
		if err := p.send([]byte(pong), from); err != nil {
			p.layer.e.log.Debug().Err(err).Msg("keep-alive not answered")
		}
	}
	return true
}
