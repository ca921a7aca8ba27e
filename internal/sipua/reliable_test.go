package sipua

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// provisional is a response to an INVITE with these headers.
func provisional(t testing.TB, code int, headers ...string) *sip.Response {
	t.Helper()
	text := "SIP/2.0 " + map[int]string{100: "100 Trying", 183: "183 Session Progress", 200: "200 OK"}[code] + "\n" +
		"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\nFrom: <sip:701@h>;tag=a\nTo: <sip:bob@h>;tag=b\nCall-ID: c\nCSeq: 4 INVITE\n" +
		strings.Join(append(headers, "Content-Length: 0"), "\n") + "\n\n"
	m, err := sip.NewParser(sip.WithHeadersParsers(tolerant())).ParseSIP([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sip.Response)
}

func TestReliable(t *testing.T) {
	for name, c := range map[string]struct {
		code    int
		headers []string
		rseq    uint32
		ok      bool
	}{
		"reliable":           {183, []string{"Require: 100rel", "RSeq: 17"}, 17, true},
		"among others":       {183, []string{"Require: x, 100REL", "Rseq:  4294967295"}, 4294967295, true},
		"100 is not":         {100, []string{"Require: 100rel", "RSeq: 1"}, 0, false},
		"nor is a final one": {200, []string{"Require: 100rel", "RSeq: 1"}, 0, false},
		"not required":       {183, []string{"Supported: 100rel", "RSeq: 1"}, 0, false},
		"no number":          {183, []string{"Require: 100rel"}, 0, false},
		"zero":               {183, []string{"Require: 100rel", "RSeq: 0"}, 0, false},
		"signed":             {183, []string{"Require: 100rel", "RSeq: +1"}, 0, false},
		"too large":          {183, []string{"Require: 100rel", "RSeq: 4294967296"}, 0, false},
		"twice":              {183, []string{"Require: 100rel", "RSeq: 1", "RSeq: 1"}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			res := provisional(t, c.code, c.headers...)
			if rseq, ok := Reliable(res); rseq != c.rseq || ok != c.ok {
				t.Errorf("got %d, %v, want %d, %v", rseq, ok, c.rseq, c.ok)
			}
		})
	}
	if got, want := RAck(17, provisional(t, 183)).String(), "RAck: 17 4 INVITE"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzReliable(f *testing.F) {
	f.Add("100rel", "1")
	f.Add("100rel;x, 100rel", " 0x1")
	f.Fuzz(func(t *testing.T, require, rseq string) {
		res := sip.NewResponse(183, "x")
		res.AppendHeader(sip.NewHeader("Require", require))
		res.AppendHeader(sip.NewHeader("RSeq", rseq))
		if n, ok := Reliable(res); ok != (n != 0) {
			t.Errorf("%d, %v", n, ok)
		}
	})
}
