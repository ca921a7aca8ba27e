package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Validate checks every value against what it may be; the error is Faults. Load has
// done it already, and besides looked for music files.
func (c Config) Validate() error {
	r := &report{}
	c.validate(r, func(i int) string { return fmt.Sprintf("orbits[%d]", i) })
	return r.result().orNil()
}

// validate goes through the sections; orbit names the entry an orbit came from.
func (c *Config) validate(r *report, orbit func(int) string) {
	c.Log.validate(r)
	c.SIP.validate(r)
	c.validateRegister(r)
	c.Access.validate(r)
	c.Media.validate(r)
	c.Park.validate(r)
	c.Return.validate(r)
	c.Defaults.validate(r, "defaults", c.Park.TimeoutRange)
	c.validatePhones(r)
	c.validateOrbits(r, orbit)
	c.validatePools(r)
	c.validateLists(r)
	c.validateDialled(r, orbit)
	c.Admin.validate(r)
	c.Store.validate(r)
	if c.DataDir == "" {
		r.add("data_dir", "must not be empty")
	}
	r.oneOf("shutdown", c.Shutdown, "keep", "drain", "return")
}

// oneOf is the fault of a word that is none of those allowed.
func (r *report) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		r.addf(key, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

// between is the fault of a number or duration out of range, both ends allowed.
func between[T int | time.Duration](r *report, key string, value, low, high T) {
	if value >= low && value <= high {
		return
	}
	show := func(v T) string {
		if d, ok := any(v).(time.Duration); ok {
			return formatDuration(d)
		}
		return fmt.Sprint(v)
	}
	r.addf(key, "%s is out of range, %s to %s", show(value), show(low), show(high))
}

func (l Log) validate(r *report) {
	r.oneOf("log.level", l.Level, "trace", "debug", "info", "warn", "error")
	r.oneOf("log.format", l.Format, "auto", "console", "json")
}

func (s SIP) validate(r *report) {
	if len(s.Listen) == 0 {
		r.add("sip.listen", "at least one listener is needed")
	}
	for i, l := range s.Listen {
		key := fmt.Sprintf("sip.listen[%d]", i)
		if j := slices.Index(s.Listen[:i], l); j >= 0 && l.Port != 0 {
			r.addf(key, "%s is there already, as %s", l, r.name(fmt.Sprintf("sip.listen[%d]", j)))
		}
		if l.Network != "tls" {
			continue
		}
		if s.TLS.Cert == "" {
			r.add("sip.tls.cert", fmt.Sprintf("%s needs a certificate", l), key)
		}
		if s.TLS.Key == "" {
			r.add("sip.tls.key", fmt.Sprintf("%s needs a private key", l), key)
		}
	}
	if (s.TLS.Cert == "") != (s.TLS.Key == "") {
		missing, there := "sip.tls.cert", "sip.tls.key"
		if s.TLS.Key == "" {
			missing, there = there, missing
		}
		if !slices.ContainsFunc(r.faults, func(f Fault) bool { return f.Key == missing }) {
			r.add(missing, "is missing beside "+there, there)
		}
	}
	if s.Advertise != "" && !isHost(s.Advertise) {
		r.addf("sip.advertise", "%q is not an address or host name that can be reached (no port, no brackets)", s.Advertise)
	}
	for i, d := range s.Domains {
		if !isHost(d) {
			r.addf(fmt.Sprintf("sip.domains[%d]", i), "%q is not a domain", d)
		}
	}
	s.validateProxy(r)
	if every := s.NATKeepalive; every != 0 && (every < time.Second || every > time.Hour) {
		r.addf("sip.nat_keepalive", "%s is out of range, 0 (never) or 1s to 1h", formatDuration(every))
	}
	for i, c := range s.Credentials {
		key := fmt.Sprintf("sip.credentials[%d]", i)
		if c.Username == "" {
			r.add(key+".username", "must not be empty")
		}
		if c.Password == "" {
			r.add(key+".password", "must not be empty")
		}
	}
}

// validateProxy checks that the outbound proxy is a URI a Route header may hold.
func (s SIP) validateProxy(r *report) {
	if s.OutboundProxy == "" {
		return
	}
	var uri sip.Uri
	err := sip.ParseUri(s.OutboundProxy, &uri)
	if err != nil || uri.Scheme != "sip" && uri.Scheme != "sips" || !isHost(strings.Trim(uri.Host, "[]")) ||
		strings.ContainsAny(s.OutboundProxy, " <>\r\n\t") {
		r.addf("sip.outbound_proxy", "%q is not a URI such as sip:pbx.example.com;lr", s.OutboundProxy)
	}
}

var hostPattern = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?\.?$`)

// isHost tells whether s is an address that a packet can be sent to, or a name
// (RFC 3261 25.1: its last label begins with a letter).
func isHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return !a.IsUnspecified() && !a.IsMulticast()
	}
	return len(s) <= 253 && hostPattern.MatchString(s)
}

var quotable = regexp.MustCompile(`^[^"\\\x00-\x1f\x7f]+$`)

// somebody refuses a pattern that would let anybody be called.
func (r *report) somebody(key string, users *regexp.Regexp) {
	if users == nil || users.String() == "" {
		r.add(key, `must not be empty, which would let anybody be called; "^$" lets nobody`)
	}
}

func (a Access) validate(r *report) {
	if !quotable.MatchString(a.Realm) {
		r.add("access.realm", "must not be empty nor have quotes, backslashes or control characters")
	}
	r.somebody("access.return_users", a.ReturnUsers)
	r.somebody("access.refer_users", a.ReferUsers)
	names := map[string]int{}
	for i, u := range a.Users {
		key := fmt.Sprintf("access.users[%d]", i)
		if !quotable.MatchString(u.Username) || strings.Contains(u.Username, ":") {
			r.add(key+".username", "must not be empty nor have colons, quotes, backslashes or control characters")
		} else if j, twice := names[u.Username]; twice {
			r.addf(key+".username", "%s is there already, as %s", u.Username, r.name(fmt.Sprintf("access.users[%d]", j)))
		} else {
			names[u.Username] = i
		}
		if (u.Password == "") == (u.HA1 == "") {
			r.add(key, "exactly one of password and ha1 is needed")
		}
		if u.HA1 != "" && !isHA1(u.HA1.Reveal()) {
			r.add(key+".ha1", "is not 32 (MD5) or 64 (SHA-256) hexadecimal digits")
		}
	}
}

var hexDigits = regexp.MustCompile(`^[0-9A-Fa-f]*$`)

func isHA1(s string) bool {
	return (len(s) == 32 || len(s) == 64) && hexDigits.MatchString(s)
}

func (m Media) validate(r *report) {
	if m.Address.IsValid() && (m.Address.IsUnspecified() || m.Address.IsMulticast()) {
		r.addf("media.address", "%s is no address that a phone can send to", m.Address)
	}
	switch p := m.Ports; {
	case p.Low < 1024:
		r.addf("media.ports", "%s goes below 1024", p)
	case p.Low%2 != 0:
		r.addf("media.ports", "%s begins at an odd port; RTP takes even ones", p)
	case p.Low >= p.High:
		r.addf("media.ports", "%s has no room for a stream", p)
	}
	if len(m.Codecs) == 0 {
		r.add("media.codecs", "at least one codec is needed")
	}
	for i, name := range m.Codecs {
		key := fmt.Sprintf("media.codecs[%d]", i)
		r.oneOf(key, name, "PCMU", "PCMA", "G722")
		if slices.Contains(m.Codecs[:i], name) {
			r.addf(key, "%s is there already", name)
		}
	}
	between(r, "media.dscp", m.DSCP, 0, 63)
	r.oneOf("media.srtp", m.SRTP, "off", "optional", "required")
	r.oneOf("media.latch", m.Latch, "auto", "always", "never")
}

var tokenPattern = regexp.MustCompile("^[A-Za-z0-9.!%*_+`'~-]+$") // RFC 3261 25.1

func (p Park) validate(r *report) {
	if len(p.RetrieveCodes) == 0 {
		r.add("park.retrieve_codes", "at least one code is needed")
	}
	for i, code := range p.RetrieveCodes {
		key := fmt.Sprintf("park.retrieve_codes[%d]", i)
		if !extensionPattern.MatchString(code) {
			r.addf(key, "%q is not letters, digits and * # + . _ -", code)
		}
		if slices.Contains(p.RetrieveCodes[:i], code) {
			r.addf(key, "%s is there already", code)
		}
	}
	between(r, "park.max_calls", p.MaxCalls, 1, 1_000_000)
	if longest := 365 * 24 * time.Hour; p.MaxTime != 0 && (p.MaxTime < time.Second || p.MaxTime > longest) {
		r.addf("park.max_time", "%s is out of range, 0 (never) or 1s to %s", formatDuration(p.MaxTime), formatDuration(longest))
	}
	for i, name := range p.ParkerHeaders {
		if !tokenPattern.MatchString(name) {
			r.addf(fmt.Sprintf("park.parker_headers[%d]", i), "%q is not the name of a header", name)
		}
	}
	between(r, "park.keepalive", p.Keepalive, time.Second, 24*time.Hour)
	between(r, "park.timeout_range[0]", p.TimeoutRange.Min, time.Second, 24*time.Hour)
	between(r, "park.timeout_range[1]", p.TimeoutRange.Max, time.Second, 24*time.Hour)
	if p.TimeoutRange.Min > p.TimeoutRange.Max {
		r.addf("park.timeout_range", "%s is longer than %s", formatDuration(p.TimeoutRange.Min), formatDuration(p.TimeoutRange.Max))
	}
}

func (a Admin) validate(r *report) {
	if a.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(a.Listen)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		r.addf("admin.listen", "%q is not an address with a port, such as 127.0.0.1:8080", a.Listen)
		return
	}
	addr, err := netip.ParseAddr(host)
	if err != nil && host != "" && !isHost(host) {
		r.addf("admin.listen", "%q is not an address or host name", host)
		return
	}
	if !addr.Unmap().IsLoopback() && host != "localhost" && a.Password == "" {
		r.addf("admin.password", "a password is required to listen beyond loopback (admin.listen is %s)", a.Listen)
	}
}

func (s Store) validate(r *report) {
	r.oneOf("store.kind", s.Kind, "bolt", "memory")
}
