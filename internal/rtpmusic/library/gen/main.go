// Command gen composes and renders the music that ships inside parkd: a minute that
// loops, for telephones. Everything in it, the piece and the sounds, is made here,
// so that nobody else has rights in it.
//
// It writes the same octets whenever and wherever it runs: no product is fused with
// a sum, and sines and powers are rounded to far fewer digits than any two
// implementations of them could differ in.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "default.wav", "file to write")
	flag.Parse()
	if err := os.WriteFile(*out, encode(render()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// encode makes a WAV file of one channel of 16 bits.
func encode(pcm []int16) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("RIFF"), uint32(36+2*len(pcm)))
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(le.AppendUint16(b, 1), 1) // PCM, mono
	b = le.AppendUint32(le.AppendUint32(b, rate), 2*rate)
	b = le.AppendUint16(le.AppendUint16(b, 2), 16)
	b = le.AppendUint32(append(b, "data"...), uint32(2*len(pcm)))
	for _, s := range pcm {
		b = le.AppendUint16(b, uint16(s))
	}
	return b
}
