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

// A stream that begins does not click, though its loop is in the middle of a wave; a
// little later it is the loop, octet for octet, which streams share.
func TestStartDoesNotClick(t *testing.T) {
	loud, err := newPiece(tone(16000, 440.25, 2, 0.5), false)
	if err != nil {
		t.Fatal(err)
	}
	base, err := defaultLoop()
	if err != nil {
		t.Fatal(err)
	}
	for what, loop := range map[string]*piece{"a tone": loud, "the default music": base} {
		tune := newTune("", loop)
		for _, c := range codec.Names() {
			rate := codec.Rate(c)
			first := tune.Next(nil)
			rest := tune.Next(first)
			if &rest.Audio(c)[0] != &loop.Audio(c)[turnFrames*codec.FrameSize] || tune.Next(rest) != Piece(loop) {
				t.Fatalf("%s, %s: the loop does not follow", what, c)
			}
			hear := func(audio ...[]byte) (pcm []int16) {
				dec := codec.NewDecoder(c)
				pcm = dec.Decode(nil, codec.AppendSilence(nil, c, codec.ByteRate))
				for _, b := range audio {
					pcm = dec.Decode(pcm, b)
				}
				return pcm
			}
			start, _ := seconds(loop, c)
			more, _ := seconds(rest.(*piece), c)
			faded, cut := hear(first.Audio(c), more), hear(start)
			alone := cut[rate:]
			begin := rate + rate/framesPerSecond
			for _, at := range []int{rate, begin, begin + introFade*rate/framesPerSecond, rate + introFrames*rate/framesPerSecond} {
				if step, bend := clicks(faded, at, rate, alone); step > 1.1 || bend > 1.2 {
					t.Errorf("%s, %s: step %.2f and bend %.2f", what, c, step, bend)
				}
			}
			if loud := energy(faded[begin : begin+rate/100]); loud > energy(alone)/100 {
				t.Errorf("%s, %s: the first 10 ms are at %.1f dB of the music", what, c, 10*math.Log10(loud/energy(alone)))
			}
			if step, bend := clicks(cut, rate, rate, alone); what == "a tone" && c != codec.G722 && max(step, bend) < 2 {
				t.Errorf("%s, %s: the test does not hear a cut: %.2f, %.2f", what, c, step, bend)
			}
		}
	}
}

// Whatever a receiver heard before, the start of music is not louder than the music.
func TestStartAfterVoice(t *testing.T) {
	loop, err := newPiece(tone(16000, 440.25, 2, 0.5), false)
	if err != nil {
		t.Fatal(err)
	}
	tune := newTune("", loop)
	peak := func(pcm []int16) (p float64) {
		for _, v := range pcm {
			p = max(p, math.Abs(float64(v)))
		}
		return p
	}
	for _, c := range codec.Names() {
		rate, first := codec.Rate(c), tune.Next(nil)
		rest, _ := seconds(tune.Next(first).(*piece), c)
		for _, hz := range []float64{150, 200, 300, 440, 1000, 3000} {
			voice := resample(tone(rate, hz, 1, 0.5).Samples, rate, c)
			hear := func(music ...[]byte) float64 {
				dec := codec.NewDecoder(c)
				dec.Decode(nil, codec.NewEncoder(c).Encode(nil, voice))
				var pcm []int16
				for _, b := range music {
					pcm = dec.Decode(pcm, b)
				}
				return peak(pcm[rate/500:]) / (0.5 * 32768) // without the last of the voice, 1.4 ms late
			}
			if p := hear(first.Audio(c), rest); p > 1.1 {
				t.Errorf("%s: after %v Hz the music begins at %.2f times its peak", c, hz, p)
			}
			plain := turn(&piece{edge: loop.edge}, loop).Audio(c) // what leads from other music
			if p := hear(plain, rest); c == codec.G722 && hz == 200 && p < 1.1 {
				t.Errorf("%s: the test does not hear what is too loud: %.2f", c, p)
			}
		}
	}
}

func energy(x []int16) (sum float64) {
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum / float64(len(x))
}
