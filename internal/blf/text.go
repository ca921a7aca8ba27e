package blf

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDisplay bounds a display name, in runes: no phone shows more.
const maxDisplay = 64

// bare is a URI without parameters and headers; those of its user part stay.
func bare(uri string) string {
	host := strings.LastIndexByte(uri, '@') + 1
	if i := strings.IndexAny(uri[host:], ";?"); i >= 0 {
		return uri[:host+i]
	}
	return uri
}

// userOf is the user part of a URI as it is written, without parameters.
func userOf(uri string) string {
	_, rest, _ := strings.Cut(bare(uri), ":")
	user, _, _ := strings.Cut(rest, "@")
	user, _, _ = strings.Cut(user, ";")
	return user
}

// label makes a display name of any text: one line, no control characters, valid
// UTF-8, at most maxDisplay runes.
func label(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r >= 0xFFFE && r&0xFFFE == 0xFFFE {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	n := 0
	for i := range s {
		if n++; n > maxDisplay {
			return strings.TrimRight(s[:i], " ")
		}
	}
	return s
}

// shorten takes whole runes off the end of s until its escaped form is over
// bytes shorter, or nothing is left.
func shorten(s string, over int) string {
	for over > 0 && s != "" {
		r, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
		over -= escaped(r, size)
	}
	return strings.TrimRight(s, " ")
}

// escaped is how many bytes a rune takes in an attribute.
func escaped(r rune, size int) int {
	switch r {
	case '&':
		return len("&amp;")
	case '<':
		return len("&lt;")
	case '"':
		return len("&quot;")
	}
	return size
}

// plain are the bytes that stand for themselves in text and attributes.
var plain = func() (p [256]bool) {
	for b := byte(' '); b < 0x7f; b++ {
		p[b] = b != '&' && b != '<' && b != '>' && b != '"'
	}
	return p
}()

// appendEscaped appends s as canonical XML writes it, in an attribute's value or in
// text. What XML cannot carry becomes U+FFFD.
func appendEscaped(dst []byte, s string, attr bool) []byte {
	i := 0
	for i < len(s) && plain[s[i]] {
		i++
	}
	if i == len(s) {
		return append(dst, s...)
	}
	for _, r := range s { // what is not UTF-8 comes as U+FFFD
		switch {
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '>' && !attr:
			dst = append(dst, "&gt;"...)
		case r == '"' && attr:
			dst = append(dst, "&quot;"...)
		case r == '\t' && attr:
			dst = append(dst, "&#x9;"...)
		case r == '\n' && attr:
			dst = append(dst, "&#xA;"...)
		case r == '\r':
			dst = append(dst, "&#xD;"...)
		case r < ' ' && r != '\t' && r != '\n' || r == 0xFFFE || r == 0xFFFF: // XML 1.0 2.2
			dst = append(dst, "\uFFFD"...)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
