package leg

import (
	"testing"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sdp"
)

// FuzzDescription: nothing in a body, however its parts are nested, ends the
// process; what is taken for SDP stands in the body.
func FuzzDescription(f *testing.F) {
	const offer = "v=0\r\no=- 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
	f.Add("application/sdp", "", "", []byte(offer))
	f.Add("multipart/mixed;boundary=b", "", "identity", []byte("--b\r\nContent-Type: application/sdp\r\n\r\n"+offer+"\r\n--b--"))
	f.Add("multipart/mixed;boundary=b", "session;handling=optional", "", []byte("--b\r\nContent-Type: multipart/alternative;boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--"))
	f.Add("multipart/related;boundary=\"\"", ";;", "gzip", []byte("--"))
	f.Fuzz(func(t *testing.T, contentType, disposition, coding string, body []byte) {
		req := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", User: "701", Host: "h"})
		for name, value := range map[string]string{"Content-Type": contentType, "Content-Disposition": disposition, "Content-Encoding": coding} {
			if value != "" {
				req.AppendHeader(sip.NewHeader(name, value))
			}
		}
		req.SetBody(body)
		found, err := description(req)
		if err != nil && found != nil || len(found) > len(body) {
			t.Errorf("%d bytes of %d, %v", len(found), len(body), err)
		}
		if describes(req) != (err == nil && found != nil) {
			t.Error("describes says otherwise")
		}
		if found != nil {
			_, _ = sdp.Parse(found)
		}
	})
}

// FuzzTarget: whatever a header names, what may be called is a plain URI of a user
// that was allowed, or a number.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"tel:+49-30;phone-context=x", "sip:100@10.1.2.3", "sip:[::1]", "tel:", "sips:100@pbx;transport=tcp", "100", "tel:%31"} {
		f.Add(s)
	}
	p := testPolicy()
	f.Fuzz(func(t *testing.T, s string) {
		target, ok := p.returnTarget(s, "pbx")
		if !ok {
			return
		}
		u, err := parseTarget(target)
		if err != nil {
			t.Errorf("%q is allowed as %q, which is no target: %v", s, target, err)
		}
		if again, ok := p.returnTarget(target, "pbx"); !ok || again != target {
			t.Errorf("%q is allowed as %q, and that as %q, %v", s, target, again, ok)
		}
		if len(u.UriParams) > 1 || len(u.Headers) > 0 || u.Password != "" {
			t.Errorf("%q may call %s", s, u.String())
		}
	})
}
