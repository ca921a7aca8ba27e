package blf

import (
	"parkd/internal/orbit"

	"github.com/beevik/etree"
)

const namespace = "urn:ietf:params:xml:ns:dialog-info"

// dialogInfo writes an RFC 4235 document with the one dialog that phones need.
func dialogInfo(doc *etree.Element, v orbit.View, s Style, p parties, h holes) {
	info := doc.CreateElement("dialog-info")
	info.CreateAttr("xmlns", namespace)
	info.CreateAttr("version", h.version)
	info.CreateAttr("state", "full")
	info.CreateAttr("entity", h.entity)

	dialog := info.CreateElement("dialog")
	switch {
	case v.Full: // a pool's lamp: nobody's call, and so nobody's dialog
		dialog.CreateAttr("id", stable(v))
		dialog.CreateAttr("direction", "recipient")
		dialog.CreateElement("state").SetText("confirmed")
	case v.Head == nil:
		// Phones need a <dialog> in every document: a terminated one under an id
		// that is the orbit's, never a call's.
		dialog.CreateAttr("id", stable(v))
		dialog.CreateElement("state").SetText("terminated")
	default:
		identify(dialog, v, s)
		dialog.CreateElement("state").SetText(state(v, s.Profile))
	}
	// RFC 4235 4.4: state, then local, then remote. Both targets reach this server:
	// some phones dial the one, some the other.
	local := party(dialog.CreateElement("local"), h.party, p.name, h.target)
	if v.Head == nil {
		return
	}
	hold(local, s.Profile)
	target := h.target
	if s.Profile.Code != "" {
		target = h.fetch
	}
	party(dialog.CreateElement("remote"), p.caller, p.shown(), target)
}

// stable is the dialog id of an orbit without a call; an orbit that is gone has
// lost its name, and its last document still needs one.
func stable(v orbit.View) string {
	if v.Orbit == "" {
		return "none"
	}
	return v.Orbit
}

// identify writes the attributes of RFC 4235 4.1.1: the alias of this parking,
// never the ids of a real dialog. Whoever may not fetch the call gets none.
func identify(dialog *etree.Element, v orbit.View, s Style) {
	if a := v.Head.Alias; a.CallID == "" || s.Profile.Anonymous || s.Identity == Withheld {
		dialog.CreateAttr("id", stable(v))
	} else {
		dialog.CreateAttr("id", a.CallID)
		dialog.CreateAttr("call-id", a.CallID)
		dialog.CreateAttr("local-tag", a.LocalTag)
		dialog.CreateAttr("remote-tag", a.RemoteTag)
	}
	dialog.CreateAttr("direction", "recipient")
}

// state is what a call is published as. One on its way back to its parker is early
// in any case: the state in which every phone blinks and picks up.
func state(v orbit.View, p Profile) string {
	if p.Confirmed && v.Head.State != returning {
		return "confirmed"
	}
	return "early"
}

// party writes <local> or <remote> (RFC 4235 4.1.6) and returns its target.
func party(e *etree.Element, identity, display, uri string) *etree.Element {
	id := e.CreateElement("identity")
	if display != "" {
		id.CreateAttr("display", display)
	}
	id.SetText(identity)
	target := e.CreateElement("target")
	target.CreateAttr("uri", uri)
	return target
}

// hold says of a target that nobody listens at that end (RFC 4235 4.1.6.2, RFC 5359
// 2.15).
func hold(target *etree.Element, p Profile) {
	if p.Rendering == NoRendering {
		return
	}
	param := target.CreateElement("param")
	param.CreateAttr("pname", "+sip.rendering")
	if p.Rendering == Pvalue {
		param.CreateAttr("pvalue", "no")
	} else {
		param.CreateAttr("pval", "no")
	}
}
