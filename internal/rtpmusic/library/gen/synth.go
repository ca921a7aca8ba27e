package main

import "math"

// The sound is computed as a ring: a note that rings beyond the end is heard at the
// start, and so the loop has no seam.
const (
	rate   = 16000
	length = bars * barLength // samples
	top    = 6500             // Hz, the highest partial that is played
)

// A product written as float64(a*b) is rounded before it is added, on every
// processor; that is why there are so many of them here.

const tableBits = 12

var sines = func() (t [1<<tableBits + 1]float64) {
	for i := range t {
		t[i] = rounded(math.Sin(2 * math.Pi * float64(i) / (1 << tableBits)))
	}
	return t
}()

// rounded drops the digits in which mathematical functions may differ.
func rounded(v float64) float64 { return math.Round(v*(1<<36)) / (1 << 36) }

// wave is the sine at a phase, of which 2^32 are a turn.
func wave(phase uint32) float64 {
	i, f := phase>>(32-tableBits), phase<<tableBits
	a, b := sines[i], sines[i+1]
	return a + float64((b-a)*(float64(f)/(1<<32)))
}

// hertz is the frequency of a MIDI note number; 69 is 440 Hz.
func hertz(note int) float64 { return rounded(440 * math.Exp2(float64(note-69)/12)) }

// advance is how far a phase moves in a sample.
func advance(hz float64) uint32 { return uint32(math.Round(hz / rate * (1 << 32))) }

// decay is the factor a sample of what falls by e in the given time.
func decay(seconds float64) float64 { return rounded(math.Exp(-1 / (seconds * rate))) }

// ring is the sound so far.
type ring []float64

func (r ring) add(at int, v float64) {
	for at >= length {
		at -= length
	}
	r[at] += v
}

// pad plays a soft chord tone: harmonics that lose 9 dB an octave, in two voices
// that beat slowly, swelling and dying away over ramp samples.
func (r ring) pad(at, duration, ramp, note int, level float64) {
	for _, detune := range []float64{0.9985, 1.0015} {
		for h := 1; h <= 8; h++ {
			hz := hertz(note) * detune * float64(h)
			if hz > top {
				break
			}
			step, phase := advance(hz), uint32(note*h)*0x9E3779B9 // phases that do not add up to peaks
			gain := level / (float64(h) * math.Sqrt(float64(h))) / 2
			for i := range duration + ramp {
				v := float64(gain * wave(phase))
				if i < ramp {
					v = float64(v * swell(i, ramp))
				} else if i >= duration {
					v = float64(v * swell(duration+ramp-i, ramp))
				}
				r.add(at+i, v)
				phase += step
			}
		}
	}
}

// swell rises from 0 to 1 as i goes to n, smoothly at both ends.
func swell(i, n int) float64 { return (1 - wave(uint32(uint64(i)<<31/uint64(n))+1<<30)) / 2 }

// pluck plays a string: frequency modulation whose depth dies away faster than the
// tone does, so that it begins bright and ends pure.
func (r ring) pluck(at, note int, level, seconds float64) {
	hz := hertz(note)
	step := advance(hz)
	depth, fade, dull := 1.1, decay(seconds), decay(seconds/3)
	const attack = rate * 4 / 1000
	var carrier, modulator uint32
	gain := level
	for i := 0; gain > level/2000; i++ {
		bend := float64(depth * wave(modulator))
		v := float64(gain * wave(carrier+uint32(int32(bend/(2*math.Pi)*(1<<32)))))
		if i < attack {
			v = float64(v * swell(i, attack))
		}
		r.add(at+i, v)
		carrier += step
		modulator += 2 * step
		gain, depth = float64(gain*fade), float64(depth*dull)
	}
}

// bell plays the melody: a tone, its octave and, for a moment, its fourth harmonic.
func (r ring) bell(at, note int, level, seconds float64) {
	for _, p := range []struct{ harmonic, level, life float64 }{{1, 1, 1}, {2, 0.28, 0.6}, {4, 0.16, 0.2}} {
		hz := hertz(note) * p.harmonic
		if hz > top {
			continue
		}
		step, fade, gain := advance(hz), decay(seconds*p.life), float64(level*p.level)
		const attack = rate * 6 / 1000
		var phase uint32
		for i := 0; gain > level/2000; i++ {
			v := float64(gain * wave(phase))
			if i < attack {
				v = float64(v * swell(i, attack))
			}
			r.add(at+i, v)
			phase += step
			gain = float64(gain * fade)
		}
	}
}

// room adds the echo of a small hall: four delays that feed back through a low pass
// each, and two all-passes that spread them. It goes round twice, so that the start
// hears the end.
func (r ring) room(wet float64) {
	echo := make(ring, length)
	for _, d := range []int{479, 557, 631, 709} {
		line, at, low := make([]float64, d), 0, 0.0
		for i := range 2 * length {
			out := line[at]
			low += float64((out - low) * 0.55)
			line[at] = r[i%length] + float64(low*0.80)
			at = (at + 1) % d
			if i >= length {
				echo[i-length] += out
			}
		}
	}
	for _, d := range []int{83, 227} {
		line, at := make([]float64, d), 0
		for i := range 2 * length {
			in := echo[i%length]
			out := line[at] - float64(in*0.6)
			line[at] = in + float64(out*0.6)
			at = (at + 1) % d
			if i >= length {
				echo[i-length] = out
			}
		}
	}
	for i, v := range echo {
		r[i] += float64(v * wet)
	}
}

// limit turns the rare loudest moments down to the ceiling, by a gain that moves in
// straight lines from one 20 ms block to the next and so bends no wave.
func (r ring) limit(ceiling float64) {
	const block = rate / 50
	gains := make([]float64, length/block)
	for b := range gains {
		gains[b] = 1
		for _, v := range r[b*block : (b+1)*block] {
			gains[b] = min(gains[b], ceiling/max(math.Abs(v), ceiling))
		}
	}
	for b, gain := range gains {
		from := min(gain, gains[(b+len(gains)-1)%len(gains)])
		to := min(gain, gains[(b+1)%len(gains)])
		for i := range block {
			r[b*block+i] = float64(r[b*block+i] * (from + float64((to-from)*float64(i)/block)))
		}
	}
}
