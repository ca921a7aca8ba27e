package leg

import (
	"testing"

	"github.com/emiago/sipgo/sip"
)

// Which answers are of somebody else than was called.
func TestForwarded(t *testing.T) {
	header := func(name, value string) sip.Header { return sip.NewHeader(name, value) }
	for _, c := range []struct {
		name    string
		code    int
		headers []sip.Header
		called  string
		stray   bool // from an address that is not trusted
		want    bool
	}{
		{"ringing", 180, nil, "sip:bob@pbx", false, false},
		{"being forwarded", 181, nil, "sip:bob@pbx", false, true},
		{"diverted", 180, []sip.Header{header("Diversion", "<sip:bob@pbx>;reason=unconditional")}, "sip:bob@pbx", false, true},
		{"mapped to another user", 200, []sip.Header{header("History-Info", "<sip:bob@pbx>;index=1, <sip:ann@pbx>;index=1.1;mp=1")}, "sip:bob@pbx", false, true},
		{"routed", 200, []sip.Header{header("History-Info", "<sip:bob@pbx>;index=1, <sip:bob@10.0.0.7>;index=1.1;rc=1")}, "sip:bob@pbx", false, false},
		{"vouched for as another", 200, []sip.Header{header("P-Asserted-Identity", "<sip:ann@pbx>")}, "sip:bob@pbx", false, true},
		{"vouched for by somebody who is not believed", 200, []sip.Header{header("P-Asserted-Identity", "<sip:ann@pbx>")}, "sip:bob@pbx", true, false},
		{"vouched for as who was called", 200, []sip.Header{header("P-Asserted-Identity", `"Bob" <sip:BOB@10.0.0.7>`)}, "sip:bob@pbx", false, false},
		{"by the older header", 180, []sip.Header{header("Remote-Party-ID", "<sip:201@pbx>;party=called")}, "sip:200@pbx", false, true},
		{"by the whole number", 200, []sip.Header{header("P-Asserted-Identity", "<sip:+4930123200@pbx>")}, "sip:200@pbx", false, false},
		{"by another whole number", 200, []sip.Header{header("P-Asserted-Identity", "<sip:+4930123201@pbx>")}, "sip:200@pbx", false, true},
		{"by a digit", 200, []sip.Header{header("P-Asserted-Identity", "<sip:0@pbx>")}, "sip:200@pbx", false, true},
		{"by nobody", 200, []sip.Header{header("P-Asserted-Identity", "<sip:anonymous@anonymous.invalid>")}, "sip:bob@pbx", false, false},
		{"another Contact says nothing", 200, []sip.Header{header("Contact", "<sip:x7f3@10.0.0.7>")}, "sip:bob@pbx", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := sip.NewResponse(c.code, "")
			for _, h := range c.headers {
				res.AppendHeader(h)
			}
			called, err := parseTarget(c.called)
			if err != nil {
				t.Fatal(err)
			}
			if got := forwarded(res, called, !c.stray); got != c.want {
				t.Errorf("forwarded: %t", got)
			}
		})
	}
}
