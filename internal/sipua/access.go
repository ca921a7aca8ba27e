package sipua

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// nonceLife is how long a nonce is good for.
const nonceLife = 5 * time.Minute

// access is Access, ready for use. It is never changed.
type access struct {
	trusted []netip.Prefix
	realm   string
	users   map[string]User
	sha256  bool // every user can be verified by SHA-256
}

func newAccess(a Access) access {
	n := access{realm: Clean(a.Realm), users: make(map[string]User, len(a.Users)), sha256: true}
	for _, p := range a.Trusted {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		n.trusted = append(n.trusted, p.Masked())
	}
	for _, u := range a.Users {
		n.users[u.Username] = u
		if u.Password == "" && len(u.HA1) != 2*sha256.Size {
			n.sha256 = false
		}
	}
	return n
}

func (a *access) trusts(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range a.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// check lets a request pass that comes from a trusted address or carries good
// credentials (RFC 3261 22.1, RFC 8760).
func (a *access) check(e *Endpoint, r *Request) *refusal {
	if r.Trusted {
		return nil
	}
	if len(a.users) == 0 {
		return &refusal{code: sip.StatusForbidden, reason: ReasonForbidden, stateless: true}
	}
	stale, tried := false, false
	for _, v := range Headers(r.Request, "authorization") {
		cred, err := digest.ParseCredentials(v)
		if err != nil || cred.Realm != a.realm {
			continue
		}
		tried = true
		if !a.verify(cred, r.Method.String()) {
			continue
		}
		switch e.nonceState(cred.Nonce, r.Flow.Remote.Addr(), time.Now()) {
		case nonceGood:
			r.User = cred.Username
			return nil
		default:
			// Right password, but a nonce of long ago or of before our restart:
			// with stale=true phones try again without asking anybody.
			stale = true
		}
	}
	ref := a.challenge(e.nonce(r.Flow.Remote.Addr(), time.Now()), stale)
	if tried && !stale {
		ref.reason = ReasonCredentials
	}
	return ref
}

// challenge is a 401 with the strongest algorithm first (RFC 8760 2.4). Where
// a user is known by an MD5 hash alone, only MD5 is offered, since a phone
// answers the first that it knows.
func (a *access) challenge(nonce string, stale bool) *refusal {
	ref := &refusal{code: sip.StatusUnauthorized, reason: ReasonChallenge, stateless: true}
	algorithms := []string{"SHA-256", "MD5"}
	if !a.sha256 {
		algorithms = algorithms[1:]
	}
	for _, alg := range algorithms {
		c := digest.Challenge{Realm: a.realm, Nonce: nonce, Algorithm: alg, QOP: []string{"auth"}, Stale: stale}
		ref.headers = append(ref.headers, sip.NewHeader("WWW-Authenticate", c.String()))
	}
	return ref
}

// verify recomputes the response in constant time with regard to the secret;
// an unknown user costs as much as a wrong password.
func (a *access) verify(c *digest.Credentials, method string) bool {
	u, known := a.users[c.Username]
	ha1, ok := u.ha1(c.Algorithm, c.Username, a.realm)
	if c.QOP != "auth" || c.Cnonce == "" { // it was demanded (RFC 8760 2.7)
		ok = false
	}
	want, err := digest.Digest(
		&digest.Challenge{Realm: c.Realm, Nonce: c.Nonce, Algorithm: c.Algorithm, QOP: []string{"auth"}},
		digest.Options{Method: method, URI: c.URI, Count: c.Nc, Cnonce: c.Cnonce, Username: c.Username, A1: ha1})
	if err != nil || !ok {
		return false
	}
	same := subtle.ConstantTimeCompare([]byte(strings.ToLower(c.Response)), []byte(want.Response)) == 1
	return same && known
}

// ha1 is H(username:realm:password) by the algorithm; false when only a hash
// by another algorithm is known.
func (u User) ha1(algorithm, username, realm string) (string, bool) {
	size := md5.Size
	switch strings.ToUpper(algorithm) {
	case "", "MD5":
	case "SHA-256":
		size = sha256.Size
	default:
		return "", false
	}
	if u.Password == "" && u.HA1 != "" {
		return strings.ToLower(u.HA1), len(u.HA1) == 2*size
	}
	text := []byte(username + ":" + realm + ":" + u.Password)
	if size == md5.Size {
		sum := md5.Sum(text) // RFC 8760 2.1: still offered, for phones without SHA-256
		return hex.EncodeToString(sum[:]), true
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), true
}

type nonceState int

const (
	nonceForeign nonceState = iota
	nonceStale
	nonceGood
)

// nonce makes a nonce that needs no memory: the time, and a MAC over it and
// the address that it is for (RFC 7616 5.4). What is replayed from the same
// address within its life passes again.
func (e *Endpoint) nonce(from netip.Addr, now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, e.nonceMAC(b, from)...))
}

func (e *Endpoint) nonceState(nonce string, from netip.Addr, now time.Time) nonceState {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 8+sha256.Size/2 || !hmac.Equal(b[8:], e.nonceMAC(b[:8], from)) {
		return nonceForeign
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
	if age > nonceLife || age < -time.Minute {
		return nonceStale
	}
	return nonceGood
}

func (e *Endpoint) nonceMAC(b []byte, from netip.Addr) []byte {
	h := hmac.New(sha256.New, e.secret[:])
	h.Write(b)
	h.Write([]byte(from.Unmap().WithZone("").String()))
	return h.Sum(nil)[:sha256.Size/2]
}
