package sipua

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	for _, row := range []struct{ name, in, clean, quoted string }{
		{"plain", "Ann", "Ann", `"Ann"`},
		{"empty", "", "", ""},
		{"CRLF", "Ann\r\nVia: x", "Ann  Via: x", `"Ann  Via: x"`},
		{"quote", `An"n`, `An"n`, `"An\"n"`},
		{"backslash at the end", `Ann\`, `Ann\`, `"Ann\\"`},
		{"umlaut", "Jörg", "Jörg", `"Jörg"`},
		{"not UTF-8", "a\xffb", "ab", `"ab"`},
		{"umlaut and control", "Jörg\x00\x7f", "Jörg  ", `"Jörg  "`},
		{"a tab may stay", "a\tb", "a\tb", "\"a\tb\""},
	} {
		if got := Clean(row.in); got != row.clean {
			t.Errorf("%s: Clean gives %q, want %q", row.name, got, row.clean)
		}
		if got := QuoteDisplay(row.in); got != row.quoted {
			t.Errorf("%s: QuoteDisplay gives %q, want %q", row.name, got, row.quoted)
		}
		if got := UnescapeDisplay(EscapeDisplay(row.in)); got != row.clean {
			t.Errorf("%s: there and back gives %q", row.name, got)
		}
	}
}

func TestSafeDisplay(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"escaped already", `An\"n`, `An\"n`},
		{"escaped backslash", `An\\`, `An\\`},
		{"a lone quote", `An"n`, `An\"n`},
		{"a lone backslash", `Ann\`, `Ann\\`},
		{"CRLF", "A\r\nn", "A  n"},
	} {
		if got := safeDisplay(row.in); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestUser(t *testing.T) {
	for _, row := range []struct{ name, uri, want string }{
		{"escaped star", "sip:%2A4701@x", "*4701"},
		{"plain star", "sip:*4701@x", "*4701"},
		{"telephone-subscriber", "sip:701;phone-context=x@host;user=phone", "701"},
		{"tel", "tel:701;phone-context=x", "701"},
		{"no user", "sip:host", ""},
		{"bad escapes stay", "sip:a%zz%4@x", "a%zz%4"},
		{"password", "sip:ann:pw@x", "ann"},
	} {
		var u sip.Uri
		if err := sip.ParseUri(row.uri, &u); err != nil {
			t.Fatal(err)
		}
		if got := UserOf(&u); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	if got := EscapeUser(`a b@c"<>:;%*#`); got != "a%20b%40c%22%3C%3E%3A;%25*%23" {
		t.Error(got)
	}
}

func TestParseNameAddr(t *testing.T) {
	for _, row := range []struct {
		name, in     string
		display, uri string
		params       string
		fails        bool
	}{
		{name: "name-addr", in: `"Ann" <sip:ann@x;transport=tcp>;tag=1`, display: "Ann", uri: "sip:ann@x;transport=tcp", params: ";tag=1"},
		{name: "token display", in: `Ann Lee <sip:ann@x>`, display: "Ann Lee", uri: "sip:ann@x"},
		{name: "quoted ; and , and <", in: `"a;b, \"c\" <d>" <sip:ann@x>;p=1`, display: `a;b, "c" <d>`, uri: "sip:ann@x", params: ";p=1"},
		{name: "addr-spec: parameters are the header's", in: `sip:ann@x;tag=1`, uri: "sip:ann@x", params: ";tag=1"},
		{name: "quoted parameter", in: `<sip:ann@x>;p="a;b,c"`, uri: "sip:ann@x", params: `;p="a;b,c"`},
		{name: "spaces", in: "  <sip:ann@x> ; Tag = 1 ", uri: "sip:ann@x", params: ";Tag=1"},
		{name: "IPv6", in: `<sip:ann@[::1]:5060>`, uri: "sip:ann@[::1]:5060"},
		{name: "flag", in: `<sip:x>;lr;expires=5`, uri: "sip:x", params: ";lr;expires=5"},
		{name: "empty", in: "", fails: true},
		{name: "no bracket", in: `"Ann" <sip:ann@x`, fails: true},
		{name: "text behind", in: `<sip:ann@x> y`, fails: true},
		{name: "no URI", in: `"Ann"`, fails: true},
		{name: "open quote", in: `"Ann <sip:ann@x>`, fails: true},
		{name: "too long", in: "<sip:" + strings.Repeat("x", maxField) + "@y>", fails: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			n, err := ParseNameAddr(row.in)
			if (err != nil) != row.fails {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			got := []string{n.Display, n.URI.String(), n.Params.String()}
			if d := cmp.Diff([]string{row.display, row.uri, row.params}, got); d != "" {
				t.Error(d)
			}
			if again, err := ParseNameAddr(n.String()); err != nil || again.String() != n.String() {
				t.Errorf("there and back: %v, %v", again, err)
			}
		})
	}
	list, err := ParseNameAddrs(`"a, b" <sip:a@x>, <sip:b@x>;p="1,2",sip:c@x`)
	if err != nil || len(list) != 3 || list[0].Display != "a, b" || list[2].URI.User != "c" {
		t.Errorf("%v, %v", list, err)
	}
	n := NameAddr{URI: sip.Uri{Scheme: "sip", User: "x\r\ny", Host: "h"}, Display: "a\"\r\n"}
	if s := n.String(); strings.ContainsAny(s, "\r\n") {
		t.Errorf("%q", s)
	}
}

func TestHeaderNames(t *testing.T) {
	m, err := sip.ParseMessage([]byte(wire("SUBSCRIBE sip:701@x SIP/2.0\nv: SIP/2.0/UDP h;branch=z9hG4bK1\nf: <sip:a@x>;Tag=1\nt: <sip:b@x>\ni: c\nCSeq: 1 SUBSCRIBE\n" +
		"O: dialog;Id=7\nk: Replaces, timer ;x=1\nK: eventlist\nr: sip:x@y\nb: <sip:z@y>\nx: 90\nu: dialog\nACCEPT: application/sdp;q=0, text/*, application/dialog-info+xml;q=0.5\nP-Asserted-Identity: <sip:one@x>, \"Two\" <tel:2>\n")))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Event": "dialog;Id=7", "supported": "Replaces, timer ;x=1", "refer-to": "sip:x@y", "referred-by": "<sip:z@y>",
		"session-expires": "90", "allow-events": "dialog", "call-id": "c", "from": "<sip:a@x>;Tag=1",
	} {
		if got, ok := Header(m, name); !ok || got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if d := cmp.Diff([]string{"replaces", "timer", "eventlist"}, Tokens(m, "Supported")); d != "" {
		t.Error(d)
	}
	if FromTag(m) != "1" || ToTag(m) != "" || CSeq(m) != 1 || CallID(m) != "c" {
		t.Error("identity")
	}
	for mediaType, want := range map[string]bool{"application/dialog-info+xml": true, "application/sdp": false, "text/plain": true, "application/pidf+xml": false} {
		if Accepts(m, mediaType, !want) != want {
			t.Errorf("Accepts(%s) is not %v", mediaType, want)
		}
	}
	for trusted, want := range map[bool]string{true: "<sip:one@x>", false: "<sip:a@x>;Tag=1"} {
		if got := Identity(m, trusted).String(); got != want {
			t.Errorf("trusted %v: %s", trusted, got)
		}
	}
	if l := Addrs(m, "p-asserted-identity"); len(l) != 2 || UserOf(&l[1].URI) != "2" {
		t.Error(l)
	}
	if !HasToken(m, "supported", "EventList") || HasToken(m, "supported", "path") {
		t.Error("HasToken")
	}
}

func TestParseReplaces(t *testing.T) {
	for _, row := range []struct {
		name, in string
		want     Replaces
		fails    bool
	}{
		{"plain", "a@b;to-tag=1;from-tag=2", Replaces{"a@b", "1", "2", false}, false},
		{"any order, any case, spaces", "a@b ; From-Tag = 2 ;TO-TAG=1;Early-Only", Replaces{"a@b", "1", "2", true}, false},
		{"percent-escaped", "a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2", Replaces{"a@b", "1", "2", false}, false},
		{"escaped in part", "a%40b;to-tag=1;from-tag=2", Replaces{"a%40b", "1", "2", false}, false},
		{"other parameters", "a;to-tag=1;from-tag=2;x=y", Replaces{"a", "1", "2", false}, false},
		{"no from-tag", "a;to-tag=1", Replaces{}, true},
		{"two to-tags", "a;to-tag=1;to-tag=3;from-tag=2", Replaces{}, true},
		{"no call-id", ";to-tag=1;from-tag=2", Replaces{}, true},
		{"two in one", "a;to-tag=1;from-tag=2,b;to-tag=1;from-tag=2", Replaces{"a", "1", "2", false}, true},
		{"empty", "", Replaces{}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseReplaces(row.in)
			if (err != nil) != row.fails {
				t.Fatalf("got %+v, %v", got, err)
			}
			if err != nil {
				return
			}
			if got != row.want {
				t.Errorf("got %+v", got)
			}
			if again, err := ParseReplaces(got.Escaped()); err != nil || UnescapeUser(again.CallID) != UnescapeUser(got.CallID) || again.ToTag != got.ToTag {
				t.Errorf("there and back: %+v, %v", again, err)
			}
		})
	}
}

func TestReplacesOf(t *testing.T) {
	for _, row := range []struct {
		name  string
		lines []string
		found bool
		fails bool
	}{
		{"none", nil, false, false},
		{"one", []string{"Replaces: a;to-tag=1;from-tag=2"}, true, false},
		{"two", []string{"Replaces: a;to-tag=1;from-tag=2", "replaces: a;to-tag=1;from-tag=2"}, false, true},
		{"bad", []string{"Replaces: a"}, false, true},
	} {
		m, err := sip.ParseMessage([]byte(wire(msg("INVITE", "sip:1@x", "b", 1, row.lines...))))
		if err != nil {
			t.Fatal(err)
		}
		r, err := ReplacesOf(m)
		if (r != nil) != row.found || (err != nil) != row.fails {
			t.Errorf("%s: %v, %v", row.name, r, err)
		}
	}
}

func TestParseReferTo(t *testing.T) {
	for _, row := range []struct {
		name, in    string
		uri, method string
		replaces    string
		headers     Params
		fails       bool
	}{
		{name: "brackets", in: "<sip:701@x>", uri: "sip:701@x", method: "INVITE"},
		{name: "no brackets", in: "sip:701@x", uri: "sip:701@x", method: "INVITE"},
		{name: "escaped Replaces", in: "<sip:701@x?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>", uri: "sip:701@x", method: "INVITE", replaces: "a@b;to-tag=1;from-tag=2"},
		{name: "escaped Replaces, no brackets", in: "sip:701@x?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2", uri: "sip:701@x", method: "INVITE", replaces: "a@b;to-tag=1;from-tag=2"},
		{name: "lower case and more", in: "<sip:701@x;transport=tcp?Require=replaces&replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>", uri: "sip:701@x;transport=tcp", method: "INVITE", replaces: "a;to-tag=1;from-tag=2", headers: Params{{"Require", "replaces"}}},
		{name: "method", in: "<sip:701@x;method=BYE>", uri: "sip:701@x", method: "BYE"},
		{name: "display", in: `"To, him" <sip:701@x>`, uri: "sip:701@x", method: "INVITE"},
		{name: "a header with CRLF", in: "<sip:701@x?X=a%0D%0Ab>", uri: "sip:701@x", method: "INVITE", headers: Params{{"X", "a  b"}}},
		{name: "bad Replaces", in: "<sip:701@x?Replaces=a>", fails: true},
		{name: "two Replaces", in: "<sip:701@x?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>", fails: true},
		{name: "nothing", in: "", fails: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := ParseReferTo(row.in)
			if (err != nil) != row.fails {
				t.Fatalf("got %+v, %v", r, err)
			}
			if err != nil {
				return
			}
			rep := ""
			if r.Replaces != nil {
				rep = r.Replaces.String()
			}
			if r.URI.String() != row.uri || r.Method != row.method || rep != row.replaces || !cmp.Equal(r.Headers, row.headers) {
				t.Errorf("got %s %s %q %v", r.URI.String(), r.Method, rep, r.Headers)
			}
		})
	}
}

func TestParseOthers(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"event", "Dialog;ID=7;x", "dialog 7"},
		{"event with no id", "presence", "presence "},
		{"no event", "", "fails"},
		{"event with a space", "dia log", "fails"},
	} {
		e, err := ParseEvent(row.in)
		got := e.Package + " " + e.ID
		if err != nil {
			got = "fails"
		}
		if got != row.want {
			t.Errorf("%s: %s", row.name, got)
		}
	}
	for _, row := range []struct{ name, in, want string }{
		{"session", "1800;Refresher=UAS", "1800;refresher=uas"},
		{"no refresher", " 90 ", "90"},
		{"too large", "99999999999", "4294967295"},
		{"no number", "x", "fails"},
		{"negative", "-1", "fails"},
		{"strange refresher", "90;refresher=me", "fails"},
		{"empty", "", "fails"},
	} {
		e, err := ParseSessionExpires(row.in)
		got := e.String()
		if err != nil {
			got = "fails"
		}
		if got != row.want {
			t.Errorf("%s: %s", row.name, got)
		}
	}
	for _, row := range []struct{ name, in, want string }{
		{"active", "Active;Expires=60", "active;expires=60"},
		{"terminated", "terminated;reason=Timeout;retry-after=5", "terminated;reason=timeout;retry-after=5"},
		{"bad", "active;expires=x", "fails"},
		{"empty", "", "fails"},
	} {
		e, err := ParseSubscriptionState(row.in)
		got := e.String()
		if err != nil {
			got = "fails"
		}
		if got != row.want {
			t.Errorf("%s: %s", row.name, got)
		}
	}
	if n, err := ParseMinSE("90;x=y"); n != 90 || err != nil {
		t.Error(n, err)
	}
	if _, err := ParseExpires(""); err == nil {
		t.Error("no Expires")
	}
	if Phrase(486) != "Busy Here" || Phrase(299) != "OK" || Phrase(499) == "" || Phrase(199) == "" {
		t.Error("phrases")
	}
}

func TestMask(t *testing.T) {
	in := "INVITE sip:x SIP/2.0\r\nAuthorization: Digest username=\"a\", response=\"0123\", nonce=\"n\"\r\n" +
		"proxy-authorization: Digest response=0123\r\nAuthorization: Basic c2VjcmV0\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0c2VjcmV0|2^20|1:4;inline:c2VjcmV0c2VjcmV0|2^20|2:4\r\na= CRYPTO:1 x INLINE:c2VjcmV0\r\n"
	out := string(Mask([]byte(in)))
	if strings.Contains(out, "0123") || strings.Contains(out, "c2Vj") || !strings.Contains(out, `username="a"`) || !strings.Contains(out, "|2^20") {
		t.Error(out)
	}
}

func FuzzReplaces(f *testing.F) {
	f.Add("a@b;to-tag=1;from-tag=2;early-only")
	f.Add("a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseReplaces(s); err == nil {
			if again, err := ParseReplaces(r.String()); err != nil && r.String() == Clean(r.String()) && isToken(r.ToTag) && isToken(r.FromTag) || err == nil && again.EarlyOnly != r.EarlyOnly {
				t.Errorf("%q: %v", r.String(), err)
			}
		}
	})
}

func FuzzNameAddr(f *testing.F) {
	f.Add(`"a;b, \"c\"" <sip:ann@x;p=1>;tag=1`)
	f.Add(`sip:ann@[::1]:5060;tag=1`)
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseNameAddr(s); err == nil && strings.ContainsAny(n.String(), "\r\n\x00") {
			t.Errorf("%q", n.String())
		}
		ParseNameAddrs(s)
	})
}

func FuzzSessionExpires(f *testing.F) {
	f.Add("1800;refresher=uas")
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := ParseSessionExpires(s); err == nil {
			if again, err := ParseSessionExpires(e.String()); err != nil || again != e {
				t.Errorf("%q: %v", e, err)
			}
		}
		ParseEvent(s)
		ParseSubscriptionState(s)
	})
}

func FuzzReferTo(f *testing.F) {
	f.Add("<sip:701@x?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>")
	f.Add("sip:701@x?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2")
	f.Fuzz(func(t *testing.T, s string) { ParseReferTo(s) })
}

func FuzzMask(f *testing.F) {
	f.Add([]byte("Authorization: Digest response=\"0123\"\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) { Mask(b) })
}

// TestSanitize: a line break in any part of any header that we write.
func TestSanitize(t *testing.T) {
	const evil = "x\r\nInjected: y"
	uri := sip.Uri{Scheme: "sip", User: evil, Host: "h", UriParams: sip.HeaderParams{{K: "p", V: evil}}}
	id := sip.CallIDHeader(evil)
	for _, h := range []sip.Header{
		&sip.FromHeader{DisplayName: evil, Address: uri}, &sip.ToHeader{Params: sip.HeaderParams{{K: "tag", V: evil}}},
		&sip.ContactHeader{Address: uri}, &sip.RouteHeader{Address: uri}, &sip.RecordRouteHeader{Address: uri}, &id,
		&sip.ViaHeader{Host: evil}, &sip.CSeqHeader{MethodName: evil}, &sip.ReferToHeader{Address: uri}, sip.NewHeader("Subject", evil), sip.NewHeader(evil, "x"),
	} {
		req := sip.NewRequest(sip.INVITE, *uri.Clone())
		req.AppendHeader(h)
		sanitize(req)
		if s := req.String(); strings.Count(s, "\r\n") != 3 || strings.Contains(s, "\nInjected") {
			t.Errorf("%T: %q", h, s)
		}
	}
	res := sip.NewResponse(200, evil)
	sanitize(res)
	if strings.Contains(res.String(), "\nInjected") {
		t.Errorf("%q", res)
	}
}
