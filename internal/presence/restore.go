package presence

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// recently is how long after its expiry, 64*T1, a watcher is still told that
// its subscription has ended: it ended unseen, while no server ran, and the
// watcher may subscribe anew at once (RFC 6665 4.1.3: timeout). After that it
// knows by itself.
const recently = 32 * time.Second

var errExhausted = errors.New("CSeq is used up")

// Restore takes up the subscriptions that a journal holds, by the ids that they
// were kept under. Call it once, before the endpoint serves. Nothing is sent
// before Resume, but for changes of state that come first.
//
// A record that cannot be read is left in the journal, and why is returned under
// its id; it keeps nobody else away. Subscriptions that have expired, and older
// ones of a phone that has a newer one, are forgotten.
func (n *Notifier) Restore(records map[string][]byte) map[string]error {
	faults := map[string]error{}
	list := make([]kept, 0, len(records))
	for _, id := range slices.Sorted(maps.Keys(records)) {
		r, err := decode(records[id])
		if err == nil && r.Dialog.Local != id {
			err = fmt.Errorf("%w: it is that of %q", errRecord, r.Dialog.Local)
		}
		if err != nil {
			faults[id] = err
			continue
		}
		list = append(list, kept{id, r})
	}
	// The last one of a phone stays: index.add replaces.
	slices.SortStableFunc(list, func(a, b kept) int { return a.Since.Compare(b.Since) })
	shown := map[shownBy]string{}
	now := time.Now()
	for i := range list {
		if err := n.restore(&list[i], now, shown); err != nil {
			faults[list[i].id] = err
		}
	}
	return faults
}

// kept is a record and what it was kept under.
type kept struct {
	id string
	record
}

// shownBy is what the call in a document depends on.
type shownBy struct{ resource, event, accept string }

// restore takes one up. It is nobody else's until it is in the index.
func (n *Notifier) restore(k *kept, now time.Time, shown map[shownBy]string) error {
	late := now.Sub(k.Expires.Add(k.interval()))
	if late >= recently {
		n.forget(k.Resource, k.id)
		return nil
	}
	m, c, ok := resumed(marks{k.Version, k.Dialog.LocalSeq}, k.Epoch, n.o.Epoch, n.block)
	if !ok {
		n.forget(k.Resource, k.id) // its refresh gets 481, and a new one begins
		return errExhausted
	}
	s := newSub(n, k.Subscription)
	s.rec.Version, s.rec.Dialog.LocalSeq = m.version, m.seq
	s.ceil, s.until, s.kept = c, stampOf(k.Expires), n.o.Journal != nil
	s.firm, s.vague = s.kept, k.Interval > 0
	s.open = true
	s.owe() // RFC 4235 4.3: its version jumps, so it is a full state
	if s.list != nil {
		s.list.base = m.version // no version of a member has been above the list's
	}
	n.restored = append(n.restored, s)
	if late >= 0 {
		s.closing = timedOut
		s.erase()
		return nil
	}
	look := func(resource string) string {
		by := shownBy{resource, k.Event, k.Accept}
		if _, ok := shown[by]; !ok {
			d, _ := n.o.Source.Document(resource, s.params())
			shown[by] = d.Shown
		}
		return shown[by]
	}
	if s.list == nil {
		s.rec.Shown = look(k.Resource)
	}
	replaced, _ := n.index.add(s, &s.rec, true)
	n.index.ends(s, now.Add(-late))
	if s.list != nil {
		n.index.shows(s, s.lit(look))
	}
	if replaced != nil {
		_ = replaced.queue.Post(replaced.forget)
	}
	if _, err := n.o.Table.Add(s.id, s.rec.Dialog.RemoteSeq, s.queue, s); err != nil {
		n.index.drop(s)
		return err
	}
	return s.queue.Post(func() { s.expiry = n.o.Wheel.After(-late, s.queue, s.expired) })
}

// Resume tells every restored watcher the state, in full and under a higher
// version, in its old dialog (RFC 4235 4.3): all within about a
// second, some each millisecond. Call it once, when the endpoint is ready.
func (n *Notifier) Resume() {
	n.backlog.add(n.restored, false)
	n.restored = nil
}

// forget has the journal drop a record.
func (n *Notifier) forget(resource, id string) {
	if n.o.Journal != nil {
		n.o.Journal.Keep(resource, id, nil, nil)
	}
}
