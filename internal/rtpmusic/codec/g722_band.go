package codec

// One sub-band of G.722: an adaptive differential quantizer whose predictor has
// two poles and six zeros. Encoder and decoder run the same band over the same
// codes, and so have the same prediction and step at each sample. All words are
// 16 bits wide as in the Recommendation and saturate where it says so; the names
// in capitals are its sub-blocks (ITU-T G.722 section 6.2).
//
// Scales: samples and differences of a band are 15-bit integers, log2 of the
// step has 11 fractional bits (nb), and the predictor's coefficients have 14.

// The two bands differ in their quantizers and in how the step follows the code.
const (
	lowLogMax  = 18432 // ceiling of log2 of the step: 9 octaves (LOGSCL)
	highLogMax = 22528 // and 11 octaves (LOGSCH)
	lowShift   = 8     // SCALEL
	highShift  = 10    // SCALEH
)

// lowLevels are the decision levels of the 6-bit lower quantizer for a step of
// 1, scaled by 4096 (ITU-T G.722 table 14, Q6).
var lowLevels = [...]int32{
	35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786,
	858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
}

// lowValues6 are the outputs of the 6-bit inverse quantizer by code (tables 14
// and 18, QQ6 by eight); codes 0 to 3 are never sent and read as the smallest negative one.
var lowValues6 = [64]int32{
	-136, -136, -136, -136, -24808, -21904, -19008, -16704,
	-14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
	-7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576,
	-3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
	24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192,
	10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
	4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032,
	1688, 1360, 1040, 728, 432, 136, -432, -136,
}

// lowValues4 are those of the 4-bit one that the predictor is led by, by the upper
// four bits of the code (tables 14 and 17, QQ4 by eight).
var lowValues4 = [16]int32{
	0, -20456, -12896, -8968, -6288, -4240, -2584, -1200,
	20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
}

// lowLogStep is how much log2 of the step changes, by the upper four bits of the
// code (tables 14 and 17, WL).
var lowLogStep = [16]int32{
	-60, 3042, 1198, 538, 334, 172, 58, -30,
	3042, 1198, 538, 334, 172, 58, -30, -60,
}

// The upper band has two bits: sign and one of two magnitudes (table 14,
// Q2, QQ2 by eight and WH; codes by table 20).
const highLevel = 564

var (
	highValues  = [4]int32{-7408, -1616, 7408, 1616}
	highLogStep = [4]int32{798, -214, 798, -214}
)

// pow2 is 2048 * 2^(i/32) (table 15, ILB).
var pow2 = [32]int32{
	2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383,
	2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
	2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371,
	3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
}

// band is the state that encoder and decoder of one sub-band have in common.
type band struct {
	nb, det int32    // log2 of the step, and the step (NBL/DETL, NBH/DETH)
	s, sz   int32    // prediction, and the zeros' part of it
	a1, a2  int32    // pole coefficients
	r1      int32    // the last reconstructed sample
	p1, p2  int32    // the last two partly reconstructed ones
	b, d    [6]int32 // zero coefficients, and the last six differences
}

func saturate(v int32) int32 { return min(max(v, -32768), 32767) }

// adaptStep moves the step by the code's contribution, with a leak of 1/128
// (LOGSCL and SCALEL, LOGSCH and SCALEH).
func (b *band) adaptStep(change, limit, shift int32) {
	b.nb = min(max(b.nb*127>>7+change, 0), limit)
	mantissa := pow2[b.nb>>6&31]
	if down := shift - b.nb>>11; down >= 0 {
		b.det = mantissa >> down << 2
	} else {
		b.det = mantissa << -down << 2
	}
}

// predict takes the quantized difference d of this sample and computes the next
// one's prediction (section 6.2.1.4, block 4).
func (b *band) predict(d int32) {
	r0 := saturate(b.s + d)  // RECONS
	p0 := saturate(b.sz + d) // PARREC
	b.adaptPoles(p0)
	b.adaptZeros(d)

	// FILTEP, with DELAYA of the samples folded in.
	poles := saturate(b.a1*saturate(r0+r0)>>15 + b.a2*saturate(b.r1+b.r1)>>15)
	b.r1, b.p2, b.p1 = r0, b.p1, p0

	// FILTEZ and DELAYA of the differences; the sum begins with the oldest.
	var zeros int32
	for i := 5; i > 0; i-- {
		b.d[i] = b.d[i-1]
		zeros = saturate(zeros + b.b[i]*saturate(b.d[i]+b.d[i])>>15)
	}
	b.d[0] = d
	b.sz = saturate(zeros + b.b[0]*saturate(d+d)>>15)
	b.s = saturate(poles + b.sz) // PREDIC
}

// adaptPoles is UPPOL2 and UPPOL1: a sign algorithm with the limits that keep the
// two poles stable.
func (b *band) adaptPoles(p0 int32) {
	step := saturate(b.a1 << 2)
	if p0^b.p1 >= 0 { // like signs; zero counts as positive
		step = -step
	}
	step = min(step, 32767) >> 7
	if p0^b.p2 >= 0 {
		step += 128
	} else {
		step -= 128
	}
	b.a2 = min(max(step+b.a2*32512>>15, -12288), 12288)

	step = -192
	if p0^b.p1 >= 0 {
		step = 192
	}
	limit := 15360 - b.a2
	b.a1 = min(max(saturate(step+b.a1*32640>>15), -limit), limit)
}

// adaptZeros is UPZERO: a sign algorithm with a leak of 1/256.
func (b *band) adaptZeros(d int32) {
	var step int32
	if d != 0 {
		step = 128
	}
	for i := range b.b {
		s := step
		if d^b.d[i] < 0 {
			s = -step
		}
		b.b[i] = saturate(s + b.b[i]*32640>>15)
	}
}

// decodeLow takes a 6-bit code and returns the sample it stands for.
func (b *band) decodeLow(code byte) int32 {
	r := b.s + b.det*lowValues6[code&63]>>15
	b.updateLow(code)
	return min(max(r, -16384), 16383) // LIMIT
}

// updateLow takes a 6-bit code into the lower band's state, by its upper four
// bits (INVQAL).
func (b *band) updateLow(code byte) {
	d := b.det * lowValues4[code>>2&15] >> 15
	b.adaptStep(lowLogStep[code>>2&15], lowLogMax, lowShift)
	b.predict(d)
}

// encodeLow codes a sample in 6 bits (SUBTRA, QUANTL).
func (b *band) encodeLow(x int32) byte {
	e := saturate(x - b.s)
	magnitude := e
	if e < 0 {
		magnitude = ^e
	}
	// How many levels the difference has reached, by bisection: they rise.
	n := 0
	for _, jump := range [...]int{16, 8, 4, 2, 1} {
		if n+jump <= len(lowLevels) && magnitude >= lowLevels[n+jump-1]*b.det>>12 {
			n += jump
		}
	}
	// Table 16: positive codes fall from 61, negative ones from 31 but for the
	// two smallest, which are 63 and 62.
	code := byte(61 - n)
	if e < 0 {
		code = byte(33 - n)
		if n < 2 {
			code = byte(63 - n)
		}
	}
	b.updateLow(code)
	return code
}

// decodeHigh takes a 2-bit code and returns the sample it stands for.
func (b *band) decodeHigh(code byte) int32 {
	d := b.det * highValues[code&3] >> 15
	r := b.s + d
	b.adaptStep(highLogStep[code&3], highLogMax, highShift)
	b.predict(d)
	return min(max(r, -16384), 16383)
}

// encodeHigh codes a sample in 2 bits (SUBTRA, QUANTH).
func (b *band) encodeHigh(x int32) byte {
	e := saturate(x - b.s)
	magnitude, code := e, byte(2)
	if e < 0 {
		magnitude, code = ^e, 0
	}
	if magnitude < highLevel*b.det>>12 {
		code++
	}
	b.decodeHigh(code)
	return code
}
