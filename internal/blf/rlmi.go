package blf

import "strconv"

const rlmiNamespace = "urn:ietf:params:xml:ns:rlmi"

// Roll is what RLMI says of an event list (RFC 4662 5).
type Roll struct {
	URI     string // of the list, as it was subscribed to
	Version uint32 // RFC 4662 5.2: of the subscription, from 0, one more each NOTIFY
	Full    bool   // Members are all that there are; else those of which there is news
	Members []Member
}

// Member is a resource of a list, with the one virtual subscription to it.
type Member struct {
	URI      string // as the entity of its document
	Name     string // "" = none is said
	Instance string // names the virtual subscription
	CID      string // Content-ID of its document; "" = that is to follow
}

// memberRoom is what most members take, in bytes.
const memberRoom = 160

// RLMI is AppendRLMI into memory of its own.
func RLMI(r Roll) []byte { return AppendRLMI(make([]byte, 0, memberRoom*(len(r.Members)+1)), r) }

// AppendRLMI renders the root document of a list's NOTIFY (application/rlmi+xml). A
// member whose document is to follow has no instance yet, which RFC 4662 4.5
// allows in full state too. There is no XML declaration: it would say nothing new,
// and a datagram has little room.
func AppendRLMI(b []byte, r Roll) []byte {
	attr := func(name, value string) {
		b = append(append(append(b, ' '), name...), '=', '"')
		b = append(appendEscaped(b, value, true), '"')
	}
	b = append(b, "<list"...)
	attr("xmlns", rlmiNamespace)
	attr("uri", r.URI)
	attr("version", strconv.FormatUint(uint64(r.Version), 10))
	attr("fullState", strconv.FormatBool(r.Full))
	b = append(b, '>')
	for i := range r.Members {
		m := &r.Members[i]
		b = append(b, "<resource"...)
		attr("uri", m.URI)
		name := label(m.Name)
		if name == "" && m.CID == "" {
			b = append(b, "/>"...)
			continue
		}
		b = append(b, '>')
		if name != "" {
			b = append(appendEscaped(append(b, "<name>"...), name, false), "</name>"...)
		}
		if m.CID != "" { // RFC 4662 5.5: an active instance has its document in this NOTIFY
			b = append(b, "<instance"...)
			attr("id", m.Instance)
			attr("state", "active")
			attr("cid", m.CID)
			b = append(b, "/>"...)
		}
		b = append(b, "</resource>"...)
	}
	return append(b, "</list>"...)
}
