package presence

import (
	"slices"
	"strconv"
	"sync"
)

// maxFlights bounds the NOTIFYs of which an answer is still of interest.
const maxFlights = 8

// list is what a subscription to an event list has beside a single one: which
// members its watcher is to be told of. What an unanswered NOTIFY told is told
// again with the next.
type list struct {
	head, tail string // of the members' URIs

	mu   sync.Mutex // leaf
	news []string   // members that have changed, in order
	anew bool       // the list is another one

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
	l := &list{members: map[string]membership{}, full: true}
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
	l.news = with(l.news, member)
}

// with adds a member to those in order.
func with(list []string, member string) []string {
	i, there := slices.BinarySearch(list, member)
	if there {
		return list
	}
	return slices.Insert(list, i, member)
}

// take collects what was marked. What was told of those members is old, whoever
// answers it.
func (l *list) take() {
	l.mu.Lock()
	news, anew := l.news, l.anew
	l.news, l.anew = nil, false
	l.mu.Unlock()
	l.full = l.full || anew
	if len(news) == 0 {
		return
	}
	for _, m := range l.fresh {
		news = with(news, m)
	}
	l.fresh = news
	known := func(m string) bool { _, ok := slices.BinarySearch(news, m); return ok }
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
func (l *list) settle(seq uint32, arrived bool) (shown showings, more bool) {
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
	if len(l.due) > 0 {
		has := make(map[string]bool, len(t.members))
		for _, m := range t.members {
			has[m] = true
		}
		l.due = slices.DeleteFunc(l.due, func(m string) bool { return has[m] })
	}
	shown = t.showing
	if t.full {
		shown = slices.Clip(shown)
		for name, e := range l.members {
			if !e.in {
				shown = append(shown, showing{name, ""}) // it is on no key now
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

// showing is what the document of a member shows.
type showing struct{ member, shown string }

// showings are those of a NOTIFY.
type showings []showing

func (s showings) of(member string) (shown string, ok bool) {
	for i := range s {
		if s[i].member == member {
			return s[i].shown, true
		}
	}
	return "", false
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
func (s *sub) lit(look func(resource string) string) (shown showings) {
	members, _ := s.n.lists.Members(s.rec.Resource)
	for _, m := range members {
		if m.Lit {
			shown = append(shown, showing{m.Resource, look(m.Resource)})
		}
	}
	return shown
}
