package rtpmusic

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestLatch(t *testing.T) {
	const (
		described = "192.168.1.5:4000"
		nat       = "203.0.113.9:61000"
		natLater  = "203.0.113.9:61007" // what it makes of the same peer, later
		otherPort = "192.168.1.5:4002"
		stranger  = "198.51.100.1:9"
	)
	// A step is the next packet of a stream, 20 ms after the one before, from an address
	// (with another SSRC after #, with sequence numbers that are on by as much as is
	// after +), "lost" (a packet of it), "silence" (for looseAfter), "pause" (for refound), "set" (the same
	// description again), "set <address>", "refused" (by the target), or "restored
	// <address>" (a restart with that source, on hold or not).
	for _, tt := range []struct {
		name    string
		mode    Latch
		steps   []string
		target  string
		accepts []string
		denies  []string
	}{
		{"silent", LatchAuto, nil, described, []string{described}, []string{nat, stranger}},
		{"symmetric", LatchAuto, []string{described}, described, []string{described}, []string{stranger}},
		{"behind NAT", LatchAuto, []string{nat, nat, nat}, nat, []string{nat, described}, []string{stranger}},
		{"two packets are too few", LatchAuto, []string{nat, nat}, described, []string{described}, nil},
		{"not in a row", LatchAuto, []string{nat, nat, stranger, nat, nat}, described, nil, nil},
		{"two senders at one address", LatchAuto, []string{nat, nat, nat + "#2", nat + "#2"}, described, nil, nil},
		{"a stranger never takes over", LatchAuto, []string{nat, nat, nat, stranger, stranger, stranger}, nat, []string{nat}, []string{stranger}},
		{"nor after the described address was heard", LatchAuto, []string{described, stranger, stranger, stranger}, described, nil, []string{stranger}},
		{"asymmetric", LatchAuto, []string{otherPort, otherPort, otherPort}, described, []string{otherPort, described}, []string{stranger}},
		{"asymmetric, it seemed", LatchAuto, []string{otherPort, otherPort, otherPort, "refused"}, otherPort, []string{otherPort}, []string{stranger}},
		{"refused, and nobody heard", LatchAuto, []string{"refused"}, described, nil, nil},
		{"refused behind NAT", LatchAuto, []string{nat, nat, nat, "refused"}, nat, nil, nil},
		{"session refresh", LatchAuto, []string{nat, nat, nat, "set"}, nat, []string{nat}, nil},
		{"session refresh, then the NAT's port changes", LatchAuto,
			[]string{nat, nat, nat, "set", stranger, stranger, stranger}, stranger, []string{stranger}, []string{nat}},
		{"session refresh, then another stream from another place", LatchAuto,
			[]string{nat, nat, nat, "set", "pause", stranger + "#2", stranger + "#2", stranger + "#2"}, stranger, []string{stranger}, []string{nat}},
		{"session refresh, and a stranger is faster", LatchAuto,
			[]string{nat, nat, nat, "set", stranger + "#2", stranger + "#2", stranger + "#2", nat}, nat, []string{nat}, []string{stranger + "#2"}},
		{"two refreshes", LatchAuto,
			[]string{nat, nat, nat, "set", "set", stranger + "#2", stranger + "#2", stranger + "#2"}, nat, []string{nat}, nil},
		{"session refresh before anybody was heard", LatchAuto, []string{"set", nat, nat, nat}, nat, []string{nat}, []string{stranger}},
		{"a stranger was first, and the described address is heard", LatchAuto,
			[]string{stranger + "#2", stranger + "#2", stranger + "#2", described, described, described}, described, []string{described}, []string{stranger + "#2"}},
		{"through a flood", LatchAuto,
			[]string{stranger + "#2", stranger + "#2", stranger + "#2", described, stranger + "#2", described, stranger + "#2", described},
			described, []string{described}, []string{stranger + "#2"}},
		{"two packets of it are too few", LatchAuto, []string{nat, nat, nat, described, described, nat}, nat, []string{nat}, nil},
		{"session refresh, the source goes on", LatchAuto,
			[]string{nat, nat, nat, "set", nat, stranger, stranger, stranger}, nat, []string{nat}, []string{stranger}},
		{"session refresh, then no NAT, and asymmetric", LatchAuto, []string{nat, nat, nat, "set", otherPort, otherPort, otherPort},
			described, []string{otherPort}, []string{nat}},
		{"restored", LatchAuto, []string{"restored " + nat}, nat, []string{nat, described}, []string{stranger}},
		{"restored, it goes on", LatchAuto, []string{"restored " + nat, nat, stranger, stranger, stranger}, nat, []string{nat}, []string{stranger}},
		{"restored, then the NAT's port changes", LatchAuto, []string{"restored " + nat, "pause", stranger, stranger, stranger},
			stranger, []string{stranger}, []string{nat}},
		{"restored, and a stranger is faster", LatchAuto, []string{"restored " + nat, stranger, stranger, stranger, nat}, nat, []string{nat}, []string{stranger}},
		{"restored, then no NAT", LatchAuto, []string{"restored " + nat, described}, described, []string{described}, []string{nat}},
		{"restored, then no NAT, and asymmetric", LatchAuto, []string{"restored " + nat, "pause", otherPort, otherPort, otherPort},
			described, []string{otherPort}, []string{nat}},
		{"restored where the described address refused", LatchAuto, []string{"restored " + otherPort, otherPort}, otherPort, []string{otherPort}, nil},
		{"restored, session refresh", LatchAuto, []string{"restored " + nat, "set"}, nat, []string{nat}, nil},
		{"restored, new address", LatchAuto, []string{"restored " + nat, "set 192.168.1.7:5000"},
			"192.168.1.7:5000", []string{"192.168.1.7:5000"}, []string{nat}},
		{"restored on hold", LatchAuto, []string{"restored on hold " + nat}, "0.0.0.0:4000", nil, nil},
		{"three times one packet", LatchAuto, []string{nat, nat + "+-1", nat + "+-1"}, described, nil, []string{nat}},
		{"numbers that do not go on", LatchAuto, []string{nat, nat, nat + "+5000", nat}, described, nil, nil},
		{"one overtook the other", LatchAuto, []string{nat + "+1", nat + "+-2", nat + "+1"}, nat, []string{nat}, []string{stranger}},
		{"a stranger sprays before", LatchAuto, []string{nat, stranger + "#2", nat, stranger + "#2", nat, nat, nat}, nat, []string{nat}, []string{stranger}},
		{"a stranger sprays while the peer is silent", LatchAuto,
			[]string{nat, nat, nat, "silence", stranger + "#2", stranger + "#2", stranger + "#2", stranger + "#2"}, nat, []string{nat}, []string{stranger + "#2"}},
		{"a stranger that knows the SSRC alone", LatchAuto,
			[]string{nat, nat, nat, "silence", stranger + "+9000", stranger, stranger, stranger}, nat, []string{nat}, nil},
		{"another SSRC of the peer", LatchAuto, []string{nat, nat, nat, nat + "#2", nat + "#2"}, nat, []string{nat}, []string{stranger}},
		{"the NAT's port changes in the middle", LatchAuto,
			[]string{nat, nat, nat, "lost", "silence", natLater, natLater, natLater}, natLater, []string{natLater}, []string{nat}},
		{"and a stranger sprays meanwhile", LatchAuto,
			[]string{nat, nat, nat, "silence", natLater, stranger + "#2", natLater, stranger + "#2", natLater}, natLater, []string{natLater}, []string{stranger}},
		{"and changes back", LatchAuto, []string{nat, nat, nat, "silence", natLater, natLater, natLater, "silence", nat, nat, nat},
			nat, []string{nat}, []string{natLater}},
		{"it was not silent", LatchAuto, []string{nat, nat, nat, natLater, natLater, natLater, natLater}, nat, []string{nat}, []string{natLater}},
		{"it was silent, with another SSRC since", LatchAuto,
			[]string{nat, nat, nat, "silence", natLater + "#2", natLater + "#2", natLater + "#2"}, nat, []string{nat}, nil},
		{"one that was symmetric sends from another port", LatchAuto,
			[]string{described, "silence", otherPort, otherPort, otherPort}, otherPort, []string{otherPort, described}, []string{stranger}},
		{"one that was asymmetric does", LatchAuto,
			[]string{otherPort, otherPort, otherPort, "silence", "192.168.1.5:4004", "192.168.1.5:4004", "192.168.1.5:4004"},
			described, []string{"192.168.1.5:4004"}, []string{otherPort}},

		{"never", LatchNever, []string{nat, nat, nat, nat, otherPort, otherPort, otherPort}, described, []string{described}, []string{nat, otherPort}},
		{"never, and the peer is silent", LatchNever, []string{described, "silence", nat, nat, nat}, described, []string{described}, []string{nat}},
		{"never, restored", LatchNever, []string{"restored " + nat, nat, nat, nat}, described, []string{described}, []string{nat}},
		{"never, session refresh", LatchNever, []string{described, "set", nat, nat, nat}, described, []string{described}, []string{nat}},
		{"always, asymmetric", LatchAlways, []string{otherPort, otherPort, otherPort}, otherPort, []string{otherPort, described}, []string{stranger}},
		{"always, behind NAT", LatchAlways, []string{nat, nat, nat}, nat, []string{nat}, []string{stranger}},
		{"always, restored", LatchAlways, []string{"restored " + nat, nat}, nat, []string{nat}, []string{stranger}},

		{"new address", LatchAuto, []string{nat, nat, nat, "set 192.168.1.7:5000"}, "192.168.1.7:5000", []string{"192.168.1.7:5000"}, []string{described}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := latchWalk{mode: tt.mode, described: netip.MustParseAddrPort(described), seq: 65530}
			w.set(w.described, tt.mode, 0)
			for _, step := range tt.steps {
				w.step(step)
			}
			if w.target.String() != tt.target {
				t.Errorf("sends to %v, want %s", w.target, tt.target)
			}
			for _, a := range tt.accepts {
				if !w.known(netip.MustParseAddrPort(a)) {
					t.Errorf("does not accept %s", a)
				}
			}
			for _, a := range tt.denies {
				if ok, moved := w.step(a); ok || moved {
					t.Errorf("accepts %s (%v, %v)", a, ok, moved)
				}
			}
		})
	}
}

// latchWalk is a latch and the stream that it is shown.
type latchWalk struct {
	latch
	described netip.AddrPort
	mode      Latch
	seq       uint16
	now       time.Duration
}

func (w *latchWalk) step(s string) (accepted, moved bool) {
	word, at, _ := strings.Cut(s, " ")
	hold := strings.HasPrefix(at, "on hold ")
	at = strings.TrimPrefix(at, "on hold ")
	switch word {
	case "restored":
		w.latch = latch{restored: netip.MustParseAddrPort(at)}
		if hold {
			w.set(netip.MustParseAddrPort("0.0.0.0:4000"), w.mode, w.now)
		} else {
			w.set(w.described, w.mode, w.now)
		}
	case "set":
		if at == "" {
			w.set(w.described, w.mode, w.now)
		} else {
			w.set(netip.MustParseAddrPort(at), w.mode, w.now)
		}
	case "refused":
		w.refused()
	case "lost":
		w.seq++
	case "silence":
		w.now += looseAfter
	case "pause":
		w.now += refound
	default:
		s, on, _ := strings.Cut(s, "+")
		s, ssrc, _ := strings.Cut(s, "#")
		var n, id int
		fmt.Sscan(on, &n)
		fmt.Sscan(ssrc, &id)
		w.seq += 1 + uint16(n)
		w.now += 20 * time.Millisecond
		return w.packet(netip.MustParseAddrPort(s), mark{uint32(id), w.seq, w.now})
	}
	return false, false
}
