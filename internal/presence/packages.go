package presence

import "strings"

// A pack is an event package that this notifier serves (RFC 6665 5.4): its
// media types, the default first. Another package is another row.
type pack struct {
	name  string
	types []string
}

var packs = []pack{
	{name: "dialog", types: []string{"application/dialog-info+xml"}}, // RFC 4235 3.1, 3.5
	// RFC 3856 6.1, 6.5; and what came before it.
	{name: "presence", types: []string{"application/pidf+xml", "application/xpidf+xml"}},
}

func packOf(name string) (pack, bool) {
	for _, p := range packs {
		if p.name == name {
			return p, true
		}
	}
	return pack{}, false
}

// AllowEvents is the value of the Allow-Events header (RFC 6665 8.2.2).
func AllowEvents() string {
	names := make([]string, len(packs))
	for i, p := range packs {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}
