package presence

import (
	random "crypto/rand"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
	"parkd/internal/store"
)

// some makes a record of the n-th phone of an office.
func some(n int, resource, network string) Subscription {
	flow := sipua.Flow{Network: network, Local: serverAddr, Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 5060)}
	contact := fmt.Sprintf("sip:phone%d@%s", n, flow.Remote)
	return Subscription{
		Dialog: dialog.Dialog{ID: dialog.ID{CallID: fmt.Sprintf("%08x-call@10.0.0.1", n), Local: fmt.Sprintf("%032x", n), Remote: fmt.Sprintf("tag%d", n)},
			LocalURI: "sip:" + resource + "@pbx.example.com", RemoteURI: fmt.Sprintf("sip:phone%d@pbx.example.com", n), Target: contact, RemoteSeq: 1, Flow: flow},
		Resource: resource, User: resource, Event: "dialog", Accept: "application/dialog-info+xml", Entity: "sip:" + resource + "@pbx.example.com",
		Since: time.Now(), Expires: time.Now().Add(time.Hour), From: fmt.Sprintf("sip:phone%d@pbx.example.com", n), Contact: contact, Agent: "Phone 1.2.3",
	}
}

// TestIndex: whatever comes and goes, each list has who is in it, once.
func TestIndex(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	x := newIndex(1000, func() {})
	listed, lost := map[*sub]bool{}, map[*sub]link{}
	known := func() *sub {
		return slices.SortedFunc(maps.Keys(listed), func(a, b *sub) int { return int(a.rec.Version) - int(b.rec.Version) })[rnd.IntN(len(listed))]
	}
	same := func(what string, got []*sub, want func(*sub) bool) {
		t.Helper()
		seen := map[*sub]bool{}
		for _, s := range got {
			if seen[s] || !listed[s] || !want(s) {
				t.Fatalf("%s: %s should not be there, or is twice", what, s.rec.From)
			}
			seen[s] = true
		}
		for s := range listed {
			if want(s) && !seen[s] {
				t.Fatalf("%s: %s is missing", what, s.rec.From)
			}
		}
	}
	for step := range 4000 {
		switch op := rnd.IntN(6); {
		case op < 2 || len(listed) == 0:
			rec := some(rnd.IntN(20), fmt.Sprint(701+rnd.IntN(3)), []string{"udp", "tcp"}[rnd.IntN(2)])
			rec.Version = uint32(step) // tells them apart
			s := &sub{rec: rec, id: rec.Dialog.ID}
			was, ok := x.add(s, &s.rec, false)
			if !ok || was != nil && (!listed[was] || was.rec.key() != rec.key()) {
				t.Fatal("add")
			}
			delete(listed, was)
			delete(lost, was)
			for o := range listed {
				if o.rec.key() == rec.key() {
					t.Fatal("the same phone is there twice")
				}
			}
			listed[s] = true
		case op == 2: // comes from another port
			s := known()
			rec := s.rec
			rec.Dialog.Flow.Remote = netip.AddrPortFrom(rec.Dialog.Flow.Remote.Addr(), uint16(5060+rnd.IntN(3)))
			s.rec = rec
			x.update(s, &s.rec)
		case op == 3:
			s := known()
			x.drop(s)
			delete(listed, s)
			delete(lost, s)
		case op == 4:
			if s := known(); linkOf(s.rec.Dialog.Flow) != (link{}) {
				nat := rnd.IntN(2) == 0
				x.lose(s, nat)
				if lost[s] = linkOf(s.rec.Dialog.Flow); !nat {
					lost[s] = lost[s].host()
				}
			}
		default:
			s := known()
			x.found(s)
			delete(lost, s)
		}
		same("all", x.all(), func(*sub) bool { return true })
		for r := 701; r < 704; r++ {
			same("a resource", x.of(fmt.Sprint(r), nil), func(s *sub) bool { return s.rec.Resource == fmt.Sprint(r) })
		}
		if len(listed) == 0 {
			continue
		}
		s := known()
		if l := linkOf(s.rec.Dialog.Flow); l != (link{}) {
			of, out := x.connected(l)
			same("a connection", of, func(s *sub) bool { return linkOf(s.rec.Dialog.Flow) == l })
			same("those that are lost", out, func(s *sub) bool { return lost[s] != (link{}) && (lost[s] == l || lost[s] == l.host()) })
			same("mates", append(x.mates(s, l), s), func(m *sub) bool { return m.rec.From == s.rec.From && linkOf(m.rec.Dialog.Flow) == l })
		}
		shown := fmt.Sprint("call", step)
		x.note(s, func(l *last) { l.Shown, l.Told = shown, stampOf(time.Now().Add(time.Duration(step)*time.Hour)) })
		got, ok := x.showing(watcherOf(s.rec.Resource, s.rec.From, s.rec.Contact), nil, s.rec.Dialog.Flow.Remote.Addr())
		if !ok || got != shown {
			t.Fatalf("%s shows %q, not %q", s.rec.From, got, shown)
		}
	}
	for s := range listed {
		x.drop(s)
	}
	if n := x.sizes(); n["subscriptions"] != 0 || n["watchers"] != 0 {
		t.Error(n)
	}
}

// TestSubscriptionIsSmall: with its place in every table, its timer and its texts
// a subscription takes less than 1.76 KB, and less than 2 KB with the copy of its
// record that the journal has in memory. (Objects of more than 512 bytes have a header of
// eight, and are of few sizes: a field more can cost 128.)
func TestSubscriptionIsSmall(t *testing.T) {
	const many, most, whole = 10000, 1760, 2000
	const first = 500 // with which comes what is needed once
	records := map[string][]byte{}
	each := uint64(0)
	bubble(t, func(b *bed) {
		resources := []string{"701", "702"}
		b.n.o.Journal = nowhere{}
		for i := range many {
			rec := some(i, resources[i%2], "udp")
			rec.Dialog.Local = newTag()
			s := newSub(b.n, rec)
			s.until = stampOf(s.rec.Expires)
			text, err := s.encode(marks{})
			if err != nil {
				t.Fatal(err)
			}
			records[s.keptAs()] = text
		}
		restore := func(tags []string) {
			some := map[string][]byte{}
			for _, tag := range tags {
				some[tag] = records[tag]
			}
			if faults := b.n.Restore(some); len(faults) > 0 {
				t.Fatal(faults)
			}
		}
		tags := slices.Collect(maps.Keys(records))
		restore(tags[:first])
		synctest.Wait()
		before := heap()
		restore(tags[first:])
		synctest.Wait()
		each = (heap() - before) / (many - first)
	})
	kept := journalCopy(t, records)
	t.Logf("%d bytes each, and %d of the journal", each, kept)
	if each > most {
		t.Errorf("%d bytes each, more than %d", each, most)
	}
	if each+kept > whole {
		t.Errorf("%d bytes each with the journal's copy, more than %d", each+kept, whole)
	}
	runtime.KeepAlive(records)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// newTag is a tag as ours are: random, so that nothing can be saved of it.
func newTag() string { return strings.ToLower(random.Text()) }

// journalCopy is what a journal on disk takes in memory for each of these records, but
// for what it takes once.
func journalCopy(t *testing.T, records map[string][]byte) uint64 {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.BoltOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	tags := slices.Collect(maps.Keys(records))
	write := func(tags []string) {
		for some := range slices.Chunk(tags, 50) { // as they come: what is written takes memory too
			done := make(chan error, len(some))
			for _, tag := range some {
				s.Append(store.Batch{Put: map[string][]byte{"701/sub/" + tag: slices.Clone(records[tag])}}, func(err error) { done <- err })
			}
			for range some {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const first = 500 // with which comes what is needed once
	write(tags[:first])
	before := heap()
	write(tags[first:])
	each := (heap() - before) / uint64(len(tags)-first)
	runtime.KeepAlive(tags)
	return each
}

// nowhere is a journal that keeps nothing.
type nowhere struct{}

func (nowhere) Keep(_, _ string, _ []byte, done func(error)) {
	if done != nil {
		done(nil)
	}
}
