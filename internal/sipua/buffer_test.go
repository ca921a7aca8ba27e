package sipua

import (
	"net"
	"runtime"
	"testing"
)

// A receive buffer is as large as it says, and an endpoint knows its smallest.
func TestBuffers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("not known on this system")
	}
	var small, large *net.UDPConn
	for _, c := range []**net.UDPConn{&small, &large} {
		p, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		*c = p.(*net.UDPConn)
	}
	const want = 64 << 10 // what every system allows
	if got := WidenBuffers(small, want); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	if got := WidenBuffers(large, 2*want); got != 2*want {
		t.Errorf("got %d, want %d", got, 2*want)
	}
	e := &Endpoint{layers: []*layer{{packet: &packetConn{PacketConn: large}}, {packet: &packetConn{PacketConn: small}}, {}}}
	if got := e.ReceiveBuffer(); got != 2*want {
		t.Errorf("the smallest has %d, want %d with what the kernel adds", got, 2*want)
	}
	e.layers = append(e.layers, &layer{packet: &packetConn{}})
	if got := e.ReceiveBuffer(); got != 0 {
		t.Errorf("got %d of a socket that does not say", got)
	}
}
