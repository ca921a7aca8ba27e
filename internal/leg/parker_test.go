package leg

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// invited is an INVITE to sip:701@pbx with some headers more.
func invited(t *testing.T, headers ...string) *sipua.Request {
	t.Helper()
	text := strings.Join(append([]string{
		"INVITE sip:701@pbx SIP/2.0", "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1", "From: <sip:ann@pbx>;tag=1", "To: <sip:701@pbx>",
		"Call-ID: 1", "CSeq: 1 INVITE", "Max-Forwards: 70", "Content-Length: 0",
	}, headers...), "\r\n") + "\r\n\r\n"
	msg, err := sip.ParseMessage([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &sipua.Request{Request: msg.(*sip.Request)}
}

// Who transferred a caller to us, as carriers and switches say it.
func TestParkerHeaders(t *testing.T) {
	const bob = "sip:bob@pbx"
	for _, c := range []struct {
		name     string
		headers  []string
		parker   string
		referred bool
	}{
		{"none", nil, "", false},
		{"Referred-By comes first", []string{"Diversion: <sip:carl@pbx>", "Referred-By: <sip:bob@pbx>"}, bob, true},
		{"and is passed over if it may not be called", []string{"Referred-By: <sip:bob@evil>", "Diversion: <sip:bob@pbx>"}, bob, true},
		{"Diversion", []string{"Diversion: \"Bob; B\" <sip:bob@pbx>;reason=unconditional;counter=1"}, bob, true},
		{"the latest of several", []string{"Diversion: <sip:bob@pbx>;reason=deflection, <sip:carl@pbx>;reason=no-answer"}, bob, true},
		{"the latest of several fields", []string{"Diversion: <sip:bob@pbx>", "Diversion: <sip:carl@pbx>"}, bob, true},
		{"one before it is never called instead", []string{"Diversion: <sip:bob@evil>", "Diversion: <sip:carl@pbx>"}, "", true},
		{"hidden", []string{"Diversion: <sip:bob@pbx>;privacy=full"}, "", true},
		{"hidden but for the number", []string{"Diversion: <sip:bob@pbx>;privacy=name"}, bob, true},
		{"nobody", []string{"Diversion: <sip:anonymous@anonymous.invalid>"}, "", true},
		{"a number outside", []string{"Diversion: <sip:+1900123456@pbx>"}, "", true},
		{"another host", []string{"Diversion: <sip:bob@evil>"}, "", true},
		{"unreadable", []string{"Diversion: <sip:bob"}, "", true},
		{"routing only", []string{"History-Info: <sip:701@pbx>;index=1, <sip:701@10.0.0.1>;index=1.1;rc=1"}, "", false},
		{"one entry", []string{"History-Info: <sip:701@pbx>;index=1"}, "", false},
		{"a transfer", []string{"History-Info: <sip:bob@pbx>;index=1, <sip:bob@10.0.0.5>;index=1.1;rc=1, <sip:701@pbx>;index=1.2;mp=1"}, bob, true},
		{"with its reason", []string{"History-Info: <sip:bob@pbx?Reason=SIP%3Bcause%3D302>;index=1", "History-Info: <sip:701@pbx;cause=302>;index=2;mp=1"}, bob, true},
		{"the latest of two transfers", []string{"History-Info: <sip:carl@pbx>;index=1, <sip:bob@pbx>;index=1.1;mp=1, <sip:701@pbx>;index=1.1.1;mp=1.1, <sip:701@10.0.0.1>;index=1.1.1.1;rc=1.1.1"}, bob, true},
		{"as before RFC 7044", []string{"History-Info: <sip:carl@pbx?Reason=SIP%3Bcause%3D486>;index=1, <sip:bob@pbx?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%22>;index=1.1, <sip:701@pbx>;index=1.2"}, bob, true},
		{"to an entry that is missing", []string{"History-Info: <sip:701@pbx>;index=2;mp=1"}, "", true},
		{"an entry is private", []string{"History-Info: <sip:bob@pbx?Privacy=history>;index=1, <sip:701@pbx>;index=2;mp=1"}, "", true},
		{"all is private", []string{"Privacy: id;history", "History-Info: <sip:bob@pbx>;index=1, <sip:701@pbx>;index=2;mp=1"}, "", true},
		{"only the caller is private", []string{"Privacy: id", "History-Info: <sip:bob@pbx>;index=1, <sip:701@pbx>;index=2;mp=1"}, bob, true},
		{"escaped", []string{"History-Info: <sip:%62ob@pbx?Reason=SIP%3Bcause%3D302&X=%3Csip:carl@evil%3E>;index=1, <sip:701@pbx>;index=2;mp=1"}, bob, true},
		{"a number outside, by history", []string{"History-Info: <sip:00900123456@pbx>;index=1, <sip:701@pbx>;index=2;mp=1"}, "", true},
		{"another host, by history", []string{"History-Info: <sip:bob@evil>;index=1, <sip:701@pbx>;index=2;mp=1"}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testPolicy()
			p.ParkerHeaders = []string{"Referred-By", "Diversion", "History-Info"}
			parker, referred := p.parker(invited(t, c.headers...))
			if parker != c.parker || referred != c.referred {
				t.Errorf("parker %q, referred %t; want %q, %t", parker, referred, c.parker, c.referred)
			}
			p.ParkerHeaders = []string{"X-Parked-By"}
			if parker, referred := p.parker(invited(t, c.headers...)); parker != "" || referred {
				t.Errorf("of headers that nobody chose: parker %q, referred %t", parker, referred)
			}
		})
	}
}
