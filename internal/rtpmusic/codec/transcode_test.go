package codec

import (
	"bytes"
	"slices"
	"testing"
)

func TestTranscoders(t *testing.T) {
	// Delay in samples of the sound that comes out: 22 of G.722's filters at 16 kHz,
	// 15 and 14 of the half-band filter at 8 kHz.
	for _, c := range []struct {
		from, to string
		delay    int
		want     float64 // dB, of G.711's 38
	}{
		{PCMU, PCMA, 0, 32}, {PCMA, PCMU, 0, 32}, {PCMU, PCMU, 0, 36}, {PCMA, PCMA, 0, 36},
		{G722, G722, 22, 45},
		{PCMU, G722, 30 + 22, 34}, {PCMA, G722, 30 + 22, 34},
		{G722, PCMU, 14 + 11, 34}, {G722, PCMA, 14 + 11, 34},
	} {
		payload := NewEncoder(c.from).Encode(nil, tone(Rate(c.from), Rate(c.from), 1000, 10000))
		tr, r := NewTranscoder(c.from, c.to), random(5)
		var out []byte
		for rest := payload; len(rest) > 0; {
			n := min(int(r.next())%480, len(rest))
			before := len(out)
			out = tr.Frame(out, rest[:n])
			if len(out)-before != n {
				t.Fatalf("%s to %s: %d octets became %d", c.from, c.to, n, len(out)-before)
			}
			rest = rest[n:]
		}
		want := tone(Rate(c.to), Rate(c.to), 1000, 10000)
		got := NewDecoder(c.to).Decode(nil, out)
		if ratio := snr(want, got, c.delay); ratio < c.want {
			t.Errorf("%s to %s: %.1f dB, want %.0f dB", c.from, c.to, ratio, c.want)
		}
		if whole := NewTranscoder(c.from, c.to).Frame(nil, payload); !bytes.Equal(whole, out) {
			t.Errorf("%s to %s: a stream in pieces differs from the stream in one", c.from, c.to)
		}
	}
}

func TestTranscoderAllocatesNothing(t *testing.T) {
	for _, from := range Names() {
		for _, to := range Names() {
			tr, payload := NewTranscoder(from, to), AppendSilence(nil, from, FrameSize)
			dst := tr.Frame(nil, payload)
			if n := testing.AllocsPerRun(100, func() { dst = tr.Frame(dst[:0], payload) }); n != 0 {
				t.Errorf("%s to %s: %v allocations a frame", from, to, n)
			}
		}
	}
}

// What a doubled or halved rate must not let through: images and aliases.
func TestHalfband(t *testing.T) {
	level := func(pcm []int16) (peak int16) {
		for _, s := range pcm[200:] {
			peak = max(peak, s, -s)
		}
		return peak
	}
	for _, hz := range []float64{300, 1000, 2000, 3400} {
		up := new(upsampler).process(nil, tone(8000, 8000, hz, 20000))
		if r := snr(tone(16000, 16000, hz, 20000), up, 30); r < 65 {
			t.Errorf("%.0f Hz at twice the rate: %.1f dB", hz, r)
		}
		down := new(downsampler).process(nil, tone(16000, 16000, hz, 20000))
		if r := snr(tone(8000, 8000, hz, 20000), down, 14); r < 65 {
			t.Errorf("%.0f Hz at half the rate: %.1f dB", hz, r)
		}
	}
	for _, hz := range []float64{4600, 5000, 6000, 7500} {
		if p := level(new(downsampler).process(nil, tone(16000, 16000, hz, 30000))); p > 10 { // -70 dB
			t.Errorf("%.0f Hz leaves an alias of %d", hz, p)
		}
	}
}

func TestUnknownCodec(t *testing.T) {
	if Rate("opus") != 0 || NewEncoder("opus") != nil || NewDecoder("pcmu") != nil ||
		NewTranscoder(PCMU, "opus") != nil || NewTranscoder("opus", G722) != nil {
		t.Error("an unknown codec is not refused")
	}
	if slices.Contains(Names(), "opus") || Silence("opus") != 0 {
		t.Error("an unknown codec is known")
	}
}

func TestSilence(t *testing.T) {
	for _, name := range Names() {
		dec := NewDecoder(name)
		dec.Decode(nil, NewEncoder(name).Encode(nil, noise(8000, 20000))) // whatever was before
		dec.Decode(nil, AppendSilence(nil, name, 5*FrameSize))
		pcm := dec.Decode(nil, AppendSilence(nil, name, FrameSize))
		if low, high := slices.Min(pcm), slices.Max(pcm); low < -64 || high > 64 || high-low > 32 {
			t.Errorf("%s: silence reaches from %d to %d", name, low, high)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, name := range Names() {
		enc, pcm := NewEncoder(name), sweep(Rate(name)/50, Rate(name), 3000, 8000)
		dst := make([]byte, 0, FrameSize)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(FrameSize)
			for b.Loop() {
				dst = enc.Encode(dst[:0], pcm)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range Names() {
		dec, payload := NewDecoder(name), NewEncoder(name).Encode(nil, sweep(Rate(name)/50, Rate(name), 3000, 8000))
		dst := make([]int16, 0, Rate(name)/50)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(FrameSize)
			for b.Loop() {
				dst = dec.Decode(dst[:0], payload)
			}
		})
	}
}

func BenchmarkTranscode(b *testing.B) {
	for _, c := range [][2]string{{PCMU, PCMA}, {PCMU, G722}, {G722, PCMU}} {
		tr := NewTranscoder(c[0], c[1])
		payload := NewEncoder(c[0]).Encode(nil, sweep(Rate(c[0])/50, Rate(c[0]), 3000, 8000))
		dst := make([]byte, 0, FrameSize)
		b.Run(c[0]+"-"+c[1], func(b *testing.B) {
			b.SetBytes(FrameSize)
			for b.Loop() {
				dst = tr.Frame(dst[:0], payload)
			}
		})
	}
}
