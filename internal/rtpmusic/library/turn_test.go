package library

import (
	"math"
	"testing"

	"parkd/internal/rtpmusic/codec"
)

// clicks returns the largest step and bend of sound around the sample at, by the
// largest of either piece of music by itself. A codec may be late by 2 ms.
func clicks(pcm []int16, at, rate int, alone ...[]int16) (step, bend float64) {
	var s, b float64
	for _, x := range alone {
		ds, db := roughness(x[rate/4:]) // the start of a decoder is left out
		s, b = max(s, ds), max(b, db)
	}
	ds, db := roughness(pcm[at-rate/1000 : at+3*rate/1000])
	return ds / s, db / b
}

func roughness(x []int16) (step, bend float64) {
	for i := 2; i < len(x); i++ {
		step = max(step, math.Abs(float64(x[i])-float64(x[i-1])))
		bend = max(bend, math.Abs(float64(x[i])-2*float64(x[i-1])+float64(x[i-2])))
	}
	return step, bend
}

// seconds returns the first and the last second of a piece.
func seconds(p *piece, name string) (first, last []byte) {
	b := p.Audio(name)
	return b[:min(len(b), codec.ByteRate)], b[max(0, len(b)-codec.ByteRate):]
}

// Where a stream turns from one loop to another it must not click: not as the old
// one ends, not as it has faded out, not where the new one's own frames begin. And
// the test must hear what a plain cut does.
func TestTurnDoesNotClick(t *testing.T) {
	mono := func(hz, seconds float64) *piece {
		p, err := newPiece(tone(16000, hz, seconds, 0.5), false)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	base, err := defaultLoop()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		from, to *piece
		cut      bool // a plain cut clicks
	}{
		{"tones", mono(440.25, 2), mono(700.7, 2), true},
		{"low tones", mono(150.3, 1.7), mono(260.9, 2), false},
		{"to the default music", mono(440.25, 2), base, false},
		{"from the default music", base, mono(300.3, 2), true},
	} {
		for _, c := range codec.Names() {
			rate := codec.Rate(c)
			decode := func(b ...[]byte) []int16 {
				var all []byte
				for _, x := range b {
					all = append(all, x...)
				}
				return codec.NewDecoder(c).Decode(nil, all)
			}
			oldStart, oldEnd := seconds(tt.from, c)
			newStart, newEnd := seconds(tt.to, c)
			first := turn(tt.from, tt.to)
			rest := first.following()
			if rest.following() != tt.to {
				t.Fatalf("%s: the new loop does not follow", tt.name)
			}
			restStart, _ := seconds(rest, c)
			alone, aloneNext := decode(oldEnd, oldStart), decode(newEnd, newStart)
			pcm := decode(oldEnd, first.Audio(c), restStart)
			end := rate
			fade, lead := rate/fadesPerSecond, turnFrames*rate/framesPerSecond
			for what, at := range map[string]int{"end": end, "fade": end + fade, "lead": end + lead} {
				if step, bend := clicks(pcm, at, rate, alone, aloneNext); step > 1.1 || bend > 1.2 {
					t.Errorf("%s, %s: step %.2f and bend %.2f at the %s", tt.name, c, step, bend, what)
				}
			}
			// After the lead it is the new music, sample for sample, once a decoder has
			// forgotten what was before.
			from := lead
			if c == codec.G722 {
				from += rate / 5
			}
			var wrong float64
			for i, v := range aloneNext[rate+from:] {
				wrong = max(wrong, math.Abs(float64(v)-float64(pcm[end+from+i])))
			}
			if wrong > 200 || c != codec.G722 && wrong > 0 {
				t.Errorf("%s, %s: off by %v after the lead", tt.name, c, wrong)
			}
			_, bend := clicks(decode(oldEnd, newStart), end, rate, alone, aloneNext)
			if tt.cut && c != codec.G722 && bend < 2 { // G.722's filters would round a cut off
				t.Errorf("%s, %s: a cut has a bend of %.2f", tt.name, c, bend)
			}
		}
	}
}
