package sipua

import (
	"net/netip"
	"testing"
)

// Where a peer reaches us, of a connection that it opened or we did.
func TestContactOnStreams(t *testing.T) {
	for name, c := range map[string]struct{ listener, local, want string }{
		"accepted":                             {"10.0.0.1:5060", "10.0.0.1:5060", "sip:701@10.0.0.1:5060;transport=tcp"},
		"opened":                               {"10.0.0.1:5060", "10.0.0.1:40000", "sip:701@10.0.0.1:5060;transport=tcp"},
		"opened from another address":          {"10.0.0.1:5060", "10.0.0.9:40000", "sip:701@10.0.0.1:5060;transport=tcp"},
		"opened, listening everywhere":         {"0.0.0.0:5060", "10.0.0.9:40000", "sip:701@10.0.0.9:5060;transport=tcp"},
		"opened by IPv6, listening by IPv4":    {"10.0.0.1:5060", "[2001:db8::1]:40000", "sip:701@[2001:db8::1]:5060;transport=tcp"},
		"opened outside, listening inside":     {"127.0.0.1:5060", "10.0.0.9:40000", "sip:701@10.0.0.9:5060;transport=tcp"},
		"opened by IPv6, listening everywhere": {"[::]:5060", "[2001:db8::1]:40000", "sip:701@[2001:db8::1]:5060;transport=tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &Endpoint{stream: &layer{tcp: netip.MustParseAddrPort(c.listener)}}
			e.settings.Store(&settings{})
			got := e.Contact("701", Flow{Network: "tcp", Local: netip.MustParseAddrPort(c.local), Remote: netip.MustParseAddrPort("10.0.0.5:5060")})
			if got.Address.String() != c.want {
				t.Errorf("%s, want %s", got.Address.String(), c.want)
			}
		})
	}
}
