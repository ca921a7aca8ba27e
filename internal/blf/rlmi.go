package blf

import (
	"strconv"

	"github.com/beevik/etree"
)

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

// RLMI renders the root document of a list's NOTIFY (application/rlmi+xml). A
// member whose document is to follow has no instance yet, which RFC 4662 5.3
// allows in full state too.
func RLMI(r Roll) []byte {
	doc := etree.NewDocument()
	doc.WriteSettings = etree.WriteSettings{CanonicalText: true, CanonicalAttrVal: true}
	// No XML declaration: it would say nothing new, and a datagram has little room.
	list := doc.CreateElement("list")
	list.CreateAttr("xmlns", rlmiNamespace)
	list.CreateAttr("uri", r.URI)
	list.CreateAttr("version", strconv.FormatUint(uint64(r.Version), 10))
	list.CreateAttr("fullState", strconv.FormatBool(r.Full))
	for i := range r.Members {
		m := &r.Members[i]
		e := list.CreateElement("resource")
		e.CreateAttr("uri", m.URI)
		if name := label(m.Name); name != "" {
			e.CreateElement("name").SetText(name)
		}
		if m.CID == "" {
			continue
		}
		// RFC 4662 5.5: an active instance has its document in this NOTIFY.
		instance := e.CreateElement("instance")
		instance.CreateAttr("id", m.Instance)
		instance.CreateAttr("state", "active")
		instance.CreateAttr("cid", m.CID)
	}
	body, err := doc.WriteToBytes()
	if err != nil {
		return nil // a bytes.Buffer does not fail
	}
	return body
}
