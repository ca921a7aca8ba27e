package srtp

import (
	"encoding/binary"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Sender protects what is sent under one key, which nobody else ever used.
type Sender struct {
	ctx     *srtp.Context
	header  rtp.Header
	streams []sent
}

// maxSent bounds how many streams one key protects; a new one takes its place when
// SSRCs have collided, and no more.
const maxSent = 8

// sent is which packets of a stream have been sent.
type sent struct {
	ssrc  uint32
	first uint64 // index of its first packet
	high  uint64 // the highest index so far
	mask  uint64 // of the 64 up to high: bit n is that of high-n
}

// NewSender makes a Sender of a crypto-suite's name and a key with its salt.
// Sequence numbers begin below 2^15, so that a loss at the start hides no roll over
// from the receiver (RFC 3711 3.3.1); that is the caller's part. Errors: ErrSuite,
// ErrKey.
func NewSender(suite string, key []byte) (*Sender, error) {
	ctx, err := context(suite, key)
	if err != nil {
		return nil, err
	}
	return &Sender{ctx: ctx}, nil
}

// RTP protects a packet in place and returns it, longer by up to Overhead octets;
// without that much room behind b it is copied. Errors: ErrShape, ErrUsed for a
// packet that must not be sent, ErrSources.
func (s *Sender) RTP(b []byte) ([]byte, error) {
	if len(b) < 12 {
		return nil, ErrShape
	}
	ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	if err := s.use(ssrc, seq); err != nil {
		return nil, err
	}
	out, err := s.ctx.EncryptRTP(b, b, &s.header)
	if err != nil {
		return nil, ErrShape
	}
	return out, nil
}

// use takes note that a packet is sent. RFC 3711 9.1: no keystream twice, be it that
// a peer whose voice is relayed uses a number again for something else.
func (s *Sender) use(ssrc uint32, seq uint16) error {
	for i := range s.streams {
		if s.streams[i].ssrc == ssrc {
			return s.streams[i].use(seq)
		}
	}
	if len(s.streams) == maxSent {
		return ErrSources
	}
	at := uint64(seq)
	s.streams = append(s.streams, sent{ssrc: ssrc, first: at, high: at, mask: 1})
	return nil
}

func (s *sent) use(seq uint16) error {
	step := int64(int16(seq - uint16(s.high)))
	at := int64(s.high) + step
	switch {
	case step > 0:
		s.high = uint64(at)
		s.mask = s.mask<<min(step, 64) | 1
		return nil
	case step <= -64 || at < int64(s.first) || s.mask>>-step&1 != 0:
		return ErrUsed
	}
	s.mask |= 1 << -step
	return nil
}

// RTCP does the same to a compound of RTCP packets, under an index of its own
// (RFC 3711 3.4). Errors: ErrShape.
func (s *Sender) RTCP(b []byte) ([]byte, error) {
	if len(b) < 8 {
		return nil, ErrShape
	}
	out, err := s.ctx.EncryptRTCP(b, b, nil)
	if err != nil {
		return nil, ErrShape
	}
	return out, nil
}
