package rtpmusic

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/net/bpf"

	"parkd/internal/rtpmusic/packet"
)

// acted says whether a datagram is acted upon though nobody listens.
func acted(b []byte, events ...uint8) bool {
	if len(b) < 4 || b[0] < 128 || b[0] > 191 || b[1] >= 192 && b[1] <= 223 {
		return true
	}
	for _, pt := range events {
		if pt != 0 && b[1]&0x7F == pt {
			return true
		}
	}
	return b[3]%sampleEvery == 0
}

// Every second octet after some first ones and every first one before some second ones;
// sampled or not; any length.
func TestFilterPassesWhatIsActedUpon(t *testing.T) {
	for _, events := range [][2]uint8{{101, 101}, {101, 96}, {0, 96}, {96, 0}, {0, 0}} {
		vm, err := bpf.NewVM(filterProgram(events[0], events[1]))
		must(t, err)
		passes := func(b []byte) {
			t.Helper()
			n, err := vm.Run(append(make([]byte, udpHeader), b...))
			must(t, err)
			if n != 0 && n < maxDatagram {
				t.Fatalf("% x is cut to %d octets", b, n)
			}
			if want := acted(b, events[0], events[1]); (n > 0) != want {
				t.Fatalf("events %v: % x passes: %v, want %v", events, b, n > 0, want)
			}
		}
		b := make([]byte, packet.HeaderSize)
		for first := range 256 {
			for second := range 256 {
				if first&0x1F != 0x1F && first&0x1F != 0 && second&0x1F != 0x1F && second&0x1F != 0 && second&0x7F != 101 {
					continue
				}
				for _, seq := range []uint16{0, 1, sampleEvery - 1, sampleEvery, 0x1234, 0xFFC0, 0xFFFF} {
					b[0], b[1], b[2], b[3] = byte(first), byte(second), byte(seq>>8), byte(seq)
					passes(b)
				}
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		for n := range 64 {
			for range 500 {
				b := make([]byte, n)
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				if n > 0 {
					b[0] = b[0]&0x3F | 0x80
				}
				passes(b)
			}
		}
	}
}

// Nothing of what parkd takes for keys or RTCP may be dropped, whatever a peer sends.
func FuzzFilter(f *testing.F) {
	f.Add(rtpBytes(true, 101, 7, 1, 2, []byte{1, 0x80, 3, 32}))
	f.Add(rtpBytes(false, 0, 64, 1, 2, make([]byte, 160)))
	f.Add([]byte{0x81, 200, 0, 6, 0, 0, 0, 1})
	vm, err := bpf.NewVM(filterProgram(101, 96))
	must(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := vm.Run(append(make([]byte, udpHeader), b...))
		must(t, err)
		var p packet.Packet
		kind := p.Parse(b)
		key := kind == packet.RTP && (p.PayloadType == 101 || p.PayloadType == 96)
		sample := kind == packet.RTP && p.SequenceNumber%sampleEvery == 0
		if n == 0 && (kind == packet.RTCP || key || sample) {
			t.Errorf("% x is dropped", b)
		}
		if n > 0 && kind == packet.RTP && !key && !sample {
			t.Errorf("% x passes", b)
		}
	})
}

func TestPortsShareFilters(t *testing.T) {
	var f filters
	if f.of(101, 96) != f.of(96, 101) || f.of(101, 96) == f.of(101, 101) || f.of(0, 96) == f.of(96, 96) {
		t.Error("one a pair of payload types, whichever is which")
	}
}
