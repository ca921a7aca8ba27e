package rtpmusic

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// Each press and each new place is a command and a record: one party's packets do not
// make thousands of them, however they are numbered, for itself or for the other one.
func TestFloodsAreNotPassedUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		next func(f *phone)
	}{
		{"sequence numbers that leap", func(f *phone) {
			f.seq, f.ts = f.seq+2999, f.ts+160
			f.send(false, 0, f.seq, f.ts, make([]byte, 160))
		}},
		{"far too many packets", func(f *phone) { f.say(make([]byte, 160)) }},
		{"keys", func(f *phone) {
			f.seq, f.ts = f.seq+1, f.ts+160
			f.send(true, 101, f.seq, f.ts, packet.Event{Code: 5, End: true, Duration: 160}.Append(nil))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				var told atomic.Int32
				for _, f := range []*phone{a, b} {
					f.port.Set(f.session(codec.PCMU, 0))
					f.port.OnKey(func(byte) { told.Add(1) })
					f.port.OnPlace(func() {
						told.Add(1)
						f.port.Place()
					})
				}
				Bridge(a.port, b.port)
				for range 1000 { // in ten seconds
					for range 20 {
						tt.next(a)
					}
					time.Sleep(10 * time.Millisecond)
				}
				if n := told.Load(); n > 400 {
					t.Errorf("told %d times of 20,000 packets", n)
				}
			})
		})
	}
}
