package codec

import "math"

// Changes between 8 and 16 kHz run through a half-band low pass: every second of
// its coefficients is zero but for the middle one, so that one of two samples is
// the input itself. It is flat to 3.4 kHz and keeps images and aliases from
// 4.6 kHz on below -70 dB; between the two they meet at -6 dB at 4 kHz. G.711 is
// no better than 38 dB.
const (
	halfTaps  = 30 // coefficients that are not zero, beside the middle one
	halfDelay = halfTaps / 2
)

// halfband holds the first half of the coefficients for the samples in between;
// the second half mirrors it.
var halfband = makeHalfband()

func makeHalfband() (h [halfTaps / 2]float32) {
	const beta = 6.8 // Kaiser window for 70 dB
	var taps [halfTaps / 2]float64
	var sum float64
	for i := range taps {
		x := float64(i) - halfDelay + 0.5 // in samples of the lower rate
		w := x / halfDelay
		taps[i] = math.Sin(math.Pi*x) / (math.Pi * x) * bessel0(beta*math.Sqrt(1-w*w)) / bessel0(beta)
		sum += 2 * taps[i]
	}
	for i := range taps {
		h[i] = float32(taps[i] / sum)
	}
	return h
}

// bessel0 is the modified Bessel function of order zero, by its power series.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-12; k++ {
		term *= x / (2 * k) * x / (2 * k)
		sum += term
	}
	return sum
}

// history is a delay line of the last halfTaps samples, written twice so that
// they always lie in a row, the oldest first.
type history struct {
	x  [2 * halfTaps]float32
	at int
}

func (h *history) push(s int16) {
	h.x[h.at], h.x[h.at+halfTaps] = float32(s), float32(s)
	if h.at++; h.at == halfTaps {
		h.at = 0
	}
}

// between interpolates in the middle of the delay line.
func (h *history) between() float32 {
	x := h.x[h.at : h.at+halfTaps]
	var sum float32
	for i, c := range halfband {
		sum += c * (x[i] + x[halfTaps-1-i])
	}
	return sum
}

// delayed is the sample just before the middle of the delay line.
func (h *history) delayed() float32 { return h.x[h.at+halfDelay-1] }

func round16(v float32) int16 {
	if v < 0 {
		return int16(max(v-0.5, -32768))
	}
	return int16(min(v+0.5, 32767))
}

// upsampler doubles the sampling rate; its delay is 15 samples of the lower rate,
// 1.9 ms.
type upsampler struct{ h history }

func (u *upsampler) process(dst, pcm []int16) []int16 {
	for _, s := range pcm {
		u.h.push(s)
		dst = append(dst, round16(u.h.delayed()), round16(u.h.between()))
	}
	return dst
}

// downsampler halves the sampling rate; its delay is 14 samples of the lower rate. A sample without its
// fellow waits for the next call.
type downsampler struct {
	even, odd history
	half      bool
}

func (d *downsampler) process(dst, pcm []int16) []int16 {
	for _, s := range pcm {
		if d.half = !d.half; d.half {
			d.even.push(s)
			continue
		}
		d.odd.push(s)
		// The odd samples lie half a step of the lower rate beside the even one.
		dst = append(dst, round16((d.even.delayed1()+d.odd.between())/2))
	}
	return dst
}

// delayed1 is the sample just after the middle of the delay line: among the even
// ones the one that lies in the middle of the odd ones.
func (h *history) delayed1() float32 { return h.x[h.at+halfDelay] }
