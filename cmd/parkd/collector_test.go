package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPerHeap(t *testing.T) {
	for _, c := range []struct {
		live, roots uint64 // bytes
		want        int
	}{
		{0, 0, 500},
		{1 << 20, 0, 500},
		{4 << 20, 0, 500},
		{8 << 20, 0, 200},
		{12 << 20, 0, 100},
		{13 << 20, 0, 100},
		{1 << 34, 0, 100},
		{4 << 20, 4 << 20, 250},
		{4 << 20, 16 << 20, 100},
		{1 << 10, 1 << 34, 100},
	} {
		if got := perHeap(c.live, c.roots); got != c.want {
			t.Errorf("%d bytes live, %d of roots: %d, want %d", c.live, c.roots, got, c.want)
		}
	}
}

// The goal follows what lives: a small heap is left alone, a large one is collected as ever.
func TestCollectSeldom(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "")
	collectSeldom()
	// After a collection the next goal is set by the cleanup, and holds from there on.
	goal := func(holds func(live, goal uint64) bool) {
		t.Helper()
		s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/goal:bytes"}}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			runtime.GC()
			metrics.Read(s)
			live, goal := s[0].Value.Uint64(), s[1].Value.Uint64()
			if holds(live, goal) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d bytes live, the goal is %d", live, goal)
			}
		}
	}
	goal(func(live, goal uint64) bool {
		return live < quietHeap/3 && goal > quietHeap*3/4 && goal < quietHeap*3/2
	})
	large := make([]byte, 3*quietHeap)
	goal(func(live, goal uint64) bool { return live > 3*quietHeap && goal < live*9/4 })
	runtime.KeepAlive(large)
	large = nil
	goal(func(live, goal uint64) bool {
		return live < quietHeap/3 && goal > quietHeap*3/4 && goal < quietHeap*3/2
	})
}
