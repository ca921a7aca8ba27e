// Package blf turns an orbit's View into the document that lights a lamp:
// application/dialog-info+xml (RFC 4235), always complete and always with
// exactly one <dialog>. It is pure: no clock, no state, no I/O. Versions, and
// who is told when, are the notifier's.
package blf

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"parkd/internal/orbit"

	"github.com/beevik/etree"
)

// ContentType is that of Document.
const ContentType = "application/dialog-info+xml"

// DefaultLimit is how long a document may be for its NOTIFY to stay within the
// 1,300 bytes of RFC 3261 18.1.1 on UDP, leaving 440 for the headers.
const DefaultLimit = 860

// maxDisplay bounds a display name, in runes: no phone shows more.
const maxDisplay = 64

const namespace = "urn:ietf:params:xml:ns:dialog-info"

// anonymous stands for a caller without a URI (RFC 3323 4.1.1.3).
const anonymous = "sip:anonymous@anonymous.invalid"

// Profile is what differs between makes of phones.
type Profile struct {
	Confirmed bool // a parked call is confirmed, not early: a steady lamp
	Pvalue    bool // <param> carries pvalue, as the text of RFC 4235 has it in places, not pval as its schema
}

// Doc is what a document says beside the orbit's state.
type Doc struct {
	Entity  string // the subscribed URI, to the byte
	Version uint32 // RFC 4235 4.1: of the subscription, from 0, one more each document
	Profile Profile
	Target  string // a URI that reaches this server and names the orbit
	Limit   int    // bytes; 0 = DefaultLimit, negative = none (TCP, TLS)
}

// Shown names what Document shows, by the Call-ID of its alias; "" for no call.
func Shown(v orbit.View) string {
	if v.Head == nil {
		return ""
	}
	return v.Head.Alias.CallID
}

// Document renders v in full (RFC 4235 4.1.1: state="full"). What does not fit
// into d.Limit is cut in this order: the caller's display name, the orbit's
// name, the parameters of the caller's URI, that URI; never ids or targets. So
// only an entity or target of many hundred bytes makes a document too long.
func Document(v orbit.View, d Doc) []byte {
	p := parties{name: label(v.Name)}
	if v.Head != nil {
		p.display, p.caller = label(v.Head.Caller.Name), strings.TrimSpace(v.Head.Caller.URI)
		if p.caller == "" {
			p.caller = anonymous
		}
	}
	body := render(v, d, p)
	limit := d.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
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
		body = render(v, d, p)
	}
	return body
}

// parties are the texts that a long document may lose.
type parties struct{ name, display, caller string }

func render(v orbit.View, d Doc, p parties) []byte {
	doc := etree.NewDocument()
	// Canonical escapes keep tabs and line ends of attributes through any parser.
	doc.WriteSettings = etree.WriteSettings{CanonicalText: true, CanonicalAttrVal: true}
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	info := doc.CreateElement("dialog-info")
	info.CreateAttr("xmlns", namespace)
	info.CreateAttr("version", strconv.FormatUint(uint64(d.Version), 10))
	info.CreateAttr("state", "full")
	info.CreateAttr("entity", d.Entity)

	dialog := info.CreateElement("dialog")
	if v.Full { // a pool's lamp: nobody's call, and so nobody's dialog
		dialog.CreateAttr("id", stable(v))
		dialog.CreateAttr("direction", "recipient")
		dialog.CreateElement("state").SetText("confirmed")
	} else if v.Head == nil {
		// Phones need a <dialog> in every document: a terminated one under an id
		// that is the orbit's, never a call's.
		dialog.CreateAttr("id", stable(v))
		dialog.CreateElement("state").SetText("terminated")
	} else {
		identify(dialog, v)
		dialog.CreateElement("state").SetText(state(d.Profile))
	}
	// RFC 4235 4.4: state, then local, then remote.
	party(dialog.CreateElement("local"), bare(d.Target), p.name, d, v.Head != nil)
	if v.Head != nil {
		party(dialog.CreateElement("remote"), p.caller, p.display, d, false)
	}
	body, err := doc.WriteToBytes()
	if err != nil {
		return nil // a bytes.Buffer does not fail
	}
	return body
}

// stable is the dialog id of an orbit without a call; an orbit that is gone has
// lost its name, and its last document still needs one.
func stable(v orbit.View) string {
	if v.Orbit == "" {
		return "none"
	}
	return v.Orbit
}

// identify writes the attributes of RFC 4235 4.1.2: the alias of this parking,
// never the ids of a real dialog.
func identify(dialog *etree.Element, v orbit.View) {
	a := v.Head.Alias
	if a.CallID == "" {
		dialog.CreateAttr("id", stable(v))
	} else {
		dialog.CreateAttr("id", a.CallID)
		dialog.CreateAttr("call-id", a.CallID)
		dialog.CreateAttr("local-tag", a.LocalTag)
		dialog.CreateAttr("remote-tag", a.RemoteTag)
	}
	dialog.CreateAttr("direction", "recipient")
}

// state is what a parked call is published as, one on its way back to its parker too.
func state(p Profile) string {
	if p.Confirmed {
		return "confirmed"
	}
	return "early"
}

// party writes <local> or <remote> (RFC 4235 4.1.6). Both targets reach this
// server: some phones dial the one, some the other.
func party(e *etree.Element, identity, display string, d Doc, parked bool) {
	id := e.CreateElement("identity")
	if display != "" {
		id.CreateAttr("display", display)
	}
	id.SetText(identity)
	target := e.CreateElement("target")
	target.CreateAttr("uri", d.Target)
	if !parked {
		return
	}
	// RFC 4235 4.1.6.2: nobody listens at this end (RFC 5359 2.15).
	param := target.CreateElement("param")
	param.CreateAttr("pname", "+sip.rendering")
	if d.Profile.Pvalue {
		param.CreateAttr("pvalue", "no")
	} else {
		param.CreateAttr("pval", "no")
	}
}

// bare is a URI without parameters and headers; those of its user part stay.
func bare(uri string) string {
	host := strings.LastIndexByte(uri, '@') + 1
	if i := strings.IndexAny(uri[host:], ";?"); i >= 0 {
		return uri[:host+i]
	}
	return uri
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
