package blf

import (
	"strconv"
	"strings"

	"parkd/internal/orbit"
)

// anonymous stands for a caller without a URI (RFC 3323 4.1.1.3), or one that is
// not shown.
const anonymous = "sip:anonymous@anonymous.invalid"

// returning is the state of a call that is on its way back to its parker.
const returning = "returning"

// Identity is how much of a caller is shown.
type Identity uint8

// The values of lamp.identity, and what whoever may not fetch a call is shown of it.
const (
	Full     Identity = iota // name and URI
	Number                   // the URI alone
	Nobody                   // neither
	Withheld                 // nor anything else of the call: no ids (RFC 4235 3.7.2)
)

// parties are the texts that a long document may lose.
type parties struct {
	name, display, caller string
	note                  string // behind display; never cut
}

// shown is the caller's display.
func (p parties) shown() string { return strings.TrimSpace(p.display + " " + p.note) }

// partiesOf are the orbit's name, and who is to be fetched next, with what else
// there is to be said of the orbit behind it.
func partiesOf(v orbit.View, show Identity) parties {
	p := parties{name: label(v.Name)}
	if v.Head == nil {
		return p
	}
	p.caller = anonymous
	if uri := strings.TrimSpace(v.Head.Caller.URI); uri != "" && show < Nobody {
		p.caller = uri
	}
	if show == Withheld {
		return p
	}
	p.note = note(v)
	if show == Full {
		p.display = label(v.Head.Caller.Name)
	}
	if p.display == "" && p.note != "" && p.caller != anonymous {
		p.display = label(userOf(p.caller)) // which a display would hide
	}
	return p
}

// note says that the caller is on their way back, and how many wait behind them;
// "" if neither is so.
func note(v orbit.View) string {
	var words []string
	if v.Head.State == returning {
		words = append(words, returning)
	}
	if v.Behind > 0 {
		words = append(words, "+"+strconv.Itoa(v.Behind))
	}
	if words == nil {
		return ""
	}
	return "(" + strings.Join(words, ", ") + ")"
}
