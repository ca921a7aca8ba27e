package sockets

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parkd/test/kit/wire"
	"parkd/test/live"
)

// everywhere listens on everything.
const everywhere = `
sip:
  listen: [udp://HOST:5060, tcp://HOST:5060, tls://HOST:5061, "udp://[::1]:PORT6"]
  tls: {cert: cert.pem, key: key.pem}
media: {ports: MEDIA6}
`

// wide is the network and address of parkd that a phone uses at everywhere.
func (s *site) wide(kind string, conf *tls.Config) func(name string) *live.Phone {
	return func(name string) *live.Phone {
		s.Helper()
		switch kind {
		case "udp6":
			return s.phone(name, "udp", fmt.Sprintf("[::1]:%d", s.port6))
		case "tls":
			return s.phoneTLS(name, "tls", s.host+":5061", conf)
		}
		return s.phone(name, kind, s.host+":5060")
	}
}

func TestACallIsParkedFetchedAndEndedOverEveryNetwork(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, caller, retriever string }{
		{"UDP", "udp", "udp"}, {"UDP on IPv6", "udp6", "udp6"}, {"TCP", "tcp", "tcp"}, {"TLS", "tls", "tls"},
		{"caller UDP, retriever TLS", "udp", "tls"}, {"caller TCP, retriever UDP", "tcp", "udp"},
		{"caller IPv4, retriever IPv6", "udp", "udp6"}, {"caller IPv6, retriever TLS", "udp6", "tls"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			_, conf := s.certify()
			s.start(everywhere)
			ann, bob := s.wide(row.caller, conf)("ann"), s.wide(row.retriever, conf)("bob")

			parked := ann.Park("701", bob, live.Offer{})
			reachable(t, parked)
			if from, at := parked.Media.First(3)[0].From, parked.Media.Remote; from != at {
				t.Errorf("music comes from %s, the SDP says %s", from, at)
			}

			fetched := bob.Dial("*4701", live.Offer{})
			reachable(t, fetched)
			if got, want := fetched.Asked.Final.Get("P-Asserted-Identity"), `"ANN" <sip:ann@`; !strings.HasPrefix(got, want) {
				t.Errorf("the retriever is shown %s, want %s...", got, want)
			}
			bothHear(t, parked, fetched)
			fetched.Bye()
			parked.Over()
			s.until("orbit is free", func() bool { return s.orbit("701").State == "free" })
		})
	}
}

// reachable checks that the Contact and the SDP of a 200 name the address and
// port that the phone called, and its transport.
func reachable(t *testing.T, c *live.Call) {
	t.Helper()
	m := c.Asked.Final
	server := netip.MustParseAddrPort(c.Phone.Server)
	contact := wire.Address(m.Get("Contact"))
	if !strings.Contains(contact, "@"+server.String()) {
		t.Errorf("Contact %s, called %s", contact, server)
	}
	if stream := c.Phone.Network != "udp"; stream != strings.Contains(contact, ";transport="+c.Phone.Network) {
		t.Errorf("Contact %s over %s", contact, c.Phone.Network)
	}
	if got := c.Media.Remote.Addr(); got != server.Addr() {
		t.Errorf("SDP names %s, called %s", got, server.Addr())
	}
}

// bothHear checks that the parties of a call hear each other.
func bothHear(t *testing.T, a, b *live.Call) {
	t.Helper()
	fromA, fromB := a.Media.Heard(), b.Media.Heard()
	a.Media.Talk(700)
	b.Media.Talk(1100)
	a.Media.Tone(1100, fromA)
	b.Media.Tone(700, fromB)
}

func TestAListenerOnEveryAddressNamesTheOneThatThePhoneReached(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(`
sip: {listen: ["udp://:PORT6", "tcp://:PORT6"]}
media: {ports: MEDIA6}
`)
	port := fmt.Sprint(s.port6)
	for i, row := range []struct{ network, host string }{
		{"udp", "127.0.0.1"}, {"udp", "::1"}, {"tcp", "127.0.0.1"}, {"tcp", "::1"}, {"tcp", s.host},
	} {
		ext := fmt.Sprint(701 + i)
		p := s.phone(fmt.Sprintf("ann%d", i), row.network, net.JoinHostPort(row.host, port))
		c := p.Dial(ext, live.Offer{})
		reachable(t, c)
		c.Media.Hear(3)
		l := p.Watch(ext)
		l.Served()
		if n := l.Shows("early"); !strings.Contains(n.Head.Get("Contact"), "@"+p.Server) {
			t.Errorf("NOTIFY from %s, subscribed at %s", n.Head.Get("Contact"), p.Server)
		}
		c.Bye()
	}
}

func TestOnlyClientsWithACertificateAreServedWhereItIsAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, conf := s.certify()
	s.start(`
sip:
  listen: [tls://HOST:5061]
  tls: {cert: cert.pem, key: key.pem, client_ca: ca.pem}
`)
	refused(t, s.host+":5061", conf, "without a certificate")

	foreign := conf.Clone()
	foreign.Certificates = []tls.Certificate{pair(t, newAuthority(t))}
	refused(t, s.host+":5061", foreign, "with a stranger's certificate")

	good := conf.Clone()
	good.Certificates = []tls.Certificate{pair(t, a)}
	ann := s.phoneTLS("ann", "tls", s.host+":5061", good)
	parked := ann.Dial("701", live.Offer{})
	parked.Media.Hear(5)
	parked.Bye()
}

func pair(t *testing.T, a *authority) tls.Certificate {
	t.Helper()
	cert, key := a.sign(t)
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refused checks that a server ends a client's connection. In TLS 1.3 the
// client learns of that with its first read.
func refused(t *testing.T, addr string, conf *tls.Config, who string) {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, conf)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience)) // a socket takes it
	if _, err := conn.Write([]byte("OPTIONS sip:" + addr + " SIP/2.0\r\n")); err != nil {
		return
	}
	_, err = conn.Read(make([]byte, 1))
	if err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("a client %s is served (%v)", who, err)
	}
}
