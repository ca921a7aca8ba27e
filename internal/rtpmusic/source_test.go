package rtpmusic

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"parkd/internal/rtpmusic/codec"
)

// Where a peer sends from is known from its packets alone.
func TestSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		s := f.session(codec.PCMU, 0)
		source := func(what string, want netip.AddrPort) {
			t.Helper()
			synctest.Wait()
			if got := f.port.Source(); got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		f.port.Set(s)
		source("silent", netip.AddrPort{})
		f.say(make([]byte, 160))
		source("heard", f.conn.addr)
		f.port.Set(s)
		source("described again", netip.AddrPort{})
		f.say(make([]byte, 160))
		source("heard again", f.conn.addr)

		s.Remote = netip.MustParseAddrPort("192.168.1.5:4000")
		f.port.Set(s)
		for range latchAfter {
			source("behind NAT, not heard enough", netip.AddrPort{})
			f.say(make([]byte, 160))
		}
		source("behind NAT", f.conn.addr)
	})
}
