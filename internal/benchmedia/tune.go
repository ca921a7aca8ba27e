package benchmedia

import "parkd/internal/rtpmusic"

// noise is music of three minutes: each stream reads another part of memory.
type noise struct{ audio []byte }

func newNoise() *noise {
	n := &noise{make([]byte, 3*60*8000)}
	for i := range n.audio {
		n.audio[i] = byte(i * i)
	}
	return n
}

// Next implements rtpmusic.Tune.
func (n *noise) Next(rtpmusic.Piece) rtpmusic.Piece { return n }

// Audio implements rtpmusic.Piece.
func (n *noise) Audio(string) []byte { return n.audio }
