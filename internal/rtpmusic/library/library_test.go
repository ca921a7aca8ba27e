package library

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/wav"
)

// writeWAV writes a mono file of 16 bits.
func writeWAV(t *testing.T, path string, s wav.Sound) {
	t.Helper()
	le := binary.LittleEndian
	b := append([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"), le.AppendUint32(nil, uint32(s.Rate))...)
	b = le.AppendUint32(b, uint32(2*s.Rate))
	b = le.AppendUint32(append(b, "\x02\x00\x10\x00data"...), uint32(2*len(s.Samples)))
	for _, v := range s.Samples {
		b = le.AppendUint16(b, uint16(int16(math.Round(float64(v)*32767))))
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// tone sounds for the given time, which may end in the middle of a wave.
func tone(rate int, hz, seconds, peak float64) wav.Sound {
	x := make([]float32, int(seconds*float64(rate)))
	for i := range x {
		x[i] = float32(peak * math.Cos(2*math.Pi*hz*float64(i)/float64(rate)))
	}
	return wav.Sound{Rate: rate, Samples: x}
}

func TestDefaultMusic(t *testing.T) {
	l, err := Load("/nowhere", []string{Default})
	if err != nil {
		t.Fatal(err)
	}
	tune := l.Tune(Default)
	if tune.Name() != Default {
		t.Fatalf("it is called %q", tune.Name())
	}
	loop := Piece(loopOf(tune))
	if tune.Next(tune.Next(tune.Next(nil))) != loop || tune.Next(loop) != loop {
		t.Error("it is no loop")
	}
	for _, name := range codec.Names() {
		audio := loop.Audio(name)
		if len(audio) != 60*codec.ByteRate {
			t.Errorf("%s: %d octets", name, len(audio))
		}
		checkSound(t, name, codec.NewDecoder(name).Decode(nil, audio))
	}
	if loop.Audio("opus") != nil {
		t.Error("an unknown codec has sound")
	}
}

// checkSound wants music of a fit level: -9 dBFS at most, -20 dBFS in the mean, no
// constant part.
func checkSound(t *testing.T, name string, pcm []int16) {
	t.Helper()
	var peak, sum, square float64
	for _, s := range pcm {
		v := float64(s) / 32768
		peak, sum, square = max(peak, math.Abs(v)), sum+v, square+v*v
	}
	n := float64(len(pcm))
	if db := 20 * math.Log10(peak); db < -10 || db > -8.5 {
		t.Errorf("%s: peak at %.1f dBFS", name, db)
	}
	if db := 10 * math.Log10(square/n); db < -21 || db > -19 {
		t.Errorf("%s: level of %.1f dBFS", name, db)
	}
	if math.Abs(sum/n) > 0.001 {
		t.Errorf("%s: constant part of %.4f", name, sum/n)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	writeWAV(t, filepath.Join(dir, "sales.wav"), tone(44100, 440, 2, 0.5))
	writeWAV(t, filepath.Join(dir, "short.wav"), tone(8000, 440, 0.2, 0.5))
	if err := os.WriteFile(filepath.Join(dir, "broken.wav"), []byte("ID3 and no WAV at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.wav"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := Load(dir, []string{"sales", "gone", "broken", "short", "folder", "../sales", "", "gone"})
	for _, want := range []error{fs.ErrNotExist, wav.ErrFormat, ErrShort, ErrName} {
		if !errors.Is(err, want) {
			t.Errorf("%v is not among the faults: %v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 6 {
		t.Errorf("%d faults, want 6:\n%v", n, err)
	}
	sales := l.Tune("sales")
	if n := len(loopOf(sales).Audio(codec.PCMU)) / codec.FrameSize; sales.Name() != "sales" || n < 90 || n > 100 {
		t.Errorf("sales: %q of %d frames", sales.Name(), n)
	}
	for _, name := range []string{"gone", "broken", "never asked for", Default} {
		if got := l.Tune(name); got == nil || got.Name() != Default {
			t.Errorf("%s: %v, want the default music", name, got)
		}
	}
}

func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		sound, err := wav.Decode(defaultFile)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := newPiece(sound, true); err != nil {
			b.Fatal(err)
		}
	}
}
