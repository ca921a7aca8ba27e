package sipua

import (
	"strings"
	"unicode/utf8"
)

// Clean makes text fit to stand in one header field: CR, LF, NUL and other
// control characters become spaces, bytes that are not UTF-8 are dropped
// (RFC 3261 25.1, TEXT-UTF8char).
func Clean(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r == utf8.RuneError:
		case r < 0x20 && r != '\t', r == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isClean(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 0x20 && c != '\t') || c == 0x7f || c >= utf8.RuneSelf {
			return c >= utf8.RuneSelf && utf8.ValidString(s[i:]) && !strings.ContainsFunc(s[i:], isControl)
		}
	}
	return true
}

func isControl(r rune) bool { return (r < 0x20 && r != '\t') || r == 0x7f || r == utf8.RuneError }

// EscapeDisplay prepares a display name for sipgo's DisplayName fields, which
// are written between quotes as they are: text is cleaned, and quotes and
// backslashes are escaped (RFC 3261 25.1, quoted-string).
func EscapeDisplay(s string) string {
	s = Clean(s)
	if !strings.ContainsAny(s, `"\`) {
		return s
	}
	return quoting.Replace(s)
}

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// QuoteDisplay writes a display name as a quoted-string, quotes included. The
// empty name gives the empty string.
func QuoteDisplay(s string) string {
	if s == "" {
		return ""
	}
	return `"` + EscapeDisplay(s) + `"`
}

// UnescapeDisplay undoes EscapeDisplay, for the DisplayName fields of messages
// that came in: sipgo leaves backslashes in them.
func UnescapeDisplay(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// safeDisplay is the last line of defence for a DisplayName that is about to
// be written: it escapes again what could end the quoted string early.
func safeDisplay(s string) string {
	if !isClean(s) {
		s = Clean(s)
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return EscapeDisplay(s)
			}
		case '"':
			return EscapeDisplay(s)
		}
	}
	return s
}

// userUnreserved are the characters that stand for themselves in the user
// part of a SIP URI (RFC 3261 25.1: unreserved and user-unreserved).
const userUnreserved = "-_.!~*'()&=+$,;?/"

// EscapeUser writes text as the user part of a SIP URI: what may not stand
// there is percent-escaped.
func EscapeUser(s string) string { return escape(s, userUnreserved) }

// escapeHeader writes text as the value of a URI header (RFC 3261 25.1:
// unreserved and hnv-unreserved).
func escapeHeader(s string) string { return escape(s, "-_.!~*'()[]/?:+$") }

func escape(s, safe string) string {
	const hex = "0123456789ABCDEF"
	stays := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(safe, c) >= 0
	}
	plain := 0
	for plain < len(s) && stays(s[plain]) {
		plain++
	}
	if plain == len(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case stays(c):
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// UnescapeUser undoes percent-escapes: %2A4701 is *4701. What is not a valid
// escape is left as it is.
func UnescapeUser(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b.WriteByte(hi<<4 | lo)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// isToken says whether s is a token (RFC 3261 25.1).
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-.!%*_+`'~", c) >= 0:
		default:
			return false
		}
	}
	return true
}
