package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"parkd/internal/config"
	"parkd/internal/sipua"
)

// socketBuffer is what is asked for each UDP listener, in bytes.
const socketBuffer = 4 << 20

// listen opens the SIP listeners of a configuration, all or none.
func listen(c *config.Config) ([]sipua.Listener, error) {
	var list []sipua.Listener
	for _, l := range c.SIP.Listen {
		opened, err := listenOne(c, l)
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

func listenOne(c *config.Config, l config.Listen) (sipua.Listener, error) {
	switch l.Network {
	case "udp":
		conn, err := net.ListenPacket("udp", l.Address())
		if err != nil {
			return sipua.Listener{}, err
		}
		// A flood of answers to NOTIFYs must not be lost; the system may allow less.
		_ = conn.(*net.UDPConn).SetReadBuffer(socketBuffer)
		_ = conn.(*net.UDPConn).SetWriteBuffer(socketBuffer)
		return sipua.Listener{Network: "udp", Packet: conn}, nil
	case "tls":
		conf, err := serverTLS(&c.SIP.TLS)
		if err != nil {
			return sipua.Listener{}, err
		}
		ln, err := net.Listen("tcp", l.Address())
		if err != nil {
			return sipua.Listener{}, err
		}
		return sipua.Listener{Network: "tls", Stream: tls.NewListener(ln, conf)}, nil
	}
	ln, err := net.Listen("tcp", l.Address())
	return sipua.Listener{Network: "tcp", Stream: ln}, err
}

var errNoCA = errors.New("no certificate in the file")

// serverTLS reads our certificate, and whose certificates clients must show.
func serverTLS(t *config.TLS) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if t.ClientCA == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, err
	}
	conf.ClientCAs = x509.NewCertPool()
	if !conf.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %w", t.ClientCA, errNoCA)
	}
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	return conf, nil
}

// dialTLS is how we connect to others: with our certificate if we have one.
func dialTLS(t *config.TLS) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Cert == "" {
		return conf, nil
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	conf.Certificates = []tls.Certificate{cert}
	return conf, nil
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
