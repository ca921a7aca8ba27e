package library

import (
	"sync"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/wav"
)

// Tune is a piece of music as a loop of 20 ms frames, encoded for each codec. It is
// immutable: nobody may write into what its methods return.
type Tune struct {
	name        string
	mu, a, g722 []byte // whole frames, all of one length
}

// NewTune makes a tune of a sound. ErrShort if there is too little of it.
func NewTune(name string, sound wav.Sound) (*Tune, error) {
	loop, err := makeLoop(sound.Samples, sound.Rate)
	if err != nil {
		return nil, err
	}
	t := &Tune{name: name}
	var wide sync.WaitGroup
	wide.Go(func() { t.g722 = encodeLoop(codec.G722, resample(loop, sound.Rate, codec.G722)) })
	narrow := resample(loop, sound.Rate, codec.PCMU)
	t.mu = encodeLoop(codec.PCMU, narrow)
	t.a = encodeLoop(codec.PCMA, narrow)
	wide.Wait()
	return t, nil
}

// Name returns the name that the tune was loaded by.
func (t *Tune) Name() string { return t.name }

// Len returns the number of frames of 20 ms, the same for each codec; after the
// last comes the first again.
func (t *Tune) Len() int { return len(t.mu) / codec.FrameSize }

// Frame returns the codec.FrameSize octets of frame i, from 0 to Len()-1, without
// allocating or copying; nil for an unknown codec.
func (t *Tune) Frame(name string, i int) []byte {
	audio := t.Audio(name)
	if audio == nil {
		return nil
	}
	from, to := i*codec.FrameSize, (i+1)*codec.FrameSize
	return audio[from:to:to]
}

// Audio returns all frames in a row, for packets of other lengths than 20 ms; nil
// for an unknown codec.
func (t *Tune) Audio(name string) []byte {
	switch name {
	case codec.PCMU:
		return t.mu
	case codec.PCMA:
		return t.a
	case codec.G722:
		return t.g722
	}
	return nil
}

func resample(loop []float32, rate int, name string) []int16 {
	x := wav.Resample(loop, rate, codec.Rate(name))
	pcm := make([]int16, len(x))
	for i, v := range x {
		v *= 1 << 15
		if v < 0 {
			v--
		}
		pcm[i] = int16(max(-1<<15, min(v+0.5, 1<<15-1)))
	}
	return pcm
}

// primeSeconds is how long an encoder with memory listens to the end of a loop
// before it encodes the start. G.722 forgets its past in much less.
const primeSeconds = 1

// encodeLoop encodes a loop so that its start follows its end: a decoder that comes
// from the end is then in the state that the encoder had, and nothing clicks.
func encodeLoop(name string, pcm []int16) []byte {
	enc := codec.NewEncoder(name)
	enc.Encode(nil, pcm[max(0, len(pcm)-primeSeconds*codec.Rate(name)):])
	return enc.Encode(make([]byte, 0, len(pcm)/(codec.Rate(name)/codec.ByteRate)), pcm)
}
