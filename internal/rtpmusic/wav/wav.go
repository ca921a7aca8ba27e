// Package wav reads WAV files of the shapes that people have music in, and changes
// their sampling rate. It reads RIFF, RIFX and RF64 (EBU Tech 3306); PCM of 8 to 32
// bits, floating point of 32 and 64, A-law and mu-law, plain or
// WAVE_FORMAT_EXTENSIBLE; one to eight channels; 8 to 192 kHz. It refuses anything else with an error that says what was found, takes no
// more memory than the bounds below allow, and never panics, whatever a file holds.
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"parkd/internal/rtpmusic/codec"
)

// Bounds of what is read.
const (
	MaxBytes   = 128 << 20 // of a file
	MaxSeconds = 15 * 60   // of sound
	MaxSamples = 48000 * MaxSeconds
	MinRate    = 8000
	MaxRate    = 192000

	maxChannels = 8
)

// Errors of Decode; what was found is wrapped around them.
var (
	ErrFormat      = errors.New("not a WAV file")
	ErrTruncated   = errors.New("file is cut short")
	ErrUnsupported = errors.New("unsupported kind of WAV file")
	ErrTooLarge    = errors.New("too large")
	ErrEmpty       = errors.New("no sound in the file")
)

// Sound is one channel of sound; full scale is from -1 to 1.
type Sound struct {
	Rate    int // samples a second
	Samples []float32
}

// Decode decodes a file that lies in memory, which it does not keep. Channels are
// mixed to one by their mean, which cannot clip; floating-point samples beyond full
// scale are clipped. A file that ends before its sound does is refused: it is still
// being written, mostly.
func Decode(file []byte) (Sound, error) {
	if len(file) > MaxBytes {
		return Sound{}, fmt.Errorf("%w: more than %d MB", ErrTooLarge, MaxBytes>>20)
	}
	f, data, err := parse(file)
	if err != nil {
		return Sound{}, err
	}
	frame := f.channels * f.width()
	n := len(data) / frame
	if n == 0 {
		return Sound{}, ErrEmpty
	}
	if most := min(MaxSeconds, MaxSamples/f.rate); n > most*f.rate {
		return Sound{}, fmt.Errorf("%w: %d s of sound, at most %d s", ErrTooLarge, n/f.rate, most)
	}
	s := Sound{Rate: f.rate, Samples: make([]float32, n)}
	f.samples(s.Samples, data)
	return s, nil
}

// parse walks the chunks of a file and returns the format and the sound.
func parse(file []byte) (f format, data []byte, err error) {
	var order binary.ByteOrder
	switch {
	case len(file) < 12:
		return f, nil, fmt.Errorf("%w: %d octets long", ErrFormat, len(file))
	case string(file[:4]) == "RIFF", string(file[:4]) == "RF64", string(file[:4]) == "BW64":
		order = binary.LittleEndian
	case string(file[:4]) == "RIFX":
		order = binary.BigEndian
	default:
		return f, nil, fmt.Errorf("%w: begins with %q", ErrFormat, file[:4])
	}
	if string(file[8:12]) != "WAVE" {
		return f, nil, fmt.Errorf("%w: holds %q", ErrFormat, file[8:12])
	}
	var long uint64 // size of the sound, of an RF64 file
	for rest := file[12:]; len(rest) >= 8; {
		name, size := string(rest[:4]), uint64(order.Uint32(rest[4:]))
		rest = rest[8:]
		if name == "data" && size == math.MaxUint32 && long > 0 {
			size = long
		}
		whole := size <= uint64(len(rest))
		body := rest[:min(size, uint64(len(rest)))]
		switch {
		case name == "ds64" && whole && len(body) >= 16: // EBU Tech 3306: sizes of the file and of the sound
			long = order.Uint64(body[8:])
		case name == "fmt " && whole:
			if f, err = parseFormat(body, order); err != nil {
				return f, nil, err
			}
		case name == "data" && f.rate == 0:
			return f, nil, fmt.Errorf("%w: sound comes before its format", ErrFormat)
		case name == "data" && (whole || size >= unknownSize && long == 0):
			return f, body, nil
		case !whole:
			return f, nil, fmt.Errorf("%w: chunk %q has %d octets of %d", ErrTruncated, name, len(body), size)
		}
		rest = rest[min(len(body)+len(body)&1, len(rest)):] // chunks are padded to even lengths
	}
	if f.rate == 0 {
		return f, nil, fmt.Errorf("%w: no format in it", ErrFormat)
	}
	return f, nil, ErrEmpty
}

// unknownSize and above is what programs write into the size of the sound when
// they write to a pipe and cannot know it: all that follows is sound.
const unknownSize = 0x7FFFF000

// The tags of a format (RFC 2361 and mmreg.h).
const (
	tagPCM        = 0x0001
	tagFloat      = 0x0003
	tagALaw       = 0x0006
	tagMuLaw      = 0x0007
	tagExtensible = 0xFFFE
)

// guidTail ends the sub-format of an extensible format, which begins with a tag
// and two numbers, 0 and 16 (KSDATAFORMAT_SUBTYPE_WAVEFORMATEX).
const guidTail = "\x80\x00\x00\xaa\x00\x38\x9b\x71"

// format is what a file says about its samples.
type format struct {
	tag, channels, rate, bits int
	order                     binary.ByteOrder
}

// width is the number of octets of a sample; one whose bits do not fill them has
// zeros below.
func (f format) width() int { return (f.bits + 7) / 8 }

func parseFormat(b []byte, order binary.ByteOrder) (format, error) {
	if len(b) < 16 {
		return format{}, fmt.Errorf("%w: format of %d octets", ErrFormat, len(b))
	}
	f := format{
		tag: int(order.Uint16(b)), channels: int(order.Uint16(b[2:])),
		rate: int(order.Uint32(b[4:])), bits: int(order.Uint16(b[14:])), order: order,
	}
	align := int(order.Uint16(b[12:]))
	if f.tag == tagExtensible {
		if len(b) < 40 {
			return format{}, fmt.Errorf("%w: extensible format of %d octets", ErrFormat, len(b))
		}
		if order.Uint16(b[28:]) != 0 || order.Uint16(b[30:]) != 16 || string(b[32:40]) != guidTail {
			return format{}, fmt.Errorf("%w: sub-format %x", ErrUnsupported, b[24:40])
		}
		f.tag = int(order.Uint32(b[24:]))
	}
	if err := f.check(); err != nil {
		return format{}, err
	}
	if align != f.channels*f.width() {
		return format{}, fmt.Errorf("%w: %d octets for %d channels of %d bits", ErrFormat, align, f.channels, f.bits)
	}
	return f, nil
}

func (f format) check() error {
	ok := false
	switch f.tag {
	case tagPCM:
		ok = f.bits >= 8 && f.bits <= 32
	case tagFloat:
		ok = f.bits == 32 || f.bits == 64
	case tagALaw, tagMuLaw:
		ok = f.bits == 8
	default:
		return fmt.Errorf("%w: format 0x%04X, not PCM, floating point, A-law or mu-law", ErrUnsupported, f.tag)
	}
	switch {
	case !ok:
		return fmt.Errorf("%w: samples of %d bits in format 0x%04X", ErrUnsupported, f.bits, f.tag)
	case f.channels < 1 || f.channels > maxChannels:
		return fmt.Errorf("%w: %d channels, not 1 to %d", ErrUnsupported, f.channels, maxChannels)
	case f.rate < MinRate || f.rate > MaxRate:
		return fmt.Errorf("%w: %d Hz, not %d to %d", ErrUnsupported, f.rate, MinRate, MaxRate)
	}
	return nil
}

// samples decodes data, of at least len(dst) sample frames, and mixes channels.
func (f format) samples(dst []float32, data []byte) {
	one, width := f.reader(), f.width()
	for i := range dst {
		var sum float32
		for range f.channels {
			sum += one(data)
			data = data[width:]
		}
		dst[i] = sum / float32(f.channels)
	}
}

// reader returns what reads one sample.
func (f format) reader() func([]byte) float32 {
	order := f.order
	switch {
	case f.tag == tagFloat && f.bits == 64:
		return func(b []byte) float32 { return fullScale(math.Float64frombits(order.Uint64(b))) }
	case f.tag == tagFloat:
		return func(b []byte) float32 { return fullScale(float64(math.Float32frombits(order.Uint32(b)))) }
	case f.tag == tagALaw:
		return table(codec.PCMA)
	case f.tag == tagMuLaw:
		return table(codec.PCMU)
	case f.width() == 1: // the only one that is unsigned
		return func(b []byte) float32 { return (float32(b[0]) - 128) / 128 }
	case f.width() == 2:
		return func(b []byte) float32 { return float32(int16(order.Uint16(b))) / (1 << 15) }
	case f.width() == 3 && order == binary.BigEndian:
		return func(b []byte) float32 { return float32(int32(b[0])<<24|int32(b[1])<<16|int32(b[2])<<8) / (1 << 31) }
	case f.width() == 3:
		return func(b []byte) float32 { return float32(int32(b[2])<<24|int32(b[1])<<16|int32(b[0])<<8) / (1 << 31) }
	}
	return func(b []byte) float32 { return float32(int32(order.Uint32(b))) / (1 << 31) }
}

// fullScale clips a sample; one that is no number is silence.
func fullScale(v float64) float32 {
	if v != v {
		return 0
	}
	return float32(max(-1, min(v, 1)))
}

func table(law string) func([]byte) float32 {
	var levels [256]float32
	dec := codec.NewDecoder(law)
	for i := range levels {
		levels[i] = float32(dec.Decode(nil, []byte{byte(i)})[0]) / (1 << 15)
	}
	return func(b []byte) float32 { return levels[b[0]] }
}
