package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"

	"parkd/internal/config"
	"parkd/internal/sipua"
	"parkd/internal/systemd"

	"github.com/rs/zerolog"
)

// socketBuffer is what is asked for each UDP listener, in bytes.
const socketBuffer = 4 << 20

// listen opens the SIP listeners of a configuration, all or none.
// What a service manager has opened already is taken from passed.
func listen(c *config.Config, certs *certificates, passed *systemd.Sockets, log zerolog.Logger) ([]sipua.Listener, error) {
	var list []sipua.Listener
	for _, l := range c.SIP.Listen {
		if taken := take(l, certs, passed); len(taken) > 0 {
			list = append(list, taken...)
			continue
		}
		opened, err := listenOne(certs, l, log)
		if err != nil {
			for _, o := range list {
				closeListener(o)
			}
			return nil, fmt.Errorf("listen on %s: %w", l, err)
		}
		list = append(list, opened)
	}
	return list, nil
}

// take takes over the sockets that a service manager opened for a listener. Their
// buffers are as it made them: it may have more than we could ask for.
func take(l config.Listen, certs *certificates, passed *systemd.Sockets) (list []sipua.Listener) {
	for _, p := range passed.Take(l.Network, netip.AddrPortFrom(l.Host, l.Port)) {
		if l.Network == "tls" {
			p.Stream = tls.NewListener(p.Stream, certs.listening())
		}
		list = append(list, sipua.Listener{Network: l.Network, Packet: p.Packet, Stream: p.Stream})
	}
	return list
}

func listenOne(certs *certificates, l config.Listen, log zerolog.Logger) (sipua.Listener, error) {
	switch l.Network {
	case "udp":
		conn, err := net.ListenPacket("udp", l.Address())
		if err != nil {
			return sipua.Listener{}, err
		}
		// A flood of answers to NOTIFYs must not be lost.
		if got := sipua.WidenBuffers(conn.(*net.UDPConn), socketBuffer); got > 0 && got < socketBuffer {
			log.Info().Str("listen", l.Address()).Int("bytes", got).Int("wanted", socketBuffer).
				Msg("the system allows a small receive buffer only: fewer lamps change at once (net.core.rmem_max)")
		}
		return sipua.Listener{Network: "udp", Packet: conn}, nil
	case "tls":
		ln, err := net.Listen("tcp", l.Address())
		if err != nil {
			return sipua.Listener{}, err
		}
		return sipua.Listener{Network: "tls", Stream: tls.NewListener(ln, certs.listening())}, nil
	}
	ln, err := net.Listen("tcp", l.Address())
	return sipua.Listener{Network: "tcp", Stream: ln}, err
}

func address(l sipua.Listener) string {
	if l.Packet != nil {
		return l.Packet.LocalAddr().String()
	}
	return l.Stream.Addr().String()
}

func closeListener(l sipua.Listener) {
	if l.Packet != nil {
		l.Packet.Close()
	} else {
		l.Stream.Close()
	}
}
