package presence

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/rs/zerolog"
)

// BenchmarkTold is one watcher told of a change, of a thousand that watch the same
// over the loopback, until all have answered; the phones, which are one socket, are
// counted too.
func BenchmarkTold(b *testing.B) {
	const crowd = 1000
	n, addr := loopback(b, &lamps{shown: map[string]string{"701": ""}})
	phones, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer phones.Close()
	sipua.WidenBuffers(phones.(*net.UDPConn), 4<<20)
	told := make(chan struct{}, 1)
	var left atomic.Int64
	go answerAll(phones.(*net.UDPConn), func() {
		if left.Add(-1) == 0 {
			told <- struct{}{}
		}
	})
	left.Store(crowd)
	for i := range crowd {
		subscribeAt(phones, addr, i)
	}
	<-told
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += crowd {
		b.StopTimer()
		for _, s := range n.index.all() {
			s.queue.Do(func() { s.pace = pacer{} }) // quiet for long
		}
		left.Store(crowd)
		b.StartTimer()
		n.Changed("701")
		<-told
	}
}

// loopback is a notifier at a socket of the system.
func loopback(tb testing.TB, src Source) (*Notifier, net.Addr) {
	tb.Helper()
	sock, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	sipua.WidenBuffers(sock.(*net.UDPConn), 4<<20)
	e, err := sipua.New(sipua.Options{Listeners: []sipua.Listener{{Network: "udp", Packet: sock}}, Log: zerolog.Nop(),
		Settings: sipua.Settings{Access: sipua.Access{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}})
	if err != nil {
		tb.Fatal(err)
	}
	wheel := dialog.NewWheel()
	table := dialog.NewTable(wheel)
	n := New(Options{Endpoint: e, Table: table, Wheel: wheel, Source: src, Log: zerolog.Nop()})
	e.Handle("SUBSCRIBE", n.Subscribe)
	e.HandleInDialog(table.Request)
	go e.Serve(tb.Context())
	<-e.Ready()
	tb.Cleanup(func() { n.Close(); e.Shutdown(); wheel.Close() })
	return n, sock.LocalAddr()
}

// subscribeAt sends the SUBSCRIBE of a phone.
func subscribeAt(phones net.PacketConn, to net.Addr, i int) {
	_, _ = phones.WriteTo(fmt.Appendf(nil, "SUBSCRIBE sip:701@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK%d\r\n"+
		"Max-Forwards: 70\r\nFrom: <sip:%d@127.0.0.1>;tag=%d\r\nTo: <sip:701@127.0.0.1>\r\nCall-ID: call-%d\r\nCSeq: 1 SUBSCRIBE\r\n"+
		"Contact: <sip:%d@%s>\r\nEvent: dialog\r\nExpires: 7200\r\nContent-Length: 0\r\n\r\n", phones.LocalAddr(), i, i, i, i, i, phones.LocalAddr()), to)
}

// answerAll answers every request at a socket with 200, as cheaply as can be.
func answerAll(c *net.UDPConn, each func()) {
	in, out := make([]byte, 65536), make([]byte, 0, 4096)
	for {
		size, from, err := c.ReadFromUDPAddrPort(in)
		if err != nil {
			return
		}
		if bytes.HasPrefix(in[:size], []byte("SIP/2.0")) {
			continue
		}
		out = append(out[:0], "SIP/2.0 200 OK\r\n"...)
		for rest := in[:size]; ; {
			var line []byte
			line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
			if len(line) == 0 {
				break
			}
			for _, name := range []string{"Via:", "From:", "To:", "Call-ID:", "CSeq:"} {
				if strings.HasPrefix(string(line), name) {
					out = append(append(out, line...), "\r\n"...)
				}
			}
		}
		out = append(out, "Content-Length: 0\r\n\r\n"...)
		if _, err := c.WriteToUDPAddrPort(out, from); err != nil {
			return
		}
		each()
	}
}
