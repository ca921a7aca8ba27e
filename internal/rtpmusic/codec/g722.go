package codec

// G.722 splits 16 kHz sound at 4 kHz with a pair of mirror filters, takes every
// second sample of each half and codes the lower one in six bits and the upper
// one in two: eight bits for two samples.

// g722Silence is the code of the smallest positive difference in both bands. It
// leaves the predictors alone and lets the steps shrink until it adds nothing.
const g722Silence = 0xFD

// mirror holds the 24 coefficients of the quadrature mirror filters, which are
// symmetric, scaled by 8192 (ITU-T G.722 table 11).
var mirror = [24]int32{
	3, -11, -11, 53, 12, -156, 32, 362, -210, -805, 951, 3876,
	3876, 951, -805, -210, 362, 32, -156, 12, 53, -11, -11, 3,
}

// taps is the delay line of a mirror filter, written twice so that the last 24
// values always lie in a row.
type taps struct {
	x  [48]int32
	at int // of the oldest, even
}

// push takes two values and returns the sums of the even and the odd taps.
func (t *taps) push(first, second int32) (even, odd int32) {
	t.x[t.at], t.x[t.at+24] = first, first
	t.x[t.at+1], t.x[t.at+25] = second, second
	t.at += 2
	if t.at == 24 {
		t.at = 0
	}
	x := t.x[t.at : t.at+24 : t.at+24]
	for i := 0; i < 24; i += 2 {
		even += x[i] * mirror[i]
		odd += x[i+1] * mirror[i+1]
	}
	return even, odd
}

func newBands() (low, high band) {
	return band{det: 32}, band{det: 8} // section 6.2.1.3, after reset
}

type g722Encoder struct {
	low, high band
	taps      taps
	odd       int16 // a sample that waits for its fellow
	waiting   bool
}

func newG722Encoder() *g722Encoder {
	e := new(g722Encoder)
	e.low, e.high = newBands()
	return e
}

func (e *g722Encoder) Encode(dst []byte, pcm []int16) []byte {
	if e.waiting && len(pcm) > 0 {
		e.waiting = false
		dst = append(dst, e.pair(e.odd, pcm[0]))
		pcm = pcm[1:]
	}
	for ; len(pcm) > 1; pcm = pcm[2:] {
		dst = append(dst, e.pair(pcm[0], pcm[1]))
	}
	if len(pcm) == 1 {
		e.odd, e.waiting = pcm[0], true
	}
	return dst
}

// pair codes two samples. The sums of the filter are 13 bits too large, and the
// Recommendation's samples have 15 bits where ours have 16.
func (e *g722Encoder) pair(first, second int16) byte {
	even, odd := e.taps.push(int32(first), int32(second))
	low, high := (even+odd)>>14, (odd-even)>>14
	low = min(max(low, -16384), 16383)
	high = min(max(high, -16384), 16383)
	return e.high.encodeHigh(high)<<6 | e.low.encodeLow(low)
}

type g722Decoder struct {
	low, high band
	taps      taps
}

func newG722Decoder() *g722Decoder {
	d := new(g722Decoder)
	d.low, d.high = newBands()
	return d
}

func (d *g722Decoder) Decode(dst []int16, payload []byte) []int16 {
	for _, octet := range payload {
		low, high := d.low.decodeLow(octet), d.high.decodeHigh(octet>>6)
		even, odd := d.taps.push(low+high, low-high)
		dst = append(dst, int16(saturate(odd>>11)), int16(saturate(even>>11)))
	}
	return dst
}
