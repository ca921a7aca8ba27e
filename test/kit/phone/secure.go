package phone

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/srtp/v3"
)

// SRTP is how a phone speaks it, with keys in SDP (RFC 4568).
type SRTP struct {
	Suites []string // that it offers and takes
	Only   bool     // as RTP/SAVP; else beside RTP/AVP

	// What it says of its keys (RFC 4568 6.1).
	Lifetime string // "2^31"; "" = nothing
	MKIs     int    // how many keys a line has, with MKIs of four octets from 1 on; the last is in use. 0 = one, without
	Params   string // session parameters: "WSH=64"
}

// Encrypt has calls that begin from now on speak SRTP.
func (p *Phone) Encrypt(s SRTP) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.srtp = s
}

// suites are pion's profiles by the names of RFC 4568 6.2 and RFC 7714 14.1, with the
// octets of a key.
var suites = map[string]struct {
	profile srtp.ProtectionProfile
	key     int
	salt    int
}{
	"AES_CM_128_HMAC_SHA1_80": {srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14},
	"AES_CM_128_HMAC_SHA1_32": {srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14},
	"AEAD_AES_128_GCM":        {srtp.ProtectionProfileAeadAes128Gcm, 16, 12},
	"AEAD_AES_256_GCM":        {srtp.ProtectionProfileAeadAes256Gcm, 32, 12},
}

func contextOf(suite string, key []byte, options ...srtp.ContextOption) *srtp.Context {
	s := suites[suite]
	c, err := srtp.CreateContext(key[:s.key], key[s.key:], s.profile, options...)
	if err != nil {
		panic(err) // the length was checked
	}
	return c
}

// cryptoLine is an a=crypto line that a phone can use.
type cryptoLine struct {
	tag, suite string
	key        string // octets
}

// cryptoLines are those of a description.
func cryptoLines(sdp string) (list []cryptoLine) {
	for line := range strings.Lines(sdp) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "a=crypto:")
		f := strings.Fields(value)
		if !ok || len(f) != 3 {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(f[2], "inline:"))
		if s, spoken := suites[f[1]]; spoken && err == nil && len(key) == s.key+s.salt {
			list = append(list, cryptoLine{f[0], f[1], string(key)})
		}
	}
	return list
}

// secrets are what a call has of SRTP. The media's lock guards it.
type secrets struct {
	SRTP
	ours map[string]string // by suite
	use  cryptoLine        // of the other end's, in use; its zero value: in the clear
	out  *srtp.Context
	told []*told // every key that the other end has ever told, in order
}

// told is a key that the other end has told, and what came under it.
type told struct {
	cryptoLine
	at   time.Time
	ctx  *srtp.Context
	used map[[2]uint64]bool // SSRC and index
}

func newSecrets(s SRTP) *secrets {
	if len(s.Suites) == 0 || s.Suites[0] == "" {
		return nil
	}
	k := &secrets{SRTP: s, ours: map[string]string{}}
	for _, name := range s.Suites {
		key := make([]byte, suites[name].key+suites[name].salt)
		_, _ = rand.Read(key)
		k.ours[name] = string(key)
	}
	return k
}

// overhear takes note of the keys of a description, be it one that the phone passes
// over.
func (k *secrets) overhear(sdp string) {
	for _, l := range cryptoLines(sdp) {
		if !slices.ContainsFunc(k.told, func(t *told) bool { return t.suite == l.suite && t.key == l.key }) {
			k.told = append(k.told, &told{cryptoLine: l, at: time.Now(), ctx: contextOf(l.suite, []byte(l.key)), used: map[[2]uint64]bool{}})
		}
	}
}

// take takes the first line of a description that the phone can use.
func (k *secrets) take(sdp string) {
	k.overhear(sdp)
	was := k.use
	k.use = cryptoLine{}
	for _, l := range cryptoLines(sdp) {
		if slices.Contains(k.Suites, l.suite) {
			k.use = l
			break
		}
	}
	if k.use.suite != was.suite {
		k.out = nil
		if k.use.suite != "" {
			k.out = contextOf(k.use.suite, []byte(k.ours[k.use.suite]), srtp.MasterKeyIndicator(k.mki()))
		}
	}
}

// lines are the phone's a=crypto lines: of an answer the one that was taken.
func (k *secrets) lines(answer bool) (list []string) {
	if answer {
		if k.use.suite == "" {
			return nil
		}
		return []string{k.line(k.use.tag, k.use.suite)}
	}
	for i, name := range k.Suites {
		list = append(list, k.line(fmt.Sprint(i+1), name))
	}
	return list
}

// line is an a=crypto line: of several keys the last is the one in use, and those before
// it are others.
func (k *secrets) line(tag, suite string) string {
	var params []string
	for i := range max(1, k.MKIs) {
		key := []byte(k.ours[suite])
		if i < k.MKIs-1 {
			key = k.other(suite, i)
		}
		p := "inline:" + base64.StdEncoding.EncodeToString(key)
		if k.Lifetime != "" {
			p += "|" + k.Lifetime
		}
		if k.MKIs > 0 {
			p += fmt.Sprintf("|%d:4", i+1)
		}
		params = append(params, p)
	}
	return strings.TrimSpace("a=crypto:" + tag + " " + suite + " " + strings.Join(params, ";") + " " + k.Params)
}

// other is the i-th key that is not in use.
func (k *secrets) other(suite string, i int) []byte {
	key := []byte(k.ours[suite])
	slices.Reverse(key)
	key[0] ^= byte(i + 1)
	return key
}

// mki is what its packets have as their MKI.
func (k *secrets) mki() []byte {
	if k.MKIs == 0 {
		return nil
	}
	return binary.BigEndian.AppendUint32(nil, uint32(k.MKIs))
}

// Breach is what must never be: a packet under a key and an index for the second time.
type Breach struct {
	SSRC  uint32
	Index uint64
}

// open opens a packet under whichever key the other end has told. use: it is the one
// that the phone has taken. A packet in the clear is returned as it is.
func (k *secrets) open(b []byte) (plain []byte, under *told, use bool, twice *Breach) {
	for _, t := range slices.Backward(k.told) {
		got, err := t.ctx.DecryptRTP(nil, b, nil)
		if err != nil {
			continue
		}
		ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
		roll, _ := t.ctx.ROC(ssrc)
		at := [2]uint64{uint64(ssrc), uint64(roll)<<16 | uint64(seq)}
		if t.used[at] {
			twice = &Breach{ssrc, at[1]}
		}
		t.used[at] = true
		return got, t, t.suite == k.use.suite && t.key == k.use.key, twice
	}
	return b, nil, k.use.suite == "", nil
}

// Secured is the suite that protects the call, "" in the clear.
func (m *Media) Secured() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		return ""
	}
	return m.keys.use.suite
}

// Breaches lists what came under a key and an index that had been used before.
func (m *Media) Breaches() []Breach {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.breaches
}

// Unread is how many packets came that the phone cannot read: in the clear, or under
// a key that it has passed over or knows nothing of.
func (m *Media) Unread() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unread
}

// Rekey has the call speak SRTP by a suite, "" by none, with a key that it has not told
// yet; the other end learns of it by the next description.
func (m *Media) Rekey(suite string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.keys
	next := was.SRTP
	next.Suites = []string{suite}
	if m.keys = newSecrets(next); m.keys == nil {
		m.keys = &secrets{}
	}
	m.keys.told = was.told
}

// Keys lists the keys that the call has told and been told, as octets.
func (m *Media) Keys() (list []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		return nil
	}
	for suite, k := range m.keys.ours {
		list = append(list, k)
		for i := range max(0, m.keys.MKIs-1) {
			list = append(list, string(m.keys.other(suite, i)))
		}
	}
	for _, t := range m.keys.told {
		list = append(list, t.key)
	}
	return list
}
