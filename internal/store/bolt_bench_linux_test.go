package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Figures of the journal, to be compared with BenchmarkBareSync in the same
// run: what one park waits for, what 64 at once wait for, what a start costs.

func BenchmarkBareSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	must(b, err)
	defer func() { _ = f.Close() }()
	page := make([]byte, 4096)
	for b.Loop() {
		_, err := f.WriteAt(page, 0)
		must(b, err)
		must(b, syscall.Fdatasync(int(f.Fd())))
	}
}

// BenchmarkOneCall takes turns with a bare sync, so that both meet the same
// disk: one call of 2 KB that waits until it is durable, beside 8,000 others.
func BenchmarkOneCall(b *testing.B) {
	dir, ids := populated(b, 8000)
	f, err := os.Create(filepath.Join(dir, "bare"))
	must(b, err)
	defer func() { _ = f.Close() }()
	s := openAt(b, dir, BoltOptions{})
	page := make([]byte, 4096)
	var bare, calls []time.Duration
	for b.Loop() {
		start := time.Now()
		_, err := f.WriteAt(page, 0)
		must(b, errors.Join(err, syscall.Fdatasync(int(f.Fd()))))
		bare = append(bare, time.Since(start))
		dead := ids[0]
		ids = append(ids[1:], fmt.Sprintf("701/call/%016x", len(bare)))
		start = time.Now()
		must(b, write(s, Batch{Put: map[string][]byte{ids[len(ids)-1]: make([]byte, 2048)}, Del: []string{dead}}))
		calls = append(calls, time.Since(start))
	}
	slices.Sort(bare)
	slices.Sort(calls)
	b.ReportMetric(float64(bare[len(bare)/2].Microseconds()), "bare-p50-us")
	b.ReportMetric(float64(calls[len(calls)/2].Microseconds()), "call-p50-us")
	b.ReportMetric(float64(calls[len(calls)/2])/float64(bare[len(bare)/2]), "bare-syncs")
}

// populated is a directory with a store of n values of 2 KB.
func populated(b *testing.B, n int) (dir string, ids []string) {
	b.Helper()
	dir = b.TempDir()
	s := openAt(b, dir, BoltOptions{})
	r := rand.New(rand.NewPCG(1, 1))
	var all sync.WaitGroup
	for i := range n {
		key, tag := tagged(r)
		ids = append(ids, key)
		all.Add(1)
		value := slices.Concat(record(i, tag), record(r.IntN(n), tag), record(r.IntN(n), tag))
		s.Append(Batch{Put: map[string][]byte{key: value}}, func(err error) { must(b, err); all.Done() })
		if i%100 == 0 {
			all.Wait()
		}
	}
	all.Wait()
	must(b, s.Close())
	return dir, ids
}

// BenchmarkAppend: n owners each write a call of 2 KB in place of another, and
// wait until it is durable, beside 8,000 others. An operation is one call.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("at once=%d", n), func(b *testing.B) {
			dir, ids := populated(b, 8000)
			s := openAt(b, dir, BoltOptions{})
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(2, 2))
			swap := func() (dead, born string) {
				mu.Lock()
				defer mu.Unlock()
				i := r.IntN(len(ids))
				dead, born = ids[i], fmt.Sprintf("70%d/call/%016x", i%20, r.Uint64())
				ids[i] = born
				return
			}
			before, commits := cpu(), s.txid(b)
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for w := range n {
				all.Go(func() {
					for i := w; i < b.N; i += n {
						dead, born := swap()
						must(b, write(s, Batch{Put: map[string][]byte{born: make([]byte, 2048)}, Del: []string{dead}}))
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cpu()-before)/1e3/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(b.N)/float64(s.txid(b)-commits), "calls/commit")
			must(b, s.Close())
		})
	}
}

// cpu is what this process has used, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkAppendOnly is what Append costs whoever calls it.
func BenchmarkAppendOnly(b *testing.B) {
	s := openAt(b, b.TempDir(), BoltOptions{})
	value := make([]byte, 2048)
	ids := make([]string, 8000)
	for i := range ids {
		ids[i] = key(i)
	}
	i := 0
	for b.Loop() {
		s.Append(Batch{Put: map[string][]byte{ids[i%len(ids)]: value}}, func(error) {})
		i++
	}
}

func BenchmarkOpenAndLoad(b *testing.B) {
	dir, _ := populated(b, 8000)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s, err := Open(dir, BoltOptions{})
			must(b, err)
			must(b, s.Close())
		}
	})
	b.Run("load", func(b *testing.B) {
		s := openAt(b, dir, BoltOptions{})
		for b.Loop() {
			values, err := s.Load("")
			if err != nil || len(values) != 8000 {
				b.Fatal(len(values), err)
			}
		}
	})
}
