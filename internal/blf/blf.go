// Package blf turns an orbit's View into the document that lights a lamp:
// application/dialog-info+xml (RFC 4235), always complete and always with
// exactly one <dialog>, or presence (RFC 3863, and its predecessor), in the way
// that a make of phone understands. It is pure: no clock, no state, no I/O.
// Versions, and who is told when, are the notifier's.
package blf

import "parkd/internal/orbit"

// Type is a media type of documents.
type Type uint8

// The types that a lamp may be told in.
const (
	DialogInfo Type = iota // RFC 4235 3.5: the default of Event dialog
	PIDF                   // RFC 3856 6.5: the default of Event presence
	XPIDF                  // what some old phones take in its place
)

var types = [...]string{"application/dialog-info+xml", "application/pidf+xml", "application/xpidf+xml"}

// String is the type as Content-Type and Accept have it.
func (t Type) String() string { return types[t] }

// TypeOf is the type of that name, the default for others.
func TypeOf(name string) Type {
	for i, t := range types {
		if t == name {
			return Type(i)
		}
	}
	return DialogInfo
}

// DefaultLimit is how long a document may be for its NOTIFY to stay within the
// 1,300 bytes of RFC 3261 18.1.1 on UDP, leaving 440 for the headers.
const DefaultLimit = 860

// Style is what a document looks like, whatever it shows and to whom. Watchers of
// one style share its Template.
type Style struct {
	Type     Type
	Profile  Profile
	Identity Identity
}

// Fill is what differs from watcher to watcher.
type Fill struct {
	Entity  string // the subscribed URI, to the byte
	Version uint32 // RFC 4235 4.1: of the subscription, from 0, one more each document
	Target  string // a URI that reaches this server and names the orbit
}

// Shown names what a document shows, by the Call-ID of its alias; "" for no call.
func Shown(v orbit.View) string {
	if v.Head == nil {
		return ""
	}
	return v.Head.Alias.CallID
}

// Document renders v in full (RFC 4235 4.1: state="full") within so many bytes;
// 0 is no limit. What does not fit is cut in this order: the caller's display
// name, the orbit's name, the parameters of the caller's URI, that URI; never ids
// or targets. So only an entity or target of many hundred bytes makes a document
// too long.
func Document(v orbit.View, s Style, f Fill, limit int) []byte {
	p := partiesOf(v, s.Identity)
	body := compile(v, s, p).Append(nil, f)
	for step := 0; limit > 0 && len(body) > limit && step < 4; step++ {
		over := len(body) - limit
		switch step {
		case 0:
			p.display = shorten(p.display, over)
		case 1:
			p.name = shorten(p.name, over)
		case 2:
			p.caller = bare(p.caller)
		case 3:
			p.caller = anonymous
		}
		body = compile(v, s, p).Append(nil, f)
	}
	return body
}
