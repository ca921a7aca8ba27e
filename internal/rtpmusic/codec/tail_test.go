package codec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// vowel is something like a voice: a pulse of hz rung by three formants.
func vowel(rate, n int, hz float64) []int16 {
	out := make([]int16, n)
	for i := range out {
		t := math.Mod(float64(i), float64(rate)/hz) / float64(rate)
		v := 0.0
		for _, f := range [...]struct{ hz, width, level float64 }{{700, 130, 1}, {1220, 70, 0.5}, {2600, 160, 0.25}} {
			v += f.level * math.Exp(-math.Pi*f.width*t) * math.Sin(2*math.Pi*f.hz*t)
		}
		out[i] = int16(9000 * v)
	}
	return out
}

// A voice that is cut anywhere goes on for ten milliseconds and dies away, without a step
// or a bend that it does not have itself.
func TestTailDoesNotClick(t *testing.T) {
	const n = 10 * ByteRate / 1000
	for _, name := range []string{PCMU, PCMA} {
		for _, kind := range []string{"300 Hz", "440 Hz", "1000 Hz", "vowel of 120 Hz", "vowel of 210 Hz"} {
			t.Run(fmt.Sprintf("%s, %s", name, kind), func(t *testing.T) {
				rate, hz := Rate(name), 0.0
				var pcm []int16
				if _, err := fmt.Sscanf(kind, "vowel of %f", &hz); err == nil {
					pcm = vowel(rate, rate, hz)
				} else if _, err := fmt.Sscan(kind, &hz); err == nil {
					pcm = tone(rate, rate, hz, 12000)
				}
				sound := NewEncoder(name).Encode(nil, pcm)
				var cutStep, cutBend, worstStep, worstBend float64
				for at := ByteRate / 2; at < ByteRate/2+200; at += 7 {
					heard := sound[:at]
					ear, cut := NewDecoder(name), NewDecoder(name)
					alone := ear.Decode(nil, heard)
					cut.Decode(nil, heard)
					silence := AppendSilence(nil, name, FrameSize)
					near := alone[len(alone)-4:]
					tail := Tail(nil, name, heard[at-TailBefore:], n)
					if len(tail) != n {
						t.Fatalf("%d octets", len(tail))
					}
					step, bend := rough(alone[rate/4:])
					a, b := rough(join(near, cut.Decode(nil, silence)))
					cutStep, cutBend = max(cutStep, a/step), max(cutBend, b/bend)
					a, b = rough(join(near, ear.Decode(nil, tail), ear.Decode(nil, silence)))
					worstStep, worstBend = max(worstStep, a/step), max(worstBend, b/bend)
				}
				t.Logf("cut: step %.2f, bend %.2f; with a tail: %.2f, %.2f", cutStep, cutBend, worstStep, worstBend)
				if worstStep > 1.2 || worstBend > 1.6 {
					t.Errorf("step %.2f, bend %.2f of its own", worstStep, worstBend)
				}
			})
		}
	}
}

// Noise, what is short, silence and nonsense have a tail that never grows, or none.
func TestTailOfAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range Names() {
		for size := range 2 * FrameSize {
			sound := make([]byte, size)
			for i := range sound {
				sound[i] = byte(r.Uint32())
			}
			tail := Tail(nil, name, sound, 80)
			if len(tail) != 0 && len(tail) != 80 {
				t.Fatalf("%s: %d octets after %d", name, len(tail), size)
			}
		}
		if tail := Tail(nil, name, AppendSilence(nil, name, FrameSize), 80); tail != nil {
			t.Errorf("%s: silence has a tail", name)
		}
	}
	if Tail(nil, G722, NewEncoder(G722).Encode(nil, tone(16000, 1600, 440, 12000)), 80) != nil || Tail(nil, "opus", make([]byte, 300), 80) != nil {
		t.Error("another codec has a tail")
	}
}

func BenchmarkTail(b *testing.B) {
	sound := NewEncoder(PCMA).Encode(nil, tone(8000, 8000, 440, 12000))[:TailBefore]
	for b.Loop() {
		Tail(nil, PCMA, sound, 80)
	}
}

// FuzzTail makes tails of whatever is sent as voice.
func FuzzTail(f *testing.F) {
	f.Add(uint8(0), []byte{})
	f.Add(uint8(1), []byte{0x80})
	f.Add(uint8(1), NewEncoder(PCMA).Encode(nil, tone(160, 8000, 440, 12000)))
	f.Add(uint8(2), NewEncoder(G722).Encode(nil, tone(16000, 1600, 440, 12000)))
	f.Fuzz(func(t *testing.T, kind uint8, sound []byte) {
		name := Names()[int(kind)%len(Names())]
		if tail := Tail(nil, name, sound[:min(len(sound), TailBefore)], 80); len(tail) != 0 && len(tail) != 80 {
			t.Fatalf("%d octets", len(tail))
		}
	})
}
