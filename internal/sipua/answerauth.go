package sipua

import (
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// authorize builds the request that answers a 401 or 407 (RFC 3261 22.2,
// 22.3), without Via and with the CSeq still to be raised. All challenges are
// looked at, and for each realm the strongest algorithm is answered. It
// returns false when there are no credentials, or when those were refused
// already: a realm is answered again only if its nonce was stale.
func (e *Endpoint) authorize(req *sip.Request, res *sip.Response, own []Credential, answered map[string]bool) (*sip.Request, bool) {
	ask, give := "www-authenticate", "Authorization"
	if res.StatusCode == sip.StatusProxyAuthRequired {
		ask, give = "proxy-authenticate", "Proxy-Authorization"
	}
	best := map[string]*digest.Challenge{}
	for _, v := range Headers(res, ask) {
		c, err := digest.ParseChallenge(v)
		if err != nil {
			continue
		}
		for i := range c.QOP {
			c.QOP[i] = strings.TrimSpace(c.QOP[i])
		}
		if !digest.CanDigest(c) || len(c.QOP) > 0 && !c.SupportsQOP("auth") {
			continue
		}
		if old := best[c.Realm]; old == nil || strength(c) > strength(old) {
			best[c.Realm] = c
		}
	}
	next := req.Clone()
	for next.RemoveHeader("Via") {
	}
	found := false
	for realm, c := range best {
		cred, ok := e.credential(own, realm)
		if !ok || answered[give+realm] && !c.Stale {
			continue
		}
		d, err := digest.Digest(c, digest.Options{
			Method: req.Method.String(), URI: req.Recipient.String(), // 22.4: the Request-URI, with its parameters
			Username: cred.Username, Password: cred.Password,
		})
		if err != nil {
			continue
		}
		answered[give+realm] = true
		dropCredentials(next, give, realm)
		next.AppendHeader(sip.NewHeader(give, d.String()))
		found = true
	}
	return next, found
}

// credential finds the one for a realm: of the request's own, else of the
// settings; one without a realm fits all.
func (e *Endpoint) credential(own []Credential, realm string) (Credential, bool) {
	for _, list := range [][]Credential{own, e.settings.Load().Credentials} {
		if i := slices.IndexFunc(list, func(c Credential) bool { return c.Realm == realm }); i >= 0 {
			return list[i], true
		}
		if i := slices.IndexFunc(list, func(c Credential) bool { return c.Realm == "" }); i >= 0 {
			return list[i], true
		}
	}
	return Credential{}, false
}

// strength orders the algorithms (RFC 8760 2.4).
func strength(c *digest.Challenge) int {
	switch strings.ToUpper(c.Algorithm) {
	case "SHA-512-256":
		return 2
	case "SHA-256":
		return 3
	case "SHA-512":
		return 1
	}
	return 0
}

// dropCredentials removes what was given to that realm before.
func dropCredentials(req *sip.Request, name, realm string) {
	var keep []sip.Header
	for _, h := range req.GetHeaders(name) {
		if c, err := digest.ParseCredentials(h.Value()); err != nil || c.Realm != realm {
			keep = append(keep, h)
		}
	}
	for req.RemoveHeader(name) {
	}
	for _, h := range keep {
		req.AppendHeader(h)
	}
}
