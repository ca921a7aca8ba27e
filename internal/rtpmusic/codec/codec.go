// Package codec turns 16-bit linear sound into the payload of the three
// telephone codecs that parkd speaks and back: PCMU and PCMA (ITU-T G.711) and
// G722 (ITU-T G.722, mode 1, 64 kbit/s). All of them make 8,000 octets a second,
// so that 20 ms of any of them is a frame of FrameSize octets.
//
// The package keeps state from call to call where the codec has state (G.722 and
// every change of the sampling rate), so a value serves one direction of one
// stream and one goroutine. It knows neither RTP nor lost packets, and never
// fails: each octet string is a valid payload and each sample has a code.
package codec

// The names of the codecs as SDP writes them (RFC 3551 section 6).
const (
	PCMU = "PCMU"
	PCMA = "PCMA"
	G722 = "G722"
)

// FrameSize is the number of octets of 20 ms of sound, in each of the codecs.
const FrameSize = 160

// ByteRate is the number of octets a second, in each of the codecs.
const ByteRate = 8000

// Encoder turns samples into payload.
type Encoder interface {
	// Encode appends the payload of pcm, at Rate(name) samples a second, to dst
	// and returns it. G.722 codes two samples at a time; an odd one waits for the
	// next call.
	Encode(dst []byte, pcm []int16) []byte
}

// Decoder turns payload into samples.
type Decoder interface {
	// Decode appends the samples of payload, at Rate(name) a second, to dst and
	// returns it.
	Decode(dst []int16, payload []byte) []int16
}

// Names returns the codecs of this package.
func Names() []string { return []string{PCMU, PCMA, G722} }

// Rate returns how many samples a second an encoder takes and a decoder gives;
// 0 for a codec that this package does not have. For G722 that is 16000, although
// its RTP clock runs at 8000 (RFC 3551 section 4.5.2).
func Rate(name string) int {
	switch name {
	case PCMU, PCMA:
		return 8000
	case G722:
		return 16000
	}
	return 0
}

// NewEncoder returns an encoder in its initial state, or nil for a codec that this
// package does not have.
func NewEncoder(name string) Encoder {
	switch name {
	case PCMU:
		return muEncoder{}
	case PCMA:
		return aEncoder{}
	case G722:
		return newG722Encoder()
	}
	return nil
}

// NewDecoder returns a decoder in its initial state, or nil for a codec that this
// package does not have.
func NewDecoder(name string) Decoder {
	switch name {
	case PCMU:
		return muDecoder{}
	case PCMA:
		return aDecoder{}
	case G722:
		return newG722Decoder()
	}
	return nil
}

// Silence returns the octet that, repeated, is silence: zero for PCMU, the smallest
// level (8 of 32768) for PCMA, which has no zero, and for G722 a constant of at most
// 64, which cannot be heard, within 100 ms of whatever was before. It is 0 for a codec that this package does not have.
func Silence(name string) byte {
	switch name {
	case PCMU:
		return 0xFF
	case PCMA:
		return 0xD5
	case G722:
		return g722Silence
	}
	return 0
}

// AppendSilence appends n octets of silence (FrameSize of them are 20 ms).
func AppendSilence(dst []byte, name string, n int) []byte {
	octet := Silence(name)
	for range n {
		dst = append(dst, octet)
	}
	return dst
}
