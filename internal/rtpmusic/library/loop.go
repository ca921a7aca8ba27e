package library

import (
	"errors"
	"fmt"
	"math"
)

// ErrShort is wrapped in what is said of a file with too little sound for a loop.
var ErrShort = errors.New("too short for music")

const (
	framesPerSecond = 50
	fadesPerSecond  = 25 // the cross-fade takes 40 ms
)

// makeLoop cuts x to whole frames of 20 ms that can be played over and over. A
// sound that has that length already and runs smoothly from its end to its start
// stays as it is; else what comes after the cut fades out over the start. It must
// last a second, or two if its rate has no whole number of samples in a frame.
func makeLoop(x []float32, rate int) ([]float32, error) {
	// The least number of samples that is a whole number of frames.
	unit := rate / gcd(rate, framesPerSecond)
	n, fade := len(x)/unit*unit, rate/fadesPerSecond
	if n == len(x) && n >= rate && seamless(x, rate) {
		return x, nil
	}
	for n > len(x)-fade {
		n -= unit
	}
	if n < rate/2 || len(x) < rate {
		return nil, fmt.Errorf("%w: %.2f s", ErrShort, float64(len(x))/float64(rate))
	}
	loop := append([]float32(nil), x[:n]...)
	for i := range fade {
		in, out := math.Sincos((float64(i) + 0.5) / float64(fade) * math.Pi / 2) // of constant power
		loop[i] = x[i]*float32(in) + x[n+i]*float32(out)
	}
	return loop, nil
}

// seamless says whether x runs on from its last sample to its first without a
// click: neither the step nor the bend there is larger than others within 20 ms.
func seamless(x []float32, rate int) bool {
	near := rate / framesPerSecond
	around := append(append([]float32(nil), x[len(x)-near:]...), x[:near]...)
	var step, bend, seamStep, seamBend float64
	for i := 2; i < len(around); i++ {
		s := math.Abs(float64(around[i] - around[i-1]))
		b := math.Abs(float64(around[i] - 2*around[i-1] + around[i-2]))
		if i == near {
			seamStep = s
		} else {
			step = max(step, s)
		}
		if i == near || i == near+1 {
			seamBend = max(seamBend, b)
		} else {
			bend = max(bend, b)
		}
	}
	const least = 1.0 / (1 << 14) // what rounding to 16 bits may do
	return seamStep <= step+least && seamBend <= bend+2*least
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
