package presence

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"pgregory.net/rapid"
)

// Whatever goes out between crashes, whichever record the disk has then, and
// whether it counts starts or not: no number is used twice.
func TestNumbersNeverRepeat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.SampledFrom([]uint32{64, 128, block}).Draw(t, "block")
		counting := rapid.Bool().Draw(t, "epochs")
		epoch := uint64(1)
		c := ceilings{block: block}
		var now marks
		type written struct {
			m     marks
			epoch uint64
		}
		queue := []written{{c.raise(now), epoch}} // on its way to the disk
		var durable written
		land := func() { // the oldest is written
			durable, queue = queue[0], queue[1:]
			c.settle(durable.m)
		}
		land() // the 200 waits for this
		var top marks
		sent := 0
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"notify", "notify", "notify", "challenge", "refresh", "land", "crash"}).Draw(t, "step") {
			case "notify":
				for range rapid.SampledFrom([]uint32{1, block / 4, block}).Draw(t, "n") {
					if c.spent(now) {
						if !c.waiting() {
							queue = append(queue, written{c.raise(now), epoch})
						}
						break
					}
					if now.version < top.version || now.seq+1 <= top.seq {
						t.Fatalf("version %d, CSeq %d sent after %+v", now.version, now.seq+1, top)
					}
					now.version, now.seq = now.version+1, now.seq+1
					top = now
					sent++
					if c.low(now) {
						queue = append(queue, written{c.raise(now), epoch})
					}
				}
			case "challenge":
				if c.spent(now) {
					continue
				}
				now.seq++
				top.seq = now.seq
			case "refresh":
				queue = append(queue, written{c.raise(now), epoch})
			case "land":
				if len(queue) > 0 {
					land()
				}
			case "crash":
				queue = nil
				if counting {
					epoch += rapid.SampledFrom([]uint64{1, 1, 2, 3, maxRuns, 3 * maxRuns}).Draw(t, "starts")
				}
				var ok bool
				if now, c, ok = resumed(durable.m, durable.epoch, epoch, block); !ok {
					t.Fatal("used up")
				}
			}
		}
		for i := 0; len(queue) > 0 || i == 0; i++ { // and a disk that works lets it go on
			if len(queue) > 0 {
				land()
			} else if c.spent(now) {
				queue = append(queue, written{c.raise(now), epoch})
			}
		}
		if c.spent(now) {
			t.Fatalf("stuck at %+v with %+v", now, c)
		}
	})
}

// Nothing may go out at all once the numbers are used up.
func TestNumbersAreUsedUp(t *testing.T) {
	for _, row := range []struct {
		seq   uint32
		epoch uint64
		free  uint32 // before the record is written again
		ok    bool
	}{
		{maxSeq - 2*block, 2, block, true}, {maxSeq - 2*block, 3, block, true}, {maxSeq - 2*block, 4, 0, false},
		{maxSeq - block + 1, 2, 0, false}, {5000, maxRuns + 1, block, true}, {5000, maxRuns + 2, 0, true},
		{5000, 1 << 62, 0, true}, {maxSeq - maxRuns*block, 1 << 62, 0, false}, {1<<32 - 1, 2, 0, false},
	} {
		now, c, ok := resumed(marks{1, row.seq}, 1, row.epoch, block)
		if ok != row.ok || ok && (now.seq < row.seq || c.safe.seq > maxSeq || c.safe.seq-now.seq != row.free) {
			t.Errorf("%+v: %+v %+v %v", row, now, c, ok)
		}
	}
}

// A NOTIFY writes nothing; the record is written once in half a block.
func TestNotifyWritesNothing(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		last := 1
		for i := range 3 * block / 2 {
			b.park("701", fmt.Sprint(i))
			pass(time.Second)
			if writes, _ := b.disk.count(); writes != last {
				last = writes
				if n := p.last().version + 1; n%(block/2+1) != 0 {
					t.Errorf("written at version %d", n)
				}
			}
		}
		if len(p.got()) != 3*block/2+1 || last != 3 {
			t.Errorf("%d NOTIFYs, %d writes", len(p.got()), last)
		}
		for range 3 {
			b.crash()
			pass(time.Second)
			b.park("701", "after")
		}
		if writes, _ := b.disk.count(); writes != last {
			t.Errorf("%d writes for starts", writes-last)
		}
		checkDialog(t, p.got())
	})
}

// Without a count of starts the record is written before the first NOTIFY.
func TestJournalThatDoesNotCount(t *testing.T) {
	journaled(t, func(b *bed) {
		b.disk.counts = false
		p := b.watch("192.0.2.9:5060")
		b.kill()
		b.disk.set(func(d *disk) { d.delay = time.Second })
		b.start()
		pass(900 * time.Millisecond)
		if len(p.got()) != 1 {
			t.Error("told before the record was written")
		}
		pass(200 * time.Millisecond)
		if len(p.got()) != 2 || p.last().version != block {
			t.Errorf("%+v", p.last())
		}
		for range 3 {
			b.crash()
			pass(5 * time.Second)
		}
		checkDialog(t, p.got())
		if len(p.got()) != 5 {
			t.Errorf("%d NOTIFYs", len(p.got()))
		}
	})
}

// steps of a history with crashes.
var crashy = []string{"park", "park", "park", "burst", "wait", "silent", "well", "refresh", "slow", "quick", "broken", "crash", "crash"}

// After any history with crashes, slow and broken disks and silent phones, each
// phone has seen rising numbers in one dialog, and its last document is the state.
func TestAnyHistoryWithCrashes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		counts := rapid.Bool().Draw(r, "epochs")
		steps := rapid.SliceOfN(rapid.SampledFrom(crashy), 1, 30).Draw(r, "steps")
		// In a bigger block a broken disk can't have used up what it could not write.
		// A start on a broken disk needs the count of starts.
		small := !counts || rapid.Bool().Draw(r, "small block")
		if fault := crashes(t, counts, small, steps); fault != "" {
			r.Fatal(fault)
		}
	})
}

func crashes(t *testing.T, counts, small bool, steps []string) (fault string) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, Options{}, newDisk())
		b.disk.counts = counts
		if small {
			b.block = 64
		}
		b.run(func(b *bed) {
			w := &rising{sent: map[netip.AddrPort]marks{}}
			b.net.tap = w.packet
			phones := []*phone{b.phone("192.0.2.9:5060"), b.phone("192.0.2.10:5060")}
			for _, p := range phones {
				p.subscribe("sip:701@192.0.2.1", "Expires: 7200")
				synctest.Wait()
			}
			for i, what := range steps {
				b.step(what, phones[i%2], i, small)
			}
			b.disk.set(func(d *disk) { d.delay, d.failing = 0, false })
			for _, p := range phones {
				p.answers(nil)
			}
			b.crash()
			pass(2 * time.Second)
			b.src.mu.Lock()
			state := b.src.shown["701"]
			b.src.mu.Unlock()
			for _, p := range phones {
				if n := p.last(); n.shown != state {
					w.faults = append(w.faults, fmt.Sprintf("%v was last told %q and not %q", p.sock.addr, n.shown, state))
				}
			}
			if b.n.Len() != 2 || len(b.disk.records()) != 2 {
				w.faults = append(w.faults, fmt.Sprint(b.n.Len(), " subscriptions, ", len(b.disk.records()), " records"))
			}
			fault = strings.Join(w.faults, "\n")
		})
	})
	return fault
}

// step does one step of a history with crashes.
func (b *bed) step(what string, p *phone, i int, small bool) {
	switch what {
	case "park":
		b.park("701", fmt.Sprint("call", i))
		pass(300 * time.Millisecond)
	case "burst":
		for j := range 40 {
			b.park("701", fmt.Sprint("call", i, ".", j))
			pass(time.Second)
		}
	case "wait":
		pass(9 * time.Second)
	case "refresh":
		p.subscribe("sip:701@192.0.2.1", "Expires: 7200")
		pass(100 * time.Millisecond)
	case "silent":
		p.answers(func(notice, int) (int, string) { return 0, "" })
	case "well":
		p.answers(nil)
	case "slow":
		b.disk.set(func(d *disk) { d.delay = 4 * time.Second })
	case "quick":
		b.disk.set(func(d *disk) { d.delay, d.failing = 0, false })
	case "broken":
		b.disk.set(func(d *disk) { d.failing = !small })
	case "crash":
		b.crash()
		pass(200 * time.Millisecond)
	}
}

// rising checks that the numbers of what is sent to an address only rise.
type rising struct {
	faults []string
	sent   map[netip.AddrPort]marks
}

func (w *rising) packet(from, to netip.AddrPort, data []byte) (lose bool) {
	if from != serverAddr || !strings.HasPrefix(string(data), "NOTIFY ") {
		return false
	}
	msg, err := sip.ParseMessage(append([]byte(nil), data...))
	if err != nil {
		w.faults = append(w.faults, err.Error())
		return false
	}
	n := marks{seq: msg.CSeq().SeqNo}
	fmt.Sscanf(string(msg.Body()), "version=%d", &n.version)
	old, told := w.sent[to]
	if told && n != old && (n.version <= old.version || n.seq <= old.seq) {
		w.faults = append(w.faults, fmt.Sprintf("%v: %+v after %+v", to, n, old))
	}
	w.sent[to] = n
	return false
}
