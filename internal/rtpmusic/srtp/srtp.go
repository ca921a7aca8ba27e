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
	// ErrMKI: of several keys one has no MKI, or not its own, or not of the others' length.
	ErrMKI = errors.New("srtp: keys that cannot be told apart")
	// ErrShape: no RTP or RTCP packet.
	ErrShape = errors.New("srtp: malformed packet")
	// ErrUsed: a packet of that index was sent already, or may have been.
	ErrUsed = errors.New("srtp: index used before")
	// ErrForged: the packet was not made with the key, or came before.
	ErrForged = errors.New("srtp: not authentic")
	// ErrSpent: the key has protected as many packets as it may.
	ErrSpent = errors.New("srtp: lifetime of the key is over")
	// ErrSources: more sources under one key than are kept apart.
	ErrSources = errors.New("srtp: too many sources")
)

// Overhead is by how many octets a packet grows at most: RTCP with an index of four
// (RFC 3711 3.4) and the tag of AES-GCM of sixteen (RFC 7714 13.2).
const Overhead = 20

// suite is what a crypto-suite (RFC 4568 6.2, RFC 7714 14.1) is made of.
type suite struct {
	profile   srtp.ProtectionProfile
	key, salt int // octets
	rtp, rtcp int // octets of the tag behind an MKI; that of AES-GCM is before it
}

var suites = map[string]suite{
	"AES_CM_128_HMAC_SHA1_80": {srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14, 10, 10},
	"AES_CM_128_HMAC_SHA1_32": {srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14, 4, 10},
	"AEAD_AES_128_GCM":        {srtp.ProtectionProfileAeadAes128Gcm, 16, 12, 0, 0},
	"AEAD_AES_256_GCM":        {srtp.ProtectionProfileAeadAes256Gcm, 32, 12, 0, 0},
}

// context makes pion's context of a suite for a master key and the salt after it.
func context(name string, key []byte, options ...srtp.ContextOption) (*srtp.Context, error) {
	if err := fits(name, key); err != nil {
		return nil, err
	}
	s := suites[name]
	return srtp.CreateContext(key[:s.key], key[s.key:], s.profile, options...)
}

// fits says whether a key has the length that a suite wants. Errors: ErrSuite, ErrKey.
func fits(name string, key []byte) error {
	s, ok := suites[name]
	switch {
	case !ok:
		return fmt.Errorf("%w: %.40q", ErrSuite, name)
	case len(key) != s.key+s.salt:
		return fmt.Errorf("%w: %s wants %d octets", ErrKey, name, s.key+s.salt)
	}
	return nil
}
