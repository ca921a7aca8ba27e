// Package srtp protects RTP and RTCP packets and opens protected ones (RFC 3711,
// RFC 7714), each direction of a stream by a key of its own. Cryptography is that of
// pion/srtp.
//
// It promises that a Sender sends no two packets under one SSRC and index, whatever
// it is given; that a Receiver lets nothing through that was not made with its key
// or that came before, and that nothing else changes what it knows; and that packets
// of the usual shape are worked on in place and without allocation. It draws no keys
// and knows nothing of where they come from. Neither type may be used by two
// goroutines at a time.
package srtp

import (
	"errors"
	"fmt"

	"github.com/pion/srtp/v3"
)

// What constructors and packets are refused with.
var (
	// ErrSuite: a crypto-suite of that name is not spoken.
	ErrSuite = errors.New("srtp: unknown suite")
	// ErrKey: the key has not the length that the suite wants.
	ErrKey = errors.New("srtp: wrong length of a key")
	// ErrShape: no RTP or RTCP packet.
	ErrShape = errors.New("srtp: malformed packet")
	// ErrUsed: a packet of that index was sent already, or may have been.
	ErrUsed = errors.New("srtp: index used before")
	// ErrForged: the packet was not made with the key, or came before.
	ErrForged = errors.New("srtp: not authentic")
	// ErrSources: more sources under one key than are kept apart.
	ErrSources = errors.New("srtp: too many sources")
)

// Overhead is by how many octets a packet grows at most: RTCP with an index of four
// (RFC 3711 3.4) and the tag of AES-GCM of sixteen (RFC 7714 13.2).
const Overhead = 20

// suite is what a crypto-suite (RFC 4568 6.2, RFC 7714 14.2) is made of.
type suite struct {
	profile   srtp.ProtectionProfile
	key, salt int // octets
}

var suites = map[string]suite{
	"AES_CM_128_HMAC_SHA1_80": {srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14},
	"AES_CM_128_HMAC_SHA1_32": {srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14},
	"AEAD_AES_128_GCM":        {srtp.ProtectionProfileAeadAes128Gcm, 16, 12},
	"AEAD_AES_256_GCM":        {srtp.ProtectionProfileAeadAes256Gcm, 32, 12},
}

// context makes pion's context of a suite for a master key and the salt after it.
func context(name string, key []byte, options ...srtp.ContextOption) (*srtp.Context, error) {
	s, ok := suites[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %.40q", ErrSuite, name)
	case len(key) != s.key+s.salt:
		return nil, fmt.Errorf("%w: %s wants %d octets", ErrKey, name, s.key+s.salt)
	}
	return srtp.CreateContext(key[:s.key], key[s.key:], s.profile, options...)
}
