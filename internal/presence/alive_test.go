package presence

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
)

// nudges counts OPTIONS by whom they go to; owned by network.mu.
type nudges struct {
	at map[netip.AddrPort][]time.Time
}

func (o *nudges) packet(_, to netip.AddrPort, data []byte) bool {
	if strings.HasPrefix(string(data), "OPTIONS ") {
		o.at[to] = append(o.at[to], time.Now())
	}
	return false
}

func (b *bed) nudges() *nudges {
	o := &nudges{at: map[netip.AddrPort][]time.Time{}}
	b.net.tap = o.packet
	return o
}

func (b *bed) nudged(o *nudges, p *phone) []time.Time {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	return o.at[p.sock.addr]
}

// behind is a phone behind NAT, which watches orbits in dialogs of their own.
func (b *bed) behind(addr string, orbits ...string) *phone {
	p := b.phone(addr)
	p.contact, p.user = "<sip:bob@10.9.9.9:5060>", "sip:"+strings.Split(addr, ":")[1]+"@example.com"
	for _, o := range orbits {
		p.callID, p.toTag = fmt.Sprint(p.callID, o), ""
		p.subscribe("sip:"+o+"@192.0.2.1", "To: <sip:"+o+"@192.0.2.1>")
		synctest.Wait()
	}
	return p
}

const often = 25 * time.Second

// Something goes to a phone behind NAT once an interval, however many lamps it has
// and whatever it answers; to others nothing does; and it ends with the last lamp.
func TestKeepsFlowsAlive(t *testing.T) {
	bubbleOf(t, Options{KeepAlive: often}, func(b *bed) {
		o := b.nudges()
		two := b.behind("198.51.100.9:1024", "701", "702")
		mute := b.behind("198.51.100.9:1025", "701")
		mute.answers(func(notice, int) (int, string) { return 0, "" })
		open := b.watch("192.0.2.9:5060")
		proxied := b.phone("198.51.100.9:1026")
		proxied.contact = "<sip:bob@10.9.9.9:5060>"
		proxied.subscribe("sip:701@192.0.2.1", "Record-Route: <sip:198.51.100.9:1026;lr>")
		start := time.Now()
		pass(10 * time.Minute)
		for _, p := range []*phone{two, mute} {
			at := b.nudged(o, p)
			if len(at) != 24 || at[0].Sub(start) > often+time.Second {
				t.Errorf("%d keep-alives in ten minutes to %v", len(at), p.sock.addr)
			}
			for i := 1; i < len(at); i++ {
				if gap := at[i].Sub(at[i-1]); gap > often+100*time.Millisecond || gap < often-100*time.Millisecond {
					t.Errorf("%v apart", gap)
				}
			}
		}
		for _, p := range []*phone{open, proxied} {
			if n := len(b.nudged(o, p)); n != 0 {
				t.Errorf("%d keep-alives to %v", n, p.sock.addr)
			}
		}
		two.subscribe("sip:702@192.0.2.1", "To: <sip:702@192.0.2.1>;tag="+two.toTag, "Expires: 0")
		pass(time.Minute)
		if n := len(b.nudged(o, two)); n < 26 {
			t.Errorf("%d: one of its lamps is left", n)
		}
		mute.subscribe("sip:701@192.0.2.1", "Expires: 0")
		pass(0)
		n := len(b.nudged(o, mute))
		pass(10 * time.Minute)
		if got := len(b.nudged(o, mute)); got != n || b.n.Sizes()["flows"] != 1 {
			t.Errorf("%d keep-alives without a lamp, %d flows", got-n, b.n.Sizes()["flows"])
		}
	})
}

// Another interval is in force at once, and none is none; a flow that is new after a
// long rest does not wait for more than an interval.
func TestKeepAliveIsConfigured(t *testing.T) {
	bubbleOf(t, Options{}, func(b *bed) {
		o := b.nudges()
		p := b.behind("198.51.100.9:1024", "701")
		count := func(want int, what string) {
			t.Helper()
			if n := len(b.nudged(o, p)); n != want {
				t.Errorf("%s: %d, want %d", what, n, want)
			}
		}
		pass(10 * time.Minute)
		count(0, "never")
		b.n.KeepAlive(10 * time.Second)
		pass(100*time.Second + 20*time.Millisecond) // less than a phase
		count(10, "ten seconds")
		b.n.KeepAlive(50 * time.Second)
		pass(500*time.Second + 20*time.Millisecond)
		count(20, "fifty")
		b.n.KeepAlive(0)
		pass(10 * time.Minute)
		count(20, "never again")
		b.n.KeepAlive(often)
		p.subscribe("sip:701@192.0.2.1", "Expires: 0")
		pass(time.Hour)
		n := len(b.nudged(o, p))
		for range 5 {
			late := b.behind("198.51.100.9:2024", "701")
			pass(often + time.Second)
			if len(b.nudged(o, late)) == 0 {
				t.Error("a new flow had to wait")
			}
			late.subscribe("sip:701@192.0.2.1", "Expires: 0")
			pass(7 * time.Second)
			b.net.cut(late.sock)
			late.sock.Close()
			b.net.mu.Lock()
			delete(o.at, late.sock.addr)
			b.net.mu.Unlock()
		}
		count(n, "without a lamp")
	})
}

// A phone that comes from another port of its NAT is kept alive there.
func TestKeepAliveFollows(t *testing.T) {
	bubbleOf(t, Options{KeepAlive: often}, func(b *bed) {
		o := b.nudges()
		p := b.behind("198.51.100.9:1024", "701")
		pass(time.Minute)
		now := b.phone("198.51.100.9:4444")
		now.contact, now.callID, now.toTag, now.cseq = p.contact, p.callID, p.toTag, p.cseq
		now.subscribe("sip:701@192.0.2.1")
		pass(0)
		n := len(b.nudged(o, p))
		pass(5 * time.Minute)
		// Where it comes to stand in the interval decides whether one goes at once.
		if got, to := len(b.nudged(o, p)), len(b.nudged(o, now)); got != n || to < 12 || to > 13 {
			t.Errorf("%d to the old port, %d to the new one", got-n, to)
		}
	})
}

// Whose way is kept open.
func TestWhatIsKeptAlive(t *testing.T) {
	remote := netip.MustParseAddrPort("198.51.100.9:1024")
	for _, row := range []struct {
		name string
		d    dialog.Dialog
		want bool
	}{
		{"UDP", dialog.Dialog{Flow: sipua.Flow{Network: "udp", Remote: remote}}, false},
		{"UDP behind NAT", dialog.Dialog{Flow: sipua.Flow{Network: "udp", Remote: remote}, NAT: true}, true},
		{"TCP", dialog.Dialog{Flow: sipua.Flow{Network: "tcp", Remote: remote}}, true},
		{"TLS", dialog.Dialog{Flow: sipua.Flow{Network: "tls", Remote: remote}}, true},
		{"TCP from a proxy", dialog.Dialog{Flow: sipua.Flow{Network: "tcp", Remote: remote}, Routes: []string{"sip:198.51.100.9;lr"}}, false},
		{"a flow that is not known", dialog.Dialog{Flow: sipua.Flow{Network: "tcp"}}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := sipua.Flow{}
			if row.want {
				want = row.d.Flow
			}
			if got := keptAlive(&row.d); got != want {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Ten thousand flows go out evenly, over the whole of an interval.
func TestKeepAlivesAreSpread(t *testing.T) {
	x := newIndex(DefaultMax, func() {})
	const n = 10000
	for i := range n {
		d := dialog.Dialog{NAT: true, Flow: sipua.Flow{Network: "udp", Remote: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.9"), uint16(1024+i))}}
		x.flows.move(&sub{}, keptAlive(&d))
	}
	total := 0
	for beat := range phases {
		got := len(x.turn(beat, nil))
		if total += got; got > 2*n/phases || got < n/phases/2 {
			t.Errorf("%d in one of %d beats", got, phases)
		}
	}
	if total != n {
		t.Errorf("%d of %d", total, n)
	}
}
