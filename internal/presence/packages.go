package presence

// A pack is an event package that this notifier serves (RFC 6665 5.4): its
// media types, the default first. Another package is another row, and a word in
// sipua.Events.
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
