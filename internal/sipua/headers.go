package sipua

import (
	"strings"

	"github.com/emiago/sipgo/sip"
)

// compact maps the long names of header fields, in lower case, to their
// compact forms (RFC 3261 7.3.3, RFC 6665, RFC 3515, RFC 3892, RFC 3841,
// RFC 4028).
var compact = map[string]string{
	"accept-contact": "a", "referred-by": "b", "content-type": "c", "content-encoding": "e",
	"from": "f", "call-id": "i", "supported": "k", "content-length": "l", "contact": "m",
	"event": "o", "refer-to": "r", "subject": "s", "to": "t", "allow-events": "u",
	"via": "v", "session-expires": "x", "reject-contact": "j",
}

// Header returns the value of the first header field with that long name, in
// whichever form and case it was sent.
func Header(m sip.Message, name string) (string, bool) {
	for _, h := range fields(m) {
		if isName(h.Name(), name) {
			return strings.TrimSpace(h.Value()), true
		}
	}
	return "", false
}

// Headers returns the values of all header fields with that long name, each
// as it was sent: a comma-separated field is one value.
func Headers(m sip.Message, name string) []string {
	var values []string
	for _, h := range fields(m) {
		if isName(h.Name(), name) {
			values = append(values, strings.TrimSpace(h.Value()))
		}
	}
	return values
}

// Tokens returns the elements of all fields with that name, split at commas,
// without parameters and in lower case, as option tags and media types want.
func Tokens(m sip.Message, name string) []string {
	var list []string
	for _, v := range Headers(m, name) {
		for _, part := range splitOutside(v, ',') {
			part, _, _ = strings.Cut(part, ";")
			if part = strings.ToLower(strings.TrimSpace(part)); part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}

// HasToken says whether the fields with that name contain the token.
func HasToken(m sip.Message, name, token string) bool {
	for _, t := range Tokens(m, name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
}

// Accepts says whether the sender takes that media type. Without an Accept
// header byDefault decides, because each event package has its own default
// (RFC 6665 5.4.5). A type with q=0 is not taken.
func Accepts(m sip.Message, mediaType string, byDefault bool) bool {
	values := Headers(m, "accept")
	if len(values) == 0 {
		return byDefault
	}
	major, _, _ := strings.Cut(mediaType, "/")
	for _, v := range values {
		for _, part := range splitOutside(v, ',') {
			name, rest, _ := strings.Cut(part, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != strings.ToLower(mediaType) && name != major+"/*" && name != "*/*" {
				continue
			}
			if q, ok := parseParams(rest).Get("q"); ok && strings.Trim(q, "0.") == "" {
				continue
			}
			return true
		}
	}
	return false
}

// Addrs reads all fields with that name as lists of addresses, as in
// P-Asserted-Identity (RFC 3325 9.1); what cannot be read is left out.
func Addrs(m sip.Message, name string) []NameAddr {
	var list []NameAddr
	for _, v := range Headers(m, name) {
		l, _ := ParseNameAddrs(v)
		list = append(list, l...)
	}
	return list
}

// Addr reads the first address of that name.
func Addr(m sip.Message, name string) (NameAddr, bool) {
	for _, v := range Headers(m, name) {
		if l, _ := ParseNameAddrs(v); len(l) > 0 {
			return l[0], true
		}
	}
	return NameAddr{}, false
}

// Identity is who the sender is said to be: P-Asserted-Identity (RFC 3325),
// else Remote-Party-ID, else From. The first two count only in a request from
// a trusted address, so trusted is false for anyone else.
func Identity(m sip.Message, trusted bool) NameAddr {
	if trusted {
		for _, name := range []string{"p-asserted-identity", "remote-party-id"} {
			if n, ok := Addr(m, name); ok {
				return n
			}
		}
	}
	n, _ := Addr(m, "from")
	return n
}

func isName(have, want string) bool {
	if strings.EqualFold(have, want) {
		return true
	}
	short := compact[strings.ToLower(want)]
	return short != "" && strings.EqualFold(have, short)
}

func fields(m sip.Message) []sip.Header {
	switch m := m.(type) {
	case *sip.Request:
		return m.Headers()
	case *sip.Response:
		return m.Headers()
	}
	return nil
}

// tag returns the tag of a To or From header, "" when there is none.
func tag(p sip.HeaderParams) string {
	t, _ := URIParam(p, "tag")
	return t
}

// FromTag is the From tag of a message, "" when it has none (RFC 2543 peers).
func FromTag(m sip.Message) string {
	if h := m.From(); h != nil {
		return tag(h.Params)
	}
	return ""
}

// ToTag is the To tag of a message, "" when it has none.
func ToTag(m sip.Message) string {
	if h := m.To(); h != nil {
		return tag(h.Params)
	}
	return ""
}

// CallID is the Call-ID of a message.
func CallID(m sip.Message) string {
	if h := m.CallID(); h != nil {
		return h.Value()
	}
	return ""
}

// CSeq is the sequence number of a message, 0 when it has none.
func CSeq(m sip.Message) uint32 {
	if h := m.CSeq(); h != nil {
		return h.SeqNo
	}
	return 0
}
