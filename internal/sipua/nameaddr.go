package sipua

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// ErrSyntax is returned, wrapped, by every parser of this package.
var ErrSyntax = errors.New("malformed")

// maxField bounds what the parsers look at, in bytes.
const maxField = 8192

// NameAddr is a name-addr or addr-spec with its header parameters
// (RFC 3261 20.10), as in From, Contact, P-Asserted-Identity or Referred-By.
type NameAddr struct {
	Display string // without quotes and escapes
	URI     sip.Uri
	Params  Params
}

// String writes the address as a name-addr that is safe to send.
func (n NameAddr) String() string {
	s := "<" + Clean(n.URI.String()) + ">" + n.Params.String()
	if n.Display != "" {
		s = QuoteDisplay(n.Display) + " " + s
	}
	return s
}

// ParseNameAddr reads one name-addr or addr-spec. Semicolons, commas and
// angle brackets inside a quoted display name are part of the name. Without
// angle brackets every parameter belongs to the header (RFC 3261 20.10).
func ParseNameAddr(s string) (NameAddr, error) {
	var n NameAddr
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxField {
		return n, fmt.Errorf("address %w", ErrSyntax)
	}
	text, rest, err := cutURI(s, &n)
	if err != nil {
		return n, err
	}
	if err := sip.ParseUri(text, &n.URI); err != nil {
		return n, fmt.Errorf("address %w: %w", ErrSyntax, err)
	}
	if rest = strings.TrimSpace(rest); rest != "" {
		if rest[0] != ';' {
			return n, fmt.Errorf("address %w: text behind the URI", ErrSyntax)
		}
		n.Params = parseParams(rest[1:])
	}
	return n, nil
}

// cutURI finds the URI of s and what follows it, and sets n.Display.
func cutURI(s string, n *NameAddr) (uri, rest string, err error) {
	open := indexOutside(s, '<')
	if open < 0 { // addr-spec
		if i := strings.IndexByte(s, ';'); i >= 0 {
			return strings.TrimSpace(s[:i]), s[i:], nil
		}
		return s, "", nil
	}
	end := strings.IndexByte(s[open:], '>')
	if end < 0 {
		return "", "", fmt.Errorf("address %w: no closing bracket", ErrSyntax)
	}
	n.Display = unquote(strings.TrimSpace(s[:open]))
	return strings.TrimSpace(s[open+1 : open+end]), s[open+end+1:], nil
}

// ParseNameAddrs reads a comma-separated list; it stops at the first fault.
func ParseNameAddrs(s string) ([]NameAddr, error) {
	var list []NameAddr
	for _, part := range splitOutside(s, ',') {
		if strings.TrimSpace(part) == "" {
			continue
		}
		n, err := ParseNameAddr(part)
		if err != nil {
			return list, err
		}
		list = append(list, n)
	}
	return list, nil
}

// UserOf is the user part of a URI with its escapes undone, and without the
// parameters that a telephone-subscriber may carry in it (RFC 3261 19.1.6). A
// tel URI gives its number.
func UserOf(u *sip.Uri) string {
	s := u.User
	if u.Scheme == "tel" {
		s = u.Raw()
	}
	s, _, _ = strings.Cut(s, ";")
	return UnescapeUser(s)
}

// URIParam looks a parameter up in sipgo's list without regard to case and takes
// quotes off its value.
func URIParam(p sip.HeaderParams, name string) (string, bool) {
	for _, kv := range p {
		if strings.EqualFold(strings.TrimSpace(kv.K), name) {
			return unquote(strings.TrimSpace(kv.V)), true
		}
	}
	return "", false
}
