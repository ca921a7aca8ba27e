package presence

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The first three changes go at once, then one a second, and the last arrives.
func TestPacing(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		start := time.Now()
		for i := range 25 {
			b.park("701", fmt.Sprint(i))
			pass(100 * time.Millisecond)
		}
		pass(5 * time.Second)
		var at []time.Duration
		for _, n := range p.got()[1:] {
			at = append(at, n.at.Sub(start).Round(100*time.Millisecond)/time.Millisecond)
		}
		if want := []time.Duration{0, 100, 200, 1200, 2200, 3200}; !slices.Equal(at, want) {
			t.Errorf("told at %v, want %v", at, want)
		}
		if n := p.last(); n.shown != "24" || n.version != 6 {
			t.Errorf("last %+v", n)
		}
	})
}

// An unanswered NOTIFY holds a newer state back for two seconds.
func TestOvertaking(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		p.answers(func(n notice, _ int) (int, string) {
			if n.shown == "a" {
				return 0, ""
			}
			return 200, ""
		})
		start := time.Now()
		b.park("701", "a")
		b.park("701", "b")
		b.park("701", "c")
		if n := p.last(); n.shown != "a" {
			t.Fatalf("two in flight: %+v", n)
		}
		pass(10 * time.Second)
		all := p.got()
		n := all[len(all)-1]
		if len(all) != 3 || n.shown != "c" || n.seq != all[1].seq+1 || n.version != 2 {
			t.Fatalf("%+v", all)
		}
		if d := n.at.Sub(start); d < 2*time.Second || d > 2*time.Second+50*time.Millisecond {
			t.Errorf("overtaken after %v", d)
		}
		if c := p.copies[all[1].id()]; c != 3 { // at 0, 0.5 and 1.5 s
			t.Errorf("%d copies of the overtaken one", c)
		}
	})
}

func TestSilentWatcher(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		silence := func(notice, int) (int, string) { return 0, "" }
		p.answers(silence)
		b.park("701", "a")
		pass(33 * time.Second)
		if l := b.n.Lamps(); len(l) != 1 || !l[0].Silent {
			t.Fatalf("%+v", l)
		}
		pass(3 * time.Second)
		b.park("701", "b")
		pass(4 * time.Second)
		n := p.last()
		if n.shown != "b" || p.copies[n.id()] != 1 {
			t.Errorf("%d copies of %+v", p.copies[n.id()], n)
		}
		p.answers(nil)
		b.park("701", "c")
		pass(100 * time.Millisecond)
		if n := p.last(); n.shown != "c" || b.n.Lamps()[0].Silent || b.n.Lamps()[0].Answer != 200 {
			t.Errorf("%+v %+v", n, b.n.Lamps())
		}
		// It was never taken away, and what was lost is told again without a change.
		p.answers(silence)
		b.park("701", "d")
		pass(40 * time.Second)
		count := len(p.got())
		p.answers(nil)
		pass(6 * time.Minute)
		if n := p.last(); n.shown != "d" || len(p.got()) == count || b.n.Lamps()[0].Shown != "d" {
			t.Errorf("%+v", n)
		}
		settled := len(p.got())
		pass(20 * time.Minute)
		if len(p.got()) != settled {
			t.Error("told again although it answered")
		}
	})
}

// A phone that takes three seconds to answer is not silent.
func TestSlowWatcher(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		p.answers(func(n notice, copies int) (int, string) {
			if copies == 1 {
				time.AfterFunc(3*time.Second, func() {
					p.respond(n.req, 200, "", p.serverAddr())
				})
			}
			return 0, ""
		})
		for i := range 8 {
			b.park("701", fmt.Sprint(i))
			pass(2500 * time.Millisecond)
		}
		pass(20 * time.Second)
		if l := b.n.Lamps()[0]; l.Silent || l.Shown != "7" || l.Answer != 200 {
			t.Errorf("%+v", l)
		}
	})
}

func TestAnswersThatEnd(t *testing.T) {
	for _, code := range []int{404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			bubble(t, func(b *bed) {
				p := b.watch("192.0.2.9:5060")
				p.answers(func(notice, int) (int, string) { return code, "" })
				b.park("701", "a")
				b.park("701", "b")
				pass(time.Minute)
				if b.n.Len() != 0 || len(p.got()) != 2 {
					t.Errorf("%d subscriptions, %d NOTIFYs", b.n.Len(), len(p.got()))
				}
			})
		})
	}
}

func TestAnswersThatDelay(t *testing.T) {
	tests := []struct {
		name   string
		code   int
		header string
		after  time.Duration // 0 = not told again
	}{
		{"busy", 503, "Retry-After: 20 (busy)", 20 * time.Second},
		{"unavailable for a time", 480, "Retry-After: 20", 20 * time.Second},
		{"trouble", 500, "", firstRetry},
		{"a refusal", 403, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				p := b.watch("192.0.2.9:5060")
				p.answers(func(notice, int) (int, string) { return tt.code, tt.header })
				start := time.Now()
				b.park("701", "a")
				p.answers(nil)
				pass(time.Minute)
				all := p.got()
				if tt.after == 0 {
					if len(all) != 2 || b.n.Len() != 1 {
						t.Errorf("%d NOTIFYs", len(all))
					}
					return
				}
				if d := all[len(all)-1].at.Sub(start); len(all) != 3 || d < tt.after || d > tt.after+50*time.Millisecond || p.last().shown != "a" {
					t.Errorf("%d NOTIFYs, the last after %v", len(all), d)
				}
			})
		})
	}
}

func TestRetryAfterHoldsChangesBack(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		p.answers(func(notice, int) (int, string) { return 503, "Retry-After: 20" })
		b.park("701", "a")
		p.answers(nil)
		b.park("701", "b")
		pass(19 * time.Second)
		if len(p.got()) != 2 {
			t.Error("told too early")
		}
		pass(2 * time.Second)
		if len(p.got()) != 3 || p.last().shown != "b" {
			t.Errorf("%+v", p.last())
		}
	})
}

func TestChallenge(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		p.answers(func(n notice, _ int) (int, string) {
			if value(n.req, "Authorization") == "" {
				return 401, `WWW-Authenticate: Digest realm="phones", nonce="abc", algorithm=MD5, qop="auth"`
			}
			return 200, ""
		})
		b.park("701", "a")
		b.park("701", "b")
		pass(5 * time.Second)
		all := p.got()
		if len(all) != 5 || b.n.Lamps()[0].Shown != "b" {
			t.Fatalf("%d NOTIFYs, %+v", len(all), b.n.Lamps())
		}
		for i, n := range all[1:] {
			if n.seq != all[i].seq+1 {
				t.Errorf("CSeq %d after %d", n.seq, all[i].seq)
			}
		}
	})
}
