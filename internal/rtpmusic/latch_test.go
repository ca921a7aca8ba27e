package rtpmusic

import (
	"net/netip"
	"strings"
	"testing"
)

func TestLatch(t *testing.T) {
	const (
		described = "192.168.1.5:4000"
		nat       = "203.0.113.9:61000"
		otherPort = "192.168.1.5:4002"
		stranger  = "198.51.100.1:9"
	)
	// A step is a packet from an address (with an SSRC of its own after #), "set" (the
	// same description again), "set <address>", "refused" (by the target), or
	// "restored <address>" (a restart with that source, on hold or not).
	for _, tt := range []struct {
		name    string
		steps   []string
		target  string
		accepts []string
		denies  []string
	}{
		{"silent", nil, described, []string{described}, []string{nat, stranger}},
		{"symmetric", []string{described}, described, []string{described}, []string{stranger}},
		{"behind NAT", []string{nat, nat, nat}, nat, []string{nat, described}, []string{stranger}},
		{"two packets are too few", []string{nat, nat}, described, []string{described}, nil},
		{"not in a row", []string{nat, nat, stranger, nat, nat}, described, nil, nil},
		{"two senders at one address", []string{nat, nat, nat + "#2", nat + "#2"}, described, nil, nil},
		{"a stranger never takes over", []string{nat, nat, nat, stranger, stranger, stranger}, nat, []string{nat}, []string{stranger}},
		{"nor after the described address was heard", []string{described, stranger, stranger, stranger}, described, nil, []string{stranger}},
		{"asymmetric", []string{otherPort, otherPort, otherPort}, described, []string{otherPort, described}, []string{stranger}},
		{"asymmetric, it seemed", []string{otherPort, otherPort, otherPort, "refused"}, otherPort, []string{otherPort}, []string{stranger}},
		{"refused, and nobody heard", []string{"refused"}, described, nil, nil},
		{"refused behind NAT", []string{nat, nat, nat, "refused"}, nat, nil, nil},
		{"session refresh", []string{nat, nat, nat, "set"}, nat, []string{nat}, nil},
		{"session refresh, then the NAT's port changes",
			[]string{nat, nat, nat, "set", stranger, stranger, stranger}, stranger, []string{stranger}, []string{nat}},
		{"session refresh, the source goes on",
			[]string{nat, nat, nat, "set", nat, stranger, stranger, stranger}, nat, []string{nat}, []string{stranger}},
		{"session refresh, then no NAT, and asymmetric", []string{nat, nat, nat, "set", otherPort, otherPort, otherPort},
			described, []string{otherPort}, []string{nat}},
		{"restored", []string{"restored " + nat}, nat, []string{nat, described}, []string{stranger}},
		{"restored, it goes on", []string{"restored " + nat, nat, stranger, stranger, stranger}, nat, []string{nat}, []string{stranger}},
		{"restored, then the NAT's port changes", []string{"restored " + nat, stranger, stranger, stranger},
			stranger, []string{stranger}, []string{nat}},
		{"restored, then no NAT", []string{"restored " + nat, described}, described, []string{described}, []string{nat}},
		{"restored, then no NAT, and asymmetric", []string{"restored " + nat, otherPort, otherPort, otherPort},
			described, []string{otherPort}, []string{nat}},
		{"restored where the described address refused", []string{"restored " + otherPort, otherPort}, otherPort, []string{otherPort}, nil},
		{"restored, session refresh", []string{"restored " + nat, "set"}, nat, []string{nat}, nil},
		{"restored, new address", []string{"restored " + nat, "set 192.168.1.7:5000"},
			"192.168.1.7:5000", []string{"192.168.1.7:5000"}, []string{nat}},
		{"restored on hold", []string{"restored on hold " + nat}, "0.0.0.0:4000", nil, nil},
		{"new address", []string{nat, nat, nat, "set 192.168.1.7:5000"}, "192.168.1.7:5000", []string{"192.168.1.7:5000"}, []string{described}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l latch
			l.set(netip.MustParseAddrPort(described))
			for _, s := range tt.steps {
				latchStep(&l, s, described)
			}
			if l.target.String() != tt.target {
				t.Errorf("sends to %v, want %s", l.target, tt.target)
			}
			for _, a := range tt.accepts {
				if !l.known(netip.MustParseAddrPort(a)) {
					t.Errorf("does not accept %s", a)
				}
			}
			for _, a := range tt.denies {
				if ok, moved := l.packet(netip.MustParseAddrPort(a), 99); ok || moved {
					t.Errorf("accepts %s (%v, %v)", a, ok, moved)
				}
			}
		})
	}
}

func latchStep(l *latch, s, described string) {
	hidden, restored := strings.CutPrefix(s, "restored ")
	held, hold := strings.CutPrefix(s, "restored on hold ")
	switch {
	case hold:
		*l = latch{restored: netip.MustParseAddrPort(held)}
		l.set(netip.MustParseAddrPort("0.0.0.0:4000"))
	case restored:
		*l = latch{restored: netip.MustParseAddrPort(hidden)}
		l.set(netip.MustParseAddrPort(described))
	case s == "set":
		l.set(netip.MustParseAddrPort(described))
	case s == "refused":
		l.refused()
	case len(s) > 4 && s[:4] == "set ":
		l.set(netip.MustParseAddrPort(s[4:]))
	case s[len(s)-2] == '#':
		l.packet(netip.MustParseAddrPort(s[:len(s)-2]), uint32(s[len(s)-1]))
	default:
		l.packet(netip.MustParseAddrPort(s), 1)
	}
}
