package packet

import (
	"bytes"
	"testing"
)

func header(marker bool, pt uint8, seq uint16, ts, ssrc uint32) []byte {
	b := make([]byte, HeaderSize)
	PutHeader(b, marker, pt, seq, ts, ssrc)
	return b
}

func TestParse(t *testing.T) {
	plain := append(header(true, 101, 65535, 4294967295, 7), "sound"...)
	padded := append(append(header(false, 0, 1, 2, 3), "sound"...), 0, 0, 3)
	padded[0] |= 0x20
	extended := append(header(false, 0, 1, 2, 3), 0x12, 0x34, 0, 1, 1, 2, 3, 4, 's', 'o', 'u', 'n', 'd')
	extended[0] |= 0x10
	sources := append(append(header(false, 0, 1, 2, 3), 0, 0, 0, 9), "sound"...)
	sources[0] |= 1
	bad := func(b []byte, i int, v byte) []byte {
		c := bytes.Clone(b)
		c[i] = v
		return c
	}
	for _, tt := range []struct {
		name   string
		b      []byte
		kind   Kind
		offset int
	}{
		{"plain", plain, RTP, 12},
		{"padding", padded, RTP, 12},
		{"extension", extended, RTP, 20},
		{"contributing source", sources, RTP, 16},
		{"no payload", header(false, 0, 0, 0, 0), RTP, 12},
		{"sender report", []byte{0x80, 200, 0, 1, 0, 0, 0, 9}, RTCP, 0},
		{"report cut off", []byte{0x80, 200, 0, 6, 0, 0, 0, 9}, Other, 0},
		{"nothing", nil, Other, 0},
		{"header cut off", plain[:11], Other, 0},
		{"version 1", bad(plain, 0, 0x40), Other, 0},
		{"STUN", make([]byte, 20), Other, 0},
		{"padding longer than the packet", bad(padded, len(padded)-1, 9), Other, 0},
		{"padding of nothing", bad(padded, len(padded)-1, 0), Other, 0},
		{"sources cut off", bad(plain, 0, 0x8F), Other, 0},
		{"extension cut off", bad(extended, 15, 9), Other, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			kind := p.Parse(tt.b)
			if kind != tt.kind {
				t.Fatalf("kind %d, want %d", kind, tt.kind)
			}
			if kind != RTP {
				return
			}
			if p.Offset != tt.offset || !bytes.Equal(tt.b[p.Offset:p.Offset+len(p.Payload)], p.Payload) {
				t.Errorf("payload %q at %d, want it at %d", p.Payload, p.Offset, tt.offset)
			}
			if len(p.Payload) > 0 && string(p.Payload) != "sound" {
				t.Errorf("payload %q", p.Payload)
			}
		})
	}
}

func TestHeaderThereAndBack(t *testing.T) {
	var p Packet
	if p.Parse(header(true, 101, 65535, 4294967295, 7)) != RTP {
		t.Fatal("no RTP")
	}
	if !p.Marker || p.PayloadType != 101 || p.SequenceNumber != 65535 || p.Timestamp != 4294967295 || p.SSRC != 7 {
		t.Errorf("read %v", p.Header)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	b := append(header(true, 0, 1, 2, 3), make([]byte, 160)...)
	var p Packet
	if n := testing.AllocsPerRun(100, func() { p.Parse(b) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(header(true, 101, 1, 2, 3), 5, 0x8A, 3, 0x20))
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 9})
	f.Add([]byte{0xB1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0xBE, 0xDE, 0, 1, 0x10, 7, 0, 0, 1, 2, 3, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		var p Packet
		if p.Parse(b) == RTP {
			if p.Offset < HeaderSize || p.Offset+len(p.Payload) > len(b) {
				t.Fatalf("payload of %d at %d in %d octets", len(p.Payload), p.Offset, len(b))
			}
			if e, ok := ParseEvent(p.Payload); ok {
				var k Keys
				k.Event(nil, p.SSRC, p.Timestamp, p.Marker, e, 0)
			}
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the datagram was changed")
		}
	})
}
