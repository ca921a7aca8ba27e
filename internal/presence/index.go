package presence

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"parkd/internal/shrink"
	"parkd/internal/sipua"
)

// index finds subscriptions. Its mutex is a leaf: nothing waits under it.
//
// There are ten thousand, so it has no texts of its own: what is looked for by
// several of them is looked for by their hash, and then compared.
type index struct {
	max  int
	seed maphash.Seed

	mu       sync.Mutex
	every    []*sub
	resource map[string][]*sub
	watcher  map[uint64]*sub // the first of a chain, by the hash of watcher
	links    map[link][]*sub // by the connection that they came by
	lost     map[link][]*sub // whose last NOTIFY is not answered, by where they came from: port 0 = any
	flows    flows
	fetches  int                                          // SUBSCRIBEs of Expires 0 under way
	most     struct{ watcher, resource, links, lost int } // shrink's
}

// The lists of index that a subscription may be in.
const (
	inEvery = iota
	inResource
	inLinks
	inLost
	memberships
)

// face is what others may see of a subscription beside what of its record never
// changes; owned by index.mu.
type face struct {
	key, watcher, mate uint64             // hashes: of key, of watcher, of what mates are found by
	next, prev         *sub               // in the chain of its watcher
	place              [memberships]int32 // in each of them
	first              uint32             // CSeq of the SUBSCRIBE that began it
	listed             bool
	network            string
	remote             netip.AddrPort
	lost               *link // where it is in index.lost; nil = nowhere
	alive              *flow // nil = not kept alive by us
	contact            string
	expires            stamp
	last               last
	shown              map[string]string // of a list: as last.Shown, by member; nothing for ""
}

// last is what a watcher was told last, as in Lamp.
type last struct {
	Told    stamp
	Answer  int
	Shown   string
	Silent  bool
	Version uint32
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

func newIndex(most int, begun func()) *index {
	return &index{max: most, flows: flows{begun: begun}, seed: maphash.MakeSeed(), resource: map[string][]*sub{},
		watcher: map[uint64]*sub{}, links: map[link][]*sub{}, lost: map[link][]*sub{}}
}

// add lists a subscription in the place of that of the same phone, which it
// returns. It refuses when there are too many, but not one that is restored.
func (x *index) add(s *sub, rec *Subscription, restored bool) (replaced *sub, ok bool) {
	k := rec.key()
	x.mu.Lock()
	defer x.mu.Unlock()
	if replaced = x.at(&k); replaced != nil {
		x.remove(replaced)
	} else if len(x.every)+x.fetches >= x.max && !restored {
		return nil, false
	}
	if others := x.resource[k.resource]; len(others) > 0 {
		rec.shareWith(&others[len(others)-1].rec)
	}
	s.face = face{first: rec.Dialog.RemoteSeq, last: last{Shown: rec.Shown}, listed: true}
	s.face.place[inEvery] = int32(len(x.every))
	x.every = append(x.every, s)
	put(x.resource, k.resource, s, inResource)
	x.show(s, rec, &k)
	return replaced, true
}

// show takes over what may change of a record; it holds mu.
func (x *index) show(s *sub, rec *Subscription, k *key) {
	x.join(s, rec.Dialog.Flow)
	x.flows.move(s, keptAlive(&rec.Dialog))
	f, w := &s.face, k.watcher
	f.contact, f.expires = rec.Contact, stampOf(rec.Expires)
	f.key, f.watcher, f.mate = maphash.Comparable(x.seed, *k), maphash.Comparable(x.seed, w), 0
	if f.next = x.watcher[f.watcher]; f.next != nil {
		f.next.face.prev = s
	}
	x.watcher[f.watcher] = s
	if w.from != "" {
		w.resource, w.contact = "", withoutPort(w.contact)
		f.mate = maphash.Comparable(x.seed, w)
	}
}

// unchain takes a subscription from the chain of its watcher; it holds mu.
func (x *index) unchain(s *sub) {
	f := &s.face
	if f.next != nil {
		f.next.face.prev = f.prev
	}
	switch {
	case f.prev != nil:
		f.prev.face.next = f.next
	case f.next != nil:
		x.watcher[f.watcher] = f.next
	default:
		x.watcher = shrink.Delete(x.watcher, &x.most.watcher, f.watcher)
	}
	f.next, f.prev = nil, nil
}

// at finds the subscription with a key; it holds mu.
func (x *index) at(k *key) *sub {
	h := maphash.Comparable(x.seed, *k)
	for s := x.watcher[maphash.Comparable(x.seed, k.watcher)]; s != nil; s = s.face.next {
		if s.face.key == h && s.seen().key() == *k {
			return s
		}
	}
	return nil
}

// seen is what of a subscription's record index compares and shows: of what may
// change, as of the last update. It holds mu.
func (s *sub) seen() *Subscription {
	r, f := &s.rec, &s.face
	seen := &Subscription{Resource: r.Resource, List: r.List, Event: r.Event, EventID: r.EventID, From: r.From, Instance: r.Instance, Agent: r.Agent,
		Since: r.Since, Contact: f.contact, Expires: f.expires.time()}
	seen.Dialog.Flow.Network, seen.Dialog.Flow.Remote = f.network, f.remote
	return seen
}

// repeated finds the subscription that this very SUBSCRIBE began; its dialog
// lacks our tag.
func (x *index) repeated(rec *Subscription) *sub {
	k := rec.key()
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.at(&k)
	if s == nil || s.id.CallID != rec.Dialog.CallID || s.id.Remote != rec.Dialog.Remote || s.face.first != rec.Dialog.RemoteSeq {
		return nil
	}
	return s
}

// update shows a refreshed subscription, whose Contact may have changed.
func (x *index) update(s *sub, rec *Subscription) {
	k := rec.key()
	x.mu.Lock()
	defer x.mu.Unlock()
	if s.face.listed {
		x.unchain(s)
		x.show(s, rec, &k)
	}
}

// ends shows when a restored subscription ends if nobody refreshes it, which may be
// later than what its record says.
func (x *index) ends(s *sub, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s.face.expires = stampOf(at)
}

// note changes what is shown of a subscription.
func (x *index) note(s *sub, f func(*last)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(&s.face.last)
}

// sent shows what watchers are told, which is on its way or about to be; of each the
// newest, whose answer may be known already.
func (x *index) sent(list []*telling, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := stampOf(now)
	for _, t := range list {
		if l := &t.s.face.last; t.version >= l.Version {
			l.Told, l.Version, l.Answer = at, t.version, 0
		}
	}
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
	x.unchain(s)
	x.every = s.leave(x.every, inEvery)
	x.resource = take(x.resource, &x.most.resource, s.rec.topic(), s, inResource)
	x.unlose(s)
	x.join(s, sipua.Flow{})
	x.flows.move(s, sipua.Flow{})
}

// visit counts a fetch, leave ends it.
func (x *index) visit() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.every)+x.fetches >= x.max {
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
	return append(list, x.resource[resource]...)
}

// showing finds what a watcher was shown of a resource last, by itself or by one of
// the lists.
func (x *index) showing(w watcher, lists []string, source netip.Addr) (shown string, ok bool) {
	if w.from == "" || w.contact == "" {
		return "", false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var told stamp
	look := func(w watcher, of func(*face) string) {
		for s := x.watcher[maphash.Comparable(x.seed, w)]; s != nil; s = s.face.next {
			f := &s.face
			what := of(f)
			if what != "" && f.remote.Addr() == source && (!ok || f.last.Told > told) && s.seen().key().watcher == w {
				shown, told, ok = what, f.last.Told, true
			}
		}
	}
	look(w, func(f *face) string { return f.last.Shown })
	resource := w.resource
	for _, list := range lists {
		w.resource = topicOf(list)
		look(w, func(f *face) string { return f.shown[resource] })
	}
	return shown, ok
}

// shows notes what a list's watcher was shown of some of its members.
func (x *index) shows(s *sub, shown showings) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range shown {
		if m.shown == "" {
			delete(s.face.shown, m.member)
			continue
		}
		if s.face.shown == nil {
			s.face.shown = map[string]string{}
		}
		s.face.shown[m.member] = m.shown
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
	return len(x.every)
}

func (x *index) sizes() map[string]int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return map[string]int{
		"subscriptions": len(x.every), "fetches": x.fetches,
		"watchers": len(x.resource) + len(x.watcher) + len(x.links) + len(x.lost), "flows": len(x.flows.all),
	}
}

func (x *index) all() []*sub {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.every)
}

func (x *index) lamps() []Lamp {
	x.mu.Lock()
	out := make([]Lamp, 0, len(x.every))
	for _, s := range x.every {
		r, l := s.seen(), &s.face.last
		out = append(out, Lamp{Resource: r.Resource, List: r.List, Event: r.Event, Watcher: r.From, Contact: r.Contact,
			Source: r.Dialog.Flow.Network + " " + r.Dialog.Flow.Remote.String(), Agent: r.Agent, Since: r.Since, Expires: r.Expires,
			Told: l.Told.time(), Answer: l.Answer, Shown: l.Shown, Lit: len(s.face.shown), Silent: l.Silent, Version: l.Version})
	}
	x.mu.Unlock()
	slices.SortFunc(out, func(a, b Lamp) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Watcher, b.Watcher), a.Since.Compare(b.Since))
	})
	return out
}

// put and take change a list of the index, in which each member knows its place.
func put[K comparable](m map[K][]*sub, k K, s *sub, list int) {
	s.face.place[list] = int32(len(m[k]))
	m[k] = append(m[k], s)
}

func take[K comparable](m map[K][]*sub, most *int, k K, s *sub, list int) map[K][]*sub {
	if rest := s.leave(m[k], list); len(rest) > 0 {
		m[k] = rest
		return m
	}
	return shrink.Delete(m, most, k)
}

// leave puts the last of a list in the place of s.
func (s *sub) leave(from []*sub, list int) []*sub {
	end := len(from) - 1
	last := from[end]
	from[s.face.place[list]], last.face.place[list] = last, s.face.place[list]
	from[end] = nil
	return from[:end]
}
