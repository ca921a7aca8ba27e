package dialog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parkd/internal/sipua"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse[T sip.Message](t *testing.T, text string) T {
	t.Helper()
	m, err := sip.ParseMessage([]byte(strings.ReplaceAll(strings.TrimSpace(text)+"\n\n", "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m.(T)
}

const invite = `INVITE sip:701@10.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKp
%s
From: "Ann" <sip:ann@example.com>;tag=a1
To: <sip:701@example.com>
Call-ID: c1
CSeq: 7 INVITE
%s
Content-Length: 0`

var flow = sipua.Flow{Network: "udp", Local: netip.MustParseAddrPort("10.0.0.1:5060"), Remote: netip.MustParseAddrPort("10.0.0.9:5060")}

func incoming(t *testing.T, routes, contact string) *sipua.Request {
	return &sipua.Request{Request: parse[*sip.Request](t, fmt.Sprintf(invite, routes, contact)), Flow: flow}
}

func TestFromRequest(t *testing.T) {
	for _, row := range []struct {
		name, routes, contact string
		want                  Dialog
		err                   error
	}{
		{"no proxy", "Max-Forwards: 70", "Contact: <sip:ann@10.0.0.9:5070;transport=udp?Subject=x>",
			Dialog{Target: "sip:ann@10.0.0.9:5070;transport=udp"}, nil},
		{"behind NAT", "Max-Forwards: 70", "Contact: <sip:ann@192.168.0.4>",
			Dialog{Target: "sip:ann@192.168.0.4", NAT: true}, nil},
		{"a name for an address", "Max-Forwards: 70", "Contact: <sip:ann@phone.example.com>",
			Dialog{Target: "sip:ann@phone.example.com"}, nil},
		{"two proxies, in order", "Record-Route: <sip:p1;lr>, <sip:p2;lr>\nRecord-Route: <sip:p3;lr;x=1>", "Contact: <sip:ann@10.0.0.9>",
			Dialog{Target: "sip:ann@10.0.0.9", Routes: []string{"sip:p1;lr", "sip:p2;lr", "sip:p3;lr;x=1"}}, nil},
		{"behind a proxy, which is not NAT", "Via: SIP/2.0/UDP 192.168.0.4;branch=z9hG4bKq", "Contact: <sip:ann@192.168.0.4>",
			Dialog{Target: "sip:ann@192.168.0.4"}, nil},
		{"no Contact", "Max-Forwards: 70", "Subject: x", Dialog{}, ErrContact},
		{"bad Contact", "Max-Forwards: 70", "Contact: *", Dialog{}, ErrContact},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := FromRequest(incoming(t, row.routes, row.contact), "us")
			if !errors.Is(err, row.err) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			row.want.ID = ID{"c1", "us", "a1"}
			row.want.LocalURI, row.want.RemoteURI = "sip:701@example.com", "sip:ann@example.com"
			row.want.RemoteSeq, row.want.Flow = 7, flow
			if diff := cmp.Diff(row.want, d, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			b, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			var again Dialog
			if err := json.Unmarshal(b, &again); err != nil || !cmp.Equal(d, again, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) {
				t.Errorf("JSON there and back: %v\n%s", err, b)
			}
		})
	}
}

func TestFromResponse(t *testing.T) {
	req := parse[*sip.Request](t, `INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx
From: "Park \"1\"" <sip:701@example.com>;tag=us
To: <sip:bob@example.com>
Call-ID: c2
CSeq: 3 INVITE
Content-Length: 0`)
	for _, row := range []struct {
		name, status, lines, target string
		routes                      []string
		err                         error
	}{
		{"200", "200 OK", "Contact: <sip:bob@10.0.0.7>\nRecord-Route: <sip:p2;lr>\nRecord-Route: <sip:p1;lr>", "sip:bob@10.0.0.7", []string{"sip:p1;lr", "sip:p2;lr"}, nil},
		{"180 with no Contact", "180 Ringing", "Subject: x", "sip:bob@example.com", nil, nil},
		{"200 with no Contact", "200 OK", "Subject: x", "", nil, ErrContact},
	} {
		t.Run(row.name, func(t *testing.T) {
			res := parse[*sip.Response](t, "SIP/2.0 "+row.status+`
Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx
From: <sip:701@example.com>;tag=us
To: <sip:bob@example.com>;tag=b1
Call-ID: c2
CSeq: 4 INVITE
`+row.lines+"\nContent-Length: 0")
			d, err := FromResponse(req, res, flow)
			if !errors.Is(err, row.err) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if d.ID != (ID{"c2", "us", "b1"}) || d.Target != row.target || !cmp.Equal(d.Routes, row.routes) || d.LocalSeq != 4 || d.RemoteSeq != 0 || d.LocalName != `Park "1"` {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestNewRequest(t *testing.T) {
	base := Dialog{ID: ID{"c1", "us", "a1"}, LocalURI: "sip:701@x", RemoteURI: "sip:ann@y", LocalName: `a"b`, Target: "sip:ann@10.0.0.9:5070", LocalSeq: 9, Flow: flow}
	for _, row := range []struct {
		name   string
		routes []string
		uri    string
		want   []string // Route
		next   string   // hop
	}{
		{"no route", nil, "sip:ann@10.0.0.9:5070", nil, "sip:ann@10.0.0.9:5070"},
		{"loose", []string{"sip:p1;lr", "sip:p2;lr"}, "sip:ann@10.0.0.9:5070", []string{"<sip:p1;lr>", "<sip:p2;lr>"}, "sip:p1;lr"},
		{"strict", []string{"sip:p1", "sip:p2;lr"}, "sip:p1", []string{"<sip:p2;lr>", "<sip:ann@10.0.0.9:5070>"}, "sip:p1"},
		{"lr with a value", []string{"sip:p1;LR=on"}, "sip:ann@10.0.0.9:5070", []string{"<sip:p1;LR=on>"}, "sip:p1;LR=on"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := base
			d.Routes = row.routes
			req, err := d.NewRequest(sip.BYE)
			if err != nil {
				t.Fatal(err)
			}
			if got := req.Recipient.String(); got != row.uri {
				t.Errorf("R-URI %s", got)
			}
			if got := sipua.Headers(req, "route"); !cmp.Equal(got, row.want) {
				t.Errorf("Route %v", got)
			}
			if d.LocalSeq != 10 || sipua.CSeq(req) != 10 || sipua.FromTag(req) != "us" || sipua.ToTag(req) != "a1" || sipua.CallID(req) != "c1" {
				t.Errorf("identity:\n%s", req)
			}
			if got := d.To(); got.URI != row.next || got.Flow != flow || got.Addr != "" {
				t.Errorf("target %+v", got)
			}
			ack, err := d.NewACK(8)
			if err != nil || sipua.CSeq(ack) != 8 || d.LocalSeq != 10 || ack.Method != sip.ACK || ack.CSeq().MethodName != sip.ACK {
				t.Errorf("ACK: %v\n%s", err, ack)
			}
			if !cmp.Equal(d.Routes, row.routes) {
				t.Error("the route set was changed")
			}
			if strings.Contains(req.String(), `"a"b"`) {
				t.Error("a display name that ends early")
			}
		})
	}
	nat := base
	nat.NAT = true
	if got := nat.To().Addr; got != "10.0.0.9:5060" {
		t.Error(got)
	}
	bad := base
	bad.Target = ""
	if _, err := bad.NewRequest(sip.BYE); !errors.Is(err, ErrURI) || bad.LocalSeq != 9 {
		t.Errorf("%v, LocalSeq %d", err, bad.LocalSeq)
	}
	noTag := base
	noTag.Remote = ""
	if req, err := noTag.NewRequest(sip.BYE); err != nil || strings.Contains(req.To().Value(), "tag") {
		t.Error("a tag where the peer has none")
	}
}

func TestReceive(t *testing.T) {
	other := sipua.Flow{Network: "udp", Local: flow.Local, Remote: netip.MustParseAddrPort("10.0.0.9:6000")}
	for _, row := range []struct {
		name, method, contact string
		seq                   int
		err                   error
		target                string
		last                  uint32
	}{
		{"re-INVITE moves the target", "INVITE", "Contact: <sip:ann@10.0.0.10>", 8, nil, "sip:ann@10.0.0.10", 8},
		{"UPDATE moves it", "UPDATE", "Contact: <sip:ann@10.0.0.10>", 20, nil, "sip:ann@10.0.0.10", 20},
		{"INFO does not", "INFO", "Contact: <sip:ann@10.0.0.10>", 8, nil, "sip:ann@10.0.0.9", 8},
		{"no Contact", "INVITE", "Subject: x", 8, nil, "sip:ann@10.0.0.9", 8},
		{"the same CSeq", "INFO", "Subject: x", 7, nil, "sip:ann@10.0.0.9", 7},
		{"an old CSeq", "INVITE", "Contact: <sip:ann@10.0.0.10>", 6, ErrOldCSeq, "sip:ann@10.0.0.9", 7},
		{"ACK", "ACK", "Contact: <sip:ann@10.0.0.10>", 6, nil, "sip:ann@10.0.0.9", 7},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := FromRequest(incoming(t, "Max-Forwards: 70", "Contact: <sip:ann@10.0.0.9>"), "us")
			if err != nil {
				t.Fatal(err)
			}
			text := strings.NewReplacer("INVITE", row.method, "CSeq: 7", fmt.Sprintf("CSeq: %d", row.seq)).Replace(fmt.Sprintf(invite, "Max-Forwards: 70", row.contact))
			before := d
			err = d.Receive(&sipua.Request{Request: parse[*sip.Request](t, text), Flow: other})
			if !errors.Is(err, row.err) || d.Target != row.target || d.RemoteSeq != row.last {
				t.Errorf("%v, %s, %d", err, d.Target, d.RemoteSeq)
			}
			if err != nil && !cmp.Equal(d, before, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) {
				t.Error("a refusal changed the dialog")
			}
		})
	}
}
