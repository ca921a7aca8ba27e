package dialog

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// What is written at once is what NewRequest makes, or it is not written at once.
func TestAppendHeaders(t *testing.T) {
	whole := Dialog{ID: ID{CallID: "a84b4c76e66710@pc33", Local: "tag1", Remote: "tag-2"}, LocalURI: "sip:701@example.com",
		RemoteURI: "sip:bob@example.com", Target: "sip:bob@192.0.2.9:5062;transport=udp", LocalSeq: 7}
	for _, row := range []struct {
		name   string
		change func(*Dialog)
		plain  bool
	}{
		{"usual", func(*Dialog) {}, true},
		{"routes", func(d *Dialog) { d.Routes = []string{"sip:192.0.2.7;lr", "sip:p2.example.com;lr;x=1"} }, true},
		{"no tag", func(d *Dialog) { d.Remote = "" }, true},
		{"IPv6", func(d *Dialog) { d.Target = "sip:bob@[2001:db8::9]:5060" }, true},
		{"escapes", func(d *Dialog) { d.Target = "sip:%2A4701@192.0.2.9" }, true},
		{"sips", func(d *Dialog) { d.Target, d.LocalURI = "sips:bob@192.0.2.9", "sips:701@example.com" }, true},
		{"strict router", func(d *Dialog) { d.Routes = []string{"sip:192.0.2.7"} }, false},
		{"name", func(d *Dialog) { d.LocalName = "Sales" }, false},
		{"line break", func(d *Dialog) { d.RemoteURI = "sip:bob@example.com\r\nX: 1" }, false},
		{"bracket", func(d *Dialog) { d.Target = "sip:bob@192.0.2.9>" }, false},
		{"no URI", func(d *Dialog) { d.Target = "bob" }, false},
		{"no Call-ID", func(d *Dialog) { d.CallID = "" }, false},
		{"space in a tag", func(d *Dialog) { d.Remote = "a b" }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := whole
			row.change(&d)
			if got := d.Plain(); got != row.plain {
				t.Fatalf("plain: %v", got)
			}
			if !row.plain {
				return
			}
			text := "NOTIFY " + d.Target + " SIP/2.0\r\n" + string(d.AppendHeaders(nil, sip.NOTIFY, d.LocalSeq+1)) + "\r\n"
			req, err := d.NewRequest(sip.NOTIFY)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimRight(req.String(), "\r\n") + "\r\n\r\n"; text != want {
				t.Errorf("written\n%s\nwant\n%s", text, want)
			}
		})
	}
}
