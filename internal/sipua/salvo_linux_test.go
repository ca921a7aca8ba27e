package sipua

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// Many packets at once come as they would one by one: in order, with what is wrong
// about one of them said of that one.
func TestSalvo(t *testing.T) {
	for _, row := range []struct{ name, listen, peer string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0"},
		{"IPv6", "[::1]:0", "[::1]:0"},
		{"both, IPv4", "[::]:0", "127.0.0.1:0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, p, _ := rawPair(t, row.listen, row.peer, func() bool { return false })
			them := addrPort(p.LocalAddr())
			mine := errors.New("mine")
			var list []packet
			for i := range 3*together + 5 {
				list = append(list, packet{wire: fmt.Appendf(nil, "packet %d", i), to: them})
			}
			list[1].err = mine
			list[together].wire = nil
			list[together+1].to = netip.AddrPort{}
			list[2*together].wire = make([]byte, 70000) // longer than any datagram
			r.sendAll(list)
			_ = p.SetReadDeadline(time.Now().Add(5 * time.Second))
			buf := make([]byte, 100)
			for i := range list {
				switch i {
				case 1, together, together + 1, 2 * together:
					if err := list[i].err; err == nil || i == 1 && err != mine {
						t.Errorf("packet %d: %v", i, err)
					}
					continue
				}
				if list[i].err != nil {
					t.Errorf("packet %d: %v", i, list[i].err)
				}
				n, err := p.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				if got := string(buf[:n]); got != fmt.Sprintf("packet %d", i) {
					t.Errorf("%q in the place of packet %d", got, i)
				}
			}
			r.close()
			list = []packet{{wire: []byte("x"), to: them}}
			if r.sendAll(list); !errors.Is(list[0].err, net.ErrClosed) {
				t.Errorf("after the end: %v", list[0].err)
			}
		})
	}
}
