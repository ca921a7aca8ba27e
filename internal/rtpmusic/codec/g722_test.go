package codec

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var writeSignal = flag.String("signal", "", "write the signal of testdata/reference.g722 to this file, 16-bit little endian")

// reference is tones, a sweep, noise and silence, at levels from faint to full.
func reference() []int16 {
	return join(tone(1600, 16000, 1000, 12000), sweep(3200, 16000, 7000, 8000),
		noise(1600, 3000), make([]int16, 400), tone(800, 16000, 300, 40), tone(400, 16000, 5300, 30000))
}

// testdata/reference.g722 is the stream that ffmpeg 5.1 makes of reference; how is
// written in testdata/README.md. Both directions agree with ffmpeg in every bit.
func TestG722AgainstFFmpeg(t *testing.T) {
	if *writeSignal != "" {
		if err := os.WriteFile(*writeSignal, pcmBytes(reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/reference.g722")
	if err != nil {
		t.Fatal(err)
	}
	if got := newG722Encoder().Encode(nil, reference()); !bytes.Equal(got, want) {
		t.Errorf("the encoder's stream differs from ffmpeg's")
	}
	if got := pcmCRC(newG722Decoder().Decode(nil, want)); got != 0x6621A27F {
		t.Errorf("decoded CRC %08X, ffmpeg's is %08X", got, 0x6621A27F)
	}
	// Octets at random reach what no encoder sends: codes 0 to 3, and overflows.
	if got := pcmCRC(newG722Decoder().Decode(nil, randomOctets(16000))); got != 0x5E6F9C69 {
		t.Errorf("random octets decoded: CRC %08X, ffmpeg's is %08X", got, 0x5E6F9C69)
	}
}

func randomOctets(n int) []byte {
	r, b := random(7), make([]byte, n)
	for i := range b {
		b[i] = byte(r.next() >> 8)
	}
	return b
}

func TestG722Sounds(t *testing.T) {
	for _, c := range []struct {
		name string
		pcm  []int16
		want float64 // dB
	}{
		{"400 Hz", tone(16000, 16000, 400, 10000), 55},
		{"1 kHz", tone(16000, 16000, 1000, 10000), 45},
		{"3 kHz", tone(16000, 16000, 3000, 10000), 40},
		{"sweep to 7 kHz", sweep(32000, 16000, 7000, 8000), 26},
		{"noise", noise(16000, 8000), 11}, // two bits for the upper half
	} {
		got := newG722Decoder().Decode(nil, newG722Encoder().Encode(nil, c.pcm))
		if ratio := snr(c.pcm, got, 22); ratio < c.want { // 22: the delay of the two filters
			t.Errorf("%s: %.1f dB, want %.0f dB", c.name, ratio, c.want)
		}
	}
}

func TestG722OddLengths(t *testing.T) {
	pcm := sweep(1600, 16000, 7000, 8000)
	want := newG722Encoder().Encode(nil, pcm)
	enc, r := newG722Encoder(), random(3)
	var got []byte
	for rest := pcm; len(rest) > 0; {
		n := min(int(r.next())%7, len(rest))
		got, rest = enc.Encode(got, rest[:n]), rest[n:]
	}
	if !bytes.Equal(got, want) {
		t.Error("a stream in pieces differs from the stream in one")
	}
}
