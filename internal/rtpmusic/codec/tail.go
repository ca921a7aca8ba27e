package codec

// A voice that is cut clicks in G.711, and unlike music it has nothing behind the cut that could
// die away. So what would have followed is guessed: for some milliseconds voice goes on
// as a linear prediction from what was heard has it.

// TailBefore is how many octets of payload before its end Tail uses.
const TailBefore = FrameSize

// quiet is the amplitude below which sound may end as it is: 54 dB below the loudest.
const quiet = 64

// Tail appends n octets to dst that go on from a sound and die away: for whoever has
// heard the sound, without a click. sound is payload of the codec called name, its last
// TailBefore octets if there are as many. It returns dst as it is if the sound is silent
// at its end anyway, and for G.722, whose decoder dies away by itself as the silence
// that it hears next has it.
func Tail(dst []byte, name string, sound []byte, n int) []byte {
	if len(sound) == 0 || name != PCMU && name != PCMA {
		return dst
	}
	pcm := NewDecoder(name).Decode(nil, sound)
	if silent(pcm[len(pcm)/2:]) {
		return dst
	}
	start := len(pcm)
	pcm = append(pcm, extend(pcm, n, predictors)...)
	return dieAway(dst, NewEncoder(name), pcm, start, start+n)
}

// predictors is how many samples back a prediction looks.
const predictors = 16

func silent(pcm []int16) bool {
	for _, s := range pcm {
		if s > quiet || s < -quiet {
			return false
		}
	}
	return true
}

// extend returns n samples that may follow on pcm: what is linear in it goes on, tones
// above all.
func extend(pcm []int16, n, order int) []int16 {
	x := make([]float64, len(pcm), len(pcm)+n)
	for i, s := range pcm {
		x[i] = float64(s)
	}
	a := burg(x, min(order, len(x)/3))
	out := make([]int16, n)
	for i := range out {
		next := 0.0
		for k, c := range a {
			next += c * x[len(x)-1-k]
		}
		next = min(max(next, -1<<15), 1<<15-1)
		x, out[i] = append(x, next), int16(next)
	}
	return out
}

// burg returns the coefficients of the linear prediction of x by Burg's method, of the
// sample before first. Such a prediction never grows.
func burg(x []float64, order int) (a []float64) {
	forward, backward := append([]float64(nil), x...), append([]float64(nil), x...)
	for m := range order {
		var product, power float64
		for i := m + 1; i < len(x); i++ {
			product += forward[i] * backward[i-1]
			power += forward[i]*forward[i] + backward[i-1]*backward[i-1]
		}
		if power < 1 { // there is nothing left to predict
			break
		}
		k := 2 * product / power
		next := make([]float64, m+1)
		for i := range a {
			next[i] = a[i] - k*a[m-1-i]
		}
		next[m], a = k, next
		for i := len(x) - 1; i > m; i-- {
			f := forward[i]
			forward[i], backward[i] = f-k*backward[i-1], backward[i-1]-k*f
		}
	}
	return a
}
