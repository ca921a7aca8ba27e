// Package wire reads SIP messages for the tests' own phones and records. What
// is malformed by the letter of RFC 3261 is an error, so that a phone notices
// what a lenient one would let pass.
package wire

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Message is a SIP message cut into its parts.
type Message struct {
	Start   string
	Headers []Header
	Body    string
}

// Header is a header field as it was sent.
type Header struct{ Name, Value string }

// Split cuts a message without judging it.
func Split(text string) *Message {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	m := &Message{Start: lines[0], Body: body}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		m.Headers = append(m.Headers, Header{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return m
}

// once are the headers that a message has exactly once (RFC 3261 20, table 2).
var once = []string{"From", "To", "Call-ID", "CSeq", "Content-Length"}

// Parse cuts a message that must be well-formed.
func Parse(data []byte) (*Message, error) {
	if _, err := sip.ParseMessage(data); err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, data)
	}
	m := Split(string(data))
	for _, name := range once {
		if n := len(m.All(name)); n != 1 {
			return nil, fmt.Errorf("%d %s headers in\n%s", n, name, data)
		}
	}
	if n, err := strconv.Atoi(m.Get("Content-Length")); err != nil || n != len(m.Body) {
		return nil, fmt.Errorf("Content-Length %s of a body of %d in\n%s", m.Get("Content-Length"), len(m.Body), data)
	}
	if !strings.HasPrefix(m.Branch(), "z9hG4bK") {
		return nil, fmt.Errorf("no branch of RFC 3261 in\n%s", data)
	}
	return m, nil
}

// All returns the values of a header's fields.
func (m *Message) All(name string) (values []string) {
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, name) {
			values = append(values, h.Value)
		}
	}
	return values
}

// Get returns a header's first value, "" if there is none.
func (m *Message) Get(name string) string {
	if v := m.All(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Response reports whether it is one.
func (m *Message) Response() bool { return strings.HasPrefix(m.Start, "SIP/2.0 ") }

// Code is a response's status, 0 of a request.
func (m *Message) Code() int {
	if words := strings.Fields(m.Start); m.Response() && len(words) > 1 {
		n, _ := strconv.Atoi(words[1])
		return n
	}
	return 0
}

// Method is that of a request, or of the request that a response answers.
func (m *Message) Method() string {
	_, method := m.CSeq()
	return method
}

// URI is the Request-URI.
func (m *Message) URI() string {
	if words := strings.Fields(m.Start); !m.Response() && len(words) == 3 {
		return words[1]
	}
	return ""
}

// CSeq is the sequence number and its method.
func (m *Message) CSeq() (uint32, string) {
	digits, method, _ := strings.Cut(m.Get("CSeq"), " ")
	n, _ := strconv.ParseUint(digits, 10, 32)
	return uint32(n), strings.TrimSpace(method)
}

// CallID is the Call-ID.
func (m *Message) CallID() string { return m.Get("Call-ID") }

// FromTag is the tag of whoever sent the request.
func (m *Message) FromTag() string { return Param(m.Get("From"), "tag") }

// ToTag is the tag of whoever got it, "" before there is a dialog.
func (m *Message) ToTag() string { return Param(m.Get("To"), "tag") }

// Branch is that of the top Via.
func (m *Message) Branch() string { return Param(m.Get("Via"), "branch") }

// Param is a parameter of a header's value, past any angle brackets; its name
// for one without a value.
func Param(value, name string) string {
	_, after, ok := strings.Cut(value, ">")
	if !ok {
		after = value
	}
	for p := range strings.SplitSeq(after, ";") {
		k, v, valued := strings.Cut(strings.TrimSpace(p), "=")
		switch {
		case !strings.EqualFold(strings.TrimSpace(k), name):
		case valued:
			return strings.TrimSpace(v)
		default:
			return name
		}
	}
	return ""
}

// Address is the URI of a name-addr or addr-spec.
func Address(value string) string {
	if _, rest, ok := strings.Cut(value, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	uri, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(uri)
}
