package presence

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

// checkDialog checks what a phone saw: one dialog, in which numbers only rise.
func checkDialog(t *testing.T, all []notice) {
	t.Helper()
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		ours, _ := a.req.From().Params.Get("tag")
		then, _ := b.req.From().Params.Get("tag")
		if a.req.CallID().Value() != b.req.CallID().Value() || ours != then {
			t.Errorf("another dialog: %s after %s", b.req, a.req)
		}
		if b.version <= a.version || b.seq <= a.seq {
			t.Errorf("version %d, CSeq %d after version %d, CSeq %d", b.version, b.seq, a.version, a.seq)
		}
	}
}

// A watcher of a server that was killed is told the state in its old dialog, and
// everything in that goes on.
func TestRestart(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		b.park("701", "ann")
		b.park("701", "")
		before := p.last()
		b.kill()
		b.src.shown["701"] = "eve" // the call came while the phone was not told
		pass(10 * time.Second)
		start := time.Now()
		b.start()
		pass(100 * time.Millisecond)
		n := p.last()
		if n.shown != "eve" || n.version < before.version+1 || n.state != "active;expires=3590" || n.at.Sub(start) > 10*time.Millisecond {
			t.Errorf("%+v", n)
		}
		b.park("701", "joe")
		p.subscribe("sip:701@192.0.2.1")
		synctest.Wait()
		if n := p.last(); n.shown != "joe" || p.reply().StatusCode != 200 {
			t.Errorf("%+v", n)
		}
		b.crash()
		b.crash() // one that has told nobody anything
		pass(time.Second)
		checkDialog(t, p.got())
		if n := p.last(); n.shown != "joe" || n.entity != "sip:701@192.0.2.1" || b.n.Len() != 1 {
			t.Errorf("%+v", n)
		}
		p.subscribe("sip:701@192.0.2.1", "Expires: 0")
		pass(100 * time.Millisecond) // the refresh before is not known any more: its CSeq is waited for
		if n := p.last(); n.state != "terminated;reason=timeout" || len(b.disk.records()) != 0 {
			t.Errorf("%+v, %d records", n, len(b.disk.records()))
		}
		checkDialog(t, p.got())
	})
}

// What somebody may see is a matter of the name that they proved when they subscribed,
// also after a restart.
func TestRestartKnowsWhoAuthenticated(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		b.kill()
		for id, text := range b.disk.durable {
			b.disk.durable[id] = []byte(strings.Replace(string(text), `"from":`, `"by":"200","from":`, 1))
		}
		b.start()
		pass(100 * time.Millisecond)
		if b.src.user != "200" {
			t.Errorf("%q is told", b.src.user)
		}
		p.subscribe("sip:701@192.0.2.1") // within a dialog nobody is asked again
		pass(100 * time.Millisecond)
		b.crash()
		pass(100 * time.Millisecond)
		if b.src.user != "200" || p.reply().StatusCode != 200 {
			t.Errorf("%q is told", b.src.user)
		}
	})
}

// A 200 that was lost with the server: the phone sends its SUBSCRIBE again, and
// is answered within the dialog in which it may have been told something already.
func TestLost200(t *testing.T) {
	for _, row := range []struct {
		name     string
		stranger bool // the phone knows no dialog before its 200: 481
	}{{"takes a NOTIFY before its 200", false}, {"does not", true}} {
		t.Run(row.name, func(t *testing.T) {
			journaled(t, func(b *bed) {
				p := b.phone("192.0.2.9:5060")
				b.net.tap = func(from, _ netip.AddrPort, _ []byte) bool { return from == serverAddr }
				p.subscribe("sip:701@192.0.2.1")
				synctest.Wait()
				b.kill()
				b.net.tap = nil
				answers := make(chan func(), 1)
				if row.stranger { // its 481 is on its way when it sends its SUBSCRIBE again
					p.answers(func(n notice, _ int) (int, string) {
						answers <- func() { p.respond(n.req, 481, "", p.serverAddr()) }
						p.answers(nil)
						return 0, ""
					})
				}
				b.start()
				pass(10 * time.Millisecond)
				p.cseq-- // the very same once more
				p.subscribe("sip:701@192.0.2.1")
				synctest.Wait()
				if row.stranger {
					(<-answers)()
				}
				pass(5 * time.Second)
				if len(p.all()) != 1 || p.reply().StatusCode != 200 || b.n.Len() != 1 || len(b.disk.records()) != 1 {
					t.Fatalf("%v, %d subscriptions, %d records", p.all(), b.n.Len(), len(b.disk.records()))
				}
				b.park("701", "ann")
				for _, n := range p.got() {
					if tag, _ := n.req.From().Params.Get("tag"); tag != p.toTag {
						t.Errorf("tag %s after a 200 with %s", tag, p.toTag)
					}
				}
				if n := p.last(); n.shown != "ann" || b.n.Lamps()[0].Shown != "ann" {
					t.Errorf("%+v", n)
				}
				checkDialog(t, p.got())
			})
		})
	}
}

// What the lamp shows before the first answer after a start is what is parked
// then: a press is still a press.
func TestShownAfterARestart(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		b.park("701", "ann")
		p.answers(func(notice, int) (int, string) { return 0, "" })
		b.crash()
		showing := func() string {
			s, _ := b.n.Showing("701", "sip:bob@example.com", "sip:bob@192.0.2.9", sipua.Flow{Network: "udp", Remote: p.sock.addr})
			return s
		}
		if got := showing(); got != "ann" {
			t.Errorf("shows %q", got)
		}
		b.park("701", "eve") // the phone does not know yet
		pass(3 * time.Second)
		if got := showing(); got != "ann" {
			t.Errorf("shows %q", got)
		}
		p.answers(nil)
		pass(time.Minute)
		if got := showing(); got != "eve" || p.last().shown != "eve" {
			t.Errorf("shows %q", got)
		}
	})
}

// Across a restart an expiry counts from when it was asked for, which the first
// NOTIFY says (RFC 6665 4.2.1.1: never more than was granted), and what expired
// meanwhile ends.
func TestExpiryAcrossARestart(t *testing.T) {
	for _, row := range []struct {
		name  string
		down  time.Duration
		state string // of the first NOTIFY after the start; "" = none
		left  int    // subscriptions
	}{
		{"to the last moment", 56 * time.Second, "active;expires=1", 1},
		{"expired, unless refreshed at the last moment", 80 * time.Second, "active;expires=", 1},
		{"expired a moment ago", 130 * time.Second, "terminated;reason=timeout", 0},
		{"expired long ago", 150 * time.Second, "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			journaled(t, func(b *bed) {
				b.disk.set(func(d *disk) { d.delay = 3 * time.Second })
				p := b.phone("192.0.2.9:5060")
				p.subscribe("sip:701@192.0.2.1", "Expires: 60")
				pass(3 * time.Second)
				p.answers(func(notice, int) (int, string) { return 0, "" })
				granted := time.Now().Add(57 * time.Second) // a minute from the SUBSCRIBE
				if p.reply().StatusCode != 200 {
					t.Fatal(p.reply())
				}
				b.kill()
				b.disk.set(func(d *disk) { d.delay = 0 })
				pass(row.down)
				b.start()
				pass(10 * time.Millisecond)
				all := p.got()[1:]
				if row.state == "" && len(all) != 0 || row.state != "" && (len(all) != 1 || !strings.HasPrefix(all[0].state, row.state)) {
					t.Fatalf("%+v", all)
				}
				if b.n.Len() != row.left || len(b.disk.records()) != row.left {
					t.Errorf("%d subscriptions, %d records", b.n.Len(), len(b.disk.records()))
				}
				p.answers(nil)
				if row.left == 0 {
					p.subscribe("sip:701@192.0.2.1")
					synctest.Wait()
					if p.reply().StatusCode != 481 {
						t.Errorf("%s", p.reply())
					}
					return
				}
				pass(time.Until(granted) + time.Minute - 10*time.Millisecond)
				if b.n.Len() != 1 {
					t.Error("ended before what a refresh may have granted")
				}
				pass(time.Second)
				if b.n.Len() != 0 || p.last().state != "terminated;reason=timeout" || len(b.disk.records()) != 0 {
					t.Errorf("%+v", p.last())
				}
			})
		})
	}
}

// An orbit that went while no server ran is noresource to its watchers; one that
// goes and comes again is not theirs any more, and can be subscribed to anew.
func TestOrbitGoesAndComes(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			journaled(t, func(b *bed) {
				p, other := b.watch("192.0.2.9:5060"), b.watch("192.0.2.10:5060")
				other.callID, other.toTag = "another-orbit", ""
				other.subscribe("sip:702@192.0.2.1")
				synctest.Wait()
				if restart {
					b.kill()
				}
				b.remove("701")
				if restart {
					b.start()
				}
				pass(100 * time.Millisecond)
				if n := p.last(); n.state != "terminated;reason=noresource" || b.n.Len() != 1 || len(b.disk.records()) != 1 {
					t.Fatalf("%+v, %d subscriptions", n, b.n.Len())
				}
				p.callID, p.toTag = "again", ""
				p.subscribe("sip:701@192.0.2.1")
				synctest.Wait()
				if p.reply().StatusCode != 404 {
					t.Errorf("%s", p.reply())
				}
				count := len(p.got())
				b.park("701", "ann")
				if len(p.got()) != count {
					t.Error("told of an orbit that it does not watch")
				}
				p.subscribe("sip:701@192.0.2.1")
				synctest.Wait()
				if n := p.last(); p.reply().StatusCode != 200 || n.version != 0 || n.shown != "ann" || b.n.Len() != 2 {
					t.Errorf("%+v\n%s", n, p.reply())
				}
			})
		})
	}
}

// A record that cannot be read is named, stays, and keeps nobody else away.
func TestUnreadableRecords(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		b.park("701", "ann")
		b.kill()
		good := b.disk.records()
		bad := map[string]string{
			"not-json": "{", "newer": `{"format":2,"event":"dialog"}`, "none": `{}`, "empty": "", "half": `{"format":1,"event":"dialog"}`,
		}
		b.disk.set(func(d *disk) {
			for id, text := range bad {
				d.durable[id] = []byte(text)
			}
			for id, r := range good {
				d.durable["other"] = []byte(strings.Replace(string(r), `"event":"dialog"`, `"event":"weather"`, 1))
				d.durable["moved"] = d.durable[id]
			}
		})
		faults := b.start()
		if len(faults) != len(bad)+2 {
			t.Errorf("%d faults: %v", len(faults), faults)
		}
		for id, err := range faults {
			if _, ok := bad[id]; !ok && id != "other" && id != "moved" {
				t.Errorf("%v", err)
			}
		}
		pass(time.Second)
		if len(b.disk.records()) != len(good)+len(faults) || b.n.Len() != 1 || len(p.got()) != 3 {
			t.Errorf("%d records, %d subscriptions", len(b.disk.records()), b.n.Len())
		}
	})
}

// A phone that does not answer its first NOTIFYs after a start keeps its
// subscription, and one that has lost it says so.
func TestAnswersAfterARestart(t *testing.T) {
	journaled(t, func(b *bed) {
		p, lost := b.watch("192.0.2.9:5060"), b.watch("192.0.2.10:5060")
		p.answers(func(notice, int) (int, string) { return 0, "" })
		lost.answers(func(notice, int) (int, string) { return sip.StatusCallTransactionDoesNotExists, "" })
		b.crash()
		pass(time.Minute)
		if b.n.Len() != 1 || b.n.Lamps()[0].Contact != "sip:bob@192.0.2.9:5060" || len(b.disk.records()) != 1 {
			t.Errorf("%+v", b.n.Lamps())
		}
	})
}
