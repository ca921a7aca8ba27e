package presence

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A refresh that changes nothing is answered without the disk, and written within
// half a minute, with others.
func TestRefreshIsWrittenLater(t *testing.T) {
	journaled(t, func(b *bed) {
		p, other := b.watch("192.0.2.9:5060"), b.watch("192.0.2.10:5060")
		before, _ := b.disk.count()
		pass(20 * time.Minute)
		b.disk.set(func(d *disk) { d.delay = 3 * time.Second })
		for range 3 {
			p.subscribe("sip:701@192.0.2.1")
			other.subscribe("sip:701@192.0.2.1")
			pass(time.Second)
		}
		if p.reply().StatusCode != 200 || p.last().state != "active;expires=3600" {
			t.Errorf("%s %+v", p.reply(), p.last())
		}
		if now, _ := b.disk.count(); now != before {
			t.Errorf("%d writes", now-before)
		}
		pass(lag)
		if now, _ := b.disk.count(); now != before+2 {
			t.Errorf("%d writes", now-before)
		}
		b.disk.set(func(d *disk) { d.delay = 0 })
		b.crash()
		pass(time.Second)
		if n := p.last(); n.state != "active;expires=3569" {
			t.Errorf("%+v", n)
		}
	})
}

// What is promised holds, although the record of it is lost in a crash: also with
// a watcher that does not heed the shorter time that it is told.
func TestRefreshIsLost(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		pass(58 * time.Minute)
		p.subscribe("sip:701@192.0.2.1")
		pass(time.Second)
		b.crash()
		pass(time.Second)
		if n := p.last(); p.reply().StatusCode != 200 || n.state != "active;expires=119" {
			t.Errorf("%+v", n)
		}
		pass(30 * time.Minute)
		if left := time.Until(b.n.Lamps()[0].Expires).Round(time.Second); left != 32*time.Minute-2*time.Second {
			t.Errorf("listed as ending in %v", left)
		}
		b.park("701", "ann")
		if n := p.last(); n.shown != "ann" || n.state != "active;expires=60" {
			t.Errorf("%+v", n)
		}
		pass(29 * time.Minute)
		p.subscribe("sip:701@192.0.2.1")
		pass(time.Second)
		if n := p.last(); p.reply().StatusCode != 200 || n.state != "active;expires=3600" {
			t.Errorf("%s %+v", p.reply(), n)
		}
		pass(time.Hour)
		if n := p.last(); n.state != "terminated;reason=timeout" || b.n.Len() != 0 || len(b.disk.records()) != 0 {
			t.Errorf("%+v, %d subscriptions", n, b.n.Len())
		}
	})
}

// A stop writes what was to be written later.
func TestStopWritesRefreshes(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		pass(58 * time.Minute)
		p.subscribe("sip:701@192.0.2.1")
		synctest.Wait()
		b.stop()
		b.start()
		pass(time.Second)
		if n := p.last(); n.state != "active;expires=3600" {
			t.Errorf("%+v", n)
		}
	})
}

// Whatever the record does not cover is written before it is answered.
func TestRefreshThatChanges(t *testing.T) {
	for _, row := range []struct {
		name    string
		after   time.Duration
		headers []string
		waits   bool
	}{
		{"nothing", time.Minute, nil, false},
		{"less time than before", time.Minute, []string{"Expires: 600"}, true},
		{"less time, but no less than before", 50 * time.Minute, []string{"Expires: 1200"}, false},
		{"more time", time.Minute, []string{"Expires: 7200"}, true},
		{"more time, to the limit", 0, []string{"Expires: 7200"}, false},
		{"the Contact", time.Minute, []string{"Contact: <sip:bob@192.0.2.9:5062>"}, true},
		{"the type", time.Minute, []string{"Accept: application/dialog-info+xml;q=0.5"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			journaled(t, func(b *bed) {
				p := b.watch("192.0.2.9:5060")
				pass(row.after)
				b.disk.set(func(d *disk) { d.delay = time.Second })
				p.order()
				p.subscribe("sip:701@192.0.2.1", row.headers...)
				pass(500 * time.Millisecond)
				if waits := !strings.HasPrefix(strings.Join(p.order(), " "), "200"); waits != row.waits {
					t.Errorf("waits for the disk: %v", waits)
				}
				pass(time.Second)
				if p.reply().StatusCode != 200 {
					t.Errorf("%s", p.reply())
				}
			})
		})
	}
	t.Run("a disk that fails", func(t *testing.T) {
		journaled(t, func(b *bed) {
			b.disk.set(func(d *disk) { d.failing = true })
			p := b.watch("192.0.2.9:5060")
			b.disk.set(func(d *disk) { d.failing, d.delay = false, time.Second })
			p.order()
			p.subscribe("sip:701@192.0.2.1")
			pass(500 * time.Millisecond)
			if o := p.order(); len(o) != 0 {
				t.Errorf("%v before anything was written", o)
			}
		})
	})
}
