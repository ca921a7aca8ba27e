package leg

import (
	"net/netip"
	"regexp"
	"testing"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
)

func testPolicy() *Policy {
	return &Policy{
		ReturnUsers: regexp.MustCompile(`^([0-9]{2,6}|[a-z][a-z0-9._-]*)$`),
		Trusted:     []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Own:         func(a netip.AddrPort) bool { return a == netip.MustParseAddrPort("10.0.0.1:5060") },
		Listener: func(network string, peer netip.Addr) netip.AddrPort {
			if peer.Is6() {
				return netip.MustParseAddrPort("[::1]:5070")
			}
			return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), map[string]uint16{"udp": 5070, "tcp": 5080}[network])
		},
	}
}

// Whom a return may call, of what a header says.
func TestReturnTarget(t *testing.T) {
	for _, c := range []struct{ name, header, dialled, want string }{
		{"the dialled host", "<sip:100@pbx>", "pbx", "sip:100@pbx"},
		{"another host", "<sip:100@evil>", "pbx", ""},
		{"a literal of ours", "<sip:100@10.1.2.3:5070>", "pbx", "sip:100@10.1.2.3:5070"},
		{"a stranger's literal", "<sip:100@203.0.113.9>", "pbx", ""},
		{"IPv6", "<sip:100@[::1]>", "pbx", "sip:100@[::1]"},
		{"IPv4 in IPv6", "<sip:100@[::ffff:10.1.2.3]>", "pbx", "sip:100@[::ffff:10.1.2.3]"},
		{"parameters of the user", "<sip:100;phone-context=+1900@pbx>", "pbx", "sip:100@pbx"},
		{"escapes", "<sip:%31%30%30@pbx>", "pbx", "sip:100@pbx"},
		{"an escaped semicolon", "<sip:100%3Bx@pbx>", "pbx", "sip:100@pbx"},
		{"an escaped line end", "<sip:100%0a@pbx>", "pbx", ""},
		{"a password", "<sip:100:1234@pbx>", "pbx", "sip:100@pbx"},
		{"two hosts", "<sip:100@evil@pbx>", "pbx", ""},
		{"a telephone number", "<tel:100>", "", "tel:100"}, // an extension of the PBX (RFC 3966)
		{"a number with separators and a context", "<tel:1-0.0;phone-context=+1900;ext=9>", "", "tel:100"},
		{"a number abroad", "<tel:+1900100>", "", ""},
		{"a number that is none", "<tel:1%0a00>", "", ""},
		{"no user", "<sip:100>", "", ""},
		{"an impossible port", "<sip:100@10.1.2.3:70596>", "pbx", ""},
		{"parameters", "<sip:100@10.1.2.3;maddr=evil;transport=TCP;method=BYE?Route=x>", "pbx", "sip:100@10.1.2.3;transport=tcp"},
		{"a transport that is none", "<sip:100@pbx;transport=x%0d%0ay>", "pbx", "sip:100@pbx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := sipua.ParseNameAddr(c.header)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := testPolicy().returnTarget(a.URI.String(), c.dialled); got != c.want || ok != (c.want != "") {
				t.Errorf("%s may call %q, %v; want %q", c.header, got, ok, c.want)
			}
		})
	}
}

// Our address in a return's INVITE: there must be one even where the way there
// is not yet known, and its port is that of a listener.
func TestRouteKnowsOurAddress(t *testing.T) {
	udp := sipua.Flow{Network: "udp", Local: netip.MustParseAddrPort("10.0.0.1:5060"), Remote: netip.MustParseAddrPort("10.0.0.9:5060")}
	tcp := udp
	tcp.Network = "tcp"
	for _, c := range []struct {
		name, target, proxy string
		from, want          sipua.Flow
		sent                bool // by that very flow
	}{
		{"as the caller came", "sip:bob@10.0.0.2", "", udp,
			sipua.Flow{Network: "udp", Local: udp.Local, Remote: netip.MustParseAddrPort("10.0.0.2:5060")}, true},
		{"another transport", "sip:bob@10.0.0.2", "", tcp,
			sipua.Flow{Network: "udp", Local: netip.MustParseAddrPort("10.0.0.1:5070"), Remote: netip.MustParseAddrPort("10.0.0.2:5060")}, true},
		{"another family", "sip:bob@[::1]", "", udp,
			sipua.Flow{Network: "udp", Local: netip.MustParseAddrPort("[::1]:5070"), Remote: netip.MustParseAddrPort("[::1]:5060")}, true},
		{"a proxy by name", "sip:bob@example.com", "sip:proxy.example.com;lr", udp, udp, false},
		{"a proxy by name and another transport", "sip:bob@example.com", "sip:proxy.example.com;transport=tcp;lr", udp,
			sipua.Flow{Network: "tcp", Local: netip.MustParseAddrPort("10.0.0.1:5080"), Remote: udp.Remote}, false},
		{"whoever sent the call", "sip:bob@example.com", "", udp, udp, true},
		{"our own address goes to whoever sent the call", "sip:bob@10.0.0.1", "", udp, udp, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testPolicy()
			p.OutboundProxy = c.proxy
			m := &Manager{}
			m.policy.Store(p)
			got, err := m.route(c.target, dialog.Dialog{Flow: c.from})
			if err != nil {
				t.Fatal(err)
			}
			if got.flow != c.want {
				t.Errorf("flow %+v, want %+v", got.flow, c.want)
			}
			if sent := got.target.Flow == c.want; sent != c.sent {
				t.Errorf("sent by %+v", got.target.Flow)
			}
		})
	}
}

// An extension of the PBX needs no host.
func TestExtensionIsATarget(t *testing.T) {
	u, err := parseTarget("200")
	if want := (sip.Uri{Scheme: "sip", User: "200"}); err != nil || u.String() != want.String() {
		t.Errorf("%v, %v", u, err)
	}
}

// Where the INVITE of a return goes. A connection that a peer has opened is used
// while it stands; its port takes none.
func TestRoute(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	local := netip.MustParseAddrPort("10.0.0.1:5060")
	udp := sipua.Flow{Network: "udp", Local: local, Remote: netip.MustParseAddrPort("10.0.0.5:5080")}
	tcp := sipua.Flow{Network: "tcp", Local: local, Remote: netip.MustParseAddrPort("10.0.0.5:41000")}
	six := sipua.Flow{Network: "udp", Local: local, Remote: netip.MustParseAddrPort("[fd00::5]:5080")}
	for _, tt := range []struct {
		name, target string
		flow         sipua.Flow
		routes       []string
		proxy        string
		uri, next    string // next: the address, else the URI of the next hop
	}{
		{name: "extension over udp", target: "200", flow: udp, uri: "sip:200@10.0.0.5:5080", next: "sip:200@10.0.0.5:5080"},
		{name: "extension over tcp", target: "200", flow: tcp, uri: "sip:200@10.0.0.5", next: "sip:pbx@10.0.0.5:5060;transport=tcp"},
		{name: "extension over tcp with a route", target: "200", flow: tcp, routes: []string{"sip:10.0.0.9;lr"}, uri: "sip:200@10.0.0.5", next: "sip:10.0.0.9;lr"},
		{name: "extension over IPv6", target: "200", flow: six, uri: "sip:200@[fd00::5]:5080", next: "sip:200@[fd00::5]:5080"},
		{name: "number", target: "tel:200", flow: udp, uri: "sip:200@10.0.0.5:5080;user=phone", next: "sip:200@10.0.0.5:5080;user=phone"},
		{name: "literal address of IPv6", target: "sip:bob@[fd00::7]:5070", flow: udp, uri: "sip:bob@[fd00::7]:5070", next: "sip:bob@[fd00::7]:5070"},
		{name: "name over udp", target: "sip:bob@example.com", flow: udp, uri: "sip:bob@example.com", next: "10.0.0.5:5080"},
		{name: "name over tcp", target: "sip:bob@example.com", flow: tcp, uri: "sip:bob@example.com", next: "sip:pbx@10.0.0.5:5060;transport=tcp"},
		{name: "literal address of a phone", target: "sip:bob@10.0.0.7", flow: tcp, uri: "sip:bob@10.0.0.7", next: "sip:bob@10.0.0.7"},
		{name: "outbound proxy", target: "sip:bob@example.com", flow: tcp, proxy: "sip:proxy.example.com", uri: "sip:bob@example.com", next: "sip:proxy.example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := New(t.Context(), Options{Policy: &Policy{
				Trusted: trusted, OutboundProxy: tt.proxy, Own: func(a netip.AddrPort) bool { return a == local },
				Listener: func(string, netip.Addr) netip.AddrPort { return local },
			}})
			caller := &Leg{dialog: dialog.Dialog{Target: "sip:pbx@10.0.0.5:5060;transport=tcp", Routes: tt.routes, Flow: tt.flow}}
			d, err := m.route(tt.target, caller.dialog)
			if err != nil {
				t.Fatal(err)
			}
			next := d.target.Addr
			if next == "" {
				next = d.target.URI
			}
			if d.uri.String() != tt.uri || next != tt.next {
				t.Errorf("%s by %s, want %s by %s", d.uri.String(), next, tt.uri, tt.next)
			}
		})
	}
}
