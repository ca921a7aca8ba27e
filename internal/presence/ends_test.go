package presence

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Stopping forgets nothing, whatever is under way.
func TestStopKeeps(t *testing.T) {
	silence := func(notice, int) (int, string) { return 0, "" }
	for name, do := range map[string]func(*bed, *phone){
		"at rest":   func(*bed, *phone) {},
		"in flight": func(b *bed, p *phone) { p.answers(silence); b.park("701", "ann") },
		"a retry":   func(b *bed, p *phone) { p.answers(silence); b.park("701", "ann"); pass(33 * time.Second) },
		"the last NOTIFY of an orbit in flight": func(b *bed, p *phone) {
			p.answers(silence)
			b.remove("701")
		},
		"the last NOTIFY waits behind another": func(b *bed, p *phone) {
			p.answers(silence)
			b.park("701", "ann")
			b.remove("701")
		},
	} {
		for _, how := range []string{"stop", "endpoint first"} {
			t.Run(name+", "+how, func(t *testing.T) {
				journaled(t, func(b *bed) {
					p := b.watch("192.0.2.9:5060")
					do(b, p)
					was := b.disk.records()
					if how == "endpoint first" {
						b.n.o.Endpoint.Shutdown()
						synctest.Wait()
					}
					b.stop()
					pass(time.Minute)
					if now := b.disk.records(); len(was) != 1 || len(now) != 1 {
						t.Fatalf("%d records before, %d after", len(was), len(now))
					}
					b.src.shown["701"] = "eve"
					p.answers(nil)
					b.start()
					pass(100 * time.Millisecond)
					if n := p.last(); n.shown != "eve" || !strings.HasPrefix(n.state, "active") {
						t.Errorf("%+v", n)
					}
					checkDialog(t, p.got())
				})
			})
		}
	}
}

// What ends, ends on the disk too.
func TestEndsForget(t *testing.T) {
	for name, do := range map[string]func(*bed, *phone){
		"expiry":      func(b *bed, p *phone) { pass(3601 * time.Second) },
		"unsubscribe": func(b *bed, p *phone) { p.subscribe("sip:701@192.0.2.1", "Expires: 0") },
		"481": func(b *bed, p *phone) {
			p.answers(func(notice, int) (int, string) { return 481, "" })
			b.park("701", "ann")
		},
		"the orbit": func(b *bed, p *phone) { b.remove("701") },
	} {
		t.Run(name, func(t *testing.T) {
			journaled(t, func(b *bed) {
				p := b.watch("192.0.2.9:5060")
				if len(b.disk.records()) != 1 {
					t.Fatal("not kept")
				}
				p.answers(func(notice, int) (int, string) { return 0, "" })
				do(b, p)
				synctest.Wait()
				if n := len(b.disk.records()); n != 0 && name != "the orbit" {
					t.Errorf("%d records before the last NOTIFY is answered", n)
				}
				pass(time.Minute)
				if len(b.disk.records()) != 0 || b.n.Len() != 0 {
					t.Errorf("%d records, %d subscriptions", len(b.disk.records()), b.n.Len())
				}
				count := len(p.got())
				b.crash()
				pass(time.Minute)
				if len(p.got()) != count {
					t.Error("told after its end")
				}
			})
		})
	}
}

func TestFetchWritesNothing(t *testing.T) {
	journaled(t, func(b *bed) {
		b.phone("192.0.2.9:5060").subscribe("sip:701@192.0.2.1", "Expires: 0")
		pass(time.Second)
		if writes, _ := b.disk.count(); writes != 0 {
			t.Errorf("%d writes", writes)
		}
	})
}

// A phone that subscribes anew has one record, wherever the crash comes.
func TestReplacedRecord(t *testing.T) {
	for _, crash := range []bool{false, true} {
		journaled(t, func(b *bed) {
			p := b.watch("192.0.2.9:5060")
			old := b.disk.records()
			p.callID, p.toTag = "after-the-reboot", ""
			pass(time.Second)
			p.subscribe("sip:701@192.0.2.1")
			synctest.Wait()
			if len(b.disk.records()) != 1 {
				t.Errorf("%d records", len(b.disk.records()))
			}
			if crash { // after the new record, before the end of the old one
				b.disk.set(func(d *disk) {
					for id, r := range old {
						d.durable[id] = r
					}
				})
			}
			b.crash()
			pass(time.Second)
			if b.n.Len() != 1 || p.last().req.CallID().Value() != "after-the-reboot" || len(b.disk.records()) != 1 || b.n.o.Table.Len() != 1 {
				t.Errorf("%d subscriptions, %d records, told %+v", b.n.Len(), len(b.disk.records()), p.last())
			}
			if n := p.got()[len(p.got())-2]; n.req.CallID().Value() != "after-the-reboot" {
				t.Errorf("the old dialog was told: %+v", n)
			}
		})
	}
}

// A phone that begins again with the same Call-ID and tag begins a new dialog: the
// same SUBSCRIBE is one with the same CSeq.
func TestBeginsAgain(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		tag := p.toTag
		p.toTag = ""
		p.subscribe("sip:701@192.0.2.1")
		synctest.Wait()
		if p.reply().StatusCode != 200 || p.toTag == tag || p.last().version != 0 || b.n.Len() != 1 || len(b.disk.records()) != 1 {
			t.Errorf("%s", p.reply())
		}
	})
}
