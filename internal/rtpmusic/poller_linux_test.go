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
