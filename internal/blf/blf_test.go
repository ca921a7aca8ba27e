package blf

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"parkd/internal/orbit"

	"github.com/beevik/etree"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden documents")

func head(state string) *orbit.CallView {
	return &orbit.CallView{ID: "c1", State: state, Orbit: "701",
		Caller: orbit.Party{Name: "Ann", URI: "sip:ann@example.com"},
		Alias:  orbit.Alias{CallID: "0123456789abcdef01234567", LocalTag: "0123456789ab", RemoteTag: "ba9876543210"}}
}

func fill() Fill {
	return Fill{Entity: "sip:701@192.0.2.1", Version: 3, Target: "sip:701@192.0.2.1:5060"}
}

type golden struct {
	name  string
	view  orbit.View
	style Style
	fill  Fill
}

func goldens() []golden {
	free := orbit.View{Orbit: "701", Name: "Sales", Enabled: true, State: "free"}
	parked := orbit.View{Orbit: "701", Name: "Sales", Enabled: true, State: "parked", Head: head("parked"), Count: 1}
	called := func(name, uri string) orbit.View {
		v := parked
		v.Head = head("parked")
		v.Head.Caller = orbit.Party{Name: name, URI: uri}
		return v
	}
	back := parked
	back.State, back.Head = "returning", head("returning")
	queue, queueBack, queueNumber := parked, back, called("", "sip:200;x=1@example.com")
	queue.Count, queue.Behind, queueBack.Behind, queueNumber.Behind = 3, 2, 2, 2
	nobody := called("", "")
	nobody.Name = ""
	text := called("A \"B\" <C> & 'D'\r\n\x00é", "sip:a&b;x=\"1\"@example.com;user=phone?Subject=%3Chi%3E")
	fetched := parked
	fetched.Head = nil
	entity, tcp := fill(), fill()
	entity.Entity = "sip:701@Park.Example.COM:5060;transport=udp;x=&<'\">"
	tcp.Target = "sip:701@[2001:db8::1]:5060;transport=tcp"
	pool := Fill{Entity: "sip:700@192.0.2.1", Version: 3, Target: "sip:700@192.0.2.1:5060"}
	poolFree, poolFull := orbit.View{Orbit: "700", Enabled: true, State: "free"}, orbit.View{Orbit: "700", Enabled: true, State: "full", Full: true}
	with := func(p Profile) Style { return Style{Profile: p} }
	list := []golden{
		{"free", free, Style{}, fill()},
		{"parked", parked, Style{}, fill()},
		{"parked-confirmed", parked, with(Profile{Confirmed: true}), fill()},
		{"parked-pvalue", parked, with(Profile{Rendering: Pvalue}), fill()},
		{"parked-plain", parked, with(Profile{Rendering: NoRendering, Anonymous: true}), fill()},
		{"parked-code", parked, with(Profile{Code: "*4"}), fill()},
		{"parked-number", parked, Style{Identity: Number}, fill()},
		{"parked-nobody", parked, Style{Identity: Nobody}, fill()},
		{"parked-withheld", queueBack, Style{Identity: Withheld}, fill()},
		{"queue", queue, Style{}, fill()},
		{"queue-number", queueNumber, Style{}, fill()},
		{"queue-nobody", queue, Style{Identity: Nobody}, fill()},
		{"queue-returning", queueBack, Style{}, fill()},
		{"returning", back, Style{}, fill()},
		{"returning-confirmed", back, with(Profile{Confirmed: true}), fill()},
		{"retrieving", fetched, Style{}, fill()},
		{"anonymous", nobody, Style{}, fill()},
		{"escaped", text, Style{}, fill()},
		{"entity", free, Style{}, entity},
		{"tcp-ipv6", parked, Style{}, tcp},
		{"gone", orbit.View{}, Style{}, fill()},
		{"pool-free", poolFree, Style{}, pool},
		{"pool-full", poolFull, Style{}, pool},
	}
	for _, t := range []Type{PIDF, XPIDF} {
		name := map[Type]string{PIDF: "pidf-", XPIDF: "xpidf-"}[t]
		list = append(list, []golden{
			{name + "free", free, Style{Type: t}, fill()},
			{name + "parked", parked, Style{Type: t}, fill()},
			{name + "closed", parked, Style{Type: t, Profile: Profile{Closed: true}}, fill()},
			{name + "number", parked, Style{Type: t, Identity: Number}, fill()},
			{name + "withheld", parked, Style{Type: t, Identity: Withheld}, fill()},
			{name + "queue-returning", queueBack, Style{Type: t}, fill()},
			{name + "escaped", text, Style{Type: t}, entity},
			{name + "gone", orbit.View{}, Style{Type: t}, fill()},
			{name + "pool-full", poolFull, Style{Type: t}, pool},
		}...)
	}
	for _, v := range Vendors {
		list = append(list, golden{"vendor-" + v.Name, parked, with(v.Profile), fill()},
			golden{"vendor-" + v.Name + "-pidf", parked, Style{Type: PIDF, Profile: v.Profile}, fill()})
	}
	return list
}

func TestGolden(t *testing.T) {
	for _, tt := range goldens() {
		t.Run(tt.name, func(t *testing.T) {
			got := Document(tt.view, tt.style, tt.fill, DefaultLimit)
			file := filepath.Join("testdata", tt.name+".xml")
			pretty := indent(t, got)
			if *update {
				if err := os.WriteFile(file, pretty, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(pretty)); d != "" {
				t.Error(d)
			}
			if err := structure(got, tt.style.Type, tt.fill); err != "" {
				t.Error(err)
			}
			if len(got) > DefaultLimit {
				t.Errorf("%d bytes", len(got))
			}
		})
	}
}

// indent lays a document out for the eye, one attribute list a line.
func indent(t *testing.T, b []byte) []byte {
	t.Helper()
	d := etree.NewDocument()
	if err := d.ReadFromBytes(b); err != nil {
		t.Fatal(err)
	}
	d.WriteSettings = etree.WriteSettings{CanonicalText: true, CanonicalAttrVal: true}
	d.Indent(2)
	out, err := d.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// xmlText is s without what XML 1.0 cannot carry (2.2).
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\t' && r != '\r' && r != '\n' || r&0xFFFE == 0xFFFE || r >= 0xD800 && r < 0xE000 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

func TestFits(t *testing.T) {
	long := strings.Repeat("&é", 400)
	tests := []struct {
		name, display, uri, orbit string
		want                      func(display, uri string) bool
	}{
		{"long names", long, "sip:ann@example.com", long, func(display, uri string) bool { return uri == "sip:ann@example.com" }},
		{"long parameters", "Ann", "sip:ann@example.com;x=" + long, "Sales", func(_, uri string) bool { return uri == "sip:ann@example.com" }},
		{"long user", "Ann", "sip:" + strings.Repeat("9", 600) + "@example.com", "Sales", func(_, uri string) bool { return uri == anonymous }},
		{"short", "Ann", "sip:ann@example.com;user=phone", "Sales", func(display, uri string) bool { return display == "Ann" && uri == "sip:ann@example.com;user=phone" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := orbit.View{Orbit: "701", Name: tt.orbit, Head: head("parked")}
			v.Head.Caller = orbit.Party{Name: tt.display, URI: tt.uri}
			body := Document(v, Style{}, fill(), DefaultLimit)
			if len(body) > DefaultLimit {
				t.Errorf("%d bytes", len(body))
			}
			if err := structure(body, DialogInfo, fill()); err != "" {
				t.Error(err)
			}
			tree := etree.NewDocument()
			if err := tree.ReadFromBytes(body); err != nil {
				t.Fatal(err)
			}
			id := tree.FindElement("//remote/identity")
			if !tt.want(id.SelectAttrValue("display", ""), id.Text()) {
				t.Errorf("%s", body)
			}
		})
	}
}

func TestLabel(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""}, {"  Ann \t\r\n Other ", "Ann Other"}, {"a\x00b\x7f", "a b"}, {"\xff", "\uFFFD"},
		{strings.Repeat("é", 70), strings.Repeat("é", 64)},
	}
	for _, tt := range tests {
		if got := label(tt.in); got != tt.want {
			t.Errorf("label(%q) = %q", tt.in, got)
		}
	}
}

func TestShown(t *testing.T) {
	if Shown(orbit.View{}) != "" || Shown(orbit.View{Head: head("parked")}) != head("").Alias.CallID {
		t.Error("Shown")
	}
}
