package sdp

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

// rtcpLines are the lines about RTCP of a description.
func rtcpLines(body []byte) string {
	var found []string
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "a=rtcp") {
			found = append(found, line)
		}
	}
	return strings.Join(found, " ")
}

// What is said of RTCP, and what is agreed on by that (RFC 3605, RFC 5761 5.1.1).
func TestControl(t *testing.T) {
	local := Local{Addr: ap("10.0.0.1:10000"), RTCP: 10001, Codecs: []string{"PCMU"}}
	silent, past := local, local
	silent.RTCP = 0
	past.Elsewhere = Elsewhere{Addr: ap("10.0.0.7:4000"), Codec: Codec{"PCMU", 0, 8000}}
	none := netip.AddrPort{}
	for _, tt := range []struct {
		name, media string
		local       Local
		want        string
		rtcp        netip.AddrPort
		mux         bool
	}{
		{"mux", "m=audio 4000 RTP/AVP 0\na=rtcp-mux", local, "a=rtcp-mux", ap("192.0.2.9:4000"), true},
		{"mux and a port", "m=audio 4000 RTP/AVP 0\na=rtcp:4001\na=rtcp-mux", local, "a=rtcp-mux", ap("192.0.2.9:4000"), true},
		{"nothing said", "m=audio 4000 RTP/AVP 0", local, "a=rtcp:10001", ap("192.0.2.9:4001"), false},
		{"a port", "m=audio 4000 RTP/AVP 0\na=rtcp:5555", local, "a=rtcp:10001", ap("192.0.2.9:5555"), false},
		{"no port", "m=audio 4000 RTP/AVP 0\na=rtcp:0", local, "a=rtcp:10001", none, false},
		{"a number that looks like RTCP", "m=audio 4000 RTP/AVP 72\na=rtpmap:72 PCMU/8000\na=rtcp-mux", local, "a=rtcp:10001", ap("192.0.2.9:4001"), false},
		{"removed", "m=audio 0 RTP/AVP 0\na=rtcp-mux", local, "", none, false},
		{"as an older release recorded", "m=audio 4000 RTP/AVP 0\na=rtcp-mux", silent, "", ap("192.0.2.9:4001"), false},
		{"media of another party", "m=audio 4000 RTP/AVP 0\na=rtcp-mux", past, "", none, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Parse(crlf(offer(tt.media)))
			if err != nil {
				t.Fatal(err)
			}
			body, a, err := r.Answer(tt.local, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := rtcpLines(body); got != tt.want {
				t.Errorf("answered %q, want %q", got, tt.want)
			}
			if a.RTCP != tt.rtcp || a.RTCPMux != tt.mux {
				t.Errorf("agreed on %v, mux %t", a.RTCP, a.RTCPMux)
			}
			// What is written down makes the same answer again.
			b, err := json.Marshal(tt.local)
			if err != nil {
				t.Fatal(err)
			}
			var kept Local
			if err := json.Unmarshal(b, &kept); err != nil {
				t.Fatal(err)
			}
			if again, _, err := r.Answer(kept, ""); err != nil || string(again) != string(body) {
				t.Errorf("%v\n%s", err, again)
			}
		})
	}
}

// An offer says both, and the answer decides.
func TestControlOffered(t *testing.T) {
	local := Local{Addr: ap("10.0.0.1:10000"), RTCP: 10001, Codecs: []string{"PCMU"}}
	for _, tt := range []struct {
		name, answer string
		change       func(*Local)
		said         string
		rtcp         netip.AddrPort
		mux          bool
	}{
		{"mux", "m=audio 4000 RTP/AVP 0\na=rtcp-mux", nil, "a=rtcp-mux a=rtcp:10001", ap("192.0.2.9:4000"), true},
		{"apart", "m=audio 4000 RTP/AVP 0", nil, "a=rtcp-mux a=rtcp:10001", ap("192.0.2.9:4001"), false},
		{"mux that was not offered", "m=audio 4000 RTP/AVP 0\na=rtcp-mux", func(l *Local) { l.RTCP = 0 }, "", ap("192.0.2.9:4001"), false},
		{"media of another party", "m=audio 4000 RTP/AVP 0\na=rtcp-mux",
			func(l *Local) {
				l.Elsewhere = Elsewhere{Addr: ap("10.0.0.7:4000"), Codec: Codec{"PCMU", 0, 8000}}
			}, "", netip.AddrPort{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := local
			if tt.change != nil {
				tt.change(&l)
			}
			body := Offer(l, nil)
			if got := rtcpLines(body); got != tt.said {
				t.Errorf("offered %q, want %q", got, tt.said)
			}
			r, err := Parse(crlf(offer(tt.answer)))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // by what was offered, and by what would be
				a, err := r.Accept(l)
				if err != nil || a.RTCP != tt.rtcp || a.RTCPMux != tt.mux {
					t.Errorf("agreed on %v, mux %t: %v", a.RTCP, a.RTCPMux, err)
				}
				l.Previous = body
			}
		})
	}
}

// Who wants no RTCP (RFC 3556) gets none, and hears so from us, in offers of ours too.
func TestNoControlWanted(t *testing.T) {
	local := Local{Addr: ap("10.0.0.1:10000"), RTCP: 10001, Codecs: []string{"PCMU"}}
	for _, tt := range []struct {
		name, session, media string
		off                  bool
	}{
		{"both none", "", "b=RS:0\nb=RR:0", true},
		{"in any order, among others", "", "b=AS:80\nb=RR:0\nb=TIAS:64000\nb=RS:0", true},
		{"of the session", "b=RS:0\nb=RR:0\n", "", true},
		{"one of the session", "b=RR:0\n", "b=RS:0", true},
		{"the stream's own counts", "b=RS:0\nb=RR:0\n", "b=RR:800", false},
		{"receivers only", "", "b=RS:800\nb=RR:0", false},
		{"senders only", "", "b=RS:0\nb=RR:800", false},
		{"half said", "", "b=RR:0", false},
		{"sloppy", "", "b= rs : 0\nb=rr:000", true},
		{"no numbers", "", "b=RS:none\nb=RR:", false},
		{"less than nothing", "", "b=RS:-0\nb=RR:0", false},
		{"the first counts", "", "b=RS:0\nb=RS:9\nb=RR:0", true},
		{"another stream's", "", "m=video 4002 RTP/AVP 96\nb=RS:0\nb=RR:0", false},
		{"nothing said", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, mux := range []string{"", "\na=rtcp-mux"} {
				offered := strings.Replace(offer("m=audio 4000 RTP/AVP 0\n"+tt.media+mux), "t=0 0\n", tt.session+"t=0 0\n", 1)
				r, err := Parse(crlf(offered))
				if err != nil {
					t.Fatal(err)
				}
				body, a, err := r.Answer(local, "")
				if err != nil {
					t.Fatal(err)
				}
				check := func(what string, body []byte) {
					t.Helper()
					if got := strings.Contains(string(body), "\r\nb=RS:0\r\nb=RR:0\r\n"); got != tt.off {
						t.Errorf("%s without RTCP: %t\n%s", what, got, body)
					}
				}
				check("answered", body)
				if got := !a.RTCP.IsValid() && !a.RTCPMux; got != tt.off {
					t.Errorf("agreed on %v, mux %t", a.RTCP, a.RTCPMux)
				}
				next := local
				next.Previous = body
				check("offered later", Offer(next, nil))
				if b, err := r.Accept(local); err != nil || (!b.RTCP.IsValid() && !b.RTCPMux) != tt.off {
					t.Errorf("as an answer: %v, mux %t: %v", b.RTCP, b.RTCPMux, err)
				}
			}
		})
	}
}
