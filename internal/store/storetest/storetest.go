// Package storetest holds the tests that every kind of store.Store passes. It
// promises that a server which runs on one kind runs on each.
package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parkd/internal/store"
)

// Kind is a kind of store under test.
type Kind struct {
	// Fresh returns a function that opens an empty store, and, called again
	// after Close, the same one with what is in it.
	Fresh func(t *testing.T) (open func() store.Store)
	// Break makes the medium under an open store fail with some error, and work
	// again with nil. nil = that cannot be had of this kind.
	Break func(s store.Store, err error)
	// Shared says that a store may be opened while an earlier owner still has it.
	Shared bool
}

// Contract tests a kind of store.
func Contract(t *testing.T, k Kind) {
	t.Run("values", k.values)
	t.Run("order", k.order)
	t.Run("done may append", k.nested)
	t.Run("many owners of one handle", k.concurrent)
	t.Run("a batch is seen whole", k.whole)
	t.Run("reopen", k.reopen)
	t.Run("closed", k.closed)
	t.Run("large", k.large)
	t.Run("keys", k.keys)
	if k.Break != nil {
		t.Run("broken", k.broken)
		t.Run("mended by itself", k.mended)
		t.Run("broken and closed", k.brokenAndClosed)
	}
	if k.Shared {
		t.Run("fenced", k.fenced)
	}
}

func (k Kind) open(t *testing.T) store.Store {
	t.Helper()
	s := k.Fresh(t)()
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// write appends a batch and waits for its result.
func write(s store.Store, b store.Batch) error {
	result := make(chan error, 1)
	s.Append(b, func(err error) { result <- err })
	return <-result
}

func put(pairs ...string) map[string][]byte {
	m := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = []byte(pairs[i+1])
	}
	return m
}

// want asserts what is durable under a prefix, as key=value, sorted.
func want(t *testing.T, s store.Store, prefix string, pairs ...string) {
	t.Helper()
	values, err := s.Load(prefix)
	if err != nil {
		t.Fatalf("load %q: %v", prefix, err)
	}
	var got []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if values[key] == nil {
			t.Errorf("the value of %s is nil", key)
		}
		got = append(got, key+"="+string(values[key]))
	}
	if !slices.Equal(got, pairs) {
		t.Fatalf("under %q there is %q, want %q", prefix, got, pairs)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (k Kind) values(t *testing.T) {
	s := k.open(t)
	want(t, s, "")
	must(t, write(s, store.Batch{Put: put("call/a", "1", "call/b", "2", "leg/a", "x", "calls", "y")}))
	want(t, s, "call/", "call/a=1", "call/b=2")
	want(t, s, "leg/", "leg/a=x")
	want(t, s, "", "call/a=1", "call/b=2", "calls=y", "leg/a=x")
	want(t, s, "zzz")
	must(t, write(s, store.Batch{Put: put("call/a", "3"), Del: []string{"call/b", "never/there"}}))
	want(t, s, "call/", "call/a=3")
	must(t, write(s, store.Batch{Put: put("call/a", "4"), Del: []string{"call/a"}})) // Del first
	want(t, s, "call/", "call/a=4")
	must(t, write(s, store.Batch{Put: map[string][]byte{"leg/a": {}, "leg/b": nil}})) // there, and empty
	want(t, s, "leg/", "leg/a=", "leg/b=")
	must(t, write(s, store.Batch{}))
	must(t, s.Fault())

	values, err := s.Load("call/")
	must(t, err)
	values["call/a"][0] = '9' // a copy
	want(t, s, "call/", "call/a=4")
}

func (k Kind) order(t *testing.T) {
	s := k.open(t)
	const n = 500
	var mu sync.Mutex
	var got []int
	last := make(chan struct{})
	for i := range n {
		b := store.Batch{Put: put("key", fmt.Sprint(i), "odd", fmt.Sprint(i))}
		if i%2 == 0 {
			b = store.Batch{Put: put("key", fmt.Sprint(i)), Del: []string{"odd"}}
		}
		s.Append(b, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("batch %d: %v", i, err)
			}
			if got = append(got, i); i == n-1 {
				close(last)
			}
		})
	}
	<-last
	if !slices.IsSorted(got) || len(got) != n {
		t.Errorf("%d were reported, not in order: %v", len(got), got)
	}
	want(t, s, "", "key=499", "odd=499")
}

func (k Kind) nested(t *testing.T) {
	s := k.open(t)
	end := make(chan error, 1)
	s.Append(store.Batch{Put: put("a", "1")}, func(error) {
		s.Append(store.Batch{Put: put("a", "2")}, func(error) {
			s.Append(store.Batch{Put: put("a", "3")}, func(err error) { end <- err })
		})
	})
	must(t, <-end)
	want(t, s, "", "a=3")
}

func (k Kind) concurrent(t *testing.T) {
	s := k.open(t)
	var all sync.WaitGroup
	running := false // with -race: never two at a time
	for w := range 4 {
		all.Go(func() {
			next := 0
			var mine sync.WaitGroup
			for i := range 100 {
				mine.Add(1)
				s.Append(store.Batch{Put: put(fmt.Sprint("w", w), fmt.Sprintf("%03d", i))}, func(err error) {
					defer mine.Done()
					if running {
						t.Error("two reports at a time")
					}
					running = true
					if err != nil || next != i {
						t.Errorf("writer %d: batch %d is reported in place of %d: %v", w, i, next, err)
					}
					next++
					running = false
				})
			}
			mine.Wait()
		})
	}
	all.Wait()
	want(t, s, "", "w0=099", "w1=099", "w2=099", "w3=099")
}

func (k Kind) whole(t *testing.T) {
	s := k.open(t)
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			v, err := s.Load("")
			if err != nil || string(v["a"]) != string(v["b"]) {
				t.Errorf("half a batch: %q, %v", v, err)
				return
			}
		}
	})
	for i := range 100 {
		must(t, write(s, store.Batch{Put: put("a", fmt.Sprint(i), "b", fmt.Sprint(i))}))
	}
	close(stop)
	all.Wait()
}

func (k Kind) reopen(t *testing.T) {
	open := k.Fresh(t)
	s := open()
	first := s.Epoch()
	must(t, write(s, store.Batch{Put: put("a", "1", "b", "2")}))
	s.Append(store.Batch{Put: put("c", ""), Del: []string{"b"}}, func(error) {}) // Close waits for it
	shut(t, s)
	s = open()
	t.Cleanup(func() { shut(t, s) })
	if s.Epoch() <= first {
		t.Errorf("epoch %d after %d", s.Epoch(), first)
	}
	want(t, s, "", "a=1", "c=")
	must(t, write(s, store.Batch{Put: put("a", "2")}))
	want(t, s, "", "a=2", "c=")
}

func (k Kind) closed(t *testing.T) {
	open := k.Fresh(t)
	s := open()
	var mu sync.Mutex
	reported := 0
	for range 50 {
		s.Append(store.Batch{Put: put("a", "1")}, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if reported++; err != nil {
				t.Errorf("before Close: %v", err)
			}
		})
	}
	shut(t, s)
	mu.Lock()
	if reported != 50 {
		t.Errorf("Close came before %d reports", 50-reported)
	}
	mu.Unlock()
	shut(t, s)
	if err := write(s, store.Batch{Put: put("a", "2")}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("append after Close: %v", err)
	}
	if _, err := s.Load(""); !errors.Is(err, store.ErrClosed) {
		t.Errorf("load after Close: %v", err)
	}
	s = open()
	want(t, s, "", "a=1")
	shut(t, s)
}

func (k Kind) large(t *testing.T) {
	s := k.open(t)
	big := strings.Repeat("x", 1<<20)
	m := map[string][]byte{"big": []byte(big)}
	for i := range 2000 {
		m[fmt.Sprintf("key/%04d", i)] = []byte("value")
	}
	must(t, write(s, store.Batch{Put: m}))
	values, err := s.Load("")
	must(t, err)
	if len(values) != 2001 || string(values["big"]) != big {
		t.Errorf("%d values, the big one of %d bytes", len(values), len(values["big"]))
	}
}

func (k Kind) keys(t *testing.T) {
	s := k.open(t)
	long := strings.Repeat("k", store.MaxKey)
	for _, b := range []store.Batch{
		{Put: put("", "1", "a", "1")},
		{Put: put("a", "1"), Del: []string{""}},
		{Put: put(long+"k", "1", "a", "1")},
		{Put: put("a", "1"), Del: []string{long + "k"}},
	} {
		if err := write(s, b); !errors.Is(err, store.ErrKey) {
			t.Errorf("a key that no store takes: %v", err)
		}
	}
	must(t, write(s, store.Batch{Put: put("b", "1", long, "2")}))
	want(t, s, "", "b=1", long+"=2")
}

var errBroken = errors.New("no space left on device")

func (k Kind) broken(t *testing.T) {
	s := k.open(t)
	must(t, write(s, store.Batch{Put: put("a", "1", "b", "1", "c", "1")}))
	k.Break(s, errBroken)
	for _, b := range []store.Batch{
		{Put: put("a", "2", "d", "2")},
		{Put: put("a", "3"), Del: []string{"b"}},
		{Put: put("b", "4", "e", "4"), Del: []string{"d"}},
		{Del: []string{"c", "e"}},
	} {
		if err := write(s, b); err == nil || errors.Is(err, store.ErrClosed) {
			t.Fatalf("a broken medium: %v", err)
		}
		if s.Fault() == nil {
			t.Error("a broken medium without a fault")
		}
		want(t, s, "", "a=1", "b=1", "c=1") // what is durable, and nothing else
	}
	k.Break(s, nil)
	must(t, write(s, store.Batch{Put: put("f", "5")}))
	must(t, s.Fault())
	want(t, s, "", "a=3", "b=4", "f=5")
	must(t, write(s, store.Batch{Put: put("c", "6")})) // the debt is paid once
	want(t, s, "", "a=3", "b=4", "c=6", "f=5")
}

// mended: what could not be written is, without another batch.
func (k Kind) mended(t *testing.T) {
	s := k.open(t)
	must(t, s.Fault())
	must(t, write(s, store.Batch{Put: put("a", "1", "b", "1")}))
	k.Break(s, errBroken)
	if err := write(s, store.Batch{Put: put("a", "2"), Del: []string{"b"}}); err == nil {
		t.Fatal("a broken medium was written")
	}
	k.Break(s, nil)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(10 * time.Second); s.Fault() != nil; {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("still: %v", s.Fault())
		}
	}
	want(t, s, "", "a=2")
}

// brokenAndClosed: what was never durable is not there afterwards.
func (k Kind) brokenAndClosed(t *testing.T) {
	open := k.Fresh(t)
	s := open()
	must(t, write(s, store.Batch{Put: put("a", "1")}))
	k.Break(s, errBroken)
	if err := write(s, store.Batch{Put: put("a", "2")}); err == nil {
		t.Fatal("a broken medium was written")
	}
	_ = s.Close() // it may say that something could not be written
	k.Break(s, nil)
	s = open()
	t.Cleanup(func() { shut(t, s) })
	must(t, s.Fault())
	want(t, s, "", "a=1")
	must(t, write(s, store.Batch{Put: put("b", "1")}))
	want(t, s, "", "a=1", "b=1")
}

func (k Kind) fenced(t *testing.T) {
	open := k.Fresh(t)
	old := open()
	must(t, write(old, store.Batch{Put: put("a", "1")}))
	s := open()
	t.Cleanup(func() { shut(t, s) })
	if s.Epoch() <= old.Epoch() {
		t.Errorf("epoch %d after %d", s.Epoch(), old.Epoch())
	}
	if err := write(old, store.Batch{Put: put("a", "2")}); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the old owner: %v", err)
	}
	must(t, write(s, store.Batch{Put: put("b", "1")}))
	shut(t, old) // takes nothing from the new owner
	must(t, write(s, store.Batch{Put: put("c", "1")}))
	want(t, s, "", "a=1", "b=1", "c=1")
}
