package rtpmusic

import (
	"sync/atomic"
	"testing"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// loop is a tune of which each octet tells where it is.
type loop struct {
	audio map[string][]byte
	after atomic.Pointer[loop] // follows it; nil = itself
}

func (l *loop) Audio(name string) []byte { return l.audio[name] }

// Next implements Tune.
func (l *loop) Next(after Piece) Piece {
	if after == nil {
		return l
	}
	last := after.(*loop)
	if next := last.after.Load(); next != nil {
		return next
	}
	return last
}

// newLoop returns a tune of so many seconds.
func newLoop(seconds int) *loop {
	l := &loop{audio: make(map[string][]byte)}
	for i, name := range codec.Names() {
		b := make([]byte, seconds*codec.ByteRate)
		for j := range b {
			b[j] = byte(j/80) + byte(100*i)
		}
		l.audio[name] = b
	}
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rtpBytes(marker bool, pt uint8, seq uint16, ts, ssrc uint32, payload []byte) []byte {
	b := make([]byte, packet.HeaderSize, packet.HeaderSize+len(payload))
	packet.PutHeader(b, marker, pt, seq, ts, ssrc)
	return append(b, payload...)
}
