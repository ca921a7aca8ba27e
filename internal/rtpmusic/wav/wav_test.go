package wav

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
)

// build makes a file of a format chunk, then others as pairs of name and body.
func build(order binary.AppendByteOrder, format []byte, chunks ...string) []byte {
	var body []byte
	add := func(name, b string) {
		body = append(body, name...)
		body = order.AppendUint32(body, uint32(len(b)))
		body = append(body, b...)
		if len(b)%2 == 1 {
			body = append(body, 0)
		}
	}
	if format != nil {
		add("fmt ", string(format))
	}
	for i := 0; i < len(chunks); i += 2 {
		add(chunks[i], chunks[i+1])
	}
	magic := "RIFF"
	if order.String() == "BigEndian" {
		magic = "RIFX"
	}
	return append(append(order.AppendUint32([]byte(magic), uint32(4+len(body))), "WAVE"...), body...)
}

func formatChunk(order binary.AppendByteOrder, tag, channels, rate, bits int) []byte {
	b := order.AppendUint16(nil, uint16(tag))
	b = order.AppendUint16(b, uint16(channels))
	b = order.AppendUint32(b, uint32(rate))
	width := (bits + 7) / 8
	b = order.AppendUint32(b, uint32(rate*channels*width))
	b = order.AppendUint16(b, uint16(channels*width))
	return order.AppendUint16(b, uint16(bits))
}

func extensible(order binary.AppendByteOrder, tag, channels, rate, bits int) []byte {
	b := formatChunk(order, tagExtensible, channels, rate, bits)
	b = order.AppendUint16(b, 22)
	b = order.AppendUint16(b, uint16(bits))
	b = order.AppendUint32(b, 0)
	b = order.AppendUint32(b, uint32(tag))
	b = order.AppendUint16(order.AppendUint16(b, 0), 16)
	return append(b, guidTail...)
}

var le, be = binary.LittleEndian, binary.BigEndian

type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// half is +0.5 and -0.5 in each format.
var half = map[string]struct {
	format []byte
	order  order
	data   string
}{
	"8 bits":          {formatChunk(le, tagPCM, 1, 8000, 8), le, "\xC0\x40"},
	"16 bits":         {formatChunk(le, tagPCM, 1, 8000, 16), le, "\x00\x40\x00\xC0"},
	"16 bits, RIFX":   {formatChunk(be, tagPCM, 1, 8000, 16), be, "\x40\x00\xC0\x00"},
	"24 bits":         {formatChunk(le, tagPCM, 1, 8000, 24), le, "\x00\x00\x40\x00\x00\xC0"},
	"24 bits, RIFX":   {formatChunk(be, tagPCM, 1, 8000, 24), be, "\x40\x00\x00\xC0\x00\x00"},
	"32 bits":         {formatChunk(le, tagPCM, 1, 8000, 32), le, "\x00\x00\x00\x40\x00\x00\x00\xC0"},
	"float":           {formatChunk(le, tagFloat, 1, 8000, 32), le, "\x00\x00\x00\x3F\x00\x00\x00\xBF"},
	"A-law":           {formatChunk(le, tagALaw, 1, 8000, 8), le, "\xA5\x25"},
	"mu-law":          {formatChunk(le, tagMuLaw, 1, 8000, 8), le, "\x8F\x0F"},
	"extensible":      {extensible(le, tagPCM, 1, 8000, 16), le, "\x00\x40\x00\xC0"},
	"extensible RIFX": {extensible(be, tagFloat, 1, 8000, 32), be, "\x3F\x00\x00\x00\xBF\x00\x00\x00"},
	"12 bits":         {formatChunk(le, tagPCM, 1, 8000, 12), le, "\x00\x40\x00\xC0"},
	"20 bits":         {formatChunk(le, tagPCM, 1, 8000, 20), le, "\x00\x00\x40\x00\x00\xC0"},
	"double":          {formatChunk(le, tagFloat, 1, 8000, 64), le, "\x00\x00\x00\x00\x00\x00\xE0\x3F\x00\x00\x00\x00\x00\x00\xE0\xBF"},
	"192 kHz":         {formatChunk(le, tagPCM, 1, 192000, 24), le, "\x00\x00\x40\x00\x00\xC0"},
	"8 channels":      {extensible(le, tagPCM, 8, 96000, 16), le, strings.Repeat("\x00\x40", 8) + strings.Repeat("\x00\x00\x00\x80", 4)},
	"stereo":          {formatChunk(le, tagPCM, 2, 8000, 16), le, "\x00\x20\x00\x60\x00\x80\x00\x00"},
}

func TestFormats(t *testing.T) {
	for name, c := range half {
		s, err := Decode(build(c.order, c.format, "LIST", "odd", "data", c.data, "id3 ", "after"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if rate := int(c.order.Uint32(c.format[4:])); s.Rate != rate || len(s.Samples) != 2 || math.Abs(float64(s.Samples[0])-0.5) > 0.02 || math.Abs(float64(s.Samples[1])+0.5) > 0.02 {
			t.Errorf("%s: %d Hz, %v", name, s.Rate, s.Samples)
		}
	}
}

func TestFullScale(t *testing.T) {
	loud := build(le, formatChunk(le, tagPCM, 2, 48000, 16), "data", "\xFF\x7F\xFF\x7F\x00\x80\x00\x80")
	s, err := Decode(loud)
	if err != nil || s.Samples[0] < 0.999 || s.Samples[0] > 1 || s.Samples[1] != -1 {
		t.Errorf("stereo at full scale: %v, %v", s.Samples, err)
	}
	wild := build(le, formatChunk(le, tagFloat, 1, 8000, 32), "data",
		"\x00\x00\x80\x7F\x00\x00\x80\xFF\x00\x00\xC0\x7F\x00\x00\x00\x40") // inf, -inf, NaN, 2
	if s, err = Decode(wild); err != nil || s.Samples[0] != 1 || s.Samples[1] != -1 || s.Samples[2] != 0 || s.Samples[3] != 1 {
		t.Errorf("beyond full scale: %v, %v", s.Samples, err)
	}
}

func TestFaults(t *testing.T) {
	good := formatChunk(le, tagPCM, 1, 8000, 16)
	bent := formatChunk(le, tagPCM, 1, 8000, 16)
	bent[12] = 3
	guid := extensible(le, tagPCM, 1, 8000, 16)
	guid[39]++
	for _, c := range []struct {
		name string
		file []byte
		err  error
		says string
	}{
		{"nothing", nil, ErrFormat, "0 octets"},
		{"MP3", []byte("ID3\x04 and some more of it"), ErrFormat, `"ID3\x04"`},
		{"AVI", []byte("RIFF\x00\x00\x00\x00AVI and more"), ErrFormat, `"AVI "`},
		{"no chunks", build(le, nil), ErrFormat, "no format"},
		{"no sound chunk", build(le, good), ErrEmpty, ""},
		{"empty sound", build(le, good, "data", ""), ErrEmpty, ""},
		{"half a sample", build(le, good, "data", "x"), ErrEmpty, ""},
		{"sound first", build(le, nil, "data", "1234"), ErrFormat, "before its format"},
		{"short format", build(le, good[:15], "data", "1234"), ErrFormat, "format of 15"},
		{"block size", build(le, bent, "data", "1234"), ErrFormat, "3 octets for 1 channels of 16"},
		{"cut", build(le, good, "data", "1234")[:46], ErrTruncated, `"data" has 2 octets of 4`},
		{"cut format", build(le, good, "data", "1234")[:30], ErrTruncated, `"fmt "`},
		{"ADPCM", build(le, formatChunk(le, 2, 1, 8000, 4), "data", "1234"), ErrUnsupported, "0x0002"},
		{"half float", build(le, formatChunk(le, tagFloat, 1, 8000, 16), "data", "12345678"), ErrUnsupported, "16 bits"},
		{"4 bits", build(le, formatChunk(le, tagPCM, 1, 8000, 4), "data", "12345678"), ErrUnsupported, "4 bits"},
		{"64 bits", build(le, formatChunk(le, tagPCM, 1, 8000, 64), "data", "12345678"), ErrUnsupported, "64 bits"},
		{"9 channels", build(le, formatChunk(le, tagPCM, 9, 8000, 16), "data", "123456789012345678"), ErrUnsupported, "9 channels"},
		{"no channels", build(le, formatChunk(le, tagPCM, 0, 8000, 16), "data", "1234"), ErrUnsupported, "0 channels"},
		{"384 kHz", build(le, formatChunk(le, tagPCM, 1, 384000, 16), "data", "1234"), ErrUnsupported, "384000 Hz"},
		{"0 Hz", build(le, formatChunk(le, tagPCM, 1, 0, 16), "data", "1234"), ErrUnsupported, "0 Hz"},
		{"short extensible", build(le, guid[:30], "data", "1234"), ErrFormat, "30 octets"},
		{"other sub-format", build(le, guid, "data", "1234"), ErrUnsupported, "sub-format"},
		{"an hour", build(le, formatChunk(le, tagPCM, 1, 8000, 8), "data", strings.Repeat("x", 3600*8000)), ErrTooLarge, "3600 s"},
		{"ten minutes at 192 kHz", build(le, formatChunk(le, tagPCM, 1, 192000, 8), "data", strings.Repeat("x", 600*192000)), ErrTooLarge, "600 s of sound, at most 225 s"},
		{"RF64 cut", rf64("123456", 8), ErrTruncated, `"data" has 6 octets of 8`},
	} {
		_, err := Decode(c.file)
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", c.name, err, c.err, c.says)
		}
	}
	if _, err := Decode(make([]byte, MaxBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a huge file: %v", err)
	}
}

// A program that writes to a pipe cannot know the size of the sound.
func TestPipedFile(t *testing.T) {
	for _, size := range []uint32{0xFFFFFFFF, 0x7FFFF000, 0x80000000} {
		b := build(le, formatChunk(le, tagPCM, 1, 8000, 16), "data", "123456")
		le.PutUint32(b[40:], size)
		if s, err := Decode(b); err != nil || len(s.Samples) != 3 {
			t.Errorf("size %08X: %d samples, %v", size, len(s.Samples), err)
		}
	}
}

// rf64 is a file of which ds64 says how long the sound is, and not what follows it.
func rf64(data string, long int) []byte {
	ds64 := le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, 0), uint64(long)), 0)
	b := build(le, nil, "ds64", string(le.AppendUint32(ds64, 0)),
		"fmt ", string(formatChunk(le, tagPCM, 1, 8000, 16)), "data", data)
	copy(b, "RF64\xFF\xFF\xFF\xFF")
	le.PutUint32(b[len(b)-len(data)-4:], math.MaxUint32)
	return b
}

func TestRF64(t *testing.T) {
	s, err := Decode(append(rf64("\x00\x40\x00\xC0", 4), "LIST\x04\x00\x00\x00more"...))
	if err != nil || len(s.Samples) != 2 || s.Samples[0] != 0.5 || s.Samples[1] != -0.5 {
		t.Errorf("%v, %v", s.Samples, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range half {
		f.Add(build(c.order, c.format, "LIST", "odd", "data", c.data))
	}
	f.Add(rf64("12345678", 4))
	f.Add(build(le, formatChunk(le, tagPCM, 2, 44100, 24), "data", "123456")[:50])
	f.Add([]byte("RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := Decode(file)
		if err != nil {
			return
		}
		if s.Rate < MinRate || s.Rate > MaxRate || len(s.Samples) == 0 || len(s.Samples) > len(file) {
			t.Fatalf("%d samples at %d Hz from %d octets", len(s.Samples), s.Rate, len(file))
		}
		for _, v := range s.Samples {
			if !(v >= -1 && v <= 1) {
				t.Fatalf("a sample of %v", v)
			}
		}
	})
}
