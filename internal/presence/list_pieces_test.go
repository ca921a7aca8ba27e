package presence

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestListInPieces(t *testing.T) {
	bubble(t, func(b *bed) {
		b.office(20)
		b.park("715", "ann")
		p := b.phone("192.0.2.9:5060")
		p.headers = []string{"Supported: eventlist"}
		p.answers(func(n notice, copies int) (int, string) {
			if copies == 1 {
				time.AfterFunc(100*time.Millisecond, func() { p.respond(n.req, 200, "", p.serverAddr()) })
			}
			return 0, ""
		})
		p.subscribe("sip:all@192.0.2.1")
		pass(150 * time.Millisecond)
		b.park("720", "joe")
		pass(3 * time.Second)
		texts := p.texts(0)
		if len(texts) < 3 || !strings.HasPrefix(texts[0], "full 0: 701 702 ") || !strings.Contains(strings.Join(texts[:2], " "), " 715=ann/0") {
			t.Errorf("%q", texts)
		}
		seen := map[string]int{}
		for i, r := range p.rolls("") {
			if r.version != uint32(i) || r.full != (i == 0) {
				t.Errorf("%d: %v", i, r)
			}
			for _, m := range r.members {
				if m.shown != "?" {
					seen[m.user]++
				}
			}
			if n := p.got()[i].req; len(n.String()) > 1300 {
				t.Errorf("%d: %d bytes", i, len(n.String()))
			}
		}
		for n := range 20 {
			if got := seen[fmt.Sprint(701+n)]; got != 1 {
				t.Errorf("%d: told %d times", 701+n, got)
			}
		}
		if k := keys(p.rolls("")); k["720"] != "joe" || k["715"] != "ann" {
			t.Errorf("%v", k)
		}
	})
}

func TestListInPiecesWithoutConnections(t *testing.T) {
	bubble(t, func(b *bed) {
		b.office(20)
		p := b.phone("192.0.2.9:5060")
		p.contact = "<sip:bob@192.0.2.9:5060;transport=tcp>"
		p.headers = []string{"Supported: eventlist"}
		p.subscribe("sip:all@192.0.2.1")
		pass(5 * time.Second)
		for _, n := range p.got() {
			if size := len(n.req.String()); size > 1300 {
				t.Errorf("%d bytes", size)
			}
		}
		if k := keys(p.rolls("")); len(k) != 20 || slices.Contains(slices.Collect(maps.Values(k)), "?") {
			t.Errorf("%v", k)
		}
	})
}

func TestListOfVeryMany(t *testing.T) {
	bubble(t, func(b *bed) {
		const many = 1500
		b.office(many)
		b.park("2200", "ann")
		p := b.phone("192.0.2.9:5060")
		p.headers = []string{"Supported: eventlist"}
		p.subscribe("sip:all@192.0.2.1")
		pass(5 * time.Second)
		if r := p.rolls("")[0]; !r.full || len(r.members) < 1000 || len(r.members) == many {
			t.Errorf("the first NOTIFY names %d", len(r.members))
		}
		k := keys(p.rolls(""))
		if len(k) != many || k["2200"] != "ann" || slices.Contains(slices.Collect(maps.Values(k)), "?") {
			t.Errorf("%d members, 2200 shows %q", len(k), k["2200"])
		}
		b.park("2199", "joe")
		pass(3 * time.Second)
		if got := keys(p.rolls(""))["2199"]; got != "joe" {
			t.Errorf("2199 shows %q", got)
		}
	})
}

func TestListKeepsItsPaceBetweenPieces(t *testing.T) {
	bubble(t, func(b *bed) {
		b.office(30)
		p := b.phone("192.0.2.9:5060")
		p.headers = []string{"Supported: eventlist"}
		p.answers(func(n notice, copies int) (int, string) {
			if copies == 1 {
				time.AfterFunc(200*time.Millisecond, func() { p.respond(n.req, 200, "", p.serverAddr()) })
			}
			return 0, ""
		})
		p.subscribe("sip:all@192.0.2.1")
		for i := range 8 {
			pass(150 * time.Millisecond)
			b.park(fmt.Sprint(701+i%2), fmt.Sprint("ann", i))
		}
		pass(10 * time.Second)
		var at []time.Time
		for i, r := range p.rolls("") {
			for _, m := range r.members {
				if strings.HasPrefix(m.shown, "ann") {
					at = append(at, p.got()[i].at)
					break
				}
			}
		}
		if len(at) <= burst || len(at) > burst+4 {
			t.Errorf("told at %v", at)
		}
		for i := burst; i < len(at); i++ {
			if d := at[i].Sub(at[i-1]); d < apart-10*time.Millisecond {
				t.Errorf("told after %v", d)
			}
		}
		k := keys(p.rolls(""))
		for n := range 30 {
			want := ""
			if n < 2 {
				want = fmt.Sprint("ann", 6+n)
			}
			if got, ok := k[fmt.Sprint(701+n)]; !ok || got != want {
				t.Errorf("%d shows %q", 701+n, got)
			}
		}
	})
}
