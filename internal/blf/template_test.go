package blf

import (
	"strconv"
	"strings"
	"testing"

	"parkd/internal/orbit"

	"github.com/beevik/etree"
	"pgregory.net/rapid"
)

// Any text gives well-formed documents, of which the filled template is just what
// would have been rendered; whatever XML can carry comes back as it was.
func TestAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.StringOfN(rapid.SampledFrom([]rune("<>&\"'\t\r\n\x00\uFFFE \uE000\uE001ve]é𝄞")), -1, 200, -1))
		legal := rapid.Map(text, func(s string) string { return xmlText(s) })
		v := orbit.View{Orbit: xmlText(text.Draw(t, "orbit") + "7"), Name: text.Draw(t, "name")}
		if rapid.Bool().Draw(t, "parked") {
			v.Head = head(rapid.SampledFrom([]string{"parked", "returning"}).Draw(t, "state"))
			v.Head.Caller = orbit.Party{Name: text.Draw(t, "display"), URI: legal.Draw(t, "caller")}
			v.Behind = rapid.IntRange(0, 3).Draw(t, "behind")
		}
		s := Style{Type: Type(rapid.IntRange(0, 2).Draw(t, "type")), Identity: Identity(rapid.IntRange(0, 3).Draw(t, "identity")),
			Profile: Profile{Rendering: Rendering(rapid.IntRange(0, 2).Draw(t, "rendering")), Code: rapid.SampledFrom([]string{"", "*4"}).Draw(t, "code")}}
		f := Fill{Version: rapid.Uint32().Draw(t, "version"), Entity: legal.Draw(t, "entity"), Target: "sip:" + legal.Draw(t, "target")}
		body := New(v, s).Append([]byte("before"), f)[len("before"):]
		if err := structure(body, s.Type, f); err != "" {
			t.Fatalf("%s\n%s", err, body)
		}
		fetch := f.Target
		if s.Profile.Code != "" {
			fetch = "sip:*4" + strings.TrimPrefix(f.Target, "sip:")
		}
		want := render(v, s, partiesOf(v, s.Identity), holes{version: strconv.FormatUint(uint64(f.Version), 10), entity: f.Entity, target: f.Target, fetch: fetch,
			contact: f.Target, party: bare(f.Target)})
		if string(body) != string(want) {
			t.Fatalf("filled   %q\nrendered %q", body, want)
		}
		if v.Head != nil && s.Type == DialogInfo && s.Identity == Full {
			remote(t, body, v)
		}
	})
}

// remote holds that the caller comes back as they were.
func remote(t *rapid.T, body []byte, v orbit.View) {
	tree := etree.NewDocument()
	if err := tree.ReadFromBytes(body); err != nil {
		t.Fatal(err)
	}
	id := tree.FindElement("//remote/identity")
	want := strings.TrimSpace(v.Head.Caller.URI)
	if want == "" {
		want = anonymous
	}
	if name := label(v.Head.Caller.Name); id.Text() != want || !strings.HasPrefix(id.SelectAttrValue("display", ""), name) {
		t.Fatalf("%q %q\n%s", id.Text(), want, body)
	}
}

// Filling a template takes what whoever fills it has: no memory of its own.
func TestAppendAllocates(t *testing.T) {
	tmpl := New(orbit.View{Orbit: "701", Name: "Sales", Head: head("parked")}, Style{})
	buf := make([]byte, 0, 2000)
	if n := testing.AllocsPerRun(100, func() { buf = tmpl.Append(buf[:0], fill()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFill(b *testing.B) {
	tmpl := New(orbit.View{Orbit: "701", Name: "Sales", Head: head("parked")}, Style{})
	buf := make([]byte, 0, 2000)
	for b.Loop() {
		buf = tmpl.Append(buf[:0], fill())
	}
}

func BenchmarkRender(b *testing.B) {
	v := orbit.View{Orbit: "701", Name: "Sales", Head: head("parked")}
	for b.Loop() {
		New(v, Style{})
	}
}
