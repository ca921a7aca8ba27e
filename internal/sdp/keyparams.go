package sdp

import (
	"encoding/base64"
	"math/big"
	"strconv"
	"strings"
)

// PeerKey is a master key with its salt that a peer sends under.
type PeerKey struct {
	Key Key
	// MKI is the master key identifier that its packets have, in network order (RFC
	// 3711 3.1); "" = they have none. Where there are several keys, each has one, all
	// of one length.
	MKI string
	// Lifetime is how many packets of RTP, and how many of RTCP, it protects at most.
	Lifetime uint64
}

const (
	// maxPeerKeys bounds the keys of a line: each costs memory of the port. Phones that
	// have an MKI have one, or two of which one is kept for later.
	maxPeerKeys = 4
	// maxMKI is the octets of the longest MKI (RFC 4568 6.1).
	maxMKI = 128
	// maxLifetime is that of RTP by any suite (RFC 3711 9.2), and what counts
	// where a line names none.
	maxLifetime = 1 << 48
)

// PeerKeys are what the peer sends under. Of a session whose keys nobody knows there
// are none.
func (s Secured) PeerKeys() []PeerKey {
	i := suiteIndex(s.Suite)
	if i < 0 || s.Locked() {
		return nil
	}
	size := suites[i].size
	terms := strings.Split(s.Terms, ";")
	var list []PeerKey
	for n := 0; n < len(terms) && (n+1)*size <= len(s.Theirs); n++ {
		k, _ := parseTerms(terms[n]) // they are parsed ones
		k.Key = s.Theirs[n*size : (n+1)*size]
		list = append(list, k)
	}
	return list
}

// keyParams reads the key parameters of a line: one key, or several with an MKI each
// (RFC 4568 6.1). It returns the keys one after the other, and their terms, which are
// the text behind them: lifetime and MKI.
func keyParams(text string, size int) (keys Key, terms string, ok bool) {
	params := strings.Split(text, ";")
	if len(params) > maxPeerKeys {
		return "", "", false
	}
	seen := make(map[string]bool, len(params))
	known, marked := true, 0
	for i, p := range params {
		method, info, _ := strings.Cut(p, ":")
		if !strings.EqualFold(method, "inline") {
			return "", "", false
		}
		text, rest, limited := strings.Cut(info, "|")
		key, ok := keySalt(text, size)
		if !ok || limited && rest == "" {
			return "", "", false
		}
		k, ok := parseTerms(rest)
		// RFC 4568 6.1: who has several keys tells them apart by their MKIs.
		if !ok || k.MKI == "" && len(params) > 1 || i > 0 && len(k.MKI) != marked || seen[k.MKI] {
			return "", "", false
		}
		marked, seen[k.MKI] = len(k.MKI), true
		known = known && key.Known()
		keys += key
		if i > 0 {
			terms += ";"
		}
		terms += rest
	}
	if !known { // one of several: no less masked than all
		keys = Key(make([]byte, len(keys)))
	}
	return keys, terms, true
}

// keySalt reads a key with its salt.
func keySalt(text string, size int) (Key, bool) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil { // RFC 4568 6.1 wants it padded; some leave that out
		key, err = base64.RawStdEncoding.Strict().DecodeString(text)
	}
	return Key(key), err == nil && len(key) == size
}

// parseTerms reads what may be behind a key: lifetime, MKI, or both, in this order. Of
// the two only an MKI has a colon (RFC 4568 6.1).
func parseTerms(s string) (PeerKey, bool) {
	k := PeerKey{Lifetime: maxLifetime}
	if s == "" {
		return k, true
	}
	life, mark, both := strings.Cut(s, "|")
	if !both && strings.Contains(s, ":") {
		life, mark = "", s
	}
	ok := true
	if both || mark == "" {
		k.Lifetime, ok = lifetime(life)
	}
	if ok && (both || mark != "") {
		k.MKI, ok = mki(mark)
	}
	return k, ok
}

// lifetime reads how many packets a key protects at most: a number, or a power of two.
// RFC 4568 6.1: what exceeds the suite's, is none or has zeros before it makes the line
// invalid.
func lifetime(s string) (uint64, bool) {
	if power, ok := strings.CutPrefix(s, "2^"); ok {
		n, ok := number(power, 48)
		return 1 << n, ok
	}
	n, ok := number(s, maxLifetime)
	return n, ok && n > 0
}

// mki reads value:length, and returns the octets that packets have: RFC 4568 6.1, the
// value in network order, in at most 128 octets.
func mki(s string) (string, bool) {
	digits, length, _ := strings.Cut(s, ":")
	n, ok := number(length, maxMKI)
	if !ok || n == 0 || !decimal(digits) || len(digits) > 309 { // 2^1024 has as many
		return "", false
	}
	value, ok := new(big.Int).SetString(digits, 10)
	if !ok || value.BitLen() > int(8*n) {
		return "", false
	}
	return string(value.FillBytes(make([]byte, n))), true
}

// number reads a decimal number without zeros before it.
func number(s string, most uint64) (uint64, bool) {
	if !decimal(s) || len(s) > 19 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= most
}

func decimal(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}
