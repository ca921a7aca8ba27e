package sipua

import (
	"net"
	"net/netip"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"
)

// BenchmarkRequest is one transaction between two endpoints on the loopback,
// both ends counted.
func BenchmarkRequest(b *testing.B) {
	s := Settings{Access: Access{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	var ends [2]*Endpoint
	for i := range ends {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		e, err := New(Options{Listeners: []Listener{{Network: "udp", Packet: c}}, Settings: s, Log: zerolog.Nop()})
		if err != nil {
			b.Fatal(err)
		}
		e.Handle("SUBSCRIBE", func(r *Request) { r.Reply(200, "") })
		go e.Serve(b.Context())
		defer e.Shutdown()
		<-e.Ready()
		ends[i] = e
	}
	uri := "sip:701@" + ends[0].address4test("udp")
	done := make(chan error, 1)
	n := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		req := outgoing("SUBSCRIBE", uri)
		n++
		req.CSeq().SeqNo = n
		ends[1].Request(b.Context(), req, Target{}, func(_ *sip.Response, err error) { done <- err })
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
