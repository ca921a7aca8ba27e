package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/rs/zerolog"
)

// many are the records of that number of watchers of 701, all on one address.
func many(t testing.TB, count int, now time.Time) map[string][]byte {
	records := make(map[string][]byte, count)
	for i := range count {
		id := fmt.Sprintf("tag%05d", i)
		from := fmt.Sprintf("sip:u%d@example.com", i)
		text, err := json.Marshal(record{Format: format, Epoch: 1, Subscription: Subscription{
			Dialog: dialog.Dialog{
				ID: dialog.ID{CallID: fmt.Sprintf("%d@192.0.2.9", i), Local: id, Remote: "from"}, LocalURI: "sip:701@192.0.2.1", RemoteURI: from,
				Target: "sip:bob@192.0.2.9:5060", LocalSeq: block, RemoteSeq: 1,
				Flow: sipua.Flow{Network: "udp", Local: serverAddr, Remote: netip.MustParseAddrPort("192.0.2.9:5060")},
			},
			Resource: "701", User: "701", Event: "dialog", Accept: "application/dialog-info+xml", Entity: "sip:701@192.0.2.1", Version: block,
			Since: now, Expires: now.Add(time.Hour), From: from, Contact: "sip:bob@192.0.2.9:5060", Agent: "Test/1",
		}})
		if err != nil {
			t.Fatal(err)
		}
		records[id] = text
	}
	return records
}

// Ten thousand watchers are told within about a second, some in each millisecond,
// and a change of state does not wait for them.
func TestResumePace(t *testing.T) {
	const count = 10000
	journaled(t, func(b *bed) {
		b.kill()
		b.disk.set(func(d *disk) { d.durable = many(t, count, time.Now()); d.epoch = 1 })
		p := b.phone("192.0.2.9:5060")
		other := b.phone("192.0.2.10:5060")
		b.disk.set(func(d *disk) {
			for id, text := range d.durable { // one of them watches 702
				s := strings.NewReplacer(`"701"`, `"702"`, "192.0.2.9:5060", "192.0.2.10:5060").Replace(string(text))
				d.durable[id] = []byte(s)
				break
			}
		})
		start := time.Now()
		if faults := b.start(); len(faults) > 0 {
			t.Fatal(faults)
		}
		b.park("702", "ann")
		if n := other.last(); n.shown != "ann" || n.at.Sub(start) != 0 {
			t.Errorf("a change waited: %+v", n)
		}
		pass(1100 * time.Millisecond)
		each := map[time.Duration]int{}
		for _, n := range p.got() {
			each[n.at.Sub(start)/time.Millisecond]++
		}
		most := 0
		for _, n := range each {
			most = max(most, n)
		}
		if len(p.got()) != count-1 || len(each) < 990 || most > 10 {
			t.Errorf("%d told in %d ms, %d in one", len(p.got()), len(each), most)
		}
		if len(other.got()) != 1 {
			t.Errorf("told %d times", len(other.got()))
		}
		for _, l := range b.n.Lamps() {
			if l.Answer != 200 || l.Version != block {
				t.Fatalf("%+v", l)
			}
		}
		if writes, _ := b.disk.count(); writes != 0 {
			t.Errorf("%d writes", writes)
		}
	})
}

// More than ten thousand go out faster, not later.
func TestBacklogShares(t *testing.T) {
	b := backlog{wake: make(chan struct{}, 1)}
	list := make([]*sub, 25000)
	for i := range list {
		list[i] = &sub{}
	}
	b.add(list[5:], false)
	b.add(list[:5], true)
	beats, got := 0, []*sub{}
	for {
		n := len(got)
		if got = b.take(got, 1); len(got) == n {
			break
		}
		beats++
	}
	if beats != 1000 || len(got) != len(list) || got[0] != list[0] || got[5] != list[5] {
		t.Errorf("%d in %d beats", len(got), beats)
	}
	b.add(list[:100], false)
	if got = b.take(nil, 1); len(got) != share {
		t.Errorf("%d in a beat of a short one", len(got))
	}
	if got = b.take(nil, 3); len(got) != 3*share {
		t.Errorf("%d in three beats", len(got))
	}
}

// stand is a notifier that nobody serves yet, on a network.
func stand(t testing.TB, net *network) (n *Notifier, serve, end func()) {
	e, err := sipua.New(sipua.Options{Listeners: []sipua.Listener{{Network: "udp", Packet: net.listen(serverAddr.String())}}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	wheel := dialog.NewWheel()
	n = New(Options{Endpoint: e, Table: dialog.NewTable(wheel), Wheel: wheel, Log: zerolog.Nop(), Journal: newDiskOf(2), Epoch: 2,
		Source: &lamps{shown: map[string]string{"701": "ann"}}})
	served := make(chan error, 1)
	serve = func() {
		go func() { served <- e.Serve(context.Background()) }()
		<-e.Ready()
	}
	return n, serve, func() {
		n.Close()
		e.Shutdown()
		wheel.Close()
	}
}

func newDiskOf(epoch uint64) Journal {
	d := newDisk()
	d.epoch = epoch - 1
	j, _ := d.open()
	return j
}

// BenchmarkRestore takes up ten thousand subscriptions.
func BenchmarkRestore(b *testing.B) {
	const count = 10000
	records := many(b, count, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		n, _, end := stand(b, newNetwork())
		if faults := n.Restore(records); len(faults) > 0 || n.Len() != count {
			b.Fatal(n.Len(), faults)
		}
		b.StopTimer()
		end()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/sub")
}

// BenchmarkResume is the time from a start until ten thousand watchers have been
// told, and all that it allocates; the watchers' part is in both.
func BenchmarkResume(b *testing.B) {
	const count = 10000
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		net := newNetwork()
		var told atomic.Int32
		done := make(chan struct{})
		net.tap = func(from, _ netip.AddrPort, _ []byte) bool {
			if from == serverAddr && told.Add(1) == count {
				close(done)
			}
			return false
		}
		p := newPhone(b, net, "192.0.2.9:5060")
		n, serve, end := stand(b, net)
		if faults := n.Restore(many(b, count, time.Now())); len(faults) > 0 {
			b.Fatal(faults)
		}
		serve()
		b.StartTimer()
		n.Resume()
		<-done
		b.StopTimer()
		end()
		p.sock.Close()
		b.StartTimer()
	}
}
