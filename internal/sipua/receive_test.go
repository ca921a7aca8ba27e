package sipua

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

// TestChecks sends one request each and looks at its answer.
func TestChecks(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, row := range []struct {
		name   string
		text   string
		code   int
		header string // that the response must have, as Name: value
		reason string // counted
	}{
		{"OPTIONS", msg("OPTIONS", "sip:701@10.0.0.1", "o1", 1), 200, "Allow: " + allow, ""},
		{"OPTIONS to nobody", msg("OPTIONS", "sip:nobody@10.0.0.1", "o2", 1), 404, "", ReasonUser},
		{"OPTIONS without a user", msg("OPTIONS", "sip:10.0.0.1", "o3", 1), 200, "Supported: " + supported, ""},
		{"OPTIONS at its last hop", msg("OPTIONS", "sip:701@10.0.0.1", "o4", 1, "Max-Forwards: 0"), 200, "", ""},
		{"too many hops", msg("INVITE", "sip:701@10.0.0.1", "h1", 1, "Max-Forwards: 0"), 483, "", ReasonHops},
		{"Max-Forwards is no number", msg("INVITE", "sip:701@10.0.0.1", "h2", 1, "Max-Forwards: many"), 400, "", ReasonSyntax},
		{"no Max-Forwards", msg("INVITE", "sip:701@10.0.0.1", "h3", 1, "-Max-Forwards"), 486, "", ""},
		{"no From", msg("INVITE", "sip:701@10.0.0.1", "s1", 1, "-From"), 400, "", ReasonSyntax},
		{"no To", msg("INVITE", "sip:701@10.0.0.1", "s2", 1, "-To"), 400, "", ReasonSyntax},
		{"no Call-ID", msg("INVITE", "sip:701@10.0.0.1", "s3", 1, "-Call-ID"), 400, "", ReasonSyntax},
		{"no CSeq", msg("INVITE", "sip:701@10.0.0.1", "s4", 1, "-CSeq"), 400, "", ""},
		{"From cannot be read", msg("INVITE", "sip:701@10.0.0.1", "s5", 1, `From: "Ann`), 400, "", ReasonSyntax},
		{"CSeq of another method", msg("INVITE", "sip:701@10.0.0.1", "s6", 1, "CSeq: 1 BYE"), 400, "", ReasonSyntax},
		{"two Call-IDs", msg("INVITE", "sip:701@10.0.0.1", "s7", 1, "i: other"), 400, "", ReasonSyntax},
		{"Content-Length is no number", msg("INVITE", "sip:701@10.0.0.1", "s8", 1, "Content-Length: x"), 400, "", ReasonSyntax},
		{"SIP/3.0", strings.Replace(msg("INVITE", "sip:701@10.0.0.1", "v1", 1), "SIP/2.0\n", "SIP/3.0\n", 1), 505, "", ReasonVersion},
		{"Replaces outside INVITE", msg("OPTIONS", "sip:701@10.0.0.1", "s9", 1, "Replaces: c;to-tag=1;from-tag=2"), 400, "", ReasonSyntax},
		{"http URI", msg("INVITE", "http://example.com", "u1", 1, "To: <sip:x@y>"), 416, "", ReasonScheme},
		{"tel URI", msg("INVITE", "tel:701", "u2", 1), 486, "", ""},
		{"unknown extension", msg("INVITE", "sip:701@10.0.0.1", "r1", 1, "Require: timer, 100rel, teleport"), 420, "Unsupported: teleport", ReasonExtension},
		{"known extension", msg("INVITE", "sip:701@10.0.0.1", "r2", 1, "Require: replaces"), 486, "", ""},
		{"100rel", msg("INVITE", "sip:701@10.0.0.1", "r3", 1, "Require: 100rel"), 486, "", ""},
		{"all that is supported", msg("INVITE", "sip:701@10.0.0.1", "r5", 1, "Require: "+supported), 486, "", ""},
		{"PRACK outside", msg("PRACK", "sip:701@10.0.0.1", "r4", 1, "RAck: 1 1 INVITE"), 481, "", ReasonDialog},
		{"REGISTER", msg("REGISTER", "sip:10.0.0.1", "m1", 1), 405, "Allow: " + allow, ReasonMethod},
		{"MESSAGE", msg("MESSAGE", "sip:701@10.0.0.1", "m2", 1), 405, "Allow: " + allow, ReasonMethod},
		{"PUBLISH", msg("PUBLISH", "sip:701@10.0.0.1", "m3", 1), 405, "", ReasonMethod},
		{"no such method", msg("DANCE", "sip:701@10.0.0.1", "m4", 1), 501, "Allow: " + allow, ReasonMethod},
		{"REFER without a handler", msg("REFER", "sip:701@10.0.0.1", "m5", 1), 405, "", ReasonMethod},
		{"BYE outside", msg("BYE", "sip:701@10.0.0.1", "d1", 1), 481, "", ReasonDialog},
		{"BYE in no dialog", msg("BYE", "sip:701@10.0.0.1", "d2", 1, "To: <sip:701@x>;tag=t"), 481, "", ""},
		{"keep-alive NOTIFY", msg("NOTIFY", "sip:10.0.0.1", "n1", 1, "Event: keep-alive"), 200, "", ""},
		{"keep-alive NOTIFY, compact", msg("NOTIFY", "sip:10.0.0.1", "n2", 1, "o: Keep-Alive"), 200, "", ""},
		{"NOTIFY of nothing", msg("NOTIFY", "sip:10.0.0.1", "n3", 1), 489, "Allow-Events: " + Events, ReasonEvent},
		{"NOTIFY of a strange subscription", msg("NOTIFY", "sip:10.0.0.1", "n4", 1, "Event: dialog"), 481, "", ReasonDialog},
		{"CANCEL of nothing", msg("CANCEL", "sip:701@10.0.0.1", "c1", 1), 481, "", ReasonDialog},
		{"a long header", msg("INVITE", "sip:701@10.0.0.1", "l1", 1, "Subject: "+long), 486, "", ""},
		{"a panic", msg("INVITE", "sip:panic@10.0.0.1", "p1", 1), 500, "", ReasonPanic},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reasons []string
				_, p, _ := start(t, Options{
					Known:     func(user string) bool { return user == "701" },
					OnRefused: func(r string) { reasons = append(reasons, r) },
				}, func(e *Endpoint) {
					e.Handle("INVITE", func(r *Request) {
						if r.Recipient.User == "panic" {
							panic("as asked")
						}
						r.Reply(486, "")
					})
				})
				p.send(row.text)
				res := p.response()
				if res.StatusCode != row.code {
					t.Fatalf("got %d %s, want %d", res.StatusCode, res.Reason, row.code)
				}
				if name, want, ok := strings.Cut(row.header, ": "); ok {
					if got, _ := Header(res, name); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
				if row.header != "" || row.code != 400 {
					if ToTag(res) == "" {
						t.Error("no To tag")
					}
				}
				synctest.Wait()
				if got := strings.Join(reasons, " "); got != row.reason {
					t.Errorf("counted %q, want %q", got, row.reason)
				}
			})
		})
	}
}

// TestGarbage: nothing that cannot be a message brings the endpoint down, and
// a read error does not end the listener.
func TestGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		e, p, _ := start(t, Options{}, nil)
		for _, text := range []string{"", "\r\n", "\x00\x00\x00\x00\x00", "hello", "INVITE\r\n\r\n", "INVITE sip: SIP/2.0\r\n\r\n",
			"SIP/2.0 200 OK\r\n\r\n", "INVITE sip:a@b SIP/2.0\r\nVia\r\n\r\n", "ACK sip:a@b SIP/2.0\r\n\r\n"} {
			p.conn.WriteTo([]byte(text), p.us)
			n++
		}
		fake := e.layers[0].packet.PacketConn.(interface{ Fail(error) })
		fake.Fail(errors.New("connection refused"))
		fake.Fail(errors.New("no buffer space"))
		time.Sleep(time.Second)
		for p.read(time.Second) != nil { // whatever was answered
		}
		p.send(msg("OPTIONS", "sip:10.0.0.1", "g1", 1))
		if res := p.response(); res.StatusCode != 200 {
			t.Errorf("got %d after %d bad packets", res.StatusCode, n)
		}
	})
}

// TestSource: a response goes where RFC 3261 18.2.2 and RFC 3581 say, and Via
// tells what was seen.
func TestSource(t *testing.T) {
	for _, row := range []struct{ name, via, received, rport, to string }{
		{"rport", "SIP/2.0/UDP 192.168.7.7:9999;branch=z9hG4bKa;rport", "10.0.0.2", "5070", peerAddr},
		{"no rport, the Via's port counts", "SIP/2.0/UDP 192.168.7.7:5099;branch=z9hG4bKb", "10.0.0.2", "", "10.0.0.2:5099"},
		{"sent-by is the source", "SIP/2.0/UDP 10.0.0.2:5070;branch=z9hG4bKc", "", "", peerAddr},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p, n := start(t, Options{}, nil)
				at := p
				if row.to != peerAddr {
					at = newPeer(t, n, row.to)
				}
				p.send(msg("OPTIONS", "sip:10.0.0.1", "x", 1, "Via: "+row.via))
				via := at.response().Via()
				received, _ := URIParam(via.Params, "received")
				rport, _ := URIParam(via.Params, "rport")
				if received != row.received || rport != row.rport {
					t.Errorf("received=%q rport=%q, want %q %q", received, rport, row.received, row.rport)
				}
			})
		})
	}
}

func TestMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, _ := start(t, Options{}, func(e *Endpoint) { e.Handle("INVITE", func(r *Request) { r.Reply(180, "") }) })
		p.send(msg("INVITE", "sip:701@10.0.0.1", "one", 1))
		if res := p.response(); res.StatusCode != 180 {
			t.Fatal(res.StatusCode)
		}
		p.send(msg("INVITE", "sip:701@10.0.0.1", "one", 1)) // retransmission
		if res := p.response(); res.StatusCode != 180 {
			t.Fatal(res.StatusCode)
		}
		p.send(msg("INVITE", "sip:701@10.0.0.1", "two", 1)) // another way
		if res := p.response(); res.StatusCode != 482 {
			t.Fatal(res.StatusCode)
		}
	})
}

// TestInvite: an INVITE answered late, its retransmissions, the 2xx sent again
// by the usage, and the ACK in either form.
func TestInvite(t *testing.T) {
	for _, ackBranch := range []string{"i1", "another"} {
		synctest.Test(t, func(t *testing.T) {
			var got atomic.Pointer[Request]
			acks := make(chan string, 8)
			_, p, _ := start(t, Options{}, func(e *Endpoint) {
				e.Handle("INVITE", func(r *Request) { got.Store(r) })
				e.HandleACK(func(r *Request) { acks <- CallID(r.Request) + " " + r.Flow.Remote.String() })
			})
			p.send(msg("INVITE", "sip:701@10.0.0.1", "i1", 1))
			time.Sleep(time.Second)
			r := got.Load()
			ok := r.NewResponse(200, "")
			ok.AppendHeader(sip.NewHeader("X-Text", "a\r\nInjected: b"))
			if err := r.Respond(ok); err != nil {
				t.Fatal(err)
			}
			first := p.response()
			if _, bad := Header(first, "injected"); bad {
				t.Error("a header was injected")
			}
			time.Sleep(500 * time.Millisecond)
			if err := r.Respond(ok); err != nil {
				t.Errorf("2xx again: %v", err)
			}
			if again := p.response(); ToTag(again) != ToTag(first) || ToTag(again) != r.LocalTag() {
				t.Error("another To tag")
			}
			if err := r.Reply(486, ""); !errors.Is(err, ErrAnswered) {
				t.Errorf("a second answer: %v", err)
			}
			p.send(msg("INVITE", "sip:701@10.0.0.1", "i1", 1)) // absorbed (RFC 6026)
			p.send(msg("ACK", "sip:701@10.0.0.1", ackBranch, 1, "To: <sip:701@10.0.0.1>;tag="+r.LocalTag()))
			if ack := <-acks; ack != "call1 "+peerAddr {
				t.Error(ack)
			}
			p.silence(40 * time.Second)
		})
	}
}

func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := local()
		s.Rate, s.Burst = 1, 2
		e, p, _ := start(t, Options{Settings: s}, func(e *Endpoint) { e.Handle("INVITE", func(r *Request) { r.Reply(486, "") }) })
		var codes []int
		for i := range 4 {
			p.send(msg("INVITE", "sip:701@10.0.0.1", fmt.Sprint("f", i), 1, fmt.Sprintf("Call-ID: f%d", i)))
			res := p.response()
			codes = append(codes, res.StatusCode)
			p.send(msg("ACK", "sip:701@10.0.0.1", fmt.Sprint("f", i), 1, fmt.Sprintf("Call-ID: f%d", i)))
			if _, ok := Header(res, "retry-after"); ok != (res.StatusCode == 503) {
				t.Error("Retry-After belongs to 503")
			}
		}
		if fmt.Sprint(codes) != "[486 486 503 503]" {
			t.Error(codes)
		}
		time.Sleep(time.Second)
		p.send(msg("INVITE", "sip:701@10.0.0.1", "f9", 1, "Call-ID: f9"))
		if res := p.response(); res.StatusCode != 486 {
			t.Error("no token after a second")
		}
		p.send(msg("ACK", "sip:701@10.0.0.1", "f9", 1, "Call-ID: f9"))
		time.Sleep(40 * time.Second)
		if n := e.merged.len(); n != 0 {
			t.Errorf("%d transactions remembered", n)
		}
	})
}

// TestSources: the pool of sockets does not grow with the number of peers.
func TestSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, n := start(t, Options{}, nil)
		for i := range 500 {
			p := newPeer(t, n, fmt.Sprintf("10.1.%d.%d:5060", i/250, i%250+1))
			p.send(msg("OPTIONS", "sip:10.0.0.1", fmt.Sprint("s", i), 1, fmt.Sprintf("Call-ID: s%d", i)))
			if res := p.response(); res.StatusCode != 200 {
				t.Fatal(res.StatusCode)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := e.layers[0].tpl.Pool("udp").Size(); n > 250 {
			t.Errorf("%d entries in the pool after 50 s of 10 new peers a second", n)
		}
	})
}

func TestPacketRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := local()
		s.PacketRate = 10
		_, p, _ := start(t, Options{Settings: s}, nil)
		time.Sleep(time.Second)
		for i := range 20 {
			p.send(msg("OPTIONS", "sip:10.0.0.1", fmt.Sprint("p", i), 1, fmt.Sprintf("Call-ID: p%d", i)))
		}
		n := 0
		for p.read(time.Millisecond) != nil {
			n++
		}
		if n != 10 {
			t.Errorf("%d of 20 packets were looked at, want 10", n)
		}
	})
}

// TestNeverAnswered: a request that its handler forgets does not stay for ever.
func TestNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, _ := start(t, Options{}, func(e *Endpoint) { e.Handle("SUBSCRIBE", func(*Request) {}) })
		p.send(msg("SUBSCRIBE", "sip:701@10.0.0.1", "n", 1))
		p.silence(time.Minute)
		if e.merged.len() != 0 {
			t.Error("the transaction is still there")
		}
	})
}

func (m *merged) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seen)
}
