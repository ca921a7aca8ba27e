package codec

import "math"

// What FadeOut needs around the sound that fades, in octets: what a decoder of G.722
// must have heard to be where the receiver's is, and its delay and an encoder's.
const (
	FadeBefore = 5 * FrameSize
	FadeAfter  = 11
)

// FadeOut appends n octets of sound as it dies away to dst. sound is the payload of
// the codec called name from before octets before them (FadeBefore, if there are as
// many) until FadeAfter behind them; for whoever has heard it so far it goes on
// without a click. It is nil for a codec that this package does not have.
func FadeOut(dst []byte, name string, sound []byte, before, n int) []byte {
	dec, enc, width := NewDecoder(name), NewEncoder(name), Rate(name)/ByteRate
	if dec == nil {
		return nil
	}
	pcm := dec.Decode(nil, sound)
	if name == G722 { // both ways through the filters delay it
		pcm = pcm[width*FadeAfter:]
	}
	return dieAway(dst, enc, pcm, width*before, width*(before+n))
}

// dieAway appends what lies from start to end, fading, to dst, coded by an encoder that
// has heard what is before it.
func dieAway(dst []byte, enc Encoder, pcm []int16, start, end int) []byte {
	for i := start; i < end; i++ {
		w := (1 + math.Cos(math.Pi*float64(i-start)/float64(end-start))) / 2
		pcm[i] = int16(math.Round(float64(pcm[i]) * w))
	}
	enc.Encode(nil, pcm[:start])
	return enc.Encode(dst, pcm[start:end])
}
