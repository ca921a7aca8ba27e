package library

import (
	"crypto/sha256"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/wav"
)

// piece is sound encoded for each codec, in whole frames of 20 ms: a loop, or what
// leads from one to another. It is a Piece. Nobody may write into what its methods
// return.
type piece struct {
	mu, a, g722 []byte                // all of one length
	sum         [sha256.Size]byte     // of a loop: of its file; zero if that is inside the program
	edge        *edge                 // of a loop
	of          *piece                // the piece is the end of that loop; else nil
	intro       *piece                // of a loop: what leads to it from silence; else nil
	next        atomic.Pointer[piece] // follows it; nil = itself
}

// edge is a loop as sound around the point where its end meets its start.
type edge struct{ narrow, wide seam }

// seam is an edge at the sampling rate of a codec.
type seam struct {
	end   []int16 // primeSeconds, or all there is
	start []int16 // turnFrames
}

// newPiece makes a loop of a sound, on two cores if it is to be fast. ErrShort if
// there is too little of it.
func newPiece(sound wav.Sound, fast bool) (*piece, error) {
	loop, err := makeLoop(sound.Samples, sound.Rate)
	if err != nil {
		return nil, err
	}
	p := &piece{edge: new(edge)}
	wideBand := func() {
		wide := resample(loop, sound.Rate, codec.G722)
		p.g722 = encodeLoop(codec.G722, wide)
		p.edge.wide = newSeam(codec.G722, wide)
	}
	var other sync.WaitGroup
	if fast {
		other.Go(wideBand)
	} else {
		wideBand()
	}
	narrow := resample(loop, sound.Rate, codec.PCMU)
	p.mu = encodeLoop(codec.PCMU, narrow)
	p.a = encodeLoop(codec.PCMA, narrow)
	p.edge.narrow = newSeam(codec.PCMU, narrow)
	other.Wait()
	p.intro = intro(p)
	return p, nil
}

// again returns the same loop as another piece, which others can follow.
func (p *piece) again() *piece {
	same := &piece{mu: p.mu, a: p.a, g722: p.g722, sum: p.sum, edge: p.edge}
	same.intro = intro(same)
	return same
}

// start is what a stream begins with: a loop is in the middle of its sound where it
// starts, and would click.
func (p *piece) start() *piece {
	if p.intro != nil {
		return p.intro
	}
	return p
}

// Audio returns all frames in a row; nil for an unknown codec.
func (p *piece) Audio(name string) []byte {
	switch name {
	case codec.PCMU:
		return p.mu
	case codec.PCMA:
		return p.a
	case codec.G722:
		return p.g722
	}
	return nil
}

// following returns what is played after the piece.
func (p *piece) following() *piece {
	if p.of != nil {
		p = p.of
	}
	if next := p.next.Load(); next != nil {
		return next
	}
	return p
}

func resample(loop []float32, rate int, name string) []int16 {
	x := wav.Resample(loop, rate, codec.Rate(name))
	pcm := make([]int16, len(x))
	for i, v := range x {
		pcm[i] = clip(float64(v) * (1 << 15))
	}
	return pcm
}

// clip rounds a sample to one of 16 bits.
func clip(v float64) int16 {
	return int16(max(math.MinInt16, min(math.Round(v), math.MaxInt16)))
}

// primeSeconds is how long an encoder with memory listens to the end of a loop
// before it encodes the start. G.722 forgets its past in much less.
const primeSeconds = 1

// encodeLoop encodes a loop so that its start follows its end: a decoder that comes
// from the end is then in the state that the encoder had, and nothing clicks.
func encodeLoop(name string, pcm []int16) []byte {
	return encodeAfter(name, lastSeconds(name, pcm), pcm)
}

// encodeAfter encodes sound for a decoder that comes from other sound.
func encodeAfter(name string, before, pcm []int16) []byte {
	enc := codec.NewEncoder(name)
	enc.Encode(nil, before)
	return enc.Encode(make([]byte, 0, len(pcm)/(codec.Rate(name)/codec.ByteRate)), pcm)
}

func lastSeconds(name string, pcm []int16) []int16 {
	return pcm[max(0, len(pcm)-primeSeconds*codec.Rate(name)):]
}

func newSeam(name string, pcm []int16) seam {
	return seam{
		end:   slices.Clone(lastSeconds(name, pcm)),
		start: slices.Clone(pcm[:turnFrames*codec.Rate(name)/framesPerSecond]),
	}
}
