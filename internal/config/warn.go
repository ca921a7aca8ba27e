package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
)

// spareFiles is what parkd opens besides a socket a call: listeners, connections of
// phones, journal, log.
const spareFiles = 200

// Warnings are what is allowed but probably not meant, each with its key. It looks
// at the environment and at how many files this process may open.
func (c Config) Warnings() []string {
	w := unknownEnvironment()
	if c.Store.Kind == "memory" && c.Shutdown == "keep" {
		w = append(w, "shutdown: keep has nothing to keep calls in with store.kind: memory: they end with the process")
	}
	if n := c.Media.Ports.Pairs(); n < c.Park.MaxCalls {
		w = append(w, fmt.Sprintf("media.ports: %s has room for %d streams, park.max_calls needs %d", c.Media.Ports, n, c.Park.MaxCalls))
	}
	if n, known := openFiles(); known && n < uint64(c.Park.MaxCalls)+spareFiles {
		w = append(w, fmt.Sprintf("park.max_calls: %d calls need %d open files, the limit is %d (ulimit -n, LimitNOFILE=)",
			c.Park.MaxCalls, c.Park.MaxCalls+spareFiles, n))
	}
	w = append(w, unanchored("access.return_users", c.Access.ReturnUsers)...)
	w = append(w, unanchored("access.refer_users", c.Access.ReferUsers)...)
	for _, p := range c.Access.Trusted {
		if p.Bits() == 0 {
			w = append(w, fmt.Sprintf("access.trusted: %s trusts everybody", p))
		}
	}
	if dir := c.Media.Announcements; dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			w = append(w, fmt.Sprintf("media.announcements: there is no folder %s: the built-in words are said", dir))
		}
	}
	if p := c.SIP.OutboundProxy; p != "" && !strings.Contains(p, ";lr") {
		w = append(w, "sip.outbound_proxy: without ;lr it is taken for a strict router (RFC 2543)")
	}
	if len(c.Orbits) == 0 {
		w = append(w, "orbits: there are none, so nothing can be parked")
	}
	if c.SIP.TLS.ClientCA != "" && !c.listensTLS() {
		w = append(w, "sip.tls.client_ca: there is no tls:// in sip.listen")
	}
	if c.Media.SRTP == "required" && !c.listensTLS() {
		w = append(w, "media.srtp: its keys are in SDP, which nothing hides: there is no tls:// in sip.listen")
	}
	return append(w, c.orbitWarnings()...)
}

func (c Config) listensTLS() bool {
	for _, l := range c.SIP.Listen {
		if l.Network == "tls" {
			return true
		}
	}
	return false
}

// orbitWarnings are those of the orbits' values, each once.
func (c Config) orbitWarnings() []string {
	var w []string
	queue, back := 0, 0
	for _, o := range c.Orbits {
		if o.MaxCalls > 1 && !o.AllowMultiple {
			queue++
		}
		if o.MaxCalls > c.Park.MaxCalls {
			back++
		}
	}
	if queue > 0 {
		w = append(w, fmt.Sprintf("orbits: %d of them have max_calls but not allow_multiple, so they hold one call", queue))
	}
	if back > 0 {
		w = append(w, fmt.Sprintf("orbits: %d of them allow more calls than park.max_calls", back))
	}
	return w
}

// unknownEnvironment names PARKD_ variables that set nothing. Kubernetes sets some
// itself in every container beside a service called parkd.
func unknownEnvironment() []string {
	known := map[string]bool{}
	for _, k := range leafKeys(reflect.ValueOf(Config{}), "", nil) {
		known[envName(k.key)] = true
	}
	var w []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || known[name] ||
			strings.HasPrefix(name, envPrefix+"SERVICE_") || strings.HasPrefix(name, envPrefix+"PORT") {
			continue
		}
		w = append(w, name+": no key has this environment variable; orbits, users, lists and pools are set in a file")
	}
	return w
}

// unanchored warns of a pattern that may match more than it seems to.
func unanchored(key string, users *regexp.Regexp) []string {
	if users == nil || strings.HasPrefix(users.String(), "^") && strings.HasSuffix(users.String(), "$") {
		return nil
	}
	return []string{key + ": without ^ and $ it also allows longer users that only contain a match"}
}
