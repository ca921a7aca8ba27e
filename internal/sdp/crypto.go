package sdp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
)

// Security is what a session is to have of SRTP (RFC 3711) keyed by its
// descriptions (RFC 4568).
type Security uint8

// The securities. Off refuses who wants it, Required who does not.
const (
	Off Security = iota
	Optional
	Required
)

// ParseSecurity reads off, optional or required; anything else is Off.
func ParseSecurity(s string) Security {
	switch s {
	case "optional":
		return Optional
	case "required":
		return Required
	}
	return Off
}

// suites are the crypto-suites that parkd speaks (RFC 4568 6.2, RFC 7714 14.1), in
// our order of preference, with the octets of key and salt: what every phone has
// comes first, in offers.
var suites = [...]struct {
	name string
	size int
	// brief: also in offers to who may have no use for it. Each line has some ninety
	// octets, and a datagram of SIP should have no more than 1300 (RFC 3261 18.1.1).
	brief bool
}{
	{"AES_CM_128_HMAC_SHA1_80", 30, true},
	{"AES_CM_128_HMAC_SHA1_32", 30, false},
	{"AEAD_AES_128_GCM", 28, false},
	{"AEAD_AES_256_GCM", 44, true},
}

// Suites returns the names of the crypto-suites that parkd speaks.
func Suites() []string {
	var names []string
	for _, s := range suites {
		names = append(names, s.name)
	}
	return names
}

func suiteIndex(name string) int {
	for i, s := range suites {
		if strings.EqualFold(s.name, name) {
			return i
		}
	}
	return -1
}

// Key is a master key with its salt. It is shown to nobody: neither fmt nor JSON
// writes it.
type Key string

// Format implements fmt.Formatter.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// String says that there is one, or none.
func (k Key) String() string {
	if !k.Known() {
		return "no key"
	}
	return "key"
}

// MarshalText implements encoding.TextMarshaler.
func (k Key) MarshalText() ([]byte, error) { return []byte{}, nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Key) UnmarshalText([]byte) error {
	*k = ""
	return nil
}

// Known reports whether it is a key: one of zeros stands for what has been masked.
func (k Key) Known() bool { return strings.Trim(string(k), "\x00") != "" }

// Keys are keys of ours, one for each suite, none of which anybody else has. RFC 4568
// 6.1: each crypto attribute has a key of its own.
type Keys [len(suites)]Key

// KeyOctets is how many random octets Keys are made of.
const KeyOctets = 30 + 30 + 28 + 44

// NewKeys makes keys of random octets.
func NewKeys(random [KeyOctets]byte) Keys {
	var k Keys
	rest := random[:]
	for i, s := range suites {
		k[i], rest = Key(rest[:s.size]), rest[s.size:]
	}
	return k
}

// Keep puts the key that is in use for a suite, if one is, into keys that are new
// otherwise.
func (k *Keys) Keep(s Secured) {
	if i := suiteIndex(s.Suite); i >= 0 && s.Ours.Known() {
		k[i] = s.Ours
	}
}

// Mentioned reports whether a description of ours has keys.
func Mentioned(body []byte) bool { return bytes.Contains(body, []byte("a=crypto:")) }

// Secured is what protects a stream; the zero Secured: nothing does.
type Secured struct {
	Suite  string
	Ours   Key    `json:"-"` // of what we send
	Theirs Key    `json:"-"` // of what the peer sends: one, or several one after the other
	Terms  string `json:"-"` // lifetime and MKI of each of the peer's, as it wrote them, between semicolons
}

// Locked reports whether a stream is to be protected and nobody knows its keys any
// more: they are never written down.
func (s Secured) Locked() bool { return s.Suite != "" && !(s.Ours.Known() && s.Theirs.Known()) }

// crypto is an a=crypto line (RFC 4568 9.1) that can be used.
type crypto struct {
	tag   string
	suite string
	key   Key    // or several
	terms string // lifetimes and MKIs: of a peer's
}

// cryptos are the usable a=crypto lines of a stream, in their order.
func cryptos(attrs []sdp.Attribute) []crypto {
	var list []crypto
	for _, a := range attrs {
		if !strings.EqualFold(a.Key, "crypto") || len(list) == maxCryptos {
			continue
		}
		if c, ok := parseCrypto(a.Value); ok {
			list = append(list, c)
		}
	}
	return list
}

// maxCryptos bounds the lines of a stream that are looked at; phones send up to ten.
const maxCryptos = 32

// parseCrypto reads tag, suite, key and session parameters. false: a suite that is
// not spoken, or something that must be understood and is not (RFC 4568 5.1.2).
func parseCrypto(value string) (crypto, bool) {
	f := strings.Fields(value)
	if len(f) < 3 || len(f[0]) > 9 || strings.Trim(f[0], "0123456789") != "" {
		return crypto{}, false
	}
	i := suiteIndex(f[1])
	if i < 0 {
		return crypto{}, false
	}
	c := crypto{tag: f[0], suite: suites[i].name}
	for _, p := range f[3:] {
		if !harmless(p) {
			return crypto{}, false
		}
	}
	var ok bool
	c.key, c.terms, ok = keyParams(f[2], suites[i].size)
	return c, ok
}

// harmless says whether a session parameter (RFC 4568 6.3) leaves a stream as it is
// without: a hint for the replay window (6.3.6), what its writer has marked as an
// extension that may be passed over (6.3.7), and a derivation rate of 0. That is not of
// 1 to 24, the powers of two of 6.3.1, but its grammar has it, and who writes it means
// the rate of RFC 3711 4.3.1 that derives once.
func harmless(p string) bool {
	name, value, _ := strings.Cut(p, "=")
	switch strings.ToUpper(name) {
	case "KDR":
		return value == "0"
	case "WSH":
		return true
	}
	return strings.HasPrefix(p, "-")
}

// line writes it: RFC 4568 6.1, without a lifetime it is the suite's, of which no call
// sees the end. We have one key a line, which needs no MKI to be told from others; that
// the peer has one for what it sends asks for none of ours.
func (c crypto) line() string {
	return c.tag + " " + c.suite + " inline:" + base64.StdEncoding.EncodeToString([]byte(c.key))
}

// Mask overwrites the keys in a description, or in a message that has one, with
// zeros: of the same length, and to be parsed as before. What is written down is
// masked.
func Mask(text []byte) []byte {
	const method = "inline:"
	masked := text
	for i := 0; ; {
		n := bytes.IndexByte(text[i:], ':')
		if n < 0 {
			return masked
		}
		if i += n + 1; i < len(method) || !strings.EqualFold(string(text[i-len(method):i]), method) {
			continue
		}
		for ; i < len(text) && isBase64(text[i]); i++ {
			if &masked[0] == &text[0] {
				masked = bytes.Clone(text)
			}
			masked[i] = 'A'
		}
	}
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/'
}
