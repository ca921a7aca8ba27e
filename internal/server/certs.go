package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"parkd/internal/config"
)

var errNoCA = errors.New("no certificate in the file")

// certificates are what TLS connections are made with, from their next one on.
type certificates struct {
	now atomic.Pointer[identity]
}

// identity is a certificate of ours, and whose certificates clients must show.
type identity struct {
	server *tls.Config      // nil without a certificate
	own    *tls.Certificate // nil without one
}

// load reads the files of a configuration; it changes nothing.
func (*certificates) load(t *config.TLS) (*identity, error) {
	if t.Cert == "" {
		return &identity{}, nil
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", t.Cert, t.Key, err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if t.ClientCA != "" {
		pem, err := os.ReadFile(t.ClientCA)
		if err != nil {
			return nil, err
		}
		conf.ClientCAs = x509.NewCertPool()
		if !conf.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %w", t.ClientCA, errNoCA)
		}
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return &identity{server: conf, own: &cert}, nil
}

// use puts an identity in force.
func (c *certificates) use(id *identity) { c.now.Store(id) }

// listening is how connections are accepted.
func (c *certificates) listening() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if id := c.now.Load(); id.server != nil {
			return id.server, nil
		}
		return nil, errors.New("no certificate")
	}}
}

// dialing is how we connect to others: with our certificate if we have one.
func (c *certificates) dialing() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if id := c.now.Load(); id.own != nil {
			return id.own, nil
		}
		return &tls.Certificate{}, nil
	}}
}
