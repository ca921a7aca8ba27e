package rtpmusic

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/pion/rtcp"

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

// asOthersWrite checks that a compound of ours is to the octet what pion makes of what
// it says.
func asOthersWrite(t *testing.T, b []byte) {
	t.Helper()
	list, err := rtcp.Unmarshal(b)
	if err != nil {
		t.Fatalf("%v: %x", err, b)
	}
	want, err := rtcp.Marshal(list)
	if err != nil || !bytes.Equal(b, want) {
		t.Errorf("%x, want %x: %v", b, want, err)
	}
	if !isCompound(b) || len(b) > reportRoom {
		t.Errorf("%d octets, compound %t", len(b), isCompound(b))
	}
}
