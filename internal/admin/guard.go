package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// user is the only one there is.
const user = "admin"

// guard lets in whoever may come in. Health is open: what asks for it has no
// password.
func (s *Server) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, http.StatusForbidden, "a request from another origin")
	}))
	inner := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		password := *s.password.Load()
		open := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		switch {
		case password == "" && !ours(r.Host):
			fail(w, r, http.StatusMisdirectedRequest, "without a password only localhost and addresses are served")
			return
		case password != "" && !open && !authorized(r, password):
			w.Header().Set("WWW-Authenticate", `Basic realm="parkd", charset="UTF-8"`) // RFC 7617 2
			fail(w, r, http.StatusUnauthorized, "")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		inner.ServeHTTP(w, r)
	})
}

// authorized compares in a time that says nothing about how much was right.
func authorized(r *http.Request, password string) bool {
	name, given, ok := r.BasicAuth()
	got, want := sha256.Sum256([]byte(name+"\x00"+given)), sha256.Sum256([]byte(user+"\x00"+password))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && ok
}

// ours reports whether a Host header is an address or localhost. A page whose
// name was bound to our address behind its visitor's back (DNS rebinding) asks
// with that name; with a password it gets nowhere anyway.
func ours(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
