package sipua

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A connection is told of once, with its first bytes and before what they are is
// handled, and stands until it is closed.
func TestHandleConnect(t *testing.T) {
	cert, pool := certificate(t)
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			events := make(chan string, 16)
			flows := make(chan Flow, 16)
			e := onSockets(t, "127.0.0.1", cert, pool, func(e *Endpoint) {
				e.HandleConnect(func(f Flow) { flows <- f; events <- "connect" })
				e.Handle("SUBSCRIBE", func(r *Request) { events <- "subscribe"; r.Reply(200, "") })
			}, "udp", network)
			conn, err := net.Dial("tcp", e.address4test(network))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if network == "tls" {
				tc := tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
				if err := tc.Handshake(); err != nil {
					t.Fatal(err)
				}
				conn = tc
			}
			select {
			case <-events:
				t.Fatal("told of a silent connection")
			case <-time.After(50 * time.Millisecond):
			}
			fmt.Fprint(conn, wire(msg("SUBSCRIBE", "sip:701@x", "c", 1, "Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKc")))
			if a, b := within(t, events), within(t, events); a != "connect" || b != "subscribe" {
				t.Errorf("%s, then %s", a, b)
			}
			f := within(t, flows)
			if f.Network != network || f.Remote != addrPort(conn.LocalAddr()) || f.Local != addrPort(conn.RemoteAddr()) || !e.Connected(f) {
				t.Errorf("%+v", f)
			}
			fmt.Fprint(conn, wire(msg("SUBSCRIBE", "sip:701@x", "d", 2, "Via: SIP/2.0/TCP 127.0.0.1:1;branch=z9hG4bKd")))
			if a := within(t, events); a != "subscribe" {
				t.Errorf("%s, again", a)
			}
			for _, other := range []Flow{{}, {Network: "udp", Remote: f.Remote}, {Network: network, Remote: netip.MustParseAddrPort("127.0.0.1:9")}} {
				if e.Connected(other) {
					t.Errorf("%+v stands", other)
				}
			}
			e.Shutdown()
			if e.Connected(f) {
				t.Error("stands after Shutdown")
			}
		})
	}
}

// A keep-alive is a sign of life too; a panic in the handler costs nothing else.
func TestConnectByKeepAlive(t *testing.T) {
	told := make(chan Flow, 16)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run(t, Options{Settings: local(), Listeners: []Listener{{Network: "tcp", Stream: l}}}, func(e *Endpoint) {
		e.HandleConnect(func(f Flow) { told <- f; panic("a bug") })
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "\r\n\r\n")
	if f := within(t, told); f.Remote != addrPort(conn.LocalAddr()) {
		t.Errorf("%+v", f)
	}
	pong := make([]byte, 2)
	if _, err := conn.Read(pong); err != nil || string(pong) != "\r\n" { // RFC 5626 3.5.1
		t.Errorf("%q %v", pong, err)
	}
}
