package blf

import (
	"parkd/internal/orbit"

	"github.com/beevik/etree"
)

const (
	pidfNamespace  = "urn:ietf:params:xml:ns:pidf"
	modelNamespace = "urn:ietf:params:xml:ns:pidf:data-model"
	rpidNamespace  = "urn:ietf:params:xml:ns:pidf:rpid"
)

// busy says whether there is somebody to be fetched, or, of a pool, no room.
func busy(v orbit.View) bool { return v.Head != nil || v.Full }

// presence writes an RFC 3863 document: an orbit is open as long as there is one,
// and on the phone (RFC 4480 3.2) while somebody is to be fetched.
func presence(doc *etree.Element, v orbit.View, pr Profile, p parties, h holes) {
	root := doc.CreateElement("presence")
	root.CreateAttr("xmlns", pidfNamespace)
	// Some phones look for these prefixes and not for their namespaces.
	root.CreateAttr("xmlns:dm", modelNamespace)
	root.CreateAttr("xmlns:rpid", rpidNamespace)
	root.CreateAttr("entity", h.entity) // RFC 3863 4.1.1; of the scheme that was subscribed to

	tuple := root.CreateElement("tuple")
	tuple.CreateAttr("id", "orbit")
	basic := "open"
	if v.Orbit == "" || v.Gone || busy(v) && pr.Closed {
		basic = "closed"
	}
	tuple.CreateElement("status").CreateElement("basic").SetText(basic)
	tuple.CreateElement("contact").SetText(h.contact)
	if !busy(v) {
		return
	}
	text := p.shown()
	if text == "" && v.Head != nil && p.caller != anonymous {
		text = label(userOf(p.caller)) // elsewhere the URI itself is shown
	}
	if text != "" {
		root.CreateElement("note").SetText(text) // RFC 3863 4.1.6
	}
	person := root.CreateElement("dm:person") // RFC 4479 3.2, 5
	person.CreateAttr("id", "caller")
	person.CreateElement("rpid:activities").CreateElement("rpid:on-the-phone")
	if text != "" {
		person.CreateElement("dm:note").SetText(text)
	}
}

// presentity writes what application/xpidf+xml was before RFC 3863 took its place
// (draft-rosenberg-impp-pidf-00): an orbit is open, in use or closed.
func presentity(doc *etree.Element, v orbit.View, pr Profile, h holes) {
	status, sub := "open", "online"
	switch {
	case v.Orbit == "" || v.Gone || busy(v) && pr.Closed:
		status, sub = "closed", "offline"
	case busy(v):
		status, sub = "inuse", "onthephone"
	}
	doc.CreateDirective(`DOCTYPE presence PUBLIC "-//IETF//DTD RFCxxxx XPIDF 1.0//EN" "xpidf.dtd"`)
	root := doc.CreateElement("presence")
	root.CreateElement("presentity").CreateAttr("uri", h.entity+";method=SUBSCRIBE")
	atom := root.CreateElement("atom")
	atom.CreateAttr("id", "orbit")
	address := atom.CreateElement("address")
	address.CreateAttr("uri", h.target+";user=ip")
	address.CreateAttr("priority", "0.800000")
	address.CreateElement("status").CreateAttr("status", status)
	address.CreateElement("msnsubstatus").CreateAttr("substatus", sub)
}
