package codec

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// The second digital test sequence of ITU-T G.722 Appendix II drives both bands
// into every overflow. It is regular enough to be written down here; what encoder
// and decoder must make of it is known by the CRC-32 of the Recommendation's own
// files (00readme of its test vectors, 16-bit words, least significant octet
// first). The sequences pass by the mirror filters: a word with bit 0 set resets
// the codec and any other word, halved, enters both bands.
const (
	crcInput = 0x2D604685 // bt1c2.xmt
	crcCodes = 0x344EA5D0 // bt2r2.cod
	crcLow   = 0xAF00F31F // bt3l2.rc1, mode 1
	crcHigh  = 0x5330AE2E // bt3h2.rc0
)

func overflowSequence() []uint16 {
	var words []uint16
	repeat := func(n int, w ...uint16) {
		for i := range n {
			words = append(words, w[i%len(w)])
		}
	}
	repeat(16, 0x0001)
	repeat(40*16-1, 0x8000, 0x7FFE)
	words = append(words, 0x0000, 0xB1E0, 0xC000)
	repeat(8*16-2, 0x8000, 0x7FFE, 0x8000)
	repeat(16, 0x0001)
	return words
}

func crcWords(words []uint16) uint32 {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint16(b, w)
	}
	return crc32.ChecksumIEEE(b)
}

func TestG722OverflowSequenceOfITU(t *testing.T) {
	input := overflowSequence()
	if got := crcWords(input); len(input) != 800 || got != crcInput {
		t.Fatalf("input: %d words, CRC %08X, want 800 and %08X", len(input), got, crcInput)
	}
	enc, dec := newG722Encoder(), newG722Decoder()
	var codes, low, high []uint16
	for _, w := range input {
		if w&1 != 0 {
			enc, dec = newG722Encoder(), newG722Decoder()
			codes, low, high = append(codes, 1), append(low, 1), append(high, 1)
			continue
		}
		x := int32(int16(w)) >> 1
		code := enc.high.encodeHigh(x)<<6 | enc.low.encodeLow(x)
		codes = append(codes, uint16(code)<<8)
		low = append(low, uint16(dec.low.decodeLow(code)<<1))
		high = append(high, uint16(dec.high.decodeHigh(code>>6)<<1))
	}
	for _, c := range []struct {
		name  string
		words []uint16
		want  uint32
	}{{"codes", codes, crcCodes}, {"lower band", low, crcLow}, {"upper band", high, crcHigh}} {
		if got := crcWords(c.words); got != c.want {
			t.Errorf("%s: CRC %08X, want %08X", c.name, got, c.want)
		}
	}
}
