package sockets

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"parkd/test/kit/wire"
	"parkd/test/live"
)

// hash is H of RFC 7616 3.3.
func hash(algorithm, text string) string {
	if algorithm == "MD5" {
		sum := md5.Sum([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// A login is who authenticates, and how.
type login struct{ user, password, algorithm string }

// offered lists the algorithms of a challenge, in order.
func offered(m *wire.Message) (list []string) {
	for _, v := range m.All("WWW-Authenticate") {
		list = append(list, field(v, "algorithm"))
	}
	return list
}

// field is a parameter of a challenge.
func field(challenge, name string) string {
	_, rest, ok := strings.Cut(challenge, name+"=")
	if !ok {
		return ""
	}
	if rest, ok := strings.CutPrefix(rest, `"`); ok {
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	value, _, _ := strings.Cut(rest, ",")
	return strings.TrimSpace(value)
}

// answer is the Authorization header for a 401 (RFC 7616 3.4).
func (l login) answer(t *testing.T, m *wire.Message, method, uri string) string {
	t.Helper()
	for _, v := range m.All("WWW-Authenticate") {
		if field(v, "algorithm") == l.algorithm {
			return l.header(field(v, "realm"), field(v, "nonce"), method, uri)
		}
	}
	t.Fatalf("%s is not offered: %q", l.algorithm, m.All("WWW-Authenticate"))
	return ""
}

func (l login) header(realm, nonce, method, uri string) string {
	const nc, cnonce = "00000001", "f2a1"
	a1 := hash(l.algorithm, l.user+":"+realm+":"+l.password)
	a2 := hash(l.algorithm, method+":"+uri)
	return fmt.Sprintf("Authorization: Digest username=%q, realm=%q, nonce=%q, uri=%q, algorithm=%s, qop=auth, nc=%s, cnonce=%q, response=%q",
		l.user, realm, nonce, uri, l.algorithm, nc, cnonce, hash(l.algorithm, strings.Join([]string{a1, nonce, nc, cnonce, "auth", a2}, ":")))
}

// strangers trusts nobody: access.trusted is empty, or excludes the loopback.
const strangers = `
sip: {listen: [udp://HOST:5060, tcp://HOST:5060]}
access:
  trusted: [%s]
  users:
    - {username: ann, password: "s3cret:&"}
    - {username: bob, ha1: %s}
`

func TestStrangersAreServedWithAPassword(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ trusted, hashed, network string }{
		"nobody trusted, hashes by SHA-256": {"", "SHA-256", "udp"},
		"others trusted, hashes by MD5":     {"10.0.0.0/8", "MD5", "tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.start(fmt.Sprintf(strangers, row.trusted, hash(row.hashed, "bob:parkd:hashed")))
			want := []string{"SHA-256", "MD5"}
			if row.hashed == "MD5" { // one user cannot be checked by SHA-256, so nobody is asked for it
				want = want[1:]
			}
			p := s.phone("ann", row.network, s.host+":5060")
			for i, l := range []login{{"ann", "s3cret:&", "MD5"}, {"ann", "s3cret:&", want[0]}, {"bob", "hashed", row.hashed}} {
				ext := fmt.Sprint(701 + i)
				c := p.Invite(ext, live.Offer{})
				m := c.Expect(401)
				if got := offered(m); strings.Join(got, " ") != strings.Join(want, " ") {
					t.Errorf("offered %v, want %v", got, want)
				}
				c.Retry(l.answer(t, m, "INVITE", p.At(ext)))
				c.Answered()
				c.Media.Hear(2)

				w := p.Watch(ext)
				w.Retry(l.answer(t, p.Expect(w.Asked, 401), "SUBSCRIBE", p.At(ext)))
				w.Served()
				w.Shows("early")
				c.Bye() // within a dialog nobody is asked again
				w.Shows("terminated")
			}
		})
	}
}

// Who may retrieve is a matter of the name that somebody has proved, whatever they
// call themselves.
func TestWhoeverAuthenticatesMayRetrieveByThatName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(fmt.Sprintf(strangers, "", hash("SHA-256", "bob:parkd:hashed")) + "  retrieve_users: ^bob$\n")
	// Ann has bob's password, and somebody who calls himself bob has not.
	ann, eve := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	asBob, asAnn := login{"bob", "hashed", "SHA-256"}, login{"ann", "s3cret:&", "SHA-256"}
	in := func(p *live.Phone, l login, to string) *live.Call {
		c := p.Invite(to, live.Offer{})
		c.Retry(l.answer(t, c.Expect(401), "INVITE", p.At(to)))
		return c
	}
	watch := func(p *live.Phone, l login) live.Note {
		w := p.Watch("701")
		w.Retry(l.answer(t, p.Expect(w.Asked, 401), "SUBSCRIBE", p.At("701")))
		w.Served()
		return w.Shows("early")
	}
	parked := in(eve, asAnn, "701")
	parked.Answered()
	if n := watch(ann, asBob); n.Call == "" || n.Remote != "BOB" {
		t.Errorf("bob by his password is shown %+v", n)
	}
	if n := watch(eve, asAnn); n.Call != "" || n.Remote != "" {
		t.Errorf("bob by his word is shown %+v", n)
	}
	in(eve, asAnn, "*4701").Expect(403)
	fetched := in(ann, asBob, "*4701")
	fetched.Answered()
	fetched.Bye()
	parked.Over()
}

func TestStrangersWithAWrongPasswordAreNotServed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(fmt.Sprintf(strangers, "", hash("SHA-256", "bob:parkd:hashed")))
	p := s.phone("ann", "udp", s.host+":5060")
	for name, l := range map[string]login{
		"wrong password": {"ann", "guess", "SHA-256"}, "unknown user": {"eve", "s3cret:&", "SHA-256"},
		"hash by another algorithm": {"bob", "hashed", "MD5"}, "no password": {"ann", "", "MD5"},
	} {
		c := p.Invite("701", live.Offer{})
		c.Retry(l.answer(t, c.Expect(401), "INVITE", p.At("701")))
		m := c.Expect(401)
		if stale := field(m.Get("WWW-Authenticate"), "stale"); strings.EqualFold(stale, "true") {
			t.Errorf("%s: said to be stale, so that the phone tries again", name)
		}
		w := p.Watch("701")
		w.Retry(l.answer(t, p.Expect(w.Asked, 401), "SUBSCRIBE", p.At("701")))
		p.Expect(w.Asked, 401)
	}
	// An answer for one request is none for another.
	c := p.Invite("701", live.Offer{})
	ann := login{"ann", "s3cret:&", "SHA-256"}
	c.Retry(ann.answer(t, c.Expect(401), "SUBSCRIBE", p.At("701")))
	c.Expect(401)
	if o := s.orbit("701"); o.State != "free" || o.Watchers != 0 {
		t.Errorf("somebody is served: %+v", o)
	}
	if n := s.metric(`parkd_refused_total{reason="credentials"}`); n != 9 {
		t.Errorf("%v refused for their credentials, want 9", n)
	}
}

func TestANonceOfBeforeARestartIsStale(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(fmt.Sprintf(strangers, "", hash("SHA-256", "bob:parkd:hashed")))
	p := s.phone("ann", "udp", s.host+":5060")
	c := p.Invite("701", live.Offer{})
	first := c.Expect(401)
	s.finish()
	s.start(fmt.Sprintf(strangers, "", hash("SHA-256", "bob:parkd:hashed")))

	ann := login{"ann", "s3cret:&", "SHA-256"}
	c.Retry(ann.answer(t, first, "INVITE", p.At("701")))
	second := c.Expect(401)
	if stale := field(second.Get("WWW-Authenticate"), "stale"); !strings.EqualFold(stale, "true") {
		t.Errorf("not said to be stale: %s", second.Get("WWW-Authenticate"))
	}
	c.Retry(ann.answer(t, second, "INVITE", p.At("701")))
	c.Answered()
	c.Bye()
}

func TestWithoutUsersStrangersAreForbidden(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start("sip: {listen: [udp://HOST:5060]}\naccess: {trusted: []}\n")
	p := s.phone("ann", "udp", s.host+":5060")
	p.Invite("701", live.Offer{}).Expect(403)
	p.Expect(p.Watch("701").Asked, 403)
}
