package orbit

import "strings"

// Recall is how the call looks that brings a parked caller back.
type Recall struct {
	// Display is what a rung phone shows: a text with {orbit}, {name} (of the
	// orbit, else its extension), {caller} (their name, else their number) and
	// {number}.
	Display   string
	AlertInfo string // value of the header, "" = none
}

// shown is the caller as the phone that is rung shows them.
func (s *State) shown(c *Call) Party {
	number := user(c.URI)
	caller, name := c.Name, s.settings(c.Home).Name
	if caller == "" {
		caller = number
	}
	if name == "" {
		name = c.Home
	}
	// One pass: what a caller calls themselves is text, whatever is in it.
	text := strings.NewReplacer("{orbit}", c.Home, "{name}", name, "{caller}", caller, "{number}", number).Replace(s.set.Return.Display)
	return Party{Name: strings.Join(strings.Fields(text), " "), URI: c.URI}
}
