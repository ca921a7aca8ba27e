// Package packet reads what arrives on a media socket: RTP (RFC 3550), RTCP
// beside it on the same port (RFC 5761) and telephone-events (RFC 4733). It is
// pure: no I/O, no clock, no allocation while packets are of the usual shape. It
// never panics, whatever the octets.
package packet

import (
	"encoding/binary"

	"github.com/pion/rtp"
)

// HeaderSize is the length of an RTP header without CSRCs and extensions.
const HeaderSize = 12

// Kind says what a datagram is.
type Kind uint8

// The kinds of datagrams.
const (
	Other Kind = iota // neither: STUN, DTLS, noise
	RTP
	RTCP
)

// Packet is one RTP packet as it lies in the datagram it was read from. The zero
// value is ready; used again and again it does not allocate.
type Packet struct {
	rtp.Header
	Payload []byte // without padding; points into the datagram
	Offset  int    // of Payload in the datagram, at least HeaderSize
}

// Parse reads the datagram b. Only after RTP was returned p is meaningful.
func (p *Packet) Parse(b []byte) Kind {
	if len(b) < 8 || b[0]>>6 != 2 { // RFC 3550 5.1: version 2
		return Other
	}
	if b[1] >= 192 && b[1] <= 223 { // RFC 5761 4: RTCP's packet types
		if 4*(int(binary.BigEndian.Uint16(b[2:]))+1) > len(b) { // RFC 3550 6.4.1: length
			return Other
		}
		return RTCP
	}
	n, err := p.Unmarshal(b)
	if err != nil || n < HeaderSize || n > len(b) {
		return Other
	}
	payload := b[n:]
	if p.Padding { // RFC 3550 5.1: the last octet counts the padding, itself included
		if len(payload) == 0 {
			return Other
		}
		pad := int(payload[len(payload)-1])
		if pad == 0 || pad > len(payload) {
			return Other
		}
		payload = payload[:len(payload)-pad]
	}
	p.Payload, p.Offset = payload, n
	return RTP
}

// PutHeader writes a header of HeaderSize octets to b.
func PutHeader(b []byte, marker bool, pt uint8, seq uint16, ts, ssrc uint32) {
	_ = b[HeaderSize-1]
	b[0] = 2 << 6
	b[1] = pt & 0x7F
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], ssrc)
}
