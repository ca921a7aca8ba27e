package sockets

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"parkd/test/live"
)

const secured = "sip: {listen: [udp://HOST:5060, tls://HOST:5061], tls: {cert: cert.pem, key: key.pem}}\n"

// shown is the certificate that parkd shows to whoever connects.
func (s *site) shown(conf *tls.Config) []byte {
	s.Helper()
	conn, err := tls.Dial("tcp", s.host+":5061", conf)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Raw
}

// der is the certificate of a PEM file.
func der(cert []byte) []byte {
	block, _ := pem.Decode(cert)
	return block.Bytes
}

// Certificate files are replaced: the next connection sees the new one, those that
// are there stay, with their calls and lamps.
func TestACertificateIsReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, conf := s.certify()
	s.start(secured)
	s.log.Expect("configuration not reloaded")
	ann, bob := s.phoneTLS("ann", "tls", s.host+":5061", conf), s.phoneTLS("bob", "tls", s.host+":5061", conf)
	w := bob.Watch("701")
	w.Served()
	parked := ann.Park("701", bob, live.Offer{})
	w.Shows("early")
	old, first, since := s.shown(conf), parked.Media.Heard(), time.Now()

	cert, key := a.sign(t, s.host)
	s.file("cert.pem", cert)
	if code, body := s.reload(secured + common); code != 422 || !bytes.Equal(s.shown(conf), old) {
		t.Fatalf("a certificate without its key: %d %s", code, body)
	}
	s.file("key.pem", key)
	s.reloaded(secured)
	if !bytes.Equal(s.shown(conf), der(cert)) {
		t.Error("a new connection sees the old certificate")
	}
	s.file("key.pem", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	if code, body := s.reload(secured + common); code != 422 || !bytes.Equal(s.shown(conf), der(cert)) {
		t.Fatalf("a broken key: %d %s", code, body)
	}
	s.file("key.pem", key)

	undisturbed(t, parked, first, since)
	notes := len(w.Notes())
	conn := bob.Conn
	w.Refresh(3600)
	if n := w.Next(notes, patience); n == nil || n.Conn != conn {
		t.Error("a lamp of before is not told on its connection")
	}
	fetched := bob.Dial("*4701", live.Offer{})
	bothHear(t, parked, fetched)
	carol := s.phoneTLS("carol", "tls", s.host+":5061", conf)
	carol.Dial("702", live.Offer{}).Bye()
	fetched.Bye()
	parked.Over()
	w.Shows("terminated")
}

// From whom a certificate is asked, and whose, is a matter of the newest
// configuration; who is connected stays so.
func TestClientsAreAskedForAnotherCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, conf := s.certify()
	s.start(secured)
	s.log.Expect("configuration not reloaded")
	ann := s.phoneTLS("ann", "tls", s.host+":5061", conf)
	parked := ann.Dial("701", live.Offer{})
	first, since := parked.Media.First(1), time.Now()
	asking := strings.Replace(secured, "key: key.pem", "key: key.pem, client_ca: ca.pem", 1)
	mine, others := conf.Clone(), conf.Clone()
	other := newAuthority(t)
	mine.Certificates, others.Certificates = []tls.Certificate{pair(t, a)}, []tls.Certificate{pair(t, other)}
	at := s.host + ":5061"

	s.reloaded(asking, "sip.tls.client_ca")
	refused(t, at, conf, "without a certificate")
	refused(t, at, others, "with a stranger's certificate")
	s.phoneTLS("bob", "tls", at, mine).Dial("702", live.Offer{}).Bye()

	s.file("ca.pem", other.pem()) // another authority in the same file
	s.reloaded(asking)
	refused(t, at, mine, "with a certificate of the former authority")
	s.phoneTLS("eve", "tls", at, others).Dial("702", live.Offer{}).Bye()

	s.file("ca.pem", []byte("nothing"))
	if code, body := s.reload(asking + common); code != 422 || !strings.Contains(body, "ca.pem: no certificate") {
		t.Errorf("a broken authority: %d %s", code, body)
	}
	refused(t, at, mine, "with a certificate of the former authority")

	s.reloaded(secured, "sip.tls.client_ca")
	s.phoneTLS("joe", "tls", at, conf).Dial("702", live.Offer{}).Bye()
	undisturbed(t, parked, len(first), since)
	parked.Bye()
}
