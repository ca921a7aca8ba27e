package presence

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The 200, and the NOTIFY after it, wait for the disk; requests that come
// meanwhile wait behind it, and changes of state do not.
func TestSlowDisk(t *testing.T) {
	journaled(t, func(b *bed) {
		b.disk.set(func(d *disk) { d.delay = 3 * time.Second })
		p := b.phone("192.0.2.9:5060")
		p.subscribe("sip:701@192.0.2.1")
		b.park("701", "ann")
		pass(2900 * time.Millisecond)
		if o := p.order(); len(o) != 0 {
			t.Errorf("%v before it was written", o)
		}
		pass(200 * time.Millisecond)
		if o := p.order(); !slices.Equal(o, []string{"200", "NOTIFY"}) || p.last().shown != "ann" || p.last().version != 0 {
			t.Fatalf("%v %+v", o, p.last())
		}
		p.subscribe("sip:701@192.0.2.1", "Expires: 600")
		p.raw(fmt.Sprintf("OPTIONS sip:701@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK-o\r\nMax-Forwards: 70\r\n"+
			"From: <sip:bob@example.com>;tag=from\r\nTo: <sip:701@192.0.2.1>;tag=%s\r\nCall-ID: %s\r\nCSeq: 3 OPTIONS\r\nContent-Length: 0\r\n\r\n", p.toTag, p.callID))
		p.cseq++
		p.subscribe("sip:701@192.0.2.1", "Expires: 0")
		pass(time.Second)
		b.park("701", "eve")
		if n, o := p.last(), p.order(); n.shown != "eve" || !slices.Equal(o, []string{"NOTIFY"}) {
			t.Errorf("a change waits for the disk: %v %+v", o, n)
		}
		pass(5 * time.Second) // for the refresh, then for the end
		var order []string
		for _, r := range p.all() {
			order = append(order, fmt.Sprint(r.StatusCode, " ", r.CSeq().MethodName, " ", value(r, "Expires")))
		}
		if want := []string{"200 SUBSCRIBE 3600", "200 SUBSCRIBE 600", "200 OPTIONS ", "200 SUBSCRIBE 0"}; !slices.Equal(order, want) {
			t.Errorf("%q", order)
		}
		if n := p.last(); n.state != "terminated;reason=timeout" || b.n.Len() != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// No more than a few requests wait for the disk.
func TestTooManyWait(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		b.disk.set(func(d *disk) { d.delay = time.Second })
		for range maxWaiting + 3 {
			p.subscribe("sip:701@192.0.2.1", "Expires: 600") // shorter than what is written
		}
		synctest.Wait()
		refused := 0
		for _, r := range p.all() {
			if r.StatusCode == 500 && value(r, "Retry-After") != "" {
				refused++
			}
		}
		if refused != 2 {
			t.Errorf("%d refused", refused)
		}
		pass(time.Minute)
		if len(p.all()) != maxWaiting+4 || b.n.Len() != 1 {
			t.Errorf("%d replies", len(p.all()))
		}
	})
}

// A disk that fails, or does not come back, keeps nobody from a lamp; when it
// works again, what it owes is written.
func TestFailingDisk(t *testing.T) {
	for _, row := range []struct {
		name   string
		broken func(d *disk)
		after  time.Duration
	}{
		{"fails", func(d *disk) { d.failing = true }, 0},
		{"stuck", func(d *disk) { d.stuck = true }, diskPatience},
	} {
		t.Run(row.name, func(t *testing.T) {
			journaled(t, func(b *bed) {
				b.disk.set(row.broken)
				p := b.phone("192.0.2.9:5060")
				start := time.Now()
				p.subscribe("sip:701@192.0.2.1")
				pass(diskPatience + time.Second)
				if n := p.last(); p.reply().StatusCode != 200 || n.at.Sub(start) < row.after || n.at.Sub(start) > row.after+50*time.Millisecond {
					t.Fatalf("%v %+v", p.reply(), n)
				}
				b.park("701", "ann")
				if p.last().shown != "ann" || len(b.disk.records()) != 0 {
					t.Errorf("%+v", p.last())
				}
				b.disk.set(func(d *disk) { d.failing, d.stuck = false, false })
				for range 2 {
					b.disk.step()
				}
				b.watch("192.0.2.10:5060")
				if len(b.disk.records()) != 2 {
					t.Errorf("%d records", len(b.disk.records()))
				}
				b.crash()
				pass(time.Second)
				if b.n.Len() != 2 || p.last().shown != "ann" {
					t.Errorf("%d subscriptions", b.n.Len())
				}
				checkDialog(t, p.got())
			})
		})
	}
}

// A subscription that is stopped, or replaced, while its record is written.
func TestEndsWhileTheDiskWorks(t *testing.T) {
	for _, row := range []struct {
		name    string
		do      func(*bed, *phone)
		reply   int
		records int
	}{
		{"stopped", func(b *bed, _ *phone) { b.n.Close() }, 480, 0},
		{"replaced", func(b *bed, p *phone) {
			p.callID = "another"
			p.subscribe("sip:701@192.0.2.1")
		}, 480, 1},
		{"the orbit goes", func(b *bed, _ *phone) { b.remove("701") }, 200, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			journaled(t, func(b *bed) {
				b.disk.set(func(d *disk) { d.delay = time.Second })
				p := b.phone("192.0.2.9:5060")
				p.subscribe("sip:701@192.0.2.1")
				pass(500 * time.Millisecond)
				row.do(b, p)
				pass(5 * time.Second)
				if len(p.all()) == 0 || p.all()[0].StatusCode != row.reply || len(b.disk.records()) != row.records {
					t.Errorf("%v, %d records", p.all(), len(b.disk.records()))
				}
			})
		})
	}
	t.Run("a refresh, ended", func(t *testing.T) {
		journaled(t, func(b *bed) {
			p := b.watch("192.0.2.9:5060")
			b.disk.set(func(d *disk) { d.delay = time.Second })
			p.subscribe("sip:701@192.0.2.1", "Expires: 600") // shorter than what is written
			p.subscribe("sip:701@192.0.2.1")                 // this one waits behind it
			pass(500 * time.Millisecond)
			b.remove("701")
			pass(5 * time.Second)
			if p.last().state != "terminated;reason=noresource" || len(p.all()) != 3 || p.all()[1].StatusCode != 481 || p.all()[2].StatusCode != 481 {
				t.Errorf("%v", p.all())
			}
			if len(b.disk.records()) != 0 {
				t.Errorf("%d records", len(b.disk.records()))
			}
		})
	})
}

// A refresh that comes in time is one, however long the disk takes.
func TestRefreshAtTheLastMoment(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.phone("192.0.2.9:5060")
		p.subscribe("sip:701@192.0.2.1", "Expires: 60")
		pass(59 * time.Second)
		b.disk.set(func(d *disk) { d.delay = 3 * time.Second })
		p.subscribe("sip:701@192.0.2.1", "Expires: 60")
		pass(4 * time.Second)
		if n := p.last(); p.reply().StatusCode != 200 || len(p.all()) != 2 || n.state != "active;expires=60" || b.n.Len() != 1 {
			t.Errorf("%v %+v", p.reply(), n)
		}
		b.crash()
		pass(55 * time.Second) // a minute from when it was asked for
		if b.n.Len() != 1 {
			t.Error("shorter after the crash than what was asked for")
		}
	})
}

// The record of the first released format is read as what it says. The file is
// kept as it is for ever.
func TestFormat1(t *testing.T) {
	text, err := os.ReadFile("testdata/subscription-1.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s", again)
	}
	journaled(t, func(b *bed) {
		at, err := time.Parse(time.RFC3339, "2000-01-01T01:00:00Z") // when bubbles begin, and an hour
		if err != nil {
			t.Fatal(err)
		}
		r.Expires = at
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		b.kill()
		b.disk.set(func(d *disk) { d.durable[r.Dialog.Local] = text; d.epoch = 5 })
		p := b.phone("192.0.2.9:5060")
		if faults := b.start(); len(faults) > 0 {
			t.Fatal(faults)
		}
		pass(time.Second)
		n := p.last()
		if n.version != 1030 || n.seq != 1037 || n.entity != r.Entity || n.state != "active;expires=3600" || value(n.req, "Event") != "dialog;id=4" {
			t.Errorf("%+v", n)
		}
	})
}

// A stop in the middle of a SUBSCRIBE says nothing, and the next process answers what
// the phone sends again; one that no process follows refuses it.
func TestStopInTheMiddle(t *testing.T) {
	for _, row := range []struct {
		name   string
		frozen bool
		want   int // responses before the next process
	}{{"followed by another", true, 0}, {"for good", false, 1}} {
		t.Run(row.name, func(t *testing.T) {
			journaled(t, func(b *bed) {
				b.disk.set(func(d *disk) { d.delay = time.Second })
				p := b.phone("192.0.2.9:5060")
				p.subscribe("sip:701@192.0.2.1")
				pass(100 * time.Millisecond)
				if row.frozen {
					b.n.o.Endpoint.Freeze()
				}
				b.n.Close()
				pass(2 * time.Second)
				if n := len(p.all()); n != row.want {
					t.Errorf("%d responses", n)
				}
				b.disk.set(func(d *disk) { d.delay = 0 })
				b.crash()
				p.cseq-- // the very same once more
				p.subscribe("sip:701@192.0.2.1")
				pass(100 * time.Millisecond)
				if res := p.reply(); res == nil || res.StatusCode != 200 || b.n.Len() != 1 {
					t.Errorf("%v, %d subscriptions", res, b.n.Len())
				}
			})
		})
	}
}
