//go:build unix

package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"
)

// certificates makes a certificate authority and a server certificate that it
// signed for an address, as PEM files.
func (s *scene) certificates(ip string) (ca, cert, key string) {
	s.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)
	if err != nil {
		s.Fatal(err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: ip},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		IPAddresses: []net.IP{net.ParseIP(ip)}, DNSNames: []string{ip},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), caKey)
	if err != nil {
		s.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		s.Fatal(err)
	}
	file := func(name, kind string, der []byte) string {
		return s.write(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), "tls", name)
	}
	return file("ca.pem", "CERTIFICATE", rootDER), file("cert.pem", "CERTIFICATE", leafDER), file("key.pem", "PRIVATE KEY", keyDER)
}

// Ann parks herself over TLS and is fetched over TLS. Her phone listens to no
// TLS port: all that parkd has to say must come over her connection. (baresip
// 1.0 encrypts, but does not yet check whose certificate it is.)
func TestTLSWithBaresip(t *testing.T) {
	s := newScene(t, "baresip")
	s.shows("baresip", encrypts)
	ca, cert, key := s.certificates(s.ip(hostParkd))
	p := s.parkd(config{
		listen: fmt.Sprintf(`, "tls://%s:%d"`, s.ip(hostParkd), sipsPort),
		sip:    fmt.Sprintf(", tls: {cert: %q, key: %q}", cert, key),
	})
	target := func(user string) string {
		return fmt.Sprintf("sip:%s@%s:%d;transport=tls", user, s.ip(hostParkd), sipsPort)
	}
	a := s.baresip(baresipOptions{user: "ann", host: hostPhone, tone: toneCaller, ca: ca})
	a.do("dial", target("701"))
	p.holds("701", 1)
	s.eventually(func() bool { return a.heard().hearsMusic() }, "ann hears music")
	carol := s.baresip(baresipOptions{user: "carol", host: hostPhone + 1, tone: toneRetriever, ca: ca})
	carol.do("dial", target("*4701"))
	s.eventually(func() bool { return a.heard().hears(toneRetriever) >= 5 }, "ann hears carol")
	s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears ann")
	a.do("hangup", "")
	carol.expectEvent("CALL_CLOSED", 1)
	p.empty()
}
