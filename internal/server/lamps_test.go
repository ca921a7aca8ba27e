package server

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"parkd/internal/blf"
	"parkd/internal/config"
	"parkd/internal/orbit"
	"parkd/internal/presence"
)

// bulb is a lamp of 701, with somebody parked there.
func bulb(c config.Config) (*lamps, *world) {
	head := &orbit.CallView{ID: "c", State: "parked", Orbit: "701", Caller: orbit.Party{Name: "Ann", URI: "sip:ann@example.com"},
		Alias: orbit.Alias{CallID: "0123456789abcdef01234567", LocalTag: "0123456789ab", RemoteTag: "ba9876543210"}}
	w := &world{views: map[string]*sight{"701": {View: orbit.View{Orbit: "701", Enabled: true, State: "parked", Head: head, Count: 1}}}}
	return newLamps(&c, w), w
}

func ask(watcher string) presence.Params {
	return presence.Params{Event: "dialog", Accept: blf.DialogInfo.String(), Entity: "sip:701@192.0.2.1", Version: 7,
		Target: "sip:701@192.0.2.1:5060", Watcher: watcher, Agent: "Yealink SIP-T46S 66.84.0.15"}
}

// A document is rendered once, and never again until there is a newer view.
func TestDocumentsAreShared(t *testing.T) {
	l, w := bulb(config.Default())
	for i := range 100 {
		d, ok := l.Document("701", ask(fmt.Sprintf("sip:%d@example.com", i)))
		if !ok || !strings.Contains(string(d.Body), "Ann") || !strings.Contains(string(d.Body), `version="7"`) {
			t.Fatalf("%s", d.Body)
		}
	}
	if n := len(w.views["701"].docs); n != 1 {
		t.Errorf("%d documents rendered for 100 watchers of one kind", n)
	}
	l.Document("701", presence.Params{Accept: blf.PIDF.String()})
	l.Document("701", presence.Params{Agent: "Twinkle/1"})
	if n := len(w.views["701"].docs); n != 3 {
		t.Errorf("%d documents rendered for three kinds", n)
	}
}

// A document is kept while somebody is told, and costs nothing afterwards.
func TestDocumentsOfQuietLampsAreNotKept(t *testing.T) {
	_, w := bulb(config.Default())
	v := w.views["701"]
	first := v.in(blf.Style{})
	runtime.GC()
	if again := v.in(blf.Style{}); again != first {
		t.Error("rendered anew while it was in use")
	}
	runtime.KeepAlive(first)
	runtime.GC()
	if v.docs[0].template.Value() != nil {
		t.Error("kept")
	}
	if again := v.in(blf.Style{}); again == nil || len(v.docs) != 1 {
		t.Errorf("%v, %d documents", again, len(v.docs))
	}
}

// What changes a style again and again does not make a view grow for ever.
func TestDocumentsAreBounded(t *testing.T) {
	_, w := bulb(config.Default())
	for i := range 10 * maxRendered {
		w.views["701"].in(blf.Style{Profile: blf.Profile{Code: fmt.Sprint(i)}})
	}
	if n := len(w.views["701"].docs); n > maxRendered {
		t.Errorf("%d documents", n)
	}
}

// Nor does what phones call themselves.
func TestMemosAreBounded(t *testing.T) {
	var m memo[int]
	for i := range 2*maxMemo + 10 {
		if got := m.of(fmt.Sprint(i), func(s string) int { return len(s) }); got != len(fmt.Sprint(i)) {
			t.Fatal(got)
		}
	}
	if len(m.known) > maxMemo {
		t.Errorf("%d remembered", len(m.known))
	}
}

// A document too long for UDP is cut there, and whole elsewhere.
func TestDocumentsFitUDP(t *testing.T) {
	l, w := bulb(config.Default())
	w.views["701"].Head.Caller.URI = "sip:ann@example.com;x=" + strings.Repeat("y", 800)
	p := ask("sip:200@example.com")
	short, _ := l.Document("701", p)
	p.Reliable = true
	long, _ := l.Document("701", p)
	if len(short.Body) > blf.DefaultLimit || strings.Contains(string(short.Body), "yyy") || !strings.Contains(string(long.Body), "yyy") {
		t.Errorf("%d bytes over UDP, %d elsewhere", len(short.Body), len(long.Body))
	}
}

// BenchmarkDocument is what a watcher's document costs once another has one, with
// who may retrieve to be looked up.
func BenchmarkDocument(b *testing.B) {
	l, _ := bulb(config.Default())
	p := ask("sip:200@example.com")
	b.ReportAllocs()
	for b.Loop() {
		l.Document("701", p)
	}
}
