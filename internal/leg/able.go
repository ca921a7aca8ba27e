package leg

import (
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// able is what a peer says that it takes: in lower case, nil as long as it has not
// said. A message without Allow or Supported says nothing about it (RFC 3261 20.5,
// 20.37).
type able struct {
	Allow     []string `json:"allow,omitempty"`
	Supported []string `json:"supported,omitempty"`
}

// learn takes note of what a message says.
func (a *able) learn(msg sip.Message) {
	if _, ok := sipua.Header(msg, "allow"); ok {
		a.Allow = append([]string{}, sipua.Tokens(msg, "allow")...)
	}
	if _, ok := sipua.Header(msg, "supported"); ok {
		a.Supported = append([]string{}, sipua.Tokens(msg, "supported")...)
	}
}

// supports reports whether the peer names an extension among those that it has.
func (a *able) supports(tag string) bool { return slices.Contains(a.Supported, tag) }

// allows reports whether the peer names a method among those that it takes, and
// whether it has said anything about that.
func (a *able) allows(m sip.RequestMethod) (named, said bool) {
	return slices.Contains(a.Allow, strings.ToLower(string(m))), a.Allow != nil
}
