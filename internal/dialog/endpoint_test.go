package dialog

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"parkd/internal/sipua"
	"parkd/internal/sipua/fakenet"
)

// answering notes requests and answers them.
type answering struct{ usage }

func (a *answering) Request(r *sipua.Request) {
	a.usage.Request(r)
	r.Reply(200, "")
}

// TestEndpoint: requests that follow each other closely reach the usage in
// order, although sipgo hands each over on a goroutine of its own, and so they
// do when the network changes their order; what matches no dialog gets 481.
func TestEndpoint(t *testing.T) {
	for _, row := range []struct {
		name  string
		delay func(n int) time.Duration
	}{
		{"in order on the wire", func(int) time.Duration { return 0 }},
		{"every third one late by 10 ms", func(n int) time.Duration { return time.Duration(n%3/2) * 10 * time.Millisecond }},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := fakenet.New()
				sent := 0
				us := netip.MustParseAddrPort("10.0.0.1:5060")
				n.Fate = func(_, to netip.AddrPort, _ []byte) (time.Duration, bool) {
					if to != us {
						return 0, true
					}
					sent++
					return row.delay(sent), true
				}
				e, err := sipua.New(sipua.Options{
					Log:       zerolog.Nop(),
					Listeners: []sipua.Listener{{Network: "udp", Packet: n.Listen(us.String())}},
				})
				if err != nil {
					t.Fatal(err)
				}
				w := NewWheel()
				defer w.Close()
				table, u := NewTable(w), &answering{}
				table.Add(ID{"c1", "us", "a1"}, 0, NewQueue(QueueConfig{}), u)
				e.HandleInDialog(table.Request)
				e.HandleACK(table.ACK)
				go e.Serve(t.Context())
				defer e.Shutdown()
				<-e.Ready()
				peer := n.Listen("10.0.0.9:5060")
				defer peer.Close()
				send := func(seq int, callID string) {
					text := fmt.Sprintf("INFO sip:us SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK%s%d\nFrom: <sip:a@y>;tag=a1\nTo: <sip:7@x>;tag=us\nCall-ID: %s\nCSeq: %d INFO\nContent-Length: 0\n\n", callID, seq, callID, seq)
					peer.WriteTo([]byte(strings.ReplaceAll(text, "\n", "\r\n")), net.UDPAddrFromAddrPort(us))
				}
				var want []string
				for i := 1; i <= 300; i++ {
					send(i, "c1")
					want = append(want, fmt.Sprintf("%d INFO", i))
					if i%3 == 0 {
						time.Sleep(5 * time.Millisecond)
					}
				}
				time.Sleep(time.Second)
				if got := u.got(","); got != strings.Join(want, ",") {
					t.Errorf("out of order: %s", got)
				}
				send(1, "another")
				time.Sleep(time.Second)
				codes := map[string]int{}
				buf := make([]byte, 4096)
				for peer.SetReadDeadline(time.Now().Add(time.Second)); ; {
					n, _, err := peer.ReadFrom(buf)
					if err != nil {
						break
					}
					codes[string(buf[8:11])]++
					_ = n
				}
				if codes["200"] != 300 || codes["481"] != 1 {
					t.Error(codes)
				}
			})
		})
	}
}
