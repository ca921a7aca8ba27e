package live

import "math"

// Sine makes n samples of a tone, from the at-th on, at a quarter of full scale.
func Sine(hz float64, rate, at, n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(8192 * math.Sin(2*math.Pi*hz*float64(at+i)/float64(rate)))
	}
	return pcm
}

// Energy is the mean square of a sound, 1 = full scale.
func Energy(pcm []int16) (e float64) {
	for _, v := range pcm {
		e += float64(v) * float64(v) / (32768 * 32768)
	}
	return e / float64(max(len(pcm), 1))
}

// Power is that of one frequency in a sound, by Goertzel's algorithm, in the
// unit of energy: for a pure tone they are the same.
func Power(pcm []int16, rate int, hz float64) float64 {
	k := 2 * math.Cos(2*math.Pi*hz/float64(rate))
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)/32768+k*s1-s2, s1
	}
	n := float64(max(len(pcm), 1))
	return 2 * (s1*s1 + s2*s2 - k*s1*s2) / (n * n)
}

// Audible is the energy that counts as sound: -50 dB.
const Audible = 1e-5

// IsTone reports whether a sound is that tone and little else.
func IsTone(pcm []int16, rate int, hz float64) bool {
	e := Energy(pcm)
	return e > Audible && Power(pcm, rate, hz) > 0.8*e
}

// Join puts the sound of packets together.
func Join(list []Packet) (pcm []int16) {
	for _, p := range list {
		pcm = append(pcm, p.Sound...)
	}
	return pcm
}

// Clicks counts the places where a sound has a larger step between two samples, or a
// sharper bend of three, than the sound alone.
func Clicks(pcm, alone []int16) (n int) {
	step, bend := 0.0, 0.0
	for i := 2; i < len(alone); i++ {
		s, b := rough(alone[i-2 : i+1])
		step, bend = max(step, s), max(bend, b)
	}
	for i := 2; i < len(pcm); i++ {
		if s, b := rough(pcm[i-2 : i+1]); s > 1.4*step || b > 2*bend {
			n++
			i += 80 // one click is many samples
		}
	}
	return n
}

func rough(x []int16) (step, bend float64) {
	a, b, c := float64(x[0]), float64(x[1]), float64(x[2])
	return math.Abs(c - b), math.Abs(c - 2*b + a)
}
