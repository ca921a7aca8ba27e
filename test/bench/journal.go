//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of the journal's rows.
const (
	syncs  = 500
	pause  = 5 * time.Millisecond // between two parks one at a time: the disk is idle
	single = 500                  // parks one at a time
	turns  = 3                    // of each kind of store
	flying = 128                  // parks at once, at most
	asked  = 1900                 // parks a second: parkd admits 2000
)

// journal: what the disk costs a park, against one without a disk, and against
// a bare sync of the same disk.
func journal(o options) error {
	var sync, tight latencies // bare syncs
	var late [2]latencies     // by kind: without a disk, with one
	var cpu [2]time.Duration
	var rate [2]float64
	for range turns { // in turn, so that all have the same weather
		seldom, _, err := bareSyncs(o.disk, syncs, pause)
		if err != nil {
			return err
		}
		often, _, err := bareSyncs(o.disk, syncs, 0)
		if err != nil {
			return err
		}
		sync, tight = append(sync, seldom...), append(tight, often...)
		for i, kind := range []string{"memory", "bolt"} {
			m, err := measureKind(o, kind)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			late[i] = append(late[i], m.late...)
			rate[i] += m.rate / turns
			cpu[i] += m.cpu / turns
		}
	}
	more := late[1].median() - late[0].median()
	fmt.Printf("journal  one park at a time: answered in %v at the median with a journal (%v at 99 %%), %v without (%v): %v more, %.1f times a bare sync (4 KB written and synced as seldom: %v at the median, %v at 99 %%; one after the other: %v, %v)\n",
		late[1].median(), late[1].at(0.99), late[0].median(), late[0].at(0.99), more, float64(more)/float64(sync.median()), sync.median(), sync.at(0.99), tight.median(), tight.at(0.99))
	fmt.Printf("journal  parks a second, of %d asked for, %d at once: %.0f with a journal, %.0f without: %.1f %% less; %v and %v of CPU each\n",
		asked, flying, rate[1], rate[0], 100*(1-rate[1]/rate[0]), cpu[1].Round(time.Microsecond), cpu[0].Round(time.Microsecond))
	return nil
}

// measured is what a kind of store costs.
type measured struct {
	late latencies
	rate float64
	cpu  time.Duration // a park
}

func measureKind(o options, kind string) (m measured, err error) {
	sinks, err := openSinks(200)
	if err != nil {
		return m, err
	}
	defer sinks.close()
	p, err := startKind(o.parkd, kind, o.disk)
	if err != nil {
		return m, err
	}
	defer p.stop()
	g, err := newGenerator(p.sip, sinks)
	if err != nil {
		return m, err
	}
	defer g.close()
	if m.late, err = g.single("701", single); err != nil {
		return m, err
	}
	cpu, begin := p.cpu(), time.Now()
	done, err := g.crowd("702", flying, asked, o.window)
	m.rate = float64(done) / time.Since(begin).Seconds()
	m.cpu = (p.cpu() - cpu) / time.Duration(max(done, 1))
	return m, err
}

// bareSyncs tells how long the disk takes to write 4 KB in place and to sync, n
// times with a pause between two, and the CPU of each.
func bareSyncs(where string, n int, pause time.Duration) (list latencies, cpu time.Duration, err error) {
	const page, pages = 4096, 256
	f, err := os.CreateTemp(where, "parkd-bench")
	if err != nil {
		return nil, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(make([]byte, page*pages)); err != nil {
		return nil, 0, err
	}
	if err := f.Sync(); err != nil {
		return nil, 0, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	block := make([]byte, page)
	for i := range n {
		time.Sleep(pause)
		block[0] = byte(i)
		begin, before := time.Now(), spent()
		if _, err := f.WriteAt(block, int64(i%pages)*page); err != nil {
			return nil, 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, 0, err
		}
		list = append(list, time.Since(begin))
		cpu += time.Duration(spent() - before)
	}
	return list, cpu / time.Duration(n), nil
}
