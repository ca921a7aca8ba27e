package dialog

import (
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// Plain says whether AppendHeaders writes what NewRequest would: every text is
// one that needs no escaping, and no strict router changes the Request-URI. Ask
// again when the dialog has changed.
func (d *Dialog) Plain() bool {
	if d.LocalName != "" || !isWord(d.CallID) || !isWord(d.Local) || d.Remote != "" && !isWord(d.Remote) {
		return false
	}
	for _, text := range append([]string{d.Target, d.LocalURI, d.RemoteURI}, d.Routes...) {
		var u sip.Uri
		if !isWord(text) || sip.ParseUri(text, &u) != nil || u.String() != text {
			return false
		}
	}
	if len(d.Routes) == 0 {
		return true
	}
	var first sip.Uri
	_ = sip.ParseUri(d.Routes[0], &first) // it was read above
	_, loose := sipua.URIParam(first.UriParams, "lr")
	return loose
}

// isWord says whether text can stand in a header as it is.
func isWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '<' || r == '>' || r == '"' || r == '\\'
	})
}

// AppendHeaders appends the header fields of a request within the dialog, from
// Route to CSeq (RFC 3261 12.2.1.1). Its Request-URI is Target. The dialog must be
// a plain one, and does not change: the caller raises LocalSeq.
func (d *Dialog) AppendHeaders(b []byte, method sip.RequestMethod, seq uint32) []byte {
	for _, r := range d.Routes {
		b = append(append(append(b, "Route: <"...), r...), ">\r\n"...)
	}
	b = append(b, "Max-Forwards: 70\r\n"...)
	b = appendParty(b, "From: <", d.LocalURI, d.Local)
	b = appendParty(b, "To: <", d.RemoteURI, d.Remote)
	b = append(append(b, "Call-ID: "...), d.CallID...)
	b = append(b, "\r\nCSeq: "...)
	b = strconv.AppendUint(b, uint64(seq), 10)
	b = append(append(b, ' '), method...)
	return append(b, "\r\n"...)
}

func appendParty(b []byte, start, uri, tag string) []byte {
	b = append(append(append(b, start...), uri...), '>')
	if tag != "" { // 12.2.1.1: a null tag is left out
		b = append(append(b, ";tag="...), tag...)
	}
	return append(b, "\r\n"...)
}
