package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// quietHeap is how large the heap may become, in bytes, before garbage is collected for the
// first time and again, however little of it lives. What is thrown away is thrown away in
// bursts, as a thousand phones are told of a call, and so a collection of a small heap
// always falls into one. A heap of which half or more lives is collected as Go does by
// itself, so that a thousand calls take no more memory for it.
const quietHeap = 24 << 20

// perHeap is the percentage of SetGCPercent at which a heap of which so many bytes live
// becomes as large as quietHeap; 100, which Go has by itself, where that is less. Go takes
// it of the roots, too: what it scans besides, as stacks.
func perHeap(live, roots uint64) int {
	const least = 4 << 20 // Go scales by it what it leaves alone however little lives
	if live = max(live, least); live >= quietHeap {
		return 100
	}
	return max(100, int(100*(quietHeap-live)/(live+roots)))
}

// collectSeldom has that kept to after each collection, unless the environment says how it
// is to be (GOGC, in package runtime).
func collectSeldom() {
	if os.Getenv("GOGC") != "" {
		return
	}
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	percent := 0
	var adjust func()
	adjust = func() {
		metrics.Read(s)
		// To set it stops the world for a moment, so it is not done for a little.
		p := perHeap(s[0].Value.Uint64(), s[1].Value.Uint64()+s[2].Value.Uint64())
		if p > percent*9/8 || p < percent*7/8 || p == 100 && percent != 100 {
			percent = p
			debug.SetGCPercent(p)
		}
		runtime.AddCleanup(&struct{ turn *int }{}, func(next func()) { next() }, adjust) // after the next one
	}
	adjust()
}
