package library

import (
	"math"

	"parkd/internal/rtpmusic/codec"
)

// turnFrames is how many frames lead from one loop to another, fewer than any loop
// has: at the start of them the old one fades out within 1/fadesPerSecond, and at
// their end a decoder with memory has forgotten it.
const turnFrames = 12

// turn returns what follows the end of one loop so that the other goes on after it
// from its start and without a click. As a loop runs on from its end to its start,
// it is the old one's start that fades out under the new one's.
func turn(from, to *piece) *piece {
	first := &piece{
		mu:   lead(codec.PCMU, from.edge.narrow, to.edge.narrow),
		a:    lead(codec.PCMA, from.edge.narrow, to.edge.narrow),
		g722: lead(codec.G722, from.edge.wide, to.edge.wide),
	}
	n := len(first.mu)
	first.next.Store(&piece{mu: to.mu[n:], a: to.a[n:], g722: to.g722[n:], of: to})
	return first
}

func lead(name string, from, to seam) []byte {
	pcm := append([]int16(nil), to.start...)
	fade := codec.Rate(name) / fadesPerSecond
	for i := range fade {
		in, out := math.Sincos((float64(i) + 0.5) / float64(fade) * math.Pi / 2) // of constant power
		pcm[i] = clip(float64(to.start[i])*in + float64(from.start[i])*out)
	}
	return encodeAfter(name, from.end, pcm)
}

// How a stream begins: a frame of silence, and then the loop fades in. A decoder of
// G.722 that comes from loud voice is far from where the encoder begins; with less it
// would make the first waves nearly three times as large as they are (decision 29).
const (
	introFrames = turnFrames + 1
	introFade   = 8 // frames of them
)

// intro returns what leads from anything to a loop.
func intro(to *piece) *piece {
	first := &piece{
		mu:   fadeIn(codec.PCMU, to.edge.narrow),
		a:    fadeIn(codec.PCMA, to.edge.narrow),
		g722: fadeIn(codec.G722, to.edge.wide),
	}
	const n = turnFrames * codec.FrameSize
	first.next.Store(&piece{mu: to.mu[n:], a: to.a[n:], g722: to.g722[n:], of: to})
	return first
}

func fadeIn(name string, to seam) []byte {
	frame := codec.Rate(name) / framesPerSecond
	pcm := append(make([]int16, frame), to.start...)
	for i := range introFade * frame {
		in := math.Sin((float64(i) + 0.5) / float64(introFade*frame) * math.Pi / 2)
		pcm[frame+i] = clip(float64(to.start[i]) * in * in)
	}
	return encodeAfter(name, nil, pcm)
}
