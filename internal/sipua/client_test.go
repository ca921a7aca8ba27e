package sipua

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"parkd/internal/sipua/fakenet"
)

// outgoing builds a request of ours without Via.
func outgoing(method sip.RequestMethod, uri string) *sip.Request {
	var u sip.Uri
	if err := sip.ParseUri(uri, &u); err != nil {
		panic(err)
	}
	req := sip.NewRequest(method, u)
	req.AppendHeader(&sip.FromHeader{DisplayName: "a\"b\r\nc", Address: sip.Uri{Scheme: "sip", User: "park", Host: "10.0.0.1"}, Params: sip.HeaderParams{{K: "tag", V: "us"}}})
	req.AppendHeader(&sip.ToHeader{Address: u})
	id := sip.CallIDHeader("out1")
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 5, MethodName: method})
	return req
}

// results collects what a callback is given.
type results struct {
	mu   sync.Mutex
	list []string
}

func (l *results) f(res *sip.Response, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.list = append(l.list, fault(err))
		return
	}
	l.list = append(l.list, fmt.Sprint(res.StatusCode))
}

// fault is why no response came, in a word.
func fault(err error) string {
	switch {
	case errors.Is(err, ErrTimeout):
		return "timeout"
	case errors.Is(err, ErrTransport):
		return "transport"
	case errors.Is(err, ErrClosed):
		return "closed"
	}
	return err.Error()
}

func (l *results) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.list, " ")
}

func (l *results) want(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	if got := l.String(); got != want {
		t.Errorf("the callback got %q, want %q", got, want)
	}
}

func TestRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l results
		e, p, _ := start(t, Options{}, nil)
		tx := e.Request(t.Context(), outgoing("OPTIONS", "sip:ann@10.0.0.2:5070"), Target{}, l.f)
		req := p.request()
		via := req.Via()
		if via.Host != "10.0.0.1" || via.Port != 5060 || !via.Params.Has("rport") {
			t.Errorf("Via is %s", via.Value())
		}
		if got := req.From().DisplayName; got != `a\"b  c` {
			t.Errorf("display name went out as %q", got)
		}
		if v, _ := Header(req, "user-agent"); v != "parkd/test" {
			t.Errorf("User-Agent is %q", v)
		}
		if f := tx.Flow(); f.Local.String() != usAddr || f.Remote.String() != peerAddr || f.Network != "udp" {
			t.Errorf("flow is %v", f)
		}
		p.respond(req, 200)
		l.want(t, "200")
		p.silence(40 * time.Second)
		l.want(t, "200")
	})
}

func TestRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l results
		e, p, _ := start(t, Options{}, nil)
		begin := time.Now()
		e.Request(t.Context(), outgoing("NOTIFY", "sip:ann@10.0.0.2:5070"), Target{}, l.f)
		n := 0
		for p.read(33*time.Second) != nil {
			n++
		}
		l.want(t, "timeout")
		if d := time.Since(begin); n != 11 { // RFC 3261 17.1.2.1: 500 ms doubling to 4 s until 32 s
			t.Errorf("sent %d times in %v, want 11", n, d)
		}
	})
}

func TestRequestEnds(t *testing.T) {
	for _, row := range []struct {
		name, want string
		end        func(e *Endpoint, tx *Transaction)
	}{
		{"abandoned", context.Canceled.Error(), func(_ *Endpoint, tx *Transaction) { tx.Abandon() }},
		{"shut down", "closed", func(e *Endpoint, _ *Transaction) { e.Shutdown() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l results
				e, p, _ := start(t, Options{}, nil)
				tx := e.Request(t.Context(), outgoing("OPTIONS", "sip:ann@10.0.0.2:5070"), Target{}, l.f)
				p.request()
				row.end(e, tx)
				l.want(t, row.want)
				p.silence(time.Minute)
				if row.want == "closed" {
					e.Request(t.Context(), outgoing("OPTIONS", "sip:ann@10.0.0.2:5070"), Target{}, l.f)
					l.want(t, "closed closed")
				}
			})
		})
	}
}

// TestAnswered2xx: repetitions of a 2xx and another branch's 2xx reach the
// callback, which acknowledges each.
func TestAnswered2xx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l results
		e, p, _ := start(t, Options{}, nil)
		e.Request(t.Context(), outgoing("INVITE", "sip:ann@10.0.0.2:5070"), Target{}, func(res *sip.Response, err error) {
			l.f(res, err)
			if err == nil && res.IsSuccess() {
				ack := outgoing("ACK", "sip:ann@10.0.0.2:5070")
				ack.To().Params = sip.HeaderParams{{K: "tag", V: ToTag(res)}}
				if err := e.Send(ack, Target{}); err != nil {
					t.Error(err)
				}
			}
		})
		invite := p.request()
		p.respond(invite, 180)
		synctest.Wait() // sipgo hands responses over on a goroutine each
		p.respond(invite, 200)
		var acks []string
		for range 3 {
			ack := p.request()
			if ack.Method != "ACK" || ack.Via().Params.GetOr("branch", "") == invite.Via().Params.GetOr("branch", "") {
				t.Errorf("no ACK of a transaction of its own:\n%s", ack)
			}
			acks = append(acks, ToTag(ack))
			time.Sleep(time.Second)
			if len(acks) < 3 {
				p.respond(invite, 200)
			}
		}
		l.want(t, "180 200 200 200")
		if acks[0] == acks[1] {
			t.Error("the branches' tags are the same")
		}
		time.Sleep(time.Minute)
		l.want(t, "180 200 200 200")
	})
}

func TestRefusedInvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l results
		e, p, _ := start(t, Options{}, nil)
		e.Request(t.Context(), outgoing("INVITE", "sip:ann@10.0.0.2:5070"), Target{}, l.f)
		invite := p.request()
		p.respond(invite, 486)
		if ack := p.request(); ack.Method != "ACK" || ack.Via().Value() != invite.Via().Value() {
			t.Errorf("no ACK for the refusal:\n%s", ack)
		}
		l.want(t, "486")
	})
}

func TestCancelOutgoing(t *testing.T) {
	for _, row := range []struct {
		name   string
		before bool   // Cancel is called before the 180
		answer int    // of the INVITE after the CANCEL
		want   string // what the callback got
	}{
		{"ringing", false, 487, "180 487"},
		{"before it rings", true, 487, "180 487"},
		{"a 2xx was faster", false, 200, "180 200"},
		{"no answer at all", false, 0, "180 timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l results
				e, p, _ := start(t, Options{}, nil)
				tx := e.Request(t.Context(), outgoing("INVITE", "sip:ann@10.0.0.2:5070"), Target{}, l.f)
				invite := p.request()
				if row.before {
					tx.Cancel()
					p.silence(100 * time.Millisecond) // RFC 3261 9.1: not before a provisional
				}
				p.respond(invite, 180)
				synctest.Wait()
				if !row.before {
					tx.Cancel(sip.NewHeader("Reason", "SIP;cause=200"))
				}
				cancel := p.request()
				if cancel.Method != "CANCEL" || cancel.Via().Value() != invite.Via().Value() || CSeq(cancel) != 5 {
					t.Fatalf("not its CANCEL:\n%s", cancel)
				}
				if _, ok := Header(cancel, "reason"); ok == row.before {
					t.Error("Reason")
				}
				p.respond(cancel, 200)
				if row.answer != 0 {
					p.respond(invite, row.answer)
				} else {
					time.Sleep(33 * time.Second)
				}
				l.want(t, row.want)
			})
		})
	}
}

// TestStray: a 2xx that comes when nobody waits for it any more.
func TestStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan int, 1)
		e, p, _ := start(t, Options{}, func(e *Endpoint) { e.HandleStray(func(r *sip.Response) { got <- r.StatusCode }) })
		tx := e.Request(t.Context(), outgoing("INVITE", "sip:ann@10.0.0.2:5070"), Target{}, func(*sip.Response, error) {})
		invite := p.request()
		tx.Abandon()
		synctest.Wait()
		p.respond(invite, 200)
		if code := <-got; code != 200 {
			t.Error(code)
		}
	})
}

func TestChallenged(t *testing.T) {
	md5 := digest.Challenge{Realm: "pbx", Nonce: "n1", Algorithm: "MD5", QOP: []string{"auth"}}
	sha := digest.Challenge{Realm: "pbx", Nonce: "n2", Algorithm: "SHA-256", QOP: []string{"auth"}}
	foreign := digest.Challenge{Realm: "elsewhere", Nonce: "n3", Algorithm: "MD5", QOP: []string{"auth"}}
	odd := digest.Challenge{Realm: "pbx", Nonce: "n4", Algorithm: "ROT13", QOP: []string{"auth"}}
	stale := sha
	stale.Stale = true
	for _, row := range []struct {
		name   string
		code   int
		asked  []digest.Challenge
		second *digest.Challenge // asked again
		want   string
		alg    string
	}{
		{"one challenge", 401, []digest.Challenge{md5}, nil, "200", "MD5"},
		{"by a proxy", 407, []digest.Challenge{md5}, nil, "200", "MD5"},
		{"the stronger one is answered", 401, []digest.Challenge{odd, foreign, md5, sha}, nil, "200", "SHA-256"},
		{"another realm", 401, []digest.Challenge{foreign}, nil, "401", ""},
		{"refused", 401, []digest.Challenge{sha}, &sha, "401", "SHA-256"},
		{"stale", 401, []digest.Challenge{sha}, &stale, "200", "SHA-256"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l results
				s := local()
				s.Credentials = []Credential{{Realm: "other", Username: "x", Password: "y"}, {Realm: "pbx", Username: "park", Password: "secret"}}
				e, p, _ := start(t, Options{Settings: s}, nil)
				seq := uint32(40)
				tx := e.Request(t.Context(), outgoing("INVITE", "sip:ann@10.0.0.2:5070;user=phone"),
					Target{Reseq: func(use func(uint32)) { seq++; use(seq) }}, l.f)
				ask, give := "WWW-Authenticate", "Authorization"
				if row.code == 407 {
					ask, give = "Proxy-Authenticate", "Proxy-Authorization"
				}
				challenge := func(req *sip.Request, list ...digest.Challenge) {
					var hdrs []sip.Header
					for _, c := range list {
						hdrs = append(hdrs, sip.NewHeader(ask, c.String()))
					}
					p.respond(req, row.code, hdrs...)
					if ack := p.request(); ack.Method != "ACK" {
						t.Fatalf("no ACK:\n%s", ack)
					}
				}
				req := p.request()
				challenge(req, row.asked...)
				if row.alg != "" {
					req = p.request()
					if CSeq(req) != 41 || CallID(req) != "out1" {
						t.Errorf("CSeq %d", CSeq(req))
					}
					v, _ := Header(req, give)
					c, err := digest.ParseCredentials(v)
					if err != nil || c.Algorithm != row.alg || c.URI != "sip:ann@10.0.0.2:5070;user=phone" {
						t.Errorf("credentials %v, %v", c, err)
					}
					if row.second != nil {
						challenge(req, *row.second)
					}
				}
				if row.second == &stale {
					req = p.request()
					if n := len(Headers(req, give)); n != 1 || CSeq(req) != 42 {
						t.Errorf("%d credentials, CSeq %d", n, CSeq(req))
					}
				}
				if row.want == "200" {
					p.respond(req, 200)
				}
				l.want(t, row.want)
				if tx.Request().CSeq().SeqNo != CSeq(req) {
					t.Error("Request is not the last one")
				}
				tx.Abandon()
			})
		})
	}
}

func TestRouting(t *testing.T) {
	for _, row := range []struct {
		name, uri, proxy string
		target           Target
		routes           []string
		to               string // where it arrives
		route            string // the Route header that it has
	}{
		{"a literal address", "sip:ann@10.0.0.2:5070", "sip:10.0.0.9;lr", Target{}, nil, "10.0.0.2:5070", ""},
		{"the default port", "sip:ann@10.0.0.2", "", Target{}, nil, "10.0.0.2:5060", ""},
		{"a name goes to the proxy", "sip:ann@example.com", "sip:10.0.0.9:5090", Target{}, nil, "10.0.0.9:5090", "<sip:10.0.0.9:5090;lr>"},
		{"the top route", "sip:ann@example.com", "", Target{}, []string{"sip:10.0.0.9;lr", "sip:10.0.0.8;lr"}, "10.0.0.9:5060", "<sip:10.0.0.9;lr>"},
		{"a next hop of the dialog", "sip:10.0.0.9", "", Target{URI: "sip:10.0.0.9"}, []string{"sip:10.0.0.8;lr"}, "10.0.0.9:5060", "<sip:10.0.0.8;lr>"},
		{"an address that overrides", "sip:ann@192.168.1.1", "", Target{Addr: "10.0.0.2:5070"}, nil, "10.0.0.2:5070", ""},
		{"maddr", "sip:ann@example.com;maddr=10.0.0.9", "", Target{}, nil, "10.0.0.9:5060", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := local()
				s.OutboundProxy = row.proxy
				e, p, n := start(t, Options{Settings: s}, nil)
				if row.to != peerAddr {
					p = newPeer(t, n, row.to)
				}
				req := outgoing("OPTIONS", row.uri)
				for _, r := range row.routes {
					var u sip.Uri
					sip.ParseUri(r, &u)
					req.AppendHeader(&sip.RouteHeader{Address: u})
				}
				var l results
				e.Request(t.Context(), req, row.target, l.f)
				got := p.request()
				if v, _ := Header(got, "route"); v != row.route {
					t.Errorf("Route is %q, want %q", v, row.route)
				}
				p.respond(got, 200)
				l.want(t, "200")
			})
		})
	}
}

// TestTwoListeners: a peer that uses two listeners is answered from the one
// that it used, and a request leaves from the one that its flow names.
func TestTwoListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := fakenet.New()
		two := netip.MustParseAddrPort("10.0.0.1:5062")
		e := run(t, Options{Settings: local(), Listeners: []Listener{
			{Network: "udp", Packet: n.Listen(usAddr)}, {Network: "udp", Packet: n.Listen(two.String())}}}, nil)
		p := newPeer(t, n, peerAddr)
		from := func(want string) {
			t.Helper()
			b := make([]byte, 4096)
			_, addr, err := p.conn.ReadFrom(b)
			if err != nil || addr.String() != want {
				t.Errorf("from %v, want %s: %v", addr, want, err)
			}
		}
		for i := range 4 { // by turns
			us := []string{usAddr, two.String()}[i%2]
			p.us = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(us))
			p.send(msg("OPTIONS", "sip:10.0.0.1", fmt.Sprint("t", i), i+1))
			from(us)
		}
		tx := e.Request(t.Context(), outgoing("OPTIONS", "sip:ann@10.0.0.2:5070"),
			Target{Flow: Flow{Network: "udp", Local: two}}, func(*sip.Response, error) {})
		from(two.String())
		tx.Abandon()
	})
}

func TestContact(t *testing.T) {
	for _, row := range []struct{ name, advertise, user, want string }{
		{"the listener's", "", "701", "<sip:701@10.0.0.1:5060>"},
		{"advertised", "pbx.example.com", "701", "<sip:701@pbx.example.com:5060>"},
		{"advertised with a port", "203.0.113.5:5080", "701", "<sip:701@203.0.113.5:5080>"},
		{"IPv6", "2001:db8::1", "701", "<sip:701@[2001:db8::1]:5060>"},
		{"IPv6 with a port", "[2001:db8::1]:5080", "701", "<sip:701@[2001:db8::1]:5080>"},
		{"a user to escape", "", "a b@c", "<sip:a%20b%40c@10.0.0.1:5060>"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := local()
				s.Advertise = row.advertise
				e, _, _ := start(t, Options{Settings: s}, nil)
				c := e.Contact(row.user, Flow{Network: "udp", Local: e.layers[0].packet.local})
				if got := c.Value(); got != row.want {
					t.Errorf("got %s, want %s", got, row.want)
				}
			})
		})
	}
	for _, bad := range []string{"host:x", "host:0", "a b", "[::1", "h:99999"} {
		if _, err := parseAdvertise(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
