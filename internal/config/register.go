package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// placeholder stands in register.username for each extension.
const placeholder = "{extension}"

// maxRegistrations bounds the accounts of sip.register together.
const maxRegistrations = 10_000

// complete fills in what an entry leaves out.
func (g *Register) complete() {
	if g.Username == "" {
		g.Username = placeholder
	}
	if g.Expires == 0 {
		g.Expires = time.Hour
	}
	if g.Keepalive == 0 {
		g.Keepalive = 25 * time.Second // RFC 5626 4.4.2: below what most NATs keep UDP for
	}
	g.Domain = strings.ToLower(g.Domain)
}

// Host is the domain of the entry's addresses of record.
func (g *Register) Host() string {
	var uri sip.Uri
	if g.Domain != "" || sip.ParseUri(g.Registrar, &uri) != nil {
		return g.Domain
	}
	return strings.ToLower(uri.Host)
}

// Accounts lists the user names of the entry, and which extension each one's
// calls come to.
func (g *Register) Accounts() (names, extensions []string) {
	if !strings.Contains(g.Username, placeholder) {
		return []string{g.Username}, g.Orbits[:min(1, len(g.Orbits))]
	}
	for _, ext := range g.Orbits {
		names = append(names, strings.ReplaceAll(g.Username, placeholder, ext))
	}
	return names, g.Orbits
}

var (
	accountPattern = regexp.MustCompile(`^[A-Za-z0-9*#+._~!$&=-]{1,128}$`)
	contactPattern = regexp.MustCompile(`^(;[A-Za-z0-9.+_-]+(=([A-Za-z0-9._~+-]+|"[^"\\\x00-\x1f\x7f]*"))?)*$`)
)

// validateRegister checks sip.register. An extension that is neither an orbit nor a
// pool would take calls only to refuse them.
func (c *Config) validateRegister(r *report) {
	ours := map[string]bool{}
	for i := range c.Orbits {
		ours[c.Orbits[i].Extension] = true
	}
	for i := range c.Pools {
		ours[c.Pools[i].Extension] = true
	}
	taken := map[string]string{}
	for i := range c.SIP.Register {
		g, key := &c.SIP.Register[i], fmt.Sprintf("sip.register[%d]", i)
		g.validate(r, key)
		for _, ext := range g.Orbits {
			if !ours[ext] {
				r.addf(key+".orbits", "%s is neither an orbit nor a pool", ext)
			}
		}
		names, _ := g.Accounts()
		for _, name := range names {
			aor := name + "@" + g.Host()
			if other := taken[aor]; other != "" {
				r.addf(key+".username", "%s is registered already, by %s", aor, r.name(other))
				break
			}
			taken[aor] = key
		}
	}
	if len(taken) > maxRegistrations {
		r.addf("sip.register", "%d accounts are more than %d", len(taken), maxRegistrations)
	}
}

func (g *Register) validate(r *report, key string) {
	if len(g.Orbits) == 0 {
		r.add(key+".orbits", "at least one extension is needed")
	}
	var uri sip.Uri
	err := sip.ParseUri(g.Registrar, &uri)
	if err != nil || uri.Scheme != "sip" && uri.Scheme != "sips" || uri.User != "" || !isHost(strings.Trim(uri.Host, "[]")) ||
		strings.ContainsAny(g.Registrar, " <>\r\n\t") {
		r.addf(key+".registrar", "%q is not a URI such as sip:pbx.example.com or sip:pbx.example.com;transport=tcp", g.Registrar)
	}
	if g.Domain != "" && !isHost(g.Domain) {
		r.addf(key+".domain", "%q is not a domain", g.Domain)
	}
	if name := strings.ReplaceAll(g.Username, placeholder, "1"); !accountPattern.MatchString(name) {
		r.addf(key+".username", "%q is not a user name; {extension} in it stands for each of orbits", g.Username)
	}
	if g.Password == "" {
		r.add(key+".password", "must not be empty")
	}
	between(r, key+".expires", g.Expires, time.Minute, 24*time.Hour)
	between(r, key+".keepalive", g.Keepalive, 5*time.Second, time.Hour)
	if !contactPattern.MatchString(g.Contact) {
		r.addf(key+".contact", "%q is not parameters of a Contact such as ;q=0.5", g.Contact)
	}
	for _, p := range strings.Split(g.Contact, ";") {
		name, _, _ := strings.Cut(strings.ToLower(p), "=")
		if slices.Contains([]string{"expires", "reg-id", "+sip.instance"}, name) {
			r.addf(key+".contact", "%s is set by parkd itself", name)
		}
	}
}
