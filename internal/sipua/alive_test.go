package sipua

import (
	"errors"
	"net/netip"
	"os"
	"strings"
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
