package codec

import "testing"

// The tables of other programs: CRC-32 of the 256 codes as ffmpeg 5.1 decodes them
// (ffmpeg -f mulaw -i codes -f s16le -).
func TestG711LevelsAreThoseOfFFmpeg(t *testing.T) {
	var codes []byte
	for i := range 256 {
		codes = append(codes, byte(i))
	}
	for name, want := range map[string]uint32{PCMU: 0x0C847A9F, PCMA: 0x9D764657} {
		if got := pcmCRC(NewDecoder(name).Decode(nil, codes)); got != want {
			t.Errorf("%s: CRC %08X, want %08X", name, got, want)
		}
	}
}

// Each level lies in the middle of the samples that get its code, which is how
// G.711 tables 1 and 2 (column 8) define it, and more of them lie behind larger
// levels.
func TestG711LevelsLieInTheMiddle(t *testing.T) {
	for name, slack := range map[string]int{PCMU: 4, PCMA: 16} { // of 14 and 12 bits
		enc, dec := NewEncoder(name), NewDecoder(name)
		low, high := map[byte]int{}, map[byte]int{}
		for s := range 32768 {
			c := enc.Encode(nil, []int16{int16(s)})[0]
			if _, seen := low[c]; !seen {
				low[c] = s
			}
			high[c] = s
			if n := enc.Encode(nil, []int16{int16(^s)})[0]; n != c^0x80 {
				t.Fatalf("%s: %d codes as %02X and %d as %02X, not mirrored", name, s, c, ^s, n)
			}
		}
		if len(low) != 128 {
			t.Errorf("%s: %d positive codes, want 128", name, len(low))
		}
		for c, l := range low {
			level := int(dec.Decode(nil, []byte{c})[0])
			top := c == 0x80 || c == 0xAA // what is too loud counts as the loudest
			if mid := (l + high[c] + 1) / 2; !top && level != 0 && (mid < level-slack || mid > level+slack) {
				t.Errorf("%s: code %02X is %d, its samples are %d..%d", name, c, level, l, high[c])
			}
		}
	}
}

func TestG711CodesSurvive(t *testing.T) {
	for _, name := range []string{PCMU, PCMA} {
		for i := range 256 {
			pcm := NewDecoder(name).Decode(nil, []byte{byte(i)})
			got := NewEncoder(name).Encode(nil, pcm)[0]
			if got != byte(i) && !(name == PCMU && i == 0x7F && got == 0xFF) { // mu-law has two zeros
				t.Errorf("%s: code %02X decodes to %d, which codes as %02X", name, i, pcm[0], got)
			}
		}
	}
}

// Rows of G.711 tables 3 and 4: numbers of codes counted from the smallest level.
func TestG711Conversions(t *testing.T) {
	toA := map[int]int{0: 0, 1: 0, 2: 1, 15: 7, 16: 8, 31: 23, 32: 24, 33: 26, 34: 28, 35: 30,
		36: 32, 47: 43, 48: 45, 49: 47, 50: 48, 63: 61, 64: 63, 79: 78, 80: 80, 81: 81, 127: 127}
	for mu, a := range toA {
		for _, sign := range []byte{0, 0x80} {
			if got := muToA[byte(0xFF^mu)^sign] ^ sign; got != byte(0xD5^a) {
				t.Errorf("mu-law %d (sign %02X) becomes %d, want %d", mu, sign, got^0xD5, a)
			}
		}
	}
	toMu := map[int]int{0: 1, 7: 15, 8: 16, 23: 31, 24: 32, 25: 32, 30: 35, 31: 35, 32: 36,
		44: 48, 45: 48, 46: 49, 47: 49, 48: 50, 62: 64, 63: 64, 64: 65, 78: 79, 79: 79, 80: 80, 127: 127}
	for a, mu := range toMu {
		for _, sign := range []byte{0, 0x80} {
			if got := aToMu[byte(0xD5^a)^sign] ^ sign; got != byte(0xFF^mu) {
				t.Errorf("A-law %d (sign %02X) becomes %d, want %d", a, sign, got^0xFF, mu)
			}
		}
	}
}
