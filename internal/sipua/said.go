package sipua

import "net/netip"

// saidContact is a URI of Contact as it was asked for last: a thousand watchers of one
// orbit are told the same.
type saidContact struct {
	settings *settings
	user     string
	local    netip.AddrPort
	uri      string
}

// saidContacts are the users whose URIs are remembered at once, a power of two: that of
// a list and those of its members come in turns.
const saidContacts = 8

func saidSlot(user string) int {
	n := len(user)
	for i := range len(user) {
		n = 31*n + int(user[i])
	}
	return n & (saidContacts - 1)
}

// saidBy is what stands in our Via on a listener.
type saidBy struct {
	settings *settings
	text     []byte
}

// fixed says whether a local address is the same for all peers.
func fixed(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() }

// appendVia appends what stands in the Via of a request that goes a way.
func (w Way) appendVia(b []byte) []byte {
	l := w.layer
	set := l.e.settings.Load()
	if set.advertised.host == "" && !fixed(l.packet.local.Addr()) {
		return l.e.appendSentBy(b, w.flow())
	}
	s := l.said.Load()
	if s == nil || s.settings != set {
		s = &saidBy{settings: set, text: l.e.appendSentBy(nil, w.flow())}
		l.said.Store(s)
	}
	return append(b, s.text...)
}
