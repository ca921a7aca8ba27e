package sipua

import (
	mathrand "math/rand/v2"
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

// BenchmarkKeepAlive is a keep-alive to a phone on the loopback and its answer, on
// our side only.
func BenchmarkKeepAlive(b *testing.B) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	phone, err := net.ListenPacket("udp", "127.0.0.1:0") // which nobody reads: what it is sent is dropped
	if err != nil {
		b.Fatal(err)
	}
	defer phone.Close()
	e, err := New(Options{Listeners: []Listener{{Network: "udp", Packet: c}}, Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	go e.Serve(b.Context())
	defer e.Shutdown()
	<-e.Ready()
	f := Flow{Network: "udp", Local: addrPort(c.LocalAddr()), Remote: addrPort(phone.LocalAddr())}
	l := e.layers[0]
	answer := []byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=" + l.exchanges.newNudge() +
		";rport=5060\r\nFrom: <sip:127.0.0.1>;tag=a\r\nTo: <sip:127.0.0.1>;tag=b\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if err := e.KeepAlive(f); err != nil {
			b.Fatal(err)
		}
		if !l.exchanges.take(answer) {
			b.Fatal("the answer went on")
		}
	}
}

// BenchmarkScan is an ordinary answer to a NOTIFY, read.
func BenchmarkScan(b *testing.B) {
	var branches branches
	branches.random = mathrand.NewChaCha8([32]byte{})
	answers := make([][]byte, 256) // their branches differ, as in life
	for i := range answers {
		text := branches.next().append([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch="))
		answers[i] = append(text, ";rport=5060\r\nFrom: <sip:701@127.0.0.1:5060>;tag=abcdef0123456789\r\nTo: <sip:w12@127.0.0.1>;tag=w12\r\n"+
			"Call-ID: watch-12@127.0.0.1\r\nCSeq: 12 NOTIFY\r\nContent-Length: 0\r\n\r\n"...)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := scanAnswer(answers[i%len(answers)]); !ok {
			b.Fatal("not read")
		}
	}
}
