package presence

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSubscribe(t *testing.T) {
	bubble(t, func(b *bed) {
		b.src.shown["701"] = "ann"
		p := b.phone("192.0.2.9:5060")
		p.subscribe("sip:701@192.0.2.1;user=phone")
		synctest.Wait()
		res, n := p.reply(), p.last()
		if !slices.Equal(p.sequence, []string{"200", "NOTIFY"}) {
			t.Errorf("order %v", p.sequence)
		}
		if value(res, "Expires") != "3600" || !strings.Contains(value(res, "Contact"), "sip:701@192.0.2.1:5060") {
			t.Errorf("%s", res)
		}
		to, _ := res.To().Params.Get("tag")
		from, _ := n.req.From().Params.Get("tag")
		remote, _ := n.req.To().Params.Get("tag")
		if to == "" || from != to || remote != "from" {
			t.Errorf("tags %q %q %q", to, from, remote)
		}
		if n.version != 0 || n.shown != "ann" || n.entity != "sip:701@192.0.2.1;user=phone" || n.state != "active;expires=3600" ||
			value(n.req, "Event") != "dialog" || value(n.req, "Content-Type") != "application/dialog-info+xml" ||
			!strings.Contains(value(n.req, "Contact"), "sip:701@192.0.2.1:5060") {
			t.Errorf("%+v\n%s", n, n.req)
		}
		if n.req.Recipient.String() != "sip:bob@192.0.2.9:5060" {
			t.Errorf("to %s", n.req.Recipient.String())
		}
		b.park("701", "")
		if n := p.last(); n.version != 1 || n.shown != "" || len(b.lat) != 1 || <-b.lat > time.Millisecond {
			t.Errorf("%+v", n)
		}
		b.park("702", "x")
		if len(p.got()) != 2 || b.n.Len() != 1 || b.n.Watchers("701") != 1 || b.n.Watchers("702") != 0 {
			t.Error("another orbit's change is told")
		}
	})
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 600)
	tests := []struct {
		name, uri string
		lines     []string
		code      int
		header    string
	}{
		{"unknown orbit", "sip:799@192.0.2.1", nil, 404, ""},
		{"no user, To instead", "sip:192.0.2.1", nil, 200, ""},
		{"no user anywhere", "sip:192.0.2.1", []string{"To: <sip:192.0.2.1>"}, 404, ""},
		{"escaped user", "sip:%37%301@192.0.2.1", nil, 200, ""},
		{"unknown event", "sip:701@192.0.2.1", []string{"Event: message-summary"}, 489, "Allow-Events: dialog, presence"},
		{"no event", "sip:701@192.0.2.1", []string{"Event:"}, 489, "Allow-Events: dialog, presence"},
		{"compact event", "sip:701@192.0.2.1", []string{"Event:", "o: Dialog;id=7"}, 200, ""},
		{"another type", "sip:701@192.0.2.1", []string{"Accept: application/pidf+xml"}, 406, "Accept: application/dialog-info+xml"},
		{"any type", "sip:701@192.0.2.1", []string{"Accept: text/plain, */*"}, 200, ""},
		{"not that type", "sip:701@192.0.2.1", []string{"Accept: application/dialog-info+xml;q=0"}, 406, ""},
		{"too brief", "sip:701@192.0.2.1", []string{"Expires: 59"}, 423, "Min-Expires: 60"},
		{"brief", "sip:701@192.0.2.1", []string{"Expires: 60"}, 200, "Expires: 60"},
		{"too long", "sip:701@192.0.2.1", []string{"Expires: 99999999999"}, 200, "Expires: 7200"},
		{"no expires", "sip:701@192.0.2.1", []string{"Expires:"}, 200, "Expires: 3600"},
		{"bad expires", "sip:701@192.0.2.1", []string{"Expires: soon"}, 400, ""},
		{"no contact", "sip:701@192.0.2.1", []string{"Contact:"}, 400, ""},
		{"any contact", "sip:701@192.0.2.1", []string{"Contact: *"}, 400, ""},
		{"long contact", "sip:701@192.0.2.1", []string{"Contact: <sip:" + long + "@192.0.2.9>"}, 400, ""},
		{"long URI", "sip:701@192.0.2.1;x=" + long, nil, 414, ""},
		{"no such subscription", "sip:701@192.0.2.1", []string{"To: <sip:701@192.0.2.1>;tag=gone"}, 481, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				p := b.phone("192.0.2.9:5060")
				p.subscribe(tt.uri, tt.lines...)
				pass(100 * time.Millisecond)
				res := p.reply()
				name, want, _ := strings.Cut(tt.header, ": ")
				if res.StatusCode != tt.code || tt.header != "" && value(res, name) != want {
					t.Errorf("%s", res)
				}
				if ok := tt.code == 200; (b.n.Len() == 1) != ok || (len(p.got()) == 1) != ok {
					t.Errorf("%d subscriptions, %d NOTIFYs", b.n.Len(), len(p.got()))
				}
			})
		})
	}
}

// What is said to be served is what is served (RFC 6665 4.4.4).
func TestEvents(t *testing.T) {
	var names []string
	for _, p := range packs {
		names = append(names, p.name)
	}
	if got := strings.Join(names, ", "); got != sipua.Events {
		t.Errorf("%s is served, %s announced", got, sipua.Events)
	}
}

func TestTooMany(t *testing.T) {
	bubbleOf(t, Options{Max: 1}, func(b *bed) {
		b.watch("192.0.2.9:5060")
		p := b.phone("192.0.2.10:5060")
		p.subscribe("sip:701@192.0.2.1")
		synctest.Wait()
		if res := p.reply(); res.StatusCode != 480 || value(res, "Retry-After") == "" {
			t.Errorf("%s", res)
		}
	})
}

func TestRefreshAndUnsubscribe(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		pass(1000 * time.Second)
		p.subscribe("sip:192.0.2.1:5060", "Expires: 600", "Event:") // neither user nor event
		synctest.Wait()
		if n := p.last(); len(p.got()) != 2 || n.version != 1 || n.state != "active;expires=600" || n.entity != "sip:701@192.0.2.1" {
			t.Errorf("%+v", n)
		}
		p.subscribe("sip:701@192.0.2.1", "Expires: 5")
		synctest.Wait()
		if p.reply().StatusCode != 423 || b.n.Len() != 1 || len(p.got()) != 2 {
			t.Errorf("%s", p.reply())
		}
		pass(500 * time.Second) // the refusal changed nothing
		p.contact = "<sip:bob@192.0.2.9:5070>"
		other := b.phone("192.0.2.9:5070")
		p.subscribe("sip:701@192.0.2.1", "Expires: 600")
		synctest.Wait()
		if n := other.last(); n.version != 2 { // the target follows the Contact
			t.Errorf("%+v", n)
		}
		p.subscribe("sip:701@192.0.2.1", "Expires: 0")
		synctest.Wait()
		if n := other.last(); n.state != "terminated;reason=timeout" || n.version != 3 || b.n.Len() != 0 || value(p.reply(), "Expires") != "0" {
			t.Errorf("%+v", n)
		}
		p.subscribe("sip:701@192.0.2.1")
		synctest.Wait()
		if p.reply().StatusCode != 481 {
			t.Errorf("%s", p.reply())
		}
	})
}

func TestExpiry(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.phone("192.0.2.9:5060")
		p.subscribe("sip:701@192.0.2.1", "Expires: 60")
		pass(59 * time.Second)
		b.park("701", "a")
		if n := p.last(); n.state != "active;expires=1" {
			t.Errorf("%+v", n)
		}
		pass(1100 * time.Millisecond)
		if n := p.last(); n.state != "terminated;reason=timeout" || n.shown != "a" || b.n.Len() != 0 {
			t.Errorf("%+v", n)
		}
		b.park("701", "b")
		pass(time.Minute)
		if len(p.got()) != 3 {
			t.Error("told after the end")
		}
	})
}

func TestFetch(t *testing.T) {
	bubble(t, func(b *bed) {
		b.src.shown["701"] = "ann"
		p := b.phone("192.0.2.9:5060")
		p.subscribe("sip:701@192.0.2.1", "Expires: 0")
		synctest.Wait()
		n := p.last()
		if value(p.reply(), "Expires") != "0" || n.state != "terminated;reason=timeout" || n.shown != "ann" || b.n.Len() != 0 {
			t.Errorf("%+v\n%s", n, p.reply())
		}
		p.subscribe("sip:701@192.0.2.1")
		synctest.Wait()
		if p.reply().StatusCode != 481 || b.n.index.fetches != 0 {
			t.Errorf("%s", p.reply())
		}
	})
}

// A rebooted phone does not get everything twice.
func TestReplace(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		p.callID, p.toTag = "after-the-reboot", ""
		p.subscribe("sip:701@192.0.2.1")
		synctest.Wait()
		if all := p.got(); b.n.Len() != 1 || len(all) != 2 || all[1].version != 0 || all[1].state != "active;expires=3600" {
			t.Errorf("%+v", all)
		}
		b.park("701", "a")
		if len(p.got()) != 3 || p.last().req.CallID().Value() != "after-the-reboot" {
			t.Errorf("%d NOTIFYs", len(p.got()))
		}
		for _, other := range []string{"Event: dialog;id=2", "Contact: <sip:bob@192.0.2.9:5061>", "From: <sip:eve@example.com>;tag=from"} {
			p.callID, p.toTag = strings.Trim(other[:7], ": <"), ""
			p.subscribe("sip:701@192.0.2.1", other)
			synctest.Wait()
		}
		if b.n.Len() != 4 {
			t.Errorf("%d subscriptions", b.n.Len())
		}
	})
}

func TestWhereNotifiesGo(t *testing.T) {
	tests := []struct {
		name, source, contact, listens string
		vias, headers                  []string
	}{
		{"to the Contact", "192.0.2.9:5060", "<sip:bob@192.0.2.9:5060>", "192.0.2.9:5060", nil, nil},
		{"to the Contact's port", "192.0.2.9:50933", "<sip:bob@192.0.2.9:5060>", "192.0.2.9:5060", nil, nil},
		{"to the source behind NAT", "203.0.113.5:31000", "<sip:bob@192.168.1.9:5060>", "203.0.113.5:31000", nil, nil},
		{"to the source without an address", "192.0.2.9:31000", "<sip:bob@x7.invalid>", "192.0.2.9:31000", nil, nil},
		{"by the route", "192.0.2.50:5060", "<sip:bob@192.0.2.9:5060>", "192.0.2.60:5060",
			[]string{"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK-first"}, []string{"Record-Route: <sip:192.0.2.60:5060;lr>"}},
		{"past a proxy that records no route", "192.0.2.50:5060", "<sip:bob@192.0.2.9:5060>", "192.0.2.9:5060",
			[]string{"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK-first"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				p := b.phone(tt.source)
				at := p
				if tt.listens != tt.source {
					at = b.phone(tt.listens)
				}
				p.contact, p.vias, p.headers = tt.contact, tt.vias, tt.headers
				p.subscribe("sip:701@192.0.2.1")
				synctest.Wait()
				if p.reply().StatusCode != 200 {
					t.Fatalf("%s", p.reply())
				}
				n := at.last()
				if "<"+n.req.Recipient.String()+">" != tt.contact {
					t.Errorf("Request-URI %s", n.req.Recipient.String())
				}
			})
		})
	}
}

func TestShowing(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		flow := sipua.Flow{Network: "udp", Local: serverAddr, Remote: netip.MustParseAddrPort("192.0.2.9:40000")}
		showing := func(resource, from, contact string) string {
			s, ok := b.n.Showing(resource, from, contact, flow)
			if ok != (s != "") {
				t.Error("ok and token differ")
			}
			return s
		}
		ask := func() string { return showing("701", "sip:bob@EXAMPLE.com;x=y", "sip:bob@192.0.2.9") }
		if ask() != "" {
			t.Error("nothing is parked")
		}
		p.answers(func(notice, int) (int, string) { return 0, "" })
		b.park("701", "ann")
		if ask() != "" {
			t.Error("not answered yet")
		}
		p.answers(nil)
		pass(time.Second)
		if ask() != "ann" {
			t.Error("shown and answered")
		}
		for _, other := range [][3]string{
			{"702", "sip:bob@example.com", "sip:bob@192.0.2.9"}, {"701", "sip:eve@example.com", "sip:bob@192.0.2.9"},
			{"701", "sip:bob@example.com", "sip:bob@192.0.2.9:5070"}, {"701", "sip:bob@example.com", "sip:x@192.0.2.9"},
			{"701", "", ""}, {"701", "<<", "sip:bob@192.0.2.9"},
		} {
			if showing(other[0], other[1], other[2]) != "" {
				t.Errorf("%v is shown", other)
			}
		}
		flow.Remote = netip.MustParseAddrPort("192.0.2.66:5060")
		if ask() != "" {
			t.Error("from another host")
		}
		flow.Remote = netip.MustParseAddrPort("192.0.2.9:5060")
		b.park("701", "")
		if ask() != "" {
			t.Error("retrieved")
		}
	})
}

func TestOrbitGoes(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		b.src.mu.Lock()
		delete(b.src.shown, "701")
		b.src.mu.Unlock()
		b.n.Changed("701")
		synctest.Wait()
		if n := p.last(); n.state != "terminated;reason=noresource" || b.n.Len() != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// Stopping tells nobody that the subscription ends.
func TestClose(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		b.n.Close()
		b.park("701", "a")
		pass(time.Minute)
		p.subscribe("sip:701@192.0.2.1") // a refresh, which no refusal may end: RFC 6665 4.1.2.2
		pass(time.Second)
		if res := p.reply(); slices.Contains(ends, res.StatusCode) || res.IsSuccess() || value(res, "Retry-After") == "" {
			t.Errorf("%s", res)
		}
		newcomer := b.phone("192.0.2.10:5060")
		newcomer.subscribe("sip:701@192.0.2.1")
		pass(time.Second)
		if res := newcomer.reply(); res.StatusCode != 480 || value(res, "Retry-After") == "" {
			t.Errorf("%s", res)
		}
		if len(p.got()) != 1 || b.n.Len() != 1 {
			t.Errorf("%d NOTIFYs", len(p.got()))
		}
	})
}

func TestOptionsAndOthersInDialog(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		for method, want := range map[string]int{"OPTIONS": 200, "MESSAGE": 405} {
			text := fmt.Sprintf("%s sip:701@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n"+
				"From: <sip:bob@example.com>;tag=from\r\nTo: <sip:701@192.0.2.1>;tag=%s\r\nCall-ID: %s\r\nCSeq: 9 %s\r\nContent-Length: 0\r\n\r\n",
				method, method, p.toTag, p.callID, method)
			p.raw(text)
			pass(100 * time.Millisecond)
			if got := p.reply().StatusCode; got != want && got != sip.StatusNotImplemented {
				t.Errorf("%s: %d", method, got)
			}
		}
	})
}

// A document's entity is what the phone has subscribed to, by whatever way that
// reached us.
func TestEntity(t *testing.T) {
	for name, row := range map[string]struct{ uri, to, want string }{
		"straight":                   {"sip:701@192.0.2.1", "sip:701@192.0.2.1", "sip:701@192.0.2.1"},
		"a parameter":                {"sip:701@192.0.2.1;user=phone", "sip:701@192.0.2.1", "sip:701@192.0.2.1;user=phone"},
		"a port":                     {"sip:701@192.0.2.1:5060", "sip:701@192.0.2.1", "sip:701@192.0.2.1:5060"},
		"registered":                 {"sip:701@192.0.2.1:5060;ob", "sip:701@pbx.example.com", "sip:701@pbx.example.com"},
		"registered by another name": {"sip:701@192.0.2.1:5060", "sip:sales@pbx.example.com", "sip:701@192.0.2.1:5060"},
		"no user":                    {"sip:192.0.2.1", "sip:701@192.0.2.1", "sip:701@192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				p := b.phone("192.0.2.9:5060")
				p.subscribe(row.uri, "To: <"+row.to+">")
				synctest.Wait()
				if n := p.last(); n.entity != row.want {
					t.Errorf("entity %q, want %q", n.entity, row.want)
				}
			})
		})
	}
}
