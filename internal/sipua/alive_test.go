package sipua

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A phone that keeps its NAT open by empty lines over UDP is answered as over a
// stream; what asks for no answer has none.
func TestPingOverUDP(t *testing.T) {
	for _, row := range []struct{ name, sent, answer string }{
		{"two lines", "\r\n\r\n", "\r\n"},
		{"one line", "\r\n", ""},
		{"zeros", "\x00\x00\x00\x00", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p, _ := start(t, Options{}, nil)
				if _, err := p.conn.WriteTo([]byte(row.sent), p.us); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 100)
				p.conn.SetReadDeadline(time.Now().Add(time.Second))
				n, _, err := p.conn.ReadFrom(b)
				if string(b[:n]) != row.answer || row.answer == "" && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%q, %v", b[:n], err)
				}
				p.send(msg("OPTIONS", "sip:10.0.0.1", "after", 1))
				if res := p.response(); res.StatusCode != 200 {
					t.Errorf("got %d afterwards", res.StatusCode)
				}
			})
		})
	}
}

// A keep-alive over UDP is a whole OPTIONS, another one each time, sent once,
// whatever is answered.
func TestKeepAliveOverUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, _ := start(t, Options{Settings: Settings{UserAgent: "parkd/1"}}, nil)
		strays := 0
		e.HandleStray(func(*sip.Response) { strays++ })
		flow := Flow{Network: "udp", Local: netip.MustParseAddrPort(usAddr), Remote: netip.MustParseAddrPort(peerAddr)}
		seen := map[string]bool{}
		for _, code := range []int{200, 401, 404, 501} {
			if err := e.KeepAlive(flow); err != nil {
				t.Fatal(err)
			}
			req := p.request()
			want := "OPTIONS sip:10.0.0.2:5070 SIP/2.0"
			if line, _, _ := strings.Cut(req.String(), "\r\n"); line != want || req.Via().Host != "10.0.0.1" || req.MaxForwards() == nil ||
				ToTag(req) != "" || FromTag(req) == "" || req.CSeq().SeqNo != 1 || syntax(req) != nil {
				t.Errorf("%s", req)
			}
			branch, _ := req.Via().Params.Get("branch")
			if seen[CallID(req)] || seen[branch] {
				t.Errorf("used before: %s", req)
			}
			seen[CallID(req)], seen[branch] = true, true
			p.respond(req, code)
			if m := p.read(time.Minute); m != nil {
				t.Errorf("after the answer: %s", m)
			}
		}
		if strays != 0 {
			t.Errorf("%d answers went on", strays)
		}
		if err := e.KeepAlive(Flow{Network: "tcp", Remote: flow.Remote}); !errors.Is(err, ErrTransport) {
			t.Errorf("over a connection that is not there: %v", err)
		}
		e.Shutdown()
		if err := e.KeepAlive(flow); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// stalling accepts connections whose writes wait, once they are told to.
type stalling struct {
	net.Listener
	stalled atomic.Bool
	writing chan net.Addr // who is written to
	release chan struct{}
}

type stallingConn struct {
	net.Conn
	l *stalling
}

func (l *stalling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stallingConn{c, l}, nil
}

func (c *stallingConn) Write(b []byte) (int, error) {
	if c.l.stalled.Load() {
		c.l.writing <- c.RemoteAddr()
		<-c.l.release
	}
	return c.Conn.Write(b)
}

// A connection that takes nothing any more holds up no keep-alive of another.
func TestKeepAliveOfAStalledConnection(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &stalling{Listener: inner, writing: make(chan net.Addr, 16), release: make(chan struct{})}
	flows := make(chan Flow, 2)
	defer close(l.release)
	e := run(t, Options{Settings: local(), Listeners: []Listener{{Network: "tcp", Stream: l}}}, func(e *Endpoint) {
		e.HandleConnect(func(f Flow) { flows <- f })
	})
	var both []Flow
	for range 2 {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "\r\n\r\n")
		if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		both = append(both, within(t, flows))
	}
	l.stalled.Store(true)
	done := make(chan error, 1)
	go func() { done <- errors.Join(e.KeepAlive(both[0]), e.KeepAlive(both[1])) }()
	if err := within(t, done); err != nil {
		t.Error(err)
	}
	if a, b := within(t, l.writing), within(t, l.writing); a.String() == b.String() {
		t.Errorf("both went to %v", a)
	}
}
