//go:build unix

package peers

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// Tones of the peers in Hz. They lie between the notes of music and on no
// multiple of each other.
const (
	toneCaller    = 455
	toneRetriever = 815
	toneParker    = 1365
	toneOther     = 1785
)

var tones = []float64{toneCaller, toneRetriever, toneParker, toneOther}

// A sound is mono, at rate samples a second, full scale 1.
type sound struct {
	rate    int
	samples []float64
}

// chord makes seconds of equally loud sine waves together at half of full scale.
func chord(rate int, seconds float64, freqs ...float64) sound {
	s := sound{rate: rate, samples: make([]float64, int(seconds*float64(rate)))}
	for i := range s.samples {
		for _, f := range freqs {
			s.samples[i] += 0.5 / float64(len(freqs)) * math.Sin(2*math.Pi*f*float64(i)/float64(rate))
		}
	}
	return s
}

// pcm is the sound as 16-bit little-endian samples.
func (s sound) pcm() []byte {
	b := make([]byte, 0, 2*len(s.samples))
	for _, v := range s.samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(v*32767)))
	}
	return b
}

// wav is the sound as a RIFF file.
func (s sound) wav() []byte {
	data := s.pcm()
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(36+len(data)))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	for _, v := range []uint16{1, 1} { // PCM, mono
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(s.rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(2*s.rate))
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// readPCM decodes 16-bit mono samples.
func readPCM(b []byte, rate int) sound {
	s := sound{rate: rate, samples: make([]float64, len(b)/2)}
	for i := range s.samples {
		s.samples[i] = float64(int16(binary.LittleEndian.Uint16(b[2*i:]))) / 32768
	}
	return s
}

// readWAV reads a 16-bit mono recording. The file may still be written: the
// length in its header counts for nothing, all that follows is sound.
func readWAV(path string) (sound, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return sound{}, err
	}
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return sound{}, fmt.Errorf("%s: no RIFF WAVE header", path)
	}
	rate := 0
	for rest := b[12:]; len(rest) >= 8; {
		id, size := string(rest[:4]), int(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		if id == "data" {
			if rate == 0 {
				return sound{}, fmt.Errorf("%s: data before fmt", path)
			}
			return readPCM(rest, rate), nil
		}
		if size > len(rest) {
			break
		}
		if id == "fmt " && size >= 16 {
			if ch, bits := binary.LittleEndian.Uint16(rest[2:]), binary.LittleEndian.Uint16(rest[14:]); ch != 1 || bits != 16 {
				return sound{}, fmt.Errorf("%s: %d channels of %d bits", path, ch, bits)
			}
			rate = int(binary.LittleEndian.Uint32(rest[4:]))
		}
		rest = rest[size+size&1:]
	}
	return sound{}, fmt.Errorf("%s: no data yet", path)
}

// newestWAV reads the recording that matches the pattern and was made last.
// An unreadable or missing file is silence: it may still come.
func newestWAV(pattern string) sound {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return sound{rate: 8000}
	}
	var newest os.FileInfo
	best := sound{rate: 8000}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil || newest != nil && info.ModTime().Before(newest.ModTime()) {
			continue
		}
		if s, err := readWAV(p); err == nil {
			newest, best = info, s
		}
	}
	return best
}

// windows cuts the sound into pieces of 100 ms.
func (s sound) windows() [][]float64 {
	var w [][]float64
	for n, rest := s.rate/10, s.samples; len(rest) >= n; rest = rest[n:] {
		w = append(w, rest[:n])
	}
	return w
}

// goertzel is the power of one frequency in a piece, in the unit of energy:
// for a pure sine wave of that frequency both are the same.
func goertzel(piece []float64, rate int, freq float64) float64 {
	k := 2 * math.Cos(2*math.Pi*freq/float64(rate))
	var s1, s2 float64
	for _, v := range piece {
		s1, s2 = v+k*s1-s2, s1
	}
	n := float64(len(piece))
	return 2 * (s1*s1 + s2*s2 - k*s1*s2) / (n * n)
}

// energy is the mean square of a piece.
func energy(piece []float64) float64 {
	var e float64
	for _, v := range piece {
		e += v * v
	}
	return e / float64(len(piece))
}

// loudness that counts as sound at all: -46 dB below full scale.
const audible = 2.5e-5

// hears counts the pieces of 100 ms in which every one of the frequencies is
// heard and all else together is at least 10 dB weaker than they are.
func (s sound) hears(freqs ...float64) int {
	n := 0
	for _, w := range s.windows() {
		e, sum, all := energy(w), 0.0, true
		for _, f := range freqs {
			p := goertzel(w, s.rate, f)
			all = all && p > audible/2 && p > e/10/float64(len(freqs))
			sum += p
		}
		if e > audible && all && sum > 0.9*e {
			n++
		}
	}
	return n
}

// music is what remains without the pieces of 100 ms that are silent or hold
// one of the tones.
func (s sound) music() sound {
	m := sound{rate: s.rate}
	for _, w := range s.windows() {
		e, tonal := energy(w), false
		for _, f := range tones {
			tonal = tonal || goertzel(w, s.rate, f) > 0.3*e
		}
		if e > audible && !tonal {
			m.samples = append(m.samples, w...)
		}
	}
	return m
}

// seconds is the length of the sound.
func (s sound) seconds() float64 { return float64(len(s.samples)) / float64(s.rate) }

// melodic reports whether the sound spreads over at least three bands of a
// third of an octave: not a hum, not a dial tone.
func (s sound) melodic() bool {
	var total float64
	bands := map[int]float64{}
	for _, w := range s.windows() {
		for f := 100.0; f < 3400; f += 10 {
			p := goertzel(w, s.rate, f)
			bands[int(math.Round(3*math.Log2(f/1000)))] += p
			total += p
		}
	}
	strong := 0
	for _, p := range bands {
		if p > 0.02*total {
			strong++
		}
	}
	return strong >= 3
}

// hearsMusic reports a second and a half of something melodic.
func (s sound) hearsMusic() bool {
	m := s.music()
	return m.seconds() >= 1.5 && m.melodic()
}

func TestSoundProof(t *testing.T) {
	noisy := chord(8000, 1, toneCaller)
	for i := range noisy.samples { // noise-like, about 14 dB below the tone
		noisy.samples[i] += 0.05 * math.Sin(float64(i*i%9973))
	}
	quiet := chord(8000, 1, toneCaller)
	for i := range quiet.samples {
		quiet.samples[i] /= 1000
	}
	for _, c := range []struct {
		name            string
		s               sound
		tone, chord     bool
		music, melodies bool
	}{
		{"silence", sound{8000, make([]float64, 8000)}, false, false, false, false},
		{"tone", chord(8000, 1, toneCaller), true, false, false, false},
		{"tone at 16 kHz", chord(16000, 1, toneCaller), true, false, false, false},
		{"noisy tone", noisy, true, false, false, false},
		{"inaudible tone", quiet, false, false, false, false},
		{"other tone", chord(8000, 1, toneOther), false, false, false, false},
		{"two tones", chord(8000, 1, toneCaller, toneOther), false, false, false, false},
		{"chord", chord(8000, 1, 523, 659, 1047), false, true, true, true},
		{"hum", chord(8000, 1, 100), false, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.s.hears(toneCaller) >= 9; got != c.tone {
				t.Errorf("tone heard: %v", got)
			}
			if got := c.s.hears(523, 659, 1047) >= 9; got != c.chord {
				t.Errorf("chord heard: %v", got)
			}
			if got := c.s.music().seconds() >= 0.9; got != c.music {
				t.Errorf("music heard: %v", got)
			}
			if got := c.s.music().seconds() >= 0.9 && c.s.music().melodic(); got != c.melodies {
				t.Errorf("melody heard: %v", got)
			}
		})
	}
}

func TestWAVRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.wav")
	want := chord(16000, 0.5, toneParker)
	if err := os.WriteFile(path, want.wav(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readWAV(path)
	if err != nil || got.rate != want.rate || len(got.samples) != len(want.samples) || got.hears(toneParker) < 4 {
		t.Errorf("read back %d samples at %d Hz, %v", len(got.samples), got.rate, err)
	}
}
