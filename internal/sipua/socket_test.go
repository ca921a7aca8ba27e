package sipua

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// certificate makes a self-signed one for the loopback addresses.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "parkd test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// onSockets makes an endpoint with real listeners; networks as udp, tcp, tls.
func onSockets(t *testing.T, ip string, cert tls.Certificate, pool *x509.CertPool, setup func(*Endpoint), networks ...string) *Endpoint {
	t.Helper()
	o := Options{Settings: local(), DialTLS: &tls.Config{RootCAs: pool}}
	for _, network := range networks {
		if network == "udp" {
			c, err := net.ListenPacket("udp", net.JoinHostPort(ip, "0"))
			if err != nil {
				t.Skipf("no socket on %s here: %v", ip, err)
			}
			o.Listeners = append(o.Listeners, Listener{Network: network, Packet: c})
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			t.Fatal(err)
		}
		if network == "tls" {
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
		}
		o.Listeners = append(o.Listeners, Listener{Network: network, Stream: l})
	}
	return run(t, o, setup)
}

func (e *Endpoint) address4test(network string) string {
	switch network {
	case "udp":
		return e.layers[0].packet.local.String()
	case "tcp":
		return e.stream.tcp.String()
	}
	return e.stream.tls.String()
}

// TestSockets: a call over each transport: INVITE, 200, ACK, and a request
// back over the same flow.
func TestSockets(t *testing.T) {
	cert, pool := certificate(t)
	for _, ip := range []string{"127.0.0.1", "::1"} {
		for _, network := range []string{"udp", "tcp", "tls"} {
			t.Run(network+" "+ip, func(t *testing.T) {
				acks := make(chan *Request, 1)
				got := make(chan *Request, 1)
				uas := onSockets(t, ip, cert, pool, func(e *Endpoint) {
					e.Handle("INVITE", func(r *Request) {
						c := e.Contact("701", r.Flow)
						r.Reply(200, "", &c)
						got <- r
					})
					e.HandleACK(func(r *Request) { acks <- r })
				}, "udp", "tcp", "tls")
				uac := onSockets(t, ip, cert, pool, nil, "udp", "tcp", "tls")
				ok := make(chan *sip.Response, 8)
				uri := "sip:701@" + uas.address4test(network) + ";transport=" + network
				tx := uac.Request(t.Context(), outgoing("INVITE", uri), Target{}, func(res *sip.Response, err error) {
					if err != nil {
						t.Error(err)
					} else if res.StatusCode == 200 {
						ok <- res
					}
				})
				res := within(t, ok)
				contact, _ := Addr(res, "contact")
				if want := uas.address4test(network); !strings.Contains(contact.String(), want) {
					t.Errorf("Contact %s is not %s", contact, want)
				}
				ack := outgoing("ACK", uri)
				if err := uac.Send(ack, Target{Flow: tx.Flow()}); err != nil {
					t.Error(err)
				}
				within(t, acks)
				r := within(t, got)
				if r.Flow.Network != network || !r.Trusted {
					t.Errorf("flow %v, trusted %v", r.Flow, r.Trusted)
				}
				back := make(chan error, 4)
				uas.Request(t.Context(), outgoing("OPTIONS", "sip:ann@192.0.2.1"), Target{Flow: r.Flow, Addr: r.Flow.Remote.String()},
					func(res *sip.Response, err error) {
						if err == nil && res.StatusCode != 200 {
							err = errors.New(res.Reason)
						}
						back <- err
					})
				if err := within(t, back); err != nil {
					t.Errorf("back over the flow: %v", err)
				}
				tx.Abandon()
			})
		}
	}
}

func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
	}
	panic("not reached")
}

// TestLarge: a request that is too long for UDP goes by TCP where the peer
// takes it, else by UDP all the same (RFC 3261 18.1.1).
func TestLarge(t *testing.T) {
	cert, pool := certificate(t)
	for _, row := range []struct {
		name  string
		peer  []string
		want  string
		total int // bytes of body
	}{
		{"short", []string{"udp"}, "udp", 10},
		{"long, no TCP at the peer", []string{"udp"}, "udp", 3000},
		{"very long, no TCP at the peer", []string{"udp"}, "udp", 20000},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := make(chan *Request, 8)
			uas := onSockets(t, "127.0.0.1", cert, pool, func(e *Endpoint) {
				e.Handle("SUBSCRIBE", func(r *Request) { r.Reply(200, ""); got <- r })
			}, row.peer...)
			uac := onSockets(t, "127.0.0.1", cert, pool, nil, "udp", "tcp")
			sendLarge(t, uac, uas.address4test("udp"), row.total)
			if r := within(t, got); r.Flow.Network != row.want || len(r.Body()) != row.total {
				t.Errorf("came by %s with %d bytes", r.Flow.Network, len(r.Body()))
			}
		})
	}
	t.Run("long, TCP on the same port", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			l.Close()
			t.Skipf("the UDP port is taken: %v", err)
		}
		got := make(chan *Request, 8)
		uas := run(t, Options{Settings: local(), Listeners: []Listener{{Network: "udp", Packet: c}, {Network: "tcp", Stream: l}}},
			func(e *Endpoint) { e.Handle("SUBSCRIBE", func(r *Request) { r.Reply(200, ""); got <- r }) })
		uac := onSockets(t, "127.0.0.1", cert, pool, nil, "udp", "tcp")
		list, err := uac.hops(t.Context(), outgoing("SUBSCRIBE", "sip:701@"+uas.address4test("udp")), Target{})
		if err != nil || list[0].large {
			t.Errorf("%+v, %v", list, err)
		}
		long := outgoing("SUBSCRIBE", "sip:701@"+uas.address4test("udp"))
		long.SetBody(make([]byte, 3000))
		if list = uac.large(long, Target{}, list); len(list) != 2 || list[0].network != "tcp" || !list[0].large || list[1].large {
			t.Errorf("%+v", list)
		}
		sendLarge(t, uac, uas.address4test("udp"), 3000)
		if r := within(t, got); r.Flow.Network != "tcp" || r.Via().Transport != "TCP" {
			t.Errorf("came by %s", r.Flow.Network)
		}
		// A NAT lets no connection in: it would be tried in vain.
		sendLargeTo(t, uac, uas.address4test("udp"), Target{Addr: uas.address4test("udp"), NAT: true}, 3000)
		if r := within(t, got); r.Flow.Network != "udp" || len(r.Body()) != 3000 {
			t.Errorf("came by %s to a NAT", r.Flow.Network)
		}
	})
}

// TestLargeByItsPassword: a request that goes over UDP at first, and is too long for
// that with the answer to a challenge.
func TestLargeByItsPassword(t *testing.T) {
	cert, pool := certificate(t)
	for _, want := range []string{"tcp", "udp"} {
		t.Run(want, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.ListenPacket("udp", l.Addr().String())
			if err != nil {
				l.Close()
				t.Skipf("the UDP port is taken: %v", err)
			}
			listeners := []Listener{{Network: "udp", Packet: c}, {Network: "tcp", Stream: l}}
			if want == "udp" {
				l.Close()
				listeners = listeners[:1]
			}
			got := make(chan *Request, 8)
			challenge := digest.Challenge{Realm: "phones", Nonce: "n", QOP: []string{"auth"}}
			uas := run(t, Options{Settings: local(), Listeners: listeners}, func(e *Endpoint) {
				e.Handle("NOTIFY", func(r *Request) {
					got <- r
					if _, ok := Header(r.Request, "authorization"); ok {
						r.Reply(200, "")
					} else {
						r.Reply(401, "", sip.NewHeader("WWW-Authenticate", challenge.String()))
					}
				})
			})
			uac := onSockets(t, "127.0.0.1", cert, pool, nil, "udp", "tcp")
			set := local()
			set.Credentials = []Credential{{Realm: "phones", Username: "parkd", Password: "secret"}}
			if err := uac.Update(set); err != nil {
				t.Fatal(err)
			}
			a := told{seq: 9, end: make(chan string, 1)}
			way, _ := uac.Way(Target{URI: "sip:bob@" + uas.address4test("udp")})
			x := &Exchange{Way: way, Asker: &a}
			b := x.Begin(sip.NOTIFY, "sip:bob@"+uas.address4test("udp"))
			b = append(b, "Max-Forwards: 70\r\nFrom: <sip:701@x>;tag=a\r\nTo: <sip:bob@x>\r\nCall-ID: c\r\nCSeq: 5 NOTIFY\r\nContact: <sip:701@x>\r\n"...)
			if err := x.Start(x.Seal(b, "text/plain", bytes.Repeat([]byte("x"), 800))); err != nil {
				t.Fatal(err)
			}
			if r := within(t, got); r.Flow.Network != "udp" {
				t.Errorf("came by %s at first", r.Flow.Network)
			}
			if r := within(t, got); r.Flow.Network != want || CSeq(r.Request) != 9 || len(r.Body()) != 800 || len(r.GetHeaders("Via")) != 1 {
				t.Errorf("came by %s, want %s:\n%s", r.Flow.Network, want, r.Request)
			}
			if end := within(t, a.end); end != "200 of 9" {
				t.Error(end)
			}
		})
	}
}

// told is an Asker on a goroutine of its own.
type told struct {
	seq uint32
	end chan string
}

func (a *told) Answered(answer Answer, err error) {
	if err != nil {
		a.end <- err.Error()
		return
	}
	a.end <- fmt.Sprintf("%d of %d", answer.Code, answer.Seq)
}

func (a *told) Reseq(use func(uint32)) { use(a.seq) }

// TestSaysTCP: who asks for TCP over UDP, and takes no connection, is not tried again
// with each request.
func TestSaysTCP(t *testing.T) {
	cert, pool := certificate(t)
	got := make(chan *Request, 8)
	uas := onSockets(t, "127.0.0.1", cert, pool, func(e *Endpoint) {
		e.Handle("SUBSCRIBE", func(r *Request) { r.Reply(200, ""); got <- r })
	}, "udp")
	uac := onSockets(t, "127.0.0.1", cert, pool, nil, "udp", "tcp")
	addr := uas.address4test("udp")
	target := Target{Flow: Flow{Network: "udp", Remote: netip.MustParseAddrPort(addr)}, URI: "sip:701@" + addr + ";transport=tcp"}
	tries := func(want ...string) {
		t.Helper()
		list, err := uac.hops(t.Context(), outgoing("SUBSCRIBE", target.URI), target)
		var ways []string
		for _, h := range list {
			ways = append(ways, h.network)
		}
		if err != nil || !slices.Equal(ways, want) {
			t.Errorf("tries %v (%v), want %v", ways, err, want)
		}
	}
	tries("tcp", "udp")
	only := func(e *Endpoint, nat, want bool) { // what is too long goes by UDP
		t.Helper()
		if w, ok := e.Way(Target{URI: "sip:701@" + addr}); !ok || w.Only(nat) != want {
			t.Errorf("UDP only, behind NAT %v: %v", nat, !want)
		}
	}
	only(uac, false, false)
	only(uac, true, true)
	only(uas, false, true) // it serves no TCP
	for uri, want := range map[string]bool{target.URI: true, "sip:701@" + addr + ";Transport=TCP": true, "sips:701@" + addr: true,
		"sip:701@phone.example.com;transport=tls": true, "sip:701@" + addr: false, "sip:701@" + addr + ";transport=udp": false} {
		if got := uac.Connects(uri); got != want {
			t.Errorf("a connection to %s: %v", uri, got)
		}
	}
	if uas.Connects(target.URI) {
		t.Error("a connection where none is served")
	}
	sendLargeTo(t, uac, addr, target, 10)
	if r := within(t, got); r.Flow.Network != "udp" {
		t.Errorf("came by %s", r.Flow.Network)
	}
	tries("udp")
	only(uac, false, true)
	if uac.Connects(target.URI) {
		t.Error("a connection to whom has refused one")
	}
}

// Who has taken no connection is not tried again for as long as a subscription may go
// without being refreshed; whoever is too many is forgotten first.
func TestNoTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n noTCP
		n.add("192.0.2.1:5060")
		time.Sleep(2*time.Hour - time.Second)
		if !n.has("192.0.2.1:5060") || n.has("192.0.2.2:5060") {
			t.Error("forgotten within two hours")
		}
		time.Sleep(2 * time.Second)
		if n.has("192.0.2.1:5060") {
			t.Error("known after two hours")
		}
		for i := range maxNoTCP + 10 {
			n.add(fmt.Sprint("192.0.2.1:", i))
		}
		if len(n.at) > maxNoTCP {
			t.Errorf("%d are known", len(n.at))
		}
	})
}

var numbered atomic.Uint32

func sendLarge(t *testing.T, e *Endpoint, to string, size int) {
	t.Helper()
	sendLargeTo(t, e, to, Target{}, size)
}

func sendLargeTo(t *testing.T, e *Endpoint, to string, target Target, size int) {
	t.Helper()
	req := outgoing("SUBSCRIBE", "sip:701@"+to)
	req.CSeq().SeqNo += numbered.Add(1) // else it may be merged with the one before (RFC 3261 8.2.2.2)
	req.SetBody([]byte(strings.Repeat("x", size)))
	done := make(chan error, 4)
	e.Request(t.Context(), req, target, func(_ *sip.Response, err error) { done <- err })
	if err := within(t, done); err != nil {
		t.Error(err)
	}
}

// TestNobodyThere: a refused connection is an error at once.
func TestNobodyThere(t *testing.T) {
	cert, pool := certificate(t)
	e := onSockets(t, "127.0.0.1", cert, pool, nil, "udp", "tcp")
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	addr := l.Addr().String()
	l.Close()
	for name, uri := range map[string]string{"refused": "sip:x@" + addr + ";transport=tcp", "no such name": "sip:x@nowhere.invalid"} {
		done := make(chan error, 1)
		e.Request(t.Context(), outgoing("OPTIONS", uri), Target{}, func(_ *sip.Response, err error) { done <- err })
		if err := within(t, done); !errors.Is(err, ErrTransport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConnections: one connection too many is closed, a closed one frees its
// place, and a lost one ends its transactions.
func TestConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan string, 64)
	errs := make(chan error, 4)
	e := run(t, Options{Settings: local(), Listeners: []Listener{{Network: "tcp", Stream: l}}, MaxConns: 1,
		OnRefused: func(r string) { refused <- r }}, func(e *Endpoint) {
		e.Handle("SUBSCRIBE", func(r *Request) {
			r.Reply(200, "")
			e.Request(t.Context(), outgoing("NOTIFY", "sip:x@192.0.2.1"), Target{Flow: r.Flow}, func(_ *sip.Response, err error) { errs <- err })
		})
	})
	first, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	first.Write([]byte(wire(msg("SUBSCRIBE", "sip:701@x", "c", 1, "Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKc"))))
	text := make([]byte, 4096)
	n, _ := first.Read(text)
	if !strings.HasPrefix(string(text[:n]), "SIP/2.0 200") {
		t.Fatalf("%s", text[:n])
	}
	second, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if r := within(t, refused); r != ReasonConnections {
		t.Error(r)
	}
	first.Close()
	if err := within(t, errs); !errors.Is(err, ErrTransport) {
		t.Errorf("the lost connection's NOTIFY: %v", err)
	}
	_ = e
}

func TestNew(t *testing.T) {
	if _, err := New(Options{}); !errors.Is(err, ErrNoListen) {
		t.Error(err)
	}
	if _, err := New(Options{Listeners: []Listener{{Network: "sctp"}}}); err == nil {
		t.Error("sctp was taken")
	}
}
