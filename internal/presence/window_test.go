package presence

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlaces(t *testing.T) {
	for _, row := range []struct{ buffer, want int }{{0, 69}, {212992, 69}, {8 << 20, 2730}, {1, 1}} {
		if got := places(row.buffer); got != row.want {
			t.Errorf("%d bytes: %d, want %d", row.buffer, got, row.want)
		}
	}
}

func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(4)
		subs := make([]*sub, 10)
		for i := range subs {
			subs[i] = &sub{}
			if got := w.enter(subs[i], time.Now()); got != (i < 4) {
				t.Errorf("%d has a place: %v", i, got)
			}
		}
		if w.enter(subs[7], time.Now()) || !w.enter(subs[2], time.Now()) {
			t.Error("whoever waits waits once, and whoever has a place has one")
		}
		next := func(want int) {
			t.Helper()
			got := slices.Index(subs, w.next(time.Now()))
			if got != want {
				t.Errorf("next is %d, want %d", got, want)
			}
		}
		next(-1)
		w.leave(subs[5]) // waits no more
		w.leave(subs[3])
		next(4)
		next(-1)
		w.leave(subs[0])
		w.leave(subs[1])
		if w.enter(subs[0], time.Now()) {
			t.Error("somebody went ahead of those who wait")
		}
		next(6)
		next(7)
		next(-1)
		time.Sleep(reply - time.Millisecond)
		next(-1)
		<-w.wake // of those who have left
		time.Sleep(time.Millisecond)
		synctest.Wait()
		select {
		case <-w.wake:
		default:
			t.Error("nobody is woken although places are free again")
		}
		next(8)
		next(9)
		next(0)
		next(-1)
		for _, s := range subs {
			w.leave(s)
		}
		if out, waiting := w.sizes(); out != 0 || waiting != 0 || w.free != w.size {
			t.Errorf("%d out, %d waiting, %d free", out, waiting, w.free)
		}
	})
}

// A crowd is told no faster than its answers can be taken in, in the order in
// which it waits; those who never answer keep nobody for long.
func TestCrowd(t *testing.T) {
	const crowd, places, rtt = 300, 20, 5 * time.Millisecond
	bubbleOf(t, Options{places: places}, func(b *bed) {
		dead := func(i int) bool { return i%10 == 3 }
		phones := make([]*phone, crowd)
		for i := range phones {
			phones[i] = b.watch(fmt.Sprintf("192.0.2.9:%d", 10000+i))
		}
		open, most := map[netip.AddrPort]time.Time{}, 0 // owned by the network
		b.net.tap = func(from, to netip.AddrPort, _ []byte) bool {
			now := time.Now()
			if from != serverAddr {
				delete(open, from)
				return false
			}
			for k, at := range open {
				if now.Sub(at) >= reply {
					delete(open, k)
				}
			}
			open[to] = now
			most = max(most, len(open))
			return false
		}
		for i, p := range phones {
			p.answers(func(n notice, copies int) (int, string) {
				if !dead(i) {
					time.AfterFunc(rtt, func() { p.respond(n.req, 200, "", p.serverAddr()) })
				}
				return 0, ""
			})
		}
		start := time.Now()
		b.park("701", "ann")
		pass(450 * time.Millisecond)
		var last time.Duration
		for i, p := range phones {
			all := p.got()
			if n := all[len(all)-1]; len(all) != 2 || n.shown != "ann" {
				t.Fatalf("phone %d: %d NOTIFYs, the last shows %q", i, len(all), n.shown)
			}
			last = max(last, all[1].at.Sub(start))
		}
		if most > places {
			t.Errorf("%d at a time, want at most %d", most, places)
		}
		// Each place serves one phone each 5 ms, or a dead one in 50.
		if limit := rtt*crowd/places + reply*(crowd/10)/places + 2*reply; last > limit {
			t.Errorf("the last was told after %v, want %v", last, limit)
		}
		if out, waiting := b.n.window.sizes(); waiting != 0 || out > places {
			t.Errorf("%d out, %d waiting", out, waiting)
		}
	})
}

// Who ends while waiting for a place gives the wish up, and a newer state takes
// the place of the older one.
func TestWaitingForAPlace(t *testing.T) {
	bubbleOf(t, Options{places: 1}, func(b *bed) {
		slow := b.watch("192.0.2.8:5060")
		ends, stays := b.watch("192.0.2.9:5060"), b.watch("192.0.2.9:5062")
		for _, p := range []*phone{slow, ends, stays} {
			p.answers(func(n notice, _ int) (int, string) {
				time.AfterFunc(20*time.Millisecond, func() { p.respond(n.req, 200, "", p.serverAddr()) })
				return 0, ""
			})
		}
		start := time.Now()
		b.park("701", "ann")
		b.park("701", "ben")
		ends.subscribe("sip:701@192.0.2.1", "Expires: 0")
		pass(time.Second)
		told := []time.Duration{}
		for _, p := range []*phone{slow, ends, stays} {
			n := p.last()
			if n.shown != "ben" {
				t.Errorf("the last NOTIFY shows %q", n.shown)
			}
			told = append(told, n.at.Sub(start))
		}
		if b.n.Len() != 2 || ends.last().state != "terminated;reason=timeout" {
			t.Errorf("%d subscriptions, the last NOTIFY says %s", b.n.Len(), ends.last().state)
		}
		if out, waiting := b.n.window.sizes(); out != 0 || waiting != 0 {
			t.Errorf("told after %v: %d out, %d waiting", told, out, waiting)
		}
	})
}

// A subscription that comes to grief keeps no place.
func TestPlaceOfOneThatFails(t *testing.T) {
	for name, fail := range map[string]func(*sub){
		"panic":    func(s *sub) { _ = s.queue.Do(func() { s.n.window.enter(s, time.Now()); panic("a bug") }) },
		"overflow": func(s *sub) { s.n.window.enter(s, time.Now()); s.overflow() },
	} {
		t.Run(name, func(t *testing.T) {
			bubbleOf(t, Options{places: 1}, func(b *bed) {
				b.watch("192.0.2.9:5060")
				fail(b.n.index.all()[0])
				pass(time.Minute)
				if out, waiting := b.n.window.sizes(); out != 0 || waiting != 0 {
					t.Errorf("%d out, %d waiting", out, waiting)
				}
			})
		})
	}
}
