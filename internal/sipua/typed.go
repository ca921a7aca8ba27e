package sipua

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Replaces is the header of RFC 3891.
type Replaces struct {
	CallID, ToTag, FromTag string
	EarlyOnly              bool
}

// ParseReplaces reads a Replaces header. Percent-escapes, as they stand in a
// Refer-To URI, are undone when the text cannot be read without.
func ParseReplaces(s string) (Replaces, error) {
	r, err := parseReplaces(s)
	if err != nil && strings.Contains(s, "%") {
		r, err = parseReplaces(UnescapeUser(s))
	}
	return r, err
}

func parseReplaces(s string) (Replaces, error) {
	if len(s) > maxField {
		return Replaces{}, fmt.Errorf("Replaces %w", ErrSyntax)
	}
	id, rest, _ := strings.Cut(s, ";")
	r := Replaces{CallID: strings.TrimSpace(id)}
	toTags, fromTags := 0, 0
	for _, p := range parseParams(rest) {
		switch strings.ToLower(p.Name) {
		case "to-tag":
			r.ToTag = p.Value
			toTags++
		case "from-tag":
			r.FromTag = p.Value
			fromTags++
		case "early-only":
			r.EarlyOnly = true
		}
	}
	// RFC 3891 6.1: exactly one to-tag and exactly one from-tag.
	if r.CallID == "" || strings.ContainsAny(r.CallID, " \t,<>") || toTags != 1 || fromTags != 1 || r.ToTag == "" || r.FromTag == "" {
		return Replaces{}, fmt.Errorf("Replaces %w", ErrSyntax)
	}
	return r, nil
}

// String writes the header's value.
func (r Replaces) String() string {
	s := Clean(r.CallID) + ";to-tag=" + Clean(r.ToTag) + ";from-tag=" + Clean(r.FromTag)
	if r.EarlyOnly {
		s += ";early-only"
	}
	return s
}

// Escaped writes the value as it stands in the headers of a Refer-To URI
// (RFC 3891 6.1, RFC 3261 19.1.4).
func (r Replaces) Escaped() string { return escapeHeader(r.String()) }

// ReplacesOf returns the Replaces header of a request, nil when there is
// none. More than one, or one that cannot be read, is an error (RFC 3891 3: 400).
func ReplacesOf(m sip.Message) (*Replaces, error) {
	values := Headers(m, "replaces")
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
		r, err := ParseReplaces(values[0])
		if err != nil {
			return nil, err
		}
		return &r, nil
	}
	return nil, fmt.Errorf("%d Replaces headers: %w", len(values), ErrSyntax)
}

// Event is the header of RFC 6665 8.4; Package is in lower case.
type Event struct {
	Package, ID string
	Params      Params
}

// ParseEvent reads an Event header.
func ParseEvent(s string) (Event, error) {
	name, rest, _ := strings.Cut(s, ";")
	e := Event{Package: strings.ToLower(strings.TrimSpace(name))}
	if len(s) > maxField || !isToken(e.Package) {
		return Event{}, fmt.Errorf("Event %w", ErrSyntax)
	}
	e.Params = parseParams(rest)
	e.ID, _ = e.Params.Get("id")
	return e, nil
}

// Refresher says who refreshes a session (RFC 4028 4).
type Refresher string

// The values of the refresher parameter; RefresherNone where it is missing.
const (
	RefresherNone Refresher = ""
	RefresherUAC  Refresher = "uac"
	RefresherUAS  Refresher = "uas"
)

// SessionExpires is the header of RFC 4028 4. Seconds is the interval.
type SessionExpires struct {
	Seconds   uint32
	Refresher Refresher
}

// ParseSessionExpires reads a Session-Expires header.
func ParseSessionExpires(s string) (SessionExpires, error) {
	n, ps, err := parseSeconds(s)
	if err != nil {
		return SessionExpires{}, fmt.Errorf("Session-Expires %w", err)
	}
	e := SessionExpires{Seconds: n}
	if r, ok := ps.Get("refresher"); ok {
		switch r := Refresher(strings.ToLower(r)); r {
		case RefresherUAC, RefresherUAS:
			e.Refresher = r
		default:
			return SessionExpires{}, fmt.Errorf("refresher of Session-Expires %w", ErrSyntax)
		}
	}
	return e, nil
}

// String writes the header's value.
func (e SessionExpires) String() string {
	s := strconv.FormatUint(uint64(e.Seconds), 10)
	if e.Refresher != RefresherNone {
		s += ";refresher=" + string(e.Refresher)
	}
	return s
}

// ParseMinSE reads a Min-SE header (RFC 4028 5), in seconds.
func ParseMinSE(s string) (uint32, error) {
	n, _, err := parseSeconds(s)
	if err != nil {
		return 0, fmt.Errorf("Min-SE %w", err)
	}
	return n, nil
}

// ParseExpires reads delta-seconds, as in Expires and Min-Expires. A number
// too large for 32 bits counts as the largest (RFC 3261 20.19).
func ParseExpires(s string) (uint32, error) {
	n, _, err := parseSeconds(s)
	if err != nil {
		return 0, fmt.Errorf("expires %w", err)
	}
	return n, nil
}

func parseSeconds(s string) (uint32, Params, error) {
	digits, rest, _ := strings.Cut(s, ";")
	digits = strings.TrimSpace(digits)
	if digits == "" || len(s) > maxField || strings.Trim(digits, "0123456789") != "" {
		return 0, nil, ErrSyntax
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		n = 1<<32 - 1
	}
	return uint32(n), parseParams(rest), nil
}

// SubscriptionState is the header of RFC 6665 8.2.3; State and Reason are in
// lower case, Expires and RetryAfter in seconds, -1 when missing.
type SubscriptionState struct {
	State, Reason       string
	Expires, RetryAfter int64
}

// ParseSubscriptionState reads a Subscription-State header.
func ParseSubscriptionState(s string) (SubscriptionState, error) {
	name, rest, _ := strings.Cut(s, ";")
	st := SubscriptionState{State: strings.ToLower(strings.TrimSpace(name)), Expires: -1, RetryAfter: -1}
	if len(s) > maxField || !isToken(st.State) {
		return SubscriptionState{}, fmt.Errorf("Subscription-State %w", ErrSyntax)
	}
	ps := parseParams(rest)
	reason, _ := ps.Get("reason")
	st.Reason = strings.ToLower(reason)
	for name, to := range map[string]*int64{"expires": &st.Expires, "retry-after": &st.RetryAfter} {
		if v, ok := ps.Get(name); ok {
			n, _, err := parseSeconds(v)
			if err != nil {
				return SubscriptionState{}, fmt.Errorf("Subscription-State %w", err)
			}
			*to = int64(n)
		}
	}
	return st, nil
}

// String writes the header's value.
func (s SubscriptionState) String() string { return string(s.Append(nil)) }

// Append appends the header's value.
func (s SubscriptionState) Append(b []byte) []byte {
	b = append(b, Clean(s.State)...)
	if s.Reason != "" {
		b = append(append(b, ";reason="...), Clean(s.Reason)...)
	}
	if s.Expires >= 0 {
		b = strconv.AppendInt(append(b, ";expires="...), s.Expires, 10)
	}
	if s.RetryAfter >= 0 {
		b = strconv.AppendInt(append(b, ";retry-after="...), s.RetryAfter, 10)
	}
	return b
}

// ReferTo is the header of RFC 3515 2.1, taken apart: URI has no headers
// left, Method is INVITE unless the URI says otherwise (RFC 3261 19.1.1).
type ReferTo struct {
	Display  string
	URI      sip.Uri
	Method   string
	Replaces *Replaces
	Headers  Params // the other headers of the URI, unescaped
}

// ParseReferTo reads a Refer-To header, with angle brackets or without. A
// Replaces header in the URI that cannot be read, or a second one, is an
// error.
func ParseReferTo(s string) (ReferTo, error) {
	var n NameAddr
	s = strings.TrimSpace(s)
	if len(s) > maxField {
		return ReferTo{}, fmt.Errorf("Refer-To %w", ErrSyntax)
	}
	text, rest, err := cutURI(s, &n)
	if err != nil {
		return ReferTo{}, fmt.Errorf("Refer-To %w", err)
	}
	if rest = strings.TrimSpace(rest); rest != "" && rest[0] != ';' || indexOutside(rest, ',') >= 0 {
		return ReferTo{}, fmt.Errorf("Refer-To %w: more than one", ErrSyntax) // RFC 3515 2.1
	}
	if indexOutside(s, '<') < 0 && strings.Contains(s, "?") {
		// RFC 3261 20: such a URI must be in brackets. Some phones leave them
		// out; the headers belong to the URI all the same.
		text = s
	}
	text, headers, _ := strings.Cut(text, "?")
	r := ReferTo{Display: n.Display, Method: "INVITE"}
	if err := sip.ParseUri(text, &r.URI); err != nil {
		return ReferTo{}, fmt.Errorf("Refer-To %w: %w", ErrSyntax, err)
	}
	if m, ok := URIParam(r.URI.UriParams, "method"); ok && m != "" {
		r.Method = m
		r.URI.UriParams = dropParam(r.URI.UriParams, "method")
	}
	for _, h := range strings.Split(headers, "&") {
		name, value, _ := strings.Cut(h, "=")
		if name = UnescapeUser(name); name == "" {
			continue
		}
		if !strings.EqualFold(name, "replaces") {
			r.Headers = append(r.Headers, Param{Name: Clean(name), Value: Clean(UnescapeUser(value))})
			continue
		}
		rep, err := ParseReplaces(value)
		if err != nil || r.Replaces != nil {
			return ReferTo{}, fmt.Errorf("Refer-To %w: Replaces", ErrSyntax)
		}
		r.Replaces = &rep
	}
	return r, nil
}

func dropParam(ps sip.HeaderParams, name string) sip.HeaderParams {
	var out sip.HeaderParams
	for _, kv := range ps {
		if !strings.EqualFold(kv.K, name) {
			out = append(out, kv)
		}
	}
	return out
}
