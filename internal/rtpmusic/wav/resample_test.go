package wav

import (
	"fmt"
	"math"
	"testing"
)

// tone is one second of a tone: a loop, if hz is whole.
func tone(rate int, hz, peak float64) []float32 {
	x := make([]float32, rate)
	for i := range x {
		x[i] = float32(peak * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
	}
	return x
}

// residue fits a tone of hz to x and returns its amplitude and the RMS of the rest
// (distortion, noise and aliases), both in dB of full scale.
func residue(x []float32, rate int, hz float64) (level, rest float64) {
	var re, im float64
	for i, v := range x {
		s, c := math.Sincos(2 * math.Pi * hz * float64(i) / float64(rate))
		re, im = re+float64(v)*c, im+float64(v)*s
	}
	re, im = 2*re/float64(len(x)), 2*im/float64(len(x))
	var sum float64
	for i, v := range x {
		s, c := math.Sincos(2 * math.Pi * hz * float64(i) / float64(rate))
		d := float64(v) - re*c - im*s
		sum += d * d
	}
	return 20 * math.Log10(math.Hypot(re, im)), 10 * math.Log10(2*sum/float64(len(x)))
}

var rates = []int{8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000}

func TestTonesStayClean(t *testing.T) {
	for _, from := range rates {
		for _, to := range []int{8000, 16000} {
			for _, hz := range []float64{1000, 3400} {
				y := Resample(tone(from, hz, 0.9), from, to)
				if len(y) != to {
					t.Fatalf("%d to %d Hz: a second became %d samples", from, to, len(y))
				}
				level, rest := residue(y, to, hz)
				if want := 20 * math.Log10(0.9); math.Abs(level-want) > 0.05 {
					t.Errorf("%d to %d Hz: %v Hz at %.2f dB, want %.2f", from, to, hz, level, want)
				}
				if rest-level > -75 {
					t.Errorf("%d to %d Hz: THD+N of %v Hz is %.1f dB", from, to, hz, rest-level)
				}
			}
		}
	}
}

func TestNoAliases(t *testing.T) {
	for _, from := range rates {
		for _, to := range []int{8000, 16000} {
			for hz := float64(to)/2 + 1; hz < float64(from)/2; hz += 2311 {
				_, level := residue(Resample(tone(from, hz, 1), from, to), to, 0)
				if level > -75 {
					t.Errorf("%d to %d Hz: %v Hz leaves %.1f dB", from, to, hz, level)
				}
			}
		}
	}
}

func TestOddRates(t *testing.T) {
	for _, from := range []int{8001, 44056} {
		y := Resample(tone(from, 1000, 0.5), from, 8000)
		if _, rest := residue(y, 8000, 1000); len(y) != 8000 || rest > -75 {
			t.Errorf("%d Hz: %d samples, %.1f dB beside the tone", from, len(y), rest)
		}
	}
	if y := Resample([]float32{1}, 44100, 8000); len(y) != 0 {
		t.Errorf("one sample became %d", len(y))
	}
	if y := Resample([]float32{0.5, 0.5, 0.5}, 8000, 16000); len(y) != 6 || math.Abs(float64(y[5])-0.5) > 1e-4 {
		t.Errorf("three samples became %v", y)
	}
}

func BenchmarkResample(b *testing.B) {
	for _, from := range []int{16000, 44100} {
		x := tone(from, 1000, 1)
		b.Run(fmt.Sprintf("%d-8000", from), func(b *testing.B) {
			for b.Loop() {
				Resample(x, from, 8000)
			}
		})
	}
}
