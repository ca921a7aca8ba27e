package codec

// G.711 codes a sample as sign, segment and step: each segment is twice as wide
// as the one below it. The tables are computed once from that rule; the tests
// compare them with what other programs have.
var (
	muLinear [256]int16    // mu-law code -> 16-bit sample
	aLinear  [256]int16    // A-law code -> 16-bit sample
	muCode   [1 << 14]byte // upper 14 bits of a sample -> mu-law code
	aCode    [1 << 12]byte // upper 12 bits of a sample -> A-law code
	muToA    [256]byte
	aToMu    [256]byte
)

func init() {
	for i := range 256 {
		muLinear[i] = expandMu(byte(i))
		aLinear[i] = expandA(byte(i))
	}
	for i := range muCode {
		muCode[i] = compressMu(int16(i << 2))
	}
	for i := range aCode {
		aCode[i] = compressA(int16(i << 4))
	}
	makeConversions()
}

// makeConversions fills the tables between the two laws as the Recommendation has
// them (G.711 tables 3 and 4): mu-law levels that lie between two of the 13-bit
// levels of A-law count as the upper one from segment 3 on, and the A-law codes 79
// to 95 keep their number. Negative codes mirror positive ones.
func makeConversions() {
	for n := range 128 {
		mu, a := byte(0xFF^n), byte(0xD5^n)
		level := muLinear[mu]
		if n >= 3<<4 {
			level += 4
		}
		muToA[mu] = compressA(level)
		aToMu[a] = compressMu(aLinear[a])
		if n >= 79 && n <= 95 {
			aToMu[a] = mu
		}
		muToA[mu^0x80], aToMu[a^0x80] = muToA[mu]^0x80, aToMu[a]^0x80
	}
}

// muBias shifts the decision values of mu-law so that all segments begin at
// powers of two (ITU-T G.711 table 2; 33 on its 14-bit scale).
const muBias = 33

// expandMu gives the 16-bit sample of a mu-law code (G.711 table 2, column 8, by
// four). All bits of a code are sent inverted.
func expandMu(code byte) int16 {
	code = ^code
	magnitude := ((int(code&0x0F)<<1 + muBias) << (code >> 4 & 7)) - muBias
	if code&0x80 != 0 {
		magnitude = -magnitude
	}
	return int16(magnitude << 2)
}

// compressMu gives the mu-law code of a 16-bit sample.
func compressMu(sample int16) byte {
	sign, magnitude := byte(0), int(sample)>>2
	if sample < 0 {
		sign, magnitude = 0x80, ^magnitude
	}
	magnitude = min(magnitude+muBias, 0x1FFF)
	segment := 0
	for magnitude >= 64<<segment {
		segment++
	}
	step := magnitude >> (segment + 1) & 0x0F
	return ^(sign | byte(segment<<4|step))
}

// expandA gives the 16-bit sample of an A-law code (G.711 table 1, column 8, by
// eight). Even bits of a code are sent inverted.
func expandA(code byte) int16 {
	code ^= 0x55
	segment, magnitude := code>>4&7, int(code&0x0F)<<1+1
	if segment > 0 {
		magnitude = (magnitude + 32) << (segment - 1)
	}
	if code&0x80 == 0 {
		magnitude = -magnitude
	}
	return int16(magnitude << 3)
}

// compressA gives the A-law code of a 16-bit sample.
func compressA(sample int16) byte {
	sign, magnitude := byte(0x80), int(sample)>>4
	if sample < 0 {
		sign, magnitude = 0, ^magnitude
	}
	segment := 0
	for magnitude >= 32 {
		magnitude >>= 1
		segment++
	}
	if magnitude >= 16 { // the first two segments have steps of one width
		segment++
	}
	return (sign | byte(segment<<4|magnitude&0x0F)) ^ 0x55
}

type muEncoder struct{}

func (muEncoder) Encode(dst []byte, pcm []int16) []byte {
	for _, s := range pcm {
		dst = append(dst, muCode[uint16(s)>>2])
	}
	return dst
}

type muDecoder struct{}

func (muDecoder) Decode(dst []int16, payload []byte) []int16 {
	for _, b := range payload {
		dst = append(dst, muLinear[b])
	}
	return dst
}

type aEncoder struct{}

func (aEncoder) Encode(dst []byte, pcm []int16) []byte {
	for _, s := range pcm {
		dst = append(dst, aCode[uint16(s)>>4])
	}
	return dst
}

type aDecoder struct{}

func (aDecoder) Decode(dst []int16, payload []byte) []int16 {
	for _, b := range payload {
		dst = append(dst, aLinear[b])
	}
	return dst
}
