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

// Vendors are the makes that are known, and what they are sent: the first that fits
// counts, and who fits in none is sent what RFC 4235 has. A press on a blinking key
// is an INVITE with Replaces of the ids, a pickup code, or a plain call; early with
// ids and both targets serves all three, so that most need nothing of their own.
// Each has a golden document.
var Vendors = []Vendor{
	{"yealink", agent(`yealink`), Profile{}},             // early blinks fast; Replaces with dialoginfo_callpickup, else a code
	{"poly", agent(`poly`), Profile{Rendering: Pval}},    // reads pval and not pvalue; Replaces needs call-id and both tags
	{"obi", agent(`obihai`), Profile{}},                  // Replaces or a feature code
	{"snom", agent(`snom`), Profile{}},                   // calls the remote target, with Replaces
	{"grandstream", agent(`grandstream`), Profile{}},     // Replaces or a prefix
	{"cisco", agent(`cisco|linksys`), Profile{}},         // one dialog, or an SPA962 crashes: all have one
	{"fanvil", agent(`fanvil`), Profile{}},               // a pickup number
	{"mitel", agent(`mitel|aastra`), Profile{}},          // Replaces where there are ids
	{"gigaset", agent(`gigaset`), Profile{}},             // a code and the number, or the code alone
	{"bria", agent(`bria`), Profile{}},                   // at least one dialog
	{"linphone", agent(`linphone`), Profile{}},           // presence: open and on the phone is Busy
	{"baresip", agent(`baresip`), Profile{}},             // presence, as linphone
	{"twinkle", agent(`twinkle`), Profile{Closed: true}}, // presence: online and offline is all that it knows
}

// agent matches User-Agents that begin with one of some words.
func agent(words string) *regexp.Regexp { return regexp.MustCompile(`(?i)^(` + words + `)`) }

// ProfileOf is the profile of the make that a User-Agent names.
func ProfileOf(agent string) Profile {
	for i := range Vendors {
		if Vendors[i].Agent.MatchString(agent) {
			return Vendors[i].Profile
		}
	}
	return Profile{}
}
