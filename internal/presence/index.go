package presence

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
)

// index finds subscriptions. Its mutex is a leaf: nothing waits under it.
type index struct {
	max int

	mu       sync.Mutex
	byID     map[dialog.ID]*sub
	byKey    map[key]*sub
	resource map[string]map[*sub]struct{}
	watcher  map[watcher]map[*sub]struct{}
	links    map[link]map[*sub]struct{} // by the connection that they came by
	lost     map[link]map[*sub]struct{} // whose last NOTIFY is not answered, by where they came from: port 0 = any
	fetches  int                        // SUBSCRIBEs of Expires 0 under way
}

// face is what others may see of a subscription; owned by index.mu.
type face struct {
	id      dialog.ID
	first   uint32 // CSeq of the SUBSCRIBE that began it
	key     key
	watcher watcher
	link    link // zero = UDP
	lost    link // zero = not in index.lost
	lamp    Lamp
	shown   map[string]string // of a list: as lamp.Shown, by member; nothing for ""
	listed  bool
}

// slots hold one change a resource, with the time of the first that was not
// passed on yet. They have a lock of their own, which is never held for long,
// because Changed is called by whoever must not wait.
type slots struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func (x *slots) mark(resource string, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.since[resource]; !ok {
		x.since[resource] = now
	}
}

// take empties the slots.
func (x *slots) take() map[string]time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	since := x.since
	x.since = map[string]time.Time{}
	return since
}

func newIndex(most int) *index {
	return &index{max: most, byID: map[dialog.ID]*sub{}, byKey: map[key]*sub{}, resource: map[string]map[*sub]struct{}{},
		watcher: map[watcher]map[*sub]struct{}{}, links: map[link]map[*sub]struct{}{}, lost: map[link]map[*sub]struct{}{}}
}

// add lists a subscription in the place of that of the same phone, which it
// returns. It refuses when there are too many, but not one that is restored.
func (x *index) add(s *sub, rec *Subscription, restored bool) (replaced *sub, ok bool) {
	k, w := rec.key(), watcherOf(rec.topic(), rec.From, rec.Contact)
	x.mu.Lock()
	defer x.mu.Unlock()
	if replaced = x.byKey[k]; replaced != nil {
		x.remove(replaced)
	} else if len(x.byID)+x.fetches >= x.max && !restored {
		return nil, false
	}
	s.face = face{id: rec.Dialog.ID, first: rec.Dialog.RemoteSeq, key: k, watcher: w, lamp: rec.lamp(), listed: true}
	x.byID[s.face.id], x.byKey[k] = s, s
	put(x.resource, k.resource, s)
	put(x.watcher, w, s)
	x.join(s, rec.Dialog.Flow)
	return replaced, true
}

// repeated finds the subscription that this very SUBSCRIBE began; its dialog
// lacks our tag.
func (x *index) repeated(rec *Subscription) *sub {
	k := rec.key()
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.byKey[k]
	if s == nil || s.face.id.CallID != rec.Dialog.CallID || s.face.id.Remote != rec.Dialog.Remote || s.face.first != rec.Dialog.RemoteSeq {
		return nil
	}
	return s
}

// update shows a refreshed subscription, whose Contact may have changed.
func (x *index) update(s *sub, rec *Subscription) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !s.face.listed {
		return
	}
	old := s.face.lamp
	s.face.lamp = rec.lamp()
	s.face.lamp.Told, s.face.lamp.Answer, s.face.lamp.Silent, s.face.lamp.Version = old.Told, old.Answer, old.Silent, old.Version
	if k := rec.key(); k != s.face.key && x.byKey[k] == nil {
		delete(x.byKey, s.face.key)
		s.face.key, x.byKey[k] = k, s
	}
	take(x.watcher, s.face.watcher, s)
	s.face.watcher = watcherOf(rec.topic(), rec.From, rec.Contact)
	put(x.watcher, s.face.watcher, s)
	x.join(s, rec.Dialog.Flow)
}

// note changes what is shown of a subscription.
func (x *index) note(s *sub, f func(*Lamp)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(&s.face.lamp)
}

func (x *index) drop(s *sub) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(s)
}

func (x *index) remove(s *sub) {
	if !s.face.listed {
		return
	}
	s.face.listed = false
	delete(x.byID, s.face.id)
	if x.byKey[s.face.key] == s {
		delete(x.byKey, s.face.key)
	}
	take(x.resource, s.face.key.resource, s)
	take(x.watcher, s.face.watcher, s)
	x.join(s, sipua.Flow{})
	x.unlose(s)
}

// visit counts a fetch, leave ends it.
func (x *index) visit() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.byID)+x.fetches >= x.max {
		return false
	}
	x.fetches++
	return true
}

func (x *index) leave() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fetches--
}

// of adds the subscriptions to a resource to a list.
func (x *index) of(resource string, list []*sub) []*sub {
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := range x.resource[resource] {
		list = append(list, s)
	}
	return list
}

func (x *index) find(id dialog.ID) *sub {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byID[id]
}

// showing finds what a watcher was shown of a resource last, by itself or by one of
// the lists.
func (x *index) showing(w watcher, lists []string, source netip.Addr) (shown string, ok bool) {
	if w.from == "" || w.contact == "" {
		return "", false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var told time.Time
	look := func(w watcher, of func(*face) string) {
		for s := range x.watcher[w] {
			what := of(&s.face)
			if what != "" && s.face.key.source == source && (!ok || s.face.lamp.Told.After(told)) {
				shown, told, ok = what, s.face.lamp.Told, true
			}
		}
	}
	look(w, func(f *face) string { return f.lamp.Shown })
	resource := w.resource
	for _, list := range lists {
		w.resource = topicOf(list)
		look(w, func(f *face) string { return f.shown[resource] })
	}
	return shown, ok
}

// shows notes what a list's watcher was shown of some of its members.
func (x *index) shows(s *sub, shown map[string]string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for member, what := range shown {
		if what == "" {
			delete(s.face.shown, member)
			continue
		}
		if s.face.shown == nil {
			s.face.shown = map[string]string{}
		}
		s.face.shown[member] = what
	}
}

func (x *index) watchers(resource string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.resource[resource])
}

func (x *index) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.byID)
}

func (x *index) sizes() map[string]int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return map[string]int{
		"subscriptions": len(x.byID), "fetches": x.fetches,
		"watchers": len(x.byKey) + len(x.resource) + len(x.watcher) + len(x.links) + len(x.lost),
	}
}

func (x *index) all() []*sub {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]*sub, 0, len(x.byID))
	for _, s := range x.byID {
		out = append(out, s)
	}
	return out
}

func (x *index) lamps() []Lamp {
	x.mu.Lock()
	out := make([]Lamp, 0, len(x.byID))
	for _, s := range x.byID {
		out = append(out, s.face.lamp)
	}
	x.mu.Unlock()
	slices.SortFunc(out, func(a, b Lamp) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Watcher, b.Watcher), a.Since.Compare(b.Since))
	})
	return out
}

func put[K comparable](m map[K]map[*sub]struct{}, k K, s *sub) {
	if m[k] == nil {
		m[k] = map[*sub]struct{}{}
	}
	m[k][s] = struct{}{}
}

func take[K comparable](m map[K]map[*sub]struct{}, k K, s *sub) {
	delete(m[k], s)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}
