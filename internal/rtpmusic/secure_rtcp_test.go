package rtpmusic

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"

	"parkd/internal/rtpmusic/packet"
)

// TestSecureReports: reports are protected as sound is, and none are sent without a key.
func TestSecureReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := &secretPhone{phone: w.phone("10.0.0.2:4000")}
		s := f.lock(secured("AEAD_AES_128_GCM", 1, 2))
		s.Mux = true
		f.port.Set(s)
		f.port.Play(newLoop(1))
		reports := func() (n int) {
			t.Helper()
			time.Sleep(20 * time.Second)
			for len(f.conn.in) > 0 {
				d := <-f.conn.in
				var p packet.Packet
				if p.Parse(d.b) != packet.RTCP {
					continue
				}
				b, err := f.in.RTCP(d.b)
				must(t, err)
				list, err := rtcp.Unmarshal(b)
				must(t, err)
				if _, ok := list[0].(*rtcp.SenderReport); ok {
					n++
				}
			}
			return n
		}
		if n := reports(); n < 2 {
			t.Errorf("%d reports in 20 s", n)
		}
		s.Secured.Ours, s.Secured.Theirs = "", ""
		f.port.Set(s)
		if n := reports(); n > 0 {
			t.Errorf("%d reports without a key", n)
		}
	})
}
