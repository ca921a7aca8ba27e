package server

import (
	"crypto/sha1"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/admin"
	"parkd/internal/config"
	"parkd/internal/register"
	"parkd/internal/sipua"
)

// instance is our +sip.instance (RFC 5626 4.1): the same after each restart, and
// another one for each parkd. It is a name-based UUID (RFC 4122 4.3) of the machine
// and the data directory, so that nothing has to be kept for it.
func instance(c *config.Config) string {
	host, _ := os.Hostname() // else the directory alone has to do
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		dir = c.DataDir
	}
	h := sha1.Sum([]byte("parkd " + host + " " + dir))
	h[6], h[8] = h[6]&0x0f|0x50, h[8]&0x3f|0x80
	return fmt.Sprintf("<urn:uuid:%x-%x-%x-%x-%x>", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// accounts are the registrations that a configuration wants.
func accounts(c *config.Config) (list []register.Account) {
	for i := range c.SIP.Register {
		g := &c.SIP.Register[i]
		names, extensions := g.Accounts()
		for k, name := range names {
			list = append(list, register.Account{
				AOR: "sip:" + sipua.EscapeUser(name) + "@" + bracketed(g.Host()), Registrar: g.Registrar, User: extensions[k], Domain: g.Domain,
				Username: name, Password: g.Password.Reveal(), Realm: g.Realm,
				Expires: g.Expires, Keepalive: g.Keepalive, Contact: g.Contact,
			})
		}
	}
	return list
}

// bracketed is a host as a URI has it.
func bracketed(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

// credentials answers challenges to what goes out on behalf of an extension that is
// registered.
func credentials(c *config.Config) func(string) []sipua.Credential {
	if len(c.SIP.Register) == 0 {
		return nil
	}
	byUser := map[string][]sipua.Credential{}
	for _, a := range accounts(c) {
		byUser[a.User] = append(byUser[a.User], a.Credentials()...)
	}
	for i := range c.SIP.Register { // one account for several
		g := &c.SIP.Register[i]
		if names, _ := g.Accounts(); len(names) == 1 {
			for _, ext := range g.Orbits[1:] {
				byUser[ext] = append(byUser[ext], sipua.Credential{Realm: g.Realm, Username: names[0], Password: g.Password.Reveal()})
			}
		}
	}
	return func(user string) []sipua.Credential { return byUser[user] }
}

// hosted lists the domains in which we are registered.
func hosted(c *config.Config) (domains []string) {
	for i := range c.SIP.Register {
		domains = append(domains, c.SIP.Register[i].Host())
		var uri sip.Uri
		if sip.ParseUri(c.SIP.Register[i].Registrar, &uri) == nil && net.ParseIP(uri.Host) == nil {
			domains = append(domains, uri.Host)
		}
	}
	return domains
}

// registrations lists the registrations for operators. It implements
// admin.Registrations.
type registrations struct{ m *register.Manager }

// Registrations implements admin.Registrations.
func (r registrations) Registrations() []admin.Registration {
	list := make([]admin.Registration, 0)
	for _, s := range r.m.List() {
		list = append(list, admin.Registration{
			AOR: s.AOR, Registrar: s.Registrar, Extension: s.User, State: string(s.State), Since: s.Since.UTC(),
			Expires: s.Expires.UTC(), Next: s.Next.UTC(), Contact: s.Contact, Routes: s.Routes, Error: s.Error,
		})
	}
	return list
}

// counts is how many registrations there are in each state.
func counts(m *register.Manager) map[string]int {
	n := map[string]int{}
	for s, count := range m.Count() {
		n[string(s)] = count
	}
	return n
}
