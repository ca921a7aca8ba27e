package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	pcmu = Codec{"PCMU", 0, 8000}
	pcma = Codec{"PCMA", 8, 8000}
	g722 = Codec{"G722", 9, 8000}
	all  = []string{"PCMU", "PCMA", "G722"}
	here = Local{Addr: netip.MustParseAddrPort("192.0.2.1:10000"), SessionID: 7, Version: 1, Codecs: all}
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func mustParse(t *testing.T, s string) Remote {
	t.Helper()
	r, err := Parse(crlf(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// offer is a small offer: m= line and attributes as given.
func offer(rest string) string {
	return "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n" + rest
}

func TestParsePhones(t *testing.T) {
	want := map[string]Remote{
		"yealink": {Addr: ap("192.0.2.21:11798"), RTCP: ap("192.0.2.21:11799"), Codecs: []Codec{g722, pcmu, pcma},
			Event: Event{101, 8000}, Ptime: 20, Media: 1, Origin: Origin{"-", "20083", "20083", "IN IP4 192.0.2.21"}},
		"polycom": {Addr: ap("192.0.2.22:2228"), RTCP: ap("192.0.2.22:2229"), Codecs: []Codec{g722, pcmu, pcma},
			Event: Event{127, 8000}, Ptime: 20, Media: 1, Origin: Origin{"-", "1290000000", "1290000000", "IN IP4 192.0.2.22"}},
		"cisco spa": {Addr: ap("192.0.2.23:16462"), RTCP: ap("192.0.2.23:16463"), Codecs: []Codec{pcmu, pcma, g722},
			Event: Event{101, 8000}, Ptime: 30, Media: 1, Origin: Origin{"-", "8137", "8137", "IN IP4 192.0.2.23"}},
		"linphone": {Addr: ap("192.0.2.25:7078"), RTCP: ap("192.0.2.25:7079"), Codecs: []Codec{pcmu, pcma},
			Event: Event{100, 8000}, Ptime: 20, Media: 2, Origin: Origin{"alice", "2890", "3456", "IN IP4 192.0.2.24"}},
		"baresip": {Addr: ap("127.0.0.1:16420"), RTCP: ap("127.0.0.1:16421"), Codecs: []Codec{pcmu, pcma},
			Event: Event{101, 8000}, Ptime: 20, Media: 1, Origin: Origin{"-", "3917233290", "3283011", "IN IP4 127.0.0.1"}},
		"sipp": {Addr: ap("127.0.0.1:6000"), RTCP: ap("127.0.0.1:6001"), Codecs: []Codec{pcmu},
			Ptime: 20, Media: 1, Origin: Origin{"user1", "53655765", "2353687637", "IN IP4 127.0.0.1"}},
		"fax and application": {Addr: ap("[2001:db8::9]:4002"), RTCP: ap("[2001:db8::9]:4003"), Codecs: []Codec{pcma},
			Ptime: 20, Index: 1, Media: 3, Origin: Origin{"-", "1", "1", "IN IP4 192.0.2.26"}},
	}
	for name, text := range phones {
		t.Run(name, func(t *testing.T) {
			got := mustParse(t, text)
			if d := cmp.Diff(want[name], got, cmpopts.IgnoreUnexported(Remote{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseStream(t *testing.T) {
	tests := []struct {
		name, rest string
		check      func(Remote) bool
	}{
		{"dynamic numbers and odd case", "m=audio 4000 RTP/AVP 96 97 98 99\na=rtpmap:96 pcmu/8000\na=rtpmap:97 g722/8000/1\na=rtpmap:98 Pcma/8000\na=rtpmap:99 Telephone-Event/8000",
			func(r Remote) bool {
				return cmp.Equal(r.Codecs, []Codec{{"PCMU", 96, 8000}, {"G722", 97, 8000}, {"PCMA", 98, 8000}}) && r.Event == Event{99, 8000}
			}},
		{"static number with another meaning", "m=audio 4000 RTP/AVP 0 8\na=rtpmap:0 FOO/8000", func(r Remote) bool { return cmp.Equal(r.Codecs, []Codec{pcma}) }},
		{"wrong rates and channels", "m=audio 4000 RTP/AVP 96 97 8\na=rtpmap:96 PCMU/16000\na=rtpmap:97 PCMU/8000/2", func(r Remote) bool { return cmp.Equal(r.Codecs, []Codec{pcma}) }},
		{"G722 at its sampling rate", "m=audio 4000 RTP/AVP 9\na=rtpmap:9 G722/16000", func(r Remote) bool { return cmp.Equal(r.Codecs, []Codec{g722}) }},
		{"event of a wide band only", "m=audio 4000 RTP/AVP 0 99\na=rtpmap:99 telephone-event/16000", func(r Remote) bool { return r.Event == Event{99, 16000} }},
		{"ptime below", "m=audio 4000 RTP/AVP 0\na=ptime:5", func(r Remote) bool { return r.Ptime == 10 }},
		{"ptime above", "m=audio 4000 RTP/AVP 0\na=ptime:900000", func(r Remote) bool { return r.Ptime == 60 }},
		{"ptime uneven", "m=audio 4000 RTP/AVP 0\na=ptime:37.5", func(r Remote) bool { return r.Ptime == 30 }},
		{"ptime nonsense", "m=audio 4000 RTP/AVP 0\na=ptime:NaN", func(r Remote) bool { return r.Ptime == 20 }},
		{"ptime of the session", "a=ptime:40\nm=audio 4000 RTP/AVP 0", func(r Remote) bool { return r.Ptime == 40 }},
		{"maxptime lowers", "m=audio 4000 RTP/AVP 0\na=ptime:40\na=maxptime:30", func(r Remote) bool { return r.Ptime == 30 && r.MaxPtime == 30 }},
		{"rtcp elsewhere", "m=audio 4000 RTP/AVP 0\na=rtcp:53020 IN IP4 192.0.2.77", func(r Remote) bool { return r.RTCP == ap("192.0.2.77:53020") }},
		{"no rtcp", "m=audio 4000 RTP/AVP 0\na=rtcp:0", func(r Remote) bool { return !r.RTCP.IsValid() }},
		{"rtcp malformed", "m=audio 4000 RTP/AVP 0\na=rtcp:x y", func(r Remote) bool { return r.RTCP == ap("192.0.2.9:4001") }},
		{"rtcp-mux", "m=audio 4000 RTP/AVP 0\na=rtcp-mux", func(r Remote) bool { return r.RTCPMux }},
		{"hold by 0.0.0.0", "m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0", func(r Remote) bool { return r.Hold && r.Direction == SendRecv }},
		{"hold by ::", "m=audio 4000 RTP/AVP 0\nc=IN IP6 ::", func(r Remote) bool { return r.Hold }},
		{"hold by sendonly", "m=audio 4000 RTP/AVP 0\na=sendonly", func(r Remote) bool { return r.Hold && r.Direction == SendOnly }},
		{"hold of the session", "a=inactive\nm=audio 4000 RTP/AVP 0", func(r Remote) bool { return r.Hold && r.Direction == Inactive }},
		{"the stream overrides the session", "a=inactive\nm=audio 4000 RTP/AVP 0\na=sendrecv", func(r Remote) bool { return !r.Hold && r.Direction == SendRecv }},
		{"recvonly is no hold", "m=audio 4000 RTP/AVP 0\na=recvonly", func(r Remote) bool { return !r.Hold && r.Direction == RecvOnly }},
		{"hold by port 0", "m=audio 0 RTP/AVP 0", func(r Remote) bool { return r.Hold && r.Removed() }},
		{"plain beside secure", "m=audio 4000 RTP/SAVP 0\nm=audio 4002 RTP/AVP 0", func(r Remote) bool { return !r.Secure && r.Index == 1 && r.Media == 2 }},
		{"secure only", "m=audio 4000 UDP/TLS/RTP/SAVPF 0", func(r Remote) bool { return r.Secure }},
		{"second stream has our codec", "m=audio 4000 RTP/AVP 18\nm=audio 4002 RTP/AVP 8", func(r Remote) bool { return r.Index == 1 }},
		{"lower case transport, port count", "m=audio 4000/2 rtp/avp 0", func(r Remote) bool { return r.Addr.Port() == 4000 }},
		{"mapped address", "m=audio 4000 RTP/AVP 0\nc=IN IP6 ::ffff:192.0.2.8", func(r Remote) bool { return r.Addr == ap("192.0.2.8:4000") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r := mustParse(t, offer(tt.rest)); !tt.check(r) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, body string
		want       error
	}{
		{"empty", "", ErrSyntax},
		{"no version", "o=- 1 1 IN IP4 1.1.1.1\nm=audio 1 RTP/AVP 0", ErrSyntax},
		{"version 1", "v=1\no=- 1 1 IN IP4 1.1.1.1", ErrSyntax},
		{"no origin", "v=0\ns=-\nc=IN IP4 1.1.1.1\nm=audio 1 RTP/AVP 0", ErrSyntax},
		{"no line", offer("audio please"), ErrSyntax},
		{"short m=", offer("m=audio 4000 RTP/AVP"), ErrSyntax},
		{"port out of range", offer("m=audio 70000 RTP/AVP 0"), ErrSyntax},
		{"no c=", "v=0\no=- 1 1 IN IP4 1.1.1.1\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 0", ErrSyntax},
		{"no media", offer(""), ErrNoAudio},
		{"video only", offer("m=video 4000 RTP/AVP 96"), ErrNoAudio},
		{"audio not over RTP", offer("m=audio 4000 TCP/MRCPv2 1"), ErrNoAudio},
		{"host name", offer("m=audio 4000 RTP/AVP 0\nc=IN IP4 phone.example.com"), ErrAddress},
		{"multicast", offer("m=audio 4000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127"), ErrAddress},
		{"broadcast", offer("m=audio 4000 RTP/AVP 0\nc=IN IP4 255.255.255.255"), ErrAddress},
		{"too many lines", offer(strings.Repeat("m=audio 4000 RTP/AVP 0\n", MaxMedia+1)), ErrSyntax},
		{"too large", offer("m=audio 4000 RTP/AVP 0\n" + strings.Repeat("a=x:y\n", MaxBody/6)), ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse(crlf(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAnswerGolden(t *testing.T) {
	r := mustParse(t, phones["fax and application"])
	got, a, err := r.Answer(here, "")
	if err != nil {
		t.Fatal(err)
	}
	want := crlf(`
v=0
o=- 7 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=3034423619 3042462419
m=image 0 udptl t38
m=audio 10000 RTP/AVP 8
a=rtpmap:8 PCMA/8000
a=ptime:20
a=sendrecv
m=application 0 TCP/TLS/BFCP *`)
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	if a.Codec != pcma || a.RecvPT != 8 || !a.Send || !a.Recv || a.Remote != ap("[2001:db8::9]:4002") || a.Event.PT != 0 {
		t.Errorf("agreed %+v", a)
	}
}

func TestAnswerChooses(t *testing.T) {
	tests := []struct {
		name, rest, prefer string
		ours               []string
		want               Codec
		err                error
	}{
		{"the peer's order", "m=audio 4000 RTP/AVP 18 8 0", "", all, pcma, nil},
		{"the other leg's codec", "m=audio 4000 RTP/AVP 8 0 9", "g722", all, g722, nil},
		{"the other leg's is not offered", "m=audio 4000 RTP/AVP 8 0", "G722", all, pcma, nil},
		{"the other leg's is not allowed", "m=audio 4000 RTP/AVP 8 0", "PCMU", []string{"PCMA"}, pcma, nil},
		{"the peer's numbers", "m=audio 4000 RTP/AVP 97\na=rtpmap:97 PCMU/8000", "", all, Codec{"PCMU", 97, 8000}, nil},
		{"none in common", "m=audio 4000 RTP/AVP 18 101\na=rtpmap:101 telephone-event/8000", "", all, Codec{}, ErrNoCodec},
		{"none of ours", "m=audio 4000 RTP/AVP 8", "", []string{"PCMU"}, Codec{}, ErrNoCodec},
		{"secure", "m=audio 4000 RTP/SAVP 0", "", all, Codec{}, ErrSecure},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := here
			l.Codecs = tt.ours
			body, a, err := mustParse(t, offer(tt.rest)).Answer(l, tt.prefer)
			if !errors.Is(err, tt.err) || a.Codec != tt.want || (body == nil) != (err != nil) {
				t.Errorf("got %+v, %v", a.Codec, err)
			}
		})
	}
}

// RFC 3264 6.1, 8.4.
func TestAnswerDirections(t *testing.T) {
	tests := []struct {
		offered, conn string
		ours          Direction
		answered      string
		send, recv    bool
	}{
		{"sendrecv", "192.0.2.9", SendRecv, "sendrecv", true, true},
		{"sendonly", "192.0.2.9", SendRecv, "recvonly", false, true},
		{"recvonly", "192.0.2.9", SendRecv, "sendonly", true, false},
		{"inactive", "192.0.2.9", SendRecv, "inactive", false, false},
		{"sendrecv", "0.0.0.0", SendRecv, "sendrecv", false, true},
		{"inactive", "0.0.0.0", SendRecv, "inactive", false, false},
		{"sendrecv", "192.0.2.9", SendOnly, "sendonly", true, false},
		{"sendonly", "192.0.2.9", SendOnly, "inactive", false, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s %v", tt.offered, tt.conn, tt.ours), func(t *testing.T) {
			l := here
			l.Direction = tt.ours
			r := mustParse(t, offer("m=audio 4000 RTP/AVP 0\nc=IN IP4 "+tt.conn+"\na="+tt.offered))
			body, a, err := r.Answer(l, "")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(body), "a="+tt.answered+"\r\n") || a.Send != tt.send || a.Recv != tt.recv {
				t.Errorf("send %v recv %v\n%s", a.Send, a.Recv, body)
			}
		})
	}
}

func TestAnswerRemovedStream(t *testing.T) {
	r := mustParse(t, offer("m=audio 0 RTP/AVP 0 8"))
	body, a, err := r.Answer(here, "")
	if err != nil || a.Send || a.Recv || !strings.Contains(string(body), "m=audio 0 RTP/AVP 0 8\r\n") {
		t.Errorf("%v %+v\n%s", err, a, body)
	}
}

func TestAnswerNeedsAnAddress(t *testing.T) {
	l := here
	l.Addr = netip.AddrPort{}
	if _, _, err := mustParse(t, phones["sipp"]).Answer(l, ""); !errors.Is(err, ErrLocal) {
		t.Error(err)
	}
}

// RFC 3264 8: o= id stays, version rises by one when anything changed.
func TestVersions(t *testing.T) {
	l := here
	first := mustParse(t, phones["yealink"])
	body, _, err := first.Answer(l, "")
	if err != nil {
		t.Fatal(err)
	}
	origin := func(b []byte) Origin {
		r, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		return r.Origin
	}
	l.Previous, l.SessionID, l.Version = body, 99, 99
	again, _, err := first.Answer(l, "")
	if err != nil || string(again) != string(body) {
		t.Errorf("a repeated offer got %s, %v", again, err)
	}
	held := mustParse(t, strings.Replace(phones["yealink"], "a=sendrecv", "a=sendonly", 1))
	hold, a, err := held.Answer(l, "G722")
	if err != nil || a.Send {
		t.Fatal(err, a)
	}
	if o := origin(hold); o.ID != "7" || o.Version != "2" {
		t.Errorf("hold: %+v", o)
	}
	if !first.Unchanged(held) || first.Unchanged(mustParse(t, phones["polycom"])) {
		t.Error("Unchanged does not follow o=")
	}
	l.Previous = hold
	if o := origin(Offer(l, nil)); o.ID != "7" || o.Version != "3" {
		t.Errorf("re-offer: %+v", o)
	}
}

func TestOfferGolden(t *testing.T) {
	l := here
	l.Addr = ap("[2001:db8::1]:10000")
	l.User = "park d"
	got := Offer(l, nil)
	want := crlf(`
v=0
o=parkd 7 1 IN IP6 2001:db8::1
s=-
c=IN IP6 2001:db8::1
t=0 0
m=audio 10000 RTP/AVP 0 8 9 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:9 G722/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv`)
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	if Offer(Local{}, all) != nil || Offer(here, []string{"opus"}) != nil {
		t.Error("an offer of nothing")
	}
}

func TestReofferKeepsLinesAndNumbers(t *testing.T) {
	r := mustParse(t, offer("m=video 5000 RTP/AVP 96\nm=audio 4000 RTP/AVPF 101 102\na=rtpmap:101 PCMU/8000\na=rtpmap:102 PCMA/8000"))
	l := here
	body, _, err := r.Answer(l, "")
	if err != nil {
		t.Fatal(err)
	}
	l.Previous = body
	got := string(Offer(l, []string{"PCMU", "G722"}))
	for _, want := range []string{"m=video 0 RTP/AVP 96\r\nm=audio 10000 RTP/AVPF 101 9 102\r\n", "a=rtpmap:102 telephone-event/8000\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestAccept(t *testing.T) {
	l := here
	l.Previous = Offer(l, []string{"G722", "PCMU"})
	tests := []struct {
		name, rest string
		want       Agreed
		err        error
	}{
		{"as offered", "m=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000",
			Agreed{Codec: pcmu, RecvPT: 0, Event: Event{101, 8000}, RecvEvent: Event{101, 8000}, Ptime: 20, Send: true, Recv: true}, nil},
		{"the peer's own numbers", "m=audio 4000 RTP/AVP 96 97\na=rtpmap:96 G722/8000\na=rtpmap:97 telephone-event/8000\na=ptime:30",
			Agreed{Codec: Codec{"G722", 96, 8000}, RecvPT: 9, Event: Event{97, 8000}, RecvEvent: Event{101, 8000}, Ptime: 30, Send: true, Recv: true}, nil},
		{"more than one", "m=audio 4000 RTP/AVP 8 0 96\na=rtpmap:96 G722/8000",
			Agreed{Codec: pcmu, RecvPT: 0, Also: [2]Codec{g722}, Ptime: 20, Send: true, Recv: true}, nil},
		{"no keys", "m=audio 4000 RTP/AVP 0\na=recvonly", Agreed{Codec: pcmu, Ptime: 20, Send: true}, nil},
		{"held", "m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0", Agreed{Codec: pcmu, Ptime: 20, Recv: true}, nil},
		{"not offered", "m=audio 4000 RTP/AVP 8", Agreed{}, ErrNoCodec},
		{"refused", "m=audio 0 RTP/AVP 0", Agreed{}, ErrNoCodec},
		{"secure", "m=audio 4000 RTP/SAVP 0", Agreed{}, ErrSecure},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mustParse(t, offer(tt.rest)).Accept(l)
			if !errors.Is(err, tt.err) {
				t.Fatal(err)
			}
			got.Remote, got.RTCP = netip.AddrPort{}, netip.AddrPort{}
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
	if a, err := mustParse(t, phones["sipp"]).Accept(here); err != nil || a.Codec != pcmu {
		t.Error("without the offer at hand:", a, err)
	}
}

func TestBareNewlinesAndOrder(t *testing.T) {
	text := "v=0\no=x 12345678901234567890123 9 IN IP4 192.0.2.9\nt=0 0\nc=IN IP4 192.0.2.9\nm=audio 4000 RTP/AVP 0\na=ptime:20\n\n\x00"
	r, err := Parse([]byte(text))
	if err != nil || r.Origin.ID != "12345678901234567890123" {
		t.Error(r.Origin, err)
	}
}

// FuzzParse: whatever parses can be answered, the answer parses, has as many m=
// lines, and an answer to the same offer again is the same.
func FuzzParse(f *testing.F) {
	for _, s := range phones {
		f.Add(crlf(s))
	}
	f.Add(crlf(offer("m=audio 0 RTP/AVP 0")))
	f.Add(crlf(offer("a=inactive\nm=audio 4000 RTP/SAVP 0\nm=audio 4002 rtp/avp 96 97\na=rtpmap:96 pcmu/8000/1\na=rtcp:1 IN IP6 ::1")))
	f.Add(crlf("v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nb=RS:0\nt=0 0\nm=audio 4000 RTP/AVP 0\nb=RR:0\nb=AS:x\na=rtcp-mux"))
	for _, line := range cryptoLines {
		f.Add(crlf(offer("m=audio 4000 RTP/SAVP 0\na=crypto:" + line.value)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Parse(body)
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrNoAudio) && !errors.Is(err, ErrAddress) {
				t.Fatalf("no sentinel: %v", err)
			}
			return
		}
		masked, err := Parse(Mask(body))
		if err != nil || masked.Media != r.Media || len(masked.cryptos) != len(r.cryptos) {
			t.Fatalf("with its keys masked: %v", err)
		}
		for _, c := range r.cryptos {
			secured := Secured{Suite: c.suite, Ours: "x", Theirs: c.key, Terms: c.terms}
			for _, k := range secured.PeerKeys() {
				if k.Lifetime == 0 || len(k.MKI) > maxMKI || c.key.Known() && !k.Key.Known() {
					t.Fatalf("a key of %s lasts for %d packets and has an MKI of %d octets", c.suite, k.Lifetime, len(k.MKI))
				}
			}
			if n := len(secured.PeerKeys()); c.key.Known() && n*len(secured.PeerKeys()[0].Key) != len(c.key) {
				t.Fatalf("%d keys of %d octets", n, len(c.key))
			}
		}
		for _, c := range masked.cryptos {
			if c.key.Known() {
				t.Fatalf("the key of %s is not masked", c.tag)
			}
		}
		l := here
		l.Security, l.Keys = Security(len(body)%3), someKeys()
		answer, a, err := r.Answer(l, "PCMA")
		if err != nil {
			if !errors.Is(err, ErrNoCodec) && !errors.Is(err, ErrSecure) && !errors.Is(err, ErrClear) {
				t.Fatal(err)
			}
			return
		}
		if l.Security == Off && a.Secured != (Secured{}) || l.Security == Required && a.Secured == (Secured{}) && !r.Removed() {
			t.Fatalf("%d has made %+v", l.Security, a.Secured)
		}
		if a.Send && (r.Hold || !a.Remote.IsValid()) {
			t.Fatalf("sends to %v while held", a.Remote)
		}
		back, err := Parse(answer)
		if err != nil || back.Media != r.Media || back.Removed() != r.Removed() {
			t.Fatalf("%v\n%s", err, answer)
		}
		l.Previous = answer
		again, _, err := r.Answer(l, "PCMA")
		if err != nil || string(again) != string(answer) {
			t.Fatalf("%v\n%s", err, again)
		}
		_, _ = r.Accept(l)
		if next, err := Parse(Offer(l, nil)); err != nil || next.Media != r.Media {
			t.Fatal(err)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	body := crlf(phones["yealink"])
	for b.Loop() {
		r, err := Parse(body)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := r.Answer(here, ""); err != nil {
			b.Fatal(err)
		}
	}
}
