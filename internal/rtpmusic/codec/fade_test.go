package codec

import (
	"fmt"
	"math"
	"testing"
)

// rough returns the largest step and bend of sound.
func rough(x []int16) (step, bend float64) {
	for i := 2; i < len(x); i++ {
		step = max(step, math.Abs(float64(x[i])-float64(x[i-1])))
		bend = max(bend, math.Abs(float64(x[i])-2*float64(x[i-1])+float64(x[i-2])))
	}
	return step, bend
}

// Sound that fades out in its last frame has no step and no bend that it did not have
// before; one that is cut has.
func TestFadeOutDoesNotClick(t *testing.T) {
	for _, name := range Names() {
		for _, hz := range []float64{300, 440, 1000} {
			for _, at := range []int{1, 2, 3, 20} { // frames that are known of what was heard
				t.Run(fmt.Sprintf("%s, %v Hz, %d frames", name, hz, at), func(t *testing.T) {
					rate := Rate(name)
					sound := NewEncoder(name).Encode(nil, join(tone(rate, rate, hz, 12000), tone(rate, rate, hz, 12000)))
					next := ByteRate/2 + 30 + at*FrameSize
					heard := sound[:next]
					before := min(at*FrameSize, FadeBefore)
					dec := NewDecoder(name)
					alone := dec.Decode(nil, heard)
					faded := dec.Decode(nil, FadeOut(nil, name, sound[next-before:next+FrameSize+FadeAfter], before, FrameSize))
					silent := dec.Decode(nil, AppendSilence(nil, name, FrameSize))
					if len(faded) != rate/50 {
						t.Fatalf("%d samples", len(faded))
					}
					near := alone[len(alone)-4:]
					step, bend := rough(alone[rate/4:])
					gotStep, gotBend := rough(join(near, faded, silent))
					t.Logf("step %.2f, bend %.2f of the tone's", gotStep/step, gotBend/bend)
					if name == G722 && at < 2 { // too little
						return
					}
					if gotStep > 1.2*step || gotBend > 1.5*bend {
						t.Errorf("step %.2f, bend %.2f of the tone's", gotStep/step, gotBend/bend)
					}
					if loud, was := power(faded[len(faded)*9/10:]), power(alone[rate/4:]); loud > was/300 {
						t.Errorf("at its end it is at %.1f dB", 10*math.Log10(loud/was))
					}
				})
			}
		}
	}
	if FadeOut(nil, "opus", make([]byte, 300), 0, 160) != nil {
		t.Error("an unknown codec is not refused")
	}
}

func power(x []int16) (sum float64) {
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum / float64(len(x))
}
