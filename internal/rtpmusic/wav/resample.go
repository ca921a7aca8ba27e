package wav

import "math"

// Resampling multiplies each output sample out of the input by a windowed sinc, one
// of a set of phases made beforehand. Everything up to 7/8 of the lower of the two
// Nyquist frequencies passes, and everything from that frequency on is kept below
// -80 dB, so that neither aliases nor images are heard.
const (
	transition  = 1.0 / 16 // of the lower rate: 500 Hz at 8 kHz
	attenuation = 80.0     // dB
	beta        = 0.1102 * (attenuation - 8.7)
)

// Resample returns x, at from samples a second, at to samples a second. The sound
// is taken as a loop: what follows its end is its start. Where len(x)*to is not a
// multiple of from, the loop becomes up to a sample shorter.
func Resample(x []float32, from, to int) []float32 {
	if from == to || len(x) == 0 {
		return append([]float32(nil), x...)
	}
	g := gcd(from, to)
	up, down := to/g, from/g
	phases, taps := makePhases(up, down)

	// The loop, with what its first and last samples see beyond its ends.
	before := taps/2 - 1
	loop := make([]float32, len(x)+taps)
	for i := range loop {
		loop[i] = x[mod(i-before, len(x))]
	}
	out := make([]float32, len(x)*up/down)
	at, phase := 0, 0
	for i := range out {
		out[i] = dot(loop[at:at+taps], phases[phase*taps:(phase+1)*taps])
		phase += down
		at += phase / up
		phase %= up
	}
	return out
}

// makePhases returns the coefficients for each of the up places between two input
// samples where an output sample may lie, and how many there are for each.
func makePhases(up, down int) (phases []float32, taps int) {
	lower := min(1, float64(up)/float64(down)) // the lower rate, in input samples
	half := (attenuation - 7.95) / (14.36 * transition) / 2 / lower
	cutoff := lower * (1 - transition) / 2
	taps = (2*int(math.Ceil(half)) + 3) / 4 * 4
	phases = make([]float32, up*taps)
	row := make([]float64, taps)
	window := 1 / bessel0(beta)
	for p := range up {
		sum := 0.0
		for k := range row {
			t := float64(k-taps/2+1) - float64(p)/float64(up)
			row[k] = 0
			if w := t / half; w > -1 && w < 1 {
				row[k] = sinc(2*cutoff*t) * bessel0(beta*math.Sqrt(1-w*w)) * window
			}
			sum += row[k]
		}
		for k, v := range row {
			phases[p*taps+k] = float32(v / sum)
		}
	}
	return phases, taps
}

// dot multiplies two vectors of equal length, a multiple of four.
func dot(x, h []float32) float32 {
	var a, b, c, d float32
	for len(h) >= 4 && len(x) >= 4 {
		a += x[0] * h[0]
		b += x[1] * h[1]
		c += x[2] * h[2]
		d += x[3] * h[3]
		x, h = x[4:], h[4:]
	}
	return (a + b) + (c + d)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
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

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func mod(a, n int) int { return (a%n + n) % n }
