package presence

import (
	"slices"
	"strconv"
)

// How long a list's NOTIFY may be, in bytes.
const (
	// RFC 3261 18.1.1, for one that tells of more than one member: one by itself
	// may be longer, and goes by TCP then, if the phone takes that.
	listOnUDP = 1300
	// Many a phone reads no message longer than 64 KB, and no datagram is.
	listOnStream = 60000

	headSize     = 450 // of the SIP headers, beside what differs much
	rootSize     = 185 // of the RLMI part, beside the list's URI and the resources
	resourceSize = 30  // of a resource there, beside its URI
	nameSize     = 14  // of its name, beside the name
	partSize     = 155 // of an instance there and its part, beside the document
)

// page is the document of a NOTIFY in the making.
type page struct {
	roll    Roll
	at      map[string]int // of members in roll; nil = what is told of others only
	parts   []part
	size    int
	told    []string // the head of what is due
	showing showings
	docs    []byte // room for the documents of some members
}

// document is what the next NOTIFY says; with fresh, it is time to tell of changes.
// It may be written on the sheet.
func (s *sub) document(t *telling, to Params, fresh bool, on *sheet) (Document, bool) {
	if s.list == nil {
		to.Room = on.doc[:0]
		d, ok := s.n.o.Source.Document(s.subject(), to)
		t.shown = d.Shown
		return d, ok
	}
	l := s.list
	l.take()
	if fresh {
		l.due, l.fresh = append(l.fresh, l.due...), nil
	}
	p, there := s.newPage(on), true
	if l.full || !s.fill(p) { // a member has come or gone
		p = s.newPage(on)
		there = s.whole(p)
		s.fill(p)
	}
	for _, m := range p.told {
		e := l.members[m]
		e.next++ // RFC 4235 4.1: by one a document
		l.members[m] = e
	}
	l.due = slices.Delete(l.due, 0, len(p.told))
	t.full, t.members, t.showing, l.full = p.roll.Full, p.told, p.showing, false
	if len(l.flights) == maxFlights {
		l.flights = slices.Delete(l.flights, 0, 1)
	}
	l.flights = append(l.flights, t)
	on.rlmi = s.n.lists.AppendRLMI(on.rlmi[:0], p.roll)
	p.parts[0] = part{s.cid(""), "application/rlmi+xml", on.rlmi}
	var d Document
	d.ContentType, on.body = related(on.body[:0], p.parts)
	d.Body = on.body
	return d, there
}

// newPage begins a page, with a place for the root.
func (s *sub) newPage(on *sheet) *page {
	if on.docs == nil {
		on.docs = make([]byte, 0, docsRoom)
	}
	return &page{roll: Roll{URI: s.rec.Entity, Version: s.rec.Version}, parts: make([]part, 1, 2), docs: on.docs[:0],
		size: s.headSize() + rootSize + len(s.rec.Entity)}
}

// whole begins a page that names every member (RFC 4662 5.2: fullState), or as many
// of more than a thousand as a message has room for.
func (s *sub) whole(p *page) bool {
	members, ok := s.n.lists.Members(s.subject())
	s.list.enter(members)
	p.roll.Full, p.at = true, make(map[string]int, len(members))
	names := 0
	for i, m := range members {
		e := RollEntry{URI: s.list.uriOf(m.Resource), Name: m.Name}
		size := resourceSize + len(e.URI)
		if p.size+size > listOnStream { // the others are named in the pieces that follow
			break
		}
		p.roll.Resources = append(p.roll.Resources, e)
		p.at[m.Resource] = i
		p.size += size
		if m.Name != "" {
			names += nameSize + len(m.Name)
		}
	}
	if p.size+names > s.listLimit() { // RFC 4662 5.4: they may be left out
		for i := range p.roll.Resources {
			p.roll.Resources[i].Name = ""
		}
		names = 0
	}
	p.size += names
	return ok
}

// fill puts the documents of members on a page, as many as have room. It is false
// for a page that names only some, if one of those is no member, or not there.
func (s *sub) fill(p *page) bool {
	limit := s.listLimit()
	for _, m := range s.list.due {
		uri := s.list.uriOf(m)
		version, instance := s.list.version(m)
		d, ok := s.n.o.Source.Document(m, s.memberParams(m, uri, version, p.docs))
		if !p.roll.Full && (!ok || !s.list.members[m].in) {
			return false
		}
		size := partSize + len(d.Body)
		if !p.roll.Full {
			size += resourceSize + len(uri)
		}
		if p.size+size > limit && (p.roll.Full || len(p.parts) > 1) {
			break
		}
		p.size += size
		p.told = append(p.told, m)
		if !ok { // it has gone just now, which it will be told of
			continue
		}
		cid := s.cid("." + strconv.Itoa(len(p.told)))
		i, named := p.at[m]
		if !named {
			i = len(p.roll.Resources)
			p.roll.Resources = append(p.roll.Resources, RollEntry{URI: uri})
		}
		p.roll.Resources[i].Instance, p.roll.Resources[i].CID = instance, cid
		p.parts = append(p.parts, part{cid, d.ContentType, d.Body})
		p.showing = append(p.showing, showing{m, d.Shown})
		if len(d.Body) <= cap(p.docs) { // it may be written there: the next one is, behind it
			p.docs = p.docs[len(d.Body):len(d.Body)]
		}
	}
	return true
}

// cid is a Content-ID that no other body part has (RFC 2045 7).
func (s *sub) cid(part string) string {
	return strconv.FormatUint(uint64(s.rec.Version), 10) + part + "@" + s.id.Local[:min(10, len(s.id.Local))]
}

// headSize is about how long the headers of a NOTIFY are.
func (s *sub) headSize() int {
	d := &s.rec.Dialog
	size := headSize + len(d.Target) + len(d.LocalURI) + len(d.RemoteURI) + len(d.CallID) + len(d.Local) + len(d.Remote) + len(s.rec.User)
	for _, r := range d.Routes {
		size += len(r) + 10
	}
	return size
}

// listLimit is how long a NOTIFY may be. A fetch has one only.
func (s *sub) listLimit() int {
	if s.reliable() || s.visit {
		return listOnStream
	}
	return listOnUDP
}

// reliable says whether NOTIFYs go over TCP or TLS: by the connection that the
// phone came by, or because its Contact asks for one and it takes it.
func (s *sub) reliable() bool {
	if s.rec.Dialog.Flow.Network != "udp" {
		return true
	}
	if s.rec.Dialog.NAT || len(s.rec.Dialog.Routes) > 0 {
		return false
	}
	return s.n.o.Endpoint.Connects(s.rec.Dialog.Target)
}

// memberParams are those of a member's document.
func (s *sub) memberParams(member, uri string, version uint32, room []byte) Params {
	p := s.params()
	p.Room = room
	p.Entity, p.Version, p.Target = uri, version, s.n.o.Endpoint.ContactURI(member, s.rec.Dialog.Flow)
	return p
}
