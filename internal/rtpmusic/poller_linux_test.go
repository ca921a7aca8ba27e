package rtpmusic

import (
	"testing"
	"testing/synctest"
	"time"
)

// Who reads does so at once after a pause, and else once in gatherTime.
func TestPacketsGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		l := &poller{e: w.e}
		for i, row := range []struct{ pause, want time.Duration }{
			{time.Second, 0}, {0, gatherTime}, {0, gatherTime}, {gatherTime / 4, gatherTime * 3 / 4}, {gatherTime, 0}, {20 * gatherTime, 0}, {gatherTime / 2, gatherTime / 2},
		} {
			time.Sleep(row.pause)
			before := w.e.now()
			l.gather()
			if got := w.e.now() - before; got != row.want {
				t.Errorf("turn %d, %v after the one before, waits %v, want %v", i, row.pause, got, row.want)
			}
		}
	})
}

// All that has come is read before the reader lets more gather: else whoever sends fast
// fills the queue of a port, and its peer is heard late or not at all.
func TestBurstsAreReadAtOnce(t *testing.T) {
	e := newTestEngine(t)
	f, g := newPeer(t, e, loopback), newPeer(t, e, loopback)
	Bridge(f.port, g.port)
	const burst = 100
	for try := range 5 { // of which others may have the CPU
		before := e.Stats().In
		f.say("x", burst)
		began := time.Now()
		waitFor(t, "the burst", func() bool { return e.Stats().In == before+burst })
		took := time.Since(began)
		if took < burst*gatherTime/2 {
			return
		}
		t.Logf("burst %d took %v", try, took)
	}
	t.Error("packets wait for each other though more have come")
}
