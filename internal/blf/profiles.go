package blf

import "regexp"

// Profile is what differs between makes of phones.
type Profile struct {
	// Confirmed: a parked call is confirmed, not early: a steady lamp.
	Confirmed bool
	Rendering Rendering
	// Code, with which the user part of the remote target begins then, is a retrieve
	// code as a URI has it: whoever dials what the document says fetches the call.
	Code string
	// Anonymous: no ids, so that a press is no INVITE with Replaces.
	Anonymous bool
	// Closed: in presence an orbit with a call is closed, not open and on the phone.
	Closed bool
}

// Rendering is how +sip.rendering says that a parked caller hears nobody.
type Rendering uint8

// The ways of saying so.
const (
	Pval        Rendering = iota // as the schema of RFC 4235 has it
	Pvalue                       // as its examples have it, and most servers
	NoRendering                  // not at all
)

// Vendor is a make of phones.
type Vendor struct {
	Name    string
	Agent   *regexp.Regexp // of its User-Agent
	Profile Profile
}

// Vendors are the makes that need another document than the one that the RFC has,
// or are known to need just that one. The first that fits counts; whoever is in no
// row gets the RFC's. Each has a golden document.
var Vendors = []Vendor{
	// Reads pval and not pvalue.
	{"poly", regexp.MustCompile(`(?i)^poly(com)?\b`), Profile{}},
	// Its presence knows online and offline only.
	{"twinkle", regexp.MustCompile(`(?i)^twinkle/`), Profile{Closed: true}},
}
