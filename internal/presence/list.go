package presence

import (
	"maps"
	"slices"
	"strconv"
	"sync"
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

// maxFlights bounds the NOTIFYs of which an answer is still of interest.
const maxFlights = 8

// list is what a subscription to an event list has beside a single one: which
// members its watcher is to be told of. What an unanswered NOTIFY told is told
// again with the next.
type list struct {
	head, tail string // of the members' URIs

	mu   sync.Mutex          // leaf
	news map[string]struct{} // members that have changed
	anew bool                // the list is another one

	// Owned by the queue.
	full    bool     // the next NOTIFY names all members (RFC 4662 5.2)
	fresh   []string // members that have changed, to be told of at the watcher's pace
	due     []string // others to be told of: what found no room, and what was lost
	members map[string]membership
	base    uint32     // the first version of one that is not in members
	flights []*telling // NOTIFYs without an answer, oldest first
}

// membership is a virtual subscription (RFC 4662 3) to a member.
type membership struct {
	in          bool   // it is a member now
	first, next uint32 // versions of its documents: the first one names the instance
}

func newList(uri string) *list {
	l := &list{news: map[string]struct{}{}, members: map[string]membership{}, full: true}
	l.head, l.tail = around(uri)
	return l
}

// mark notes that a member has a newer state, or that the list is another one.
func (l *list) mark(member string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if member == "" {
		l.anew = true
		return
	}
	l.news[member] = struct{}{}
}

// take collects what was marked. What was told of those members is old, whoever
// answers it.
func (l *list) take() {
	l.mu.Lock()
	news, anew := l.news, l.anew
	if len(news) > 0 {
		l.news = map[string]struct{}{}
	}
	l.anew = false
	l.mu.Unlock()
	l.full = l.full || anew
	if len(news) == 0 {
		return
	}
	for _, m := range l.fresh {
		news[m] = struct{}{}
	}
	l.fresh = slices.Sorted(maps.Keys(news))
	known := func(m string) bool { _, ok := news[m]; return ok }
	l.due = slices.DeleteFunc(l.due, known)
	for _, t := range l.flights {
		t.members = slices.DeleteFunc(t.members, known)
	}
}

// wants says whether there is anything to be told.
func (l *list) wants() bool {
	l.take()
	return l.full || len(l.fresh)+len(l.due) > 0
}

// lost: nobody knows whether what is in flight has arrived.
func (l *list) lost() {
	for _, t := range l.flights {
		l.again(t)
	}
}

// again has the members of a NOTIFY told once more, behind those that were not
// told yet.
func (l *list) again(t *telling) {
	if t.missed {
		return
	}
	t.missed = true
	l.full = l.full || t.full
	for _, m := range t.members {
		if !slices.Contains(l.due, m) { // nor is it fresh: see take
			l.due = append(l.due, m)
		}
	}
}

// settle takes the answer to a NOTIFY by its CSeq. It returns what the watcher
// has now been shown of which members, and whether there is more to tell of what
// it asked for.
func (l *list) settle(seq uint32, arrived bool) (shown map[string]string, more bool) {
	l.take()
	i := slices.IndexFunc(l.flights, func(t *telling) bool { return t.seq == seq })
	if i < 0 {
		return nil, false
	}
	t := l.flights[i]
	if !arrived {
		l.again(t)
		return nil, false
	}
	l.flights = slices.Delete(l.flights, i, i+1)
	has := make(map[string]bool, len(t.members))
	for _, m := range t.members {
		has[m] = true
	}
	l.due = slices.DeleteFunc(l.due, func(m string) bool { return has[m] })
	shown = t.showing
	if t.full {
		shown = maps.Clone(shown)
		for name, e := range l.members {
			if !e.in {
				shown[name] = "" // it is on no key now
			}
		}
	}
	return shown, len(l.due) > 0
}

// version is that of the next document of a member, and the id of its instance.
func (l *list) version(member string) (version uint32, instance string) {
	m, ok := l.members[member]
	if !ok {
		m.first, m.next = l.base, l.base
	}
	return m.next, strconv.FormatUint(uint64(m.first), 10)
}

// enter makes these the members. One that comes back is a new instance, whose
// versions go on.
func (l *list) enter(members []Member) {
	now := make(map[string]bool, len(members))
	for _, m := range members {
		now[m.Resource] = true
		e, ok := l.members[m.Resource]
		if !ok {
			e.first, e.next = l.base, l.base
		} else if !e.in {
			e.first = e.next
		}
		e.in = true
		l.members[m.Resource] = e
	}
	for name, e := range l.members {
		if !now[name] {
			e.in = false
			l.members[name] = e
		}
	}
	l.fresh, l.due = nil, nil
	for _, lit := range []bool{true, false} {
		for _, m := range members {
			if m.Lit == lit {
				l.due = append(l.due, m.Resource)
			}
		}
	}
	l.flights = nil // their answers say nothing that counts now
}

// page is the document of a NOTIFY in the making.
type page struct {
	roll    Roll
	at      map[string]int // of members in roll
	parts   []part
	size    int
	told    []string // the head of what is due
	showing map[string]string
}

// document is what the next NOTIFY says; with fresh, it is time to tell of changes.
func (s *sub) document(t *telling, to Params, fresh bool) (Document, bool) {
	if s.list == nil {
		d, ok := s.n.o.Source.Document(s.subject(), to)
		t.shown = d.Shown
		return d, ok
	}
	l := s.list
	l.take()
	if fresh {
		l.due, l.fresh = append(l.fresh, l.due...), nil
	}
	p, there := s.newPage(), true
	if l.full || !s.fill(p) { // a member has come or gone
		p = s.newPage()
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
	root := part{s.cid(""), "application/rlmi+xml", s.n.lists.RLMI(p.roll)}
	var d Document
	d.ContentType, d.Body = related(append([]part{root}, p.parts...))
	return d, there
}

func (s *sub) newPage() *page {
	return &page{roll: Roll{URI: s.rec.Entity, Version: s.rec.Version}, at: map[string]int{}, showing: map[string]string{},
		size: s.headSize() + rootSize + len(s.rec.Entity)}
}

// whole begins a page that names every member (RFC 4662 5.2: fullState), or as many
// of more than a thousand as a message has room for.
func (s *sub) whole(p *page) bool {
	members, ok := s.n.lists.Members(s.subject())
	s.list.enter(members)
	p.roll.Full = true
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
		d, ok := s.n.o.Source.Document(m, s.memberParams(m, uri, version))
		if !p.roll.Full && (!ok || !s.list.members[m].in) {
			return false
		}
		size := partSize + len(d.Body)
		if !p.roll.Full {
			size += resourceSize + len(uri)
		}
		if p.size+size > limit && (p.roll.Full || len(p.parts) > 0) {
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
		p.showing[m] = d.Shown
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
func (s *sub) memberParams(member, uri string, version uint32) Params {
	p := s.params()
	p.Entity, p.Version, p.Target = uri, version, s.n.o.Endpoint.ContactURI(member, s.rec.Dialog.Flow)
	return p
}

// owe has the state told at once, in full.
func (s *sub) owe() {
	s.owed = true
	if s.list != nil {
		s.list.full = true
	}
}

// idle says of a list that there is nothing to be told after all.
func (s *sub) idle() bool { return s.list != nil && !s.list.wants() }

// missing: what is in flight may not have arrived.
func (s *sub) missing() {
	if s.list != nil {
		s.list.lost()
	}
}

// settled takes the answer to a list's NOTIFY. What did not fit into it follows
// at once.
func (s *sub) settled(seq uint32, arrived bool) {
	if s.list == nil {
		return
	}
	shown, more := s.list.settle(seq, arrived)
	if shown != nil {
		s.n.index.shows(s, shown)
	}
	s.owed = s.owed || more
}

// lit is what the members of a restored list show: as far as anybody knows, what
// its watcher was told last.
func (s *sub) lit(look func(resource string) string) map[string]string {
	shown := map[string]string{}
	members, _ := s.n.lists.Members(s.rec.Resource)
	for _, m := range members {
		if m.Lit {
			shown[m.Resource] = look(m.Resource)
		}
	}
	return shown
}
