package library

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/wav"
)

// click looks for a click where the second of two equal rounds of a loop begins:
// the largest step and bend within 1 ms of it, by the largest elsewhere.
func click(pcm []int16, rate int) (step, bend float64) {
	seam, near := len(pcm)/2, rate/1000
	var s, b, seamS, seamB float64
	for i := rate / 4; i < len(pcm); i++ { // the start of a decoder is left out
		ds := math.Abs(float64(pcm[i]) - float64(pcm[i-1]))
		db := math.Abs(float64(pcm[i]) - 2*float64(pcm[i-1]) + float64(pcm[i-2]))
		if i >= seam-near && i <= seam+near {
			seamS, seamB = max(seamS, ds), max(seamB, db)
		} else {
			s, b = max(s, ds), max(b, db)
		}
	}
	return seamS / s, seamB / b
}

func TestSeamDoesNotClick(t *testing.T) {
	sounds := map[string]wav.Sound{
		"whole waves":      tone(16000, 440, 2, 0.5),
		"ends at the peak": tone(16000, 440.25, 2, 0.5),
		"odd length":       tone(44100, 333.3, 2.0123, 0.5),
		"11 kHz":           tone(11025, 333.3, 1.9999, 0.5),
		"odd rate":         tone(8010, 333.3, 3.7, 0.5),
		"beyond telephony": tone(48000, 3000.7, 2.5, 0.9),
	}
	for name, sound := range sounds {
		tune, err := newPiece(sound, true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, c := range codec.Names() {
			if n := len(tune.Audio(c)); n != len(tune.mu) || n%codec.FrameSize != 0 {
				t.Errorf("%s, %s: %d octets", name, c, n)
			}
			twice := append(append([]byte(nil), tune.Audio(c)...), tune.Audio(c)...)
			step, bend := click(codec.NewDecoder(c).Decode(nil, twice), codec.Rate(c))
			if step > 1.05 || bend > 1.1 {
				t.Errorf("%s, %s: step %.2f and bend %.2f at the seam", name, c, step, bend)
			}
		}
	}
}

func TestDefaultMusicDoesNotClick(t *testing.T) {
	tune, err := defaultLoop()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range codec.Names() {
		twice := append(append([]byte(nil), tune.Audio(c)...), tune.Audio(c)...)
		if step, bend := click(codec.NewDecoder(c).Decode(nil, twice), codec.Rate(c)); step > 1 || bend > 1 {
			t.Errorf("%s: step %.2f and bend %.2f at the seam", c, step, bend)
		}
	}
}

// The detector must hear what it is there for.
func TestClickDetector(t *testing.T) {
	x := tone(8000, 440.25, 2, 0.5).Samples // cut at the peak of a wave
	var pcm []int16
	for _, v := range append(append([]float32(nil), x...), x...) {
		pcm = append(pcm, int16(v*32767))
	}
	if _, bend := click(pcm, 8000); bend < 2 {
		t.Errorf("a cut wave has a bend of %.2f", bend)
	}
}

func TestLoopLength(t *testing.T) {
	for _, c := range []struct {
		rate    int
		seconds float64
		hz      float64
		frames  int // 0: too short
	}{
		{16000, 2, 440, 100},  // loops as it is
		{16000, 2, 440.3, 98}, // two frames are faded over the start
		{16000, 2.04, 440.3, 100},
		{44100, 1, 440, 50},
		{11025, 2, 440, 100},
		{11025, 2.02, 440, 98}, // only every other frame is whole
		{8001, 2, 440, 100},
		{8001, 2.5, 440, 100},
		{8001, 1.01, 440, 0},
		{8000, 0.9, 440, 0},
	} {
		name := fmt.Sprintf("%d Hz for %v s", c.rate, c.seconds)
		loop, err := makeLoop(tone(c.rate, c.hz, c.seconds, 0.5).Samples, c.rate)
		switch {
		case c.frames == 0 && !errors.Is(err, ErrShort):
			t.Errorf("%s: %v, want ErrShort", name, err)
		case len(loop)*framesPerSecond != c.frames*c.rate:
			t.Errorf("%s: %d samples and %v, want %d frames", name, len(loop), err, c.frames)
		}
	}
}
