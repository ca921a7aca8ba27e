package sipua

import (
	"net"
	"net/netip"
	"testing"

	"github.com/rs/zerolog"
)

// What is remembered of our address is good for one user, one listener and the settings
// in force; on all addresses the peer counts.
func TestSaidContact(t *testing.T) {
	s := Settings{Access: Access{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e, err := New(Options{Settings: s, Listeners: []Listener{{Network: "udp", Packet: c}}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	on := func(local string) Flow {
		return Flow{Network: "udp", Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort("127.0.0.1:7")}
	}
	want := func(user, local, want string) {
		t.Helper()
		for range 2 {
			if got := e.ContactURI(user, on(local)); got != want {
				t.Errorf("%s on %s: %q, want %q", user, local, got, want)
			}
		}
	}
	want("701", "10.0.0.1:5060", "sip:701@10.0.0.1:5060")
	want("702", "10.0.0.1:5060", "sip:702@10.0.0.1:5060")
	want("701", "10.0.0.1:5070", "sip:701@10.0.0.1:5070")
	want("701", "0.0.0.0:5060", "sip:701@127.0.0.1:5060")
	s.Advertise = "park.example.com"
	if err := e.Update(s); err != nil {
		t.Fatal(err)
	}
	want("701", "10.0.0.1:5060", "sip:701@park.example.com:5060")
	want("701", "0.0.0.0:5060", "sip:701@park.example.com:5060")
}
