package sipua

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

func hash(alg, text string) string {
	if alg == "MD5" {
		sum := md5.Sum([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// stranger are settings in which the peer is not trusted.
func stranger(users ...User) Settings {
	return Settings{UserAgent: "parkd/test", Access: Access{Realm: "parkd", Users: users, Trusted: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}}}
}

func TestDigest(t *testing.T) {
	password := User{Username: "ann", Password: "secret"}
	md5Hash := User{Username: "ann", HA1: hash("MD5", "ann:parkd:secret")}
	shaHash := User{Username: "ann", HA1: strings.ToUpper(hash("SHA-256", "ann:parkd:secret"))}
	for _, row := range []struct {
		name    string
		user    User
		alg     string // that the phone answers
		offered string // algorithms of the challenge
		change  func(c *digest.Credentials)
		wait    time.Duration
		code    int
		stale   bool
	}{
		{name: "SHA-256", user: password, alg: "SHA-256", offered: "SHA-256 MD5", code: 486},
		{name: "MD5", user: password, alg: "MD5", offered: "SHA-256 MD5", code: 486},
		{name: "MD5 hash", user: md5Hash, alg: "MD5", offered: "MD5", code: 486},
		{name: "SHA-256 hash", user: shaHash, alg: "SHA-256", offered: "SHA-256 MD5", code: 486},
		{name: "SHA-256 hash, MD5 answer", user: shaHash, alg: "MD5", offered: "SHA-256 MD5", code: 401},
		{name: "wrong password", user: User{Username: "ann", Password: "other"}, alg: "MD5", offered: "SHA-256 MD5", code: 401},
		{name: "no such user", user: User{Username: "bob", Password: "secret"}, alg: "MD5", offered: "SHA-256 MD5", code: 401},
		{name: "empty hash", user: User{Username: "ann"}, alg: "MD5", offered: "MD5", code: 401},
		{name: "old nonce", user: password, alg: "SHA-256", offered: "SHA-256 MD5", wait: 6 * time.Minute, code: 401, stale: true},
		{name: "nonce nearly old", user: password, alg: "SHA-256", offered: "SHA-256 MD5", wait: 4 * time.Minute, code: 486},
		{name: "other realm", user: password, alg: "MD5", offered: "SHA-256 MD5", change: func(c *digest.Credentials) { c.Realm = "x" }, code: 401},
		{name: "response changed", user: password, alg: "MD5", offered: "SHA-256 MD5", change: func(c *digest.Credentials) { c.Response = c.Response[1:] + "0" }, code: 401},
		{name: "qop left out", user: password, alg: "MD5", offered: "SHA-256 MD5", change: func(c *digest.Credentials) { c.QOP = "" }, code: 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var user string
				_, p, _ := start(t, Options{Settings: stranger(row.user)}, func(e *Endpoint) {
					e.Handle("INVITE", func(r *Request) { user = r.User; r.Reply(486, "") })
				})
				p.send(msg("INVITE", "sip:701@10.0.0.1", "a", 1))
				res := p.response()
				p.send(msg("ACK", "sip:701@10.0.0.1", "a", 1))
				if res.StatusCode != 401 {
					t.Fatal(res.StatusCode)
				}
				var offered []string
				var chosen *digest.Challenge
				for _, v := range Headers(res, "www-authenticate") {
					c, err := digest.ParseChallenge(v)
					if err != nil || c.Stale {
						t.Fatal(err, c)
					}
					offered = append(offered, c.Algorithm)
					if c.Algorithm == row.alg {
						chosen = c
					}
				}
				if got := strings.Join(offered, " "); got != row.offered {
					t.Errorf("offered %s, want %s", got, row.offered)
				}
				cred, err := digest.Digest(chosen, digest.Options{Method: "INVITE", URI: "sip:701@10.0.0.1", Username: "ann", Password: "secret"})
				if err != nil {
					t.Fatal(err)
				}
				if row.change != nil {
					row.change(cred)
				}
				time.Sleep(row.wait)
				p.send(msg("INVITE", "sip:701@10.0.0.1", "b", 2, "Authorization: "+cred.String()))
				res = p.response()
				p.send(msg("ACK", "sip:701@10.0.0.1", "b", 2))
				if res.StatusCode != row.code {
					t.Errorf("got %d, want %d", res.StatusCode, row.code)
				}
				if row.code == 486 && user != "ann" {
					t.Errorf("user is %q", user)
				}
				if row.code == 401 {
					v, _ := Header(res, "www-authenticate")
					if c, err := digest.ParseChallenge(v); err != nil || c.Stale != row.stale {
						t.Errorf("stale is not %v: %v", row.stale, err)
					}
				}
			})
		})
	}
}

// TestAfterRestart: the nonce of the last run gets stale=true, not a question
// to the user.
func TestAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, _ := start(t, Options{Settings: stranger(User{Username: "ann", Password: "secret"})}, func(e *Endpoint) {
			e.Handle("INVITE", func(r *Request) { r.Reply(486, "") })
		})
		cred, _ := digest.Digest(&digest.Challenge{Realm: "parkd", Nonce: "of-the-last-run", Algorithm: "MD5", QOP: []string{"auth"}},
			digest.Options{Method: "INVITE", URI: "sip:701@10.0.0.1", Username: "ann", Password: "secret"})
		p.send(msg("INVITE", "sip:701@10.0.0.1", "b", 2, "Authorization: "+cred.String()))
		if v, _ := Header(p.response(), "www-authenticate"); !strings.Contains(v, "stale=true") {
			t.Error(v)
		}
	})
}

func TestAccess(t *testing.T) {
	users := []User{{Username: "ann", Password: "secret"}}
	for _, row := range []struct {
		name, method string
		settings     Settings
		lines        []string
		code         int
	}{
		{"trusted", "INVITE", local(), nil, 486},
		{"stranger, no users", "INVITE", stranger(), nil, 403},
		{"stranger", "INVITE", stranger(users...), nil, 401},
		{"stranger's SUBSCRIBE", "SUBSCRIBE", stranger(users...), nil, 401},
		{"stranger's REFER", "REFER", stranger(users...), nil, 401},
		{"stranger's OPTIONS, whoever exists", "OPTIONS", stranger(users...), nil, 200},
		{"stranger's keep-alive", "NOTIFY", stranger(users...), []string{"Event: keep-alive"}, 200},
		{"in a dialog nobody is asked", "BYE", stranger(users...), []string{"To: <sip:701@x>;tag=t"}, 481},
		{"garbage for credentials", "INVITE", stranger(users...), []string{`Authorization: Digest username="ann`}, 401},
		{"Basic", "INVITE", stranger(users...), []string{"Authorization: Basic YW5uOnNlY3JldA=="}, 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p, _ := start(t, Options{Settings: row.settings, Known: func(string) bool { return false }}, func(e *Endpoint) {
					e.Handle("INVITE", func(r *Request) { r.Reply(486, "") })
				})
				p.send(msg(row.method, "sip:701@10.0.0.1", "a", 1, row.lines...))
				if res := p.response(); res.StatusCode != row.code {
					t.Errorf("got %d, want %d", res.StatusCode, row.code)
				}
				p.send(msg("ACK", "sip:701@10.0.0.1", "a", 1))
			})
		})
	}
}

func TestTrusts(t *testing.T) {
	a := newAccess(Access{Trusted: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("::ffff:172.16.0.0/108")}})
	for addr, want := range map[string]bool{"10.9.9.9": true, "11.0.0.1": false, "::ffff:10.0.0.1": true, "fd00::1%eth0": true, "fe80::1": false, "172.20.0.1": true, "172.32.0.1": false} {
		if got := a.trusts(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if a.trusts(netip.Addr{}) {
		t.Error("no address is trusted")
	}
}

// TestUpdate: settings change while the endpoint runs, and bad ones do not.
func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, _ := start(t, Options{Settings: stranger()}, func(e *Endpoint) { e.Handle("INVITE", func(r *Request) { r.Reply(486, "") }) })
		for i, step := range []struct {
			s    Settings
			bad  bool
			code int
		}{{stranger(), false, 403}, {local(), false, 486}, {Settings{Advertise: "x:y"}, true, 486}, {Settings{OutboundProxy: "<"}, true, 486}} {
			if err := e.Update(step.s); (err != nil) != step.bad {
				t.Fatal(err)
			}
			branch := fmt.Sprint("u", i)
			p.send(msg("INVITE", "sip:701@10.0.0.1", branch, i+1))
			if res := p.response(); res.StatusCode != step.code {
				t.Errorf("step %d: %d", i, res.StatusCode)
			}
			p.send(msg("ACK", "sip:701@10.0.0.1", branch, i+1))
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	f.Add(`Digest username="ann", realm="parkd", nonce="x", uri="sip:a", response="0", algorithm=MD5, cnonce="c", qop=auth, nc=00000001`)
	f.Add(`Digest username="ann`)
	a := newAccess(Access{Realm: "parkd", Users: []User{{Username: "ann", Password: "secret"}}})
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := digest.ParseCredentials(s); err == nil && a.verify(c, "INVITE") {
			t.Errorf("%q was taken", s)
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(wire(msg("INVITE", "sip:701@10.0.0.1", "a", 1, "Require: x", "Replaces: a"))))
	p := sip.NewParser(sip.WithHeadersParsers(tolerant()))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := p.ParseSIP(b)
		if err != nil {
			return
		}
		if req, ok := m.(*sip.Request); ok && syntax(req) == nil {
			maxForwards(req)
			require(req)
			method(req)
			cancelKey(req)
			UserOf(&req.Recipient)
		}
		sanitize(m)
		for _, h := range fields(m) {
			if strings.ContainsAny(h.Value(), "\r\n") {
				t.Errorf("%s: %q", h.Name(), h.Value())
			}
		}
	})
}
