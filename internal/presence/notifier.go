// Package presence is the SUBSCRIBE usage of dialogs: an RFC 6665 notifier. It
// knows who watches what, and tells every watcher the newest state of it, in
// order and not too often. It does not know what that state is: documents come
// from a Source.
//
// It promises that a watcher has one NOTIFY in flight, that versions and CSeq
// of a subscription only rise, that the last state always goes out, and that a
// subscription ends only by its own wish, by its expiry, or by an answer that
// says so; silence does not end it. Changed never blocks.
//
// With a Journal all this holds across a crash: a SUBSCRIBE is answered when a
// record that covers it is written, and Restore and Resume take every subscription up again in
// its old dialog. A disk that fails keeps nobody from a lamp.
package presence

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"
)

// Bounds of the intervals that a watcher may ask for (RFC 6665 4.2.1.1).
const (
	defaultExpires = 3600 * time.Second
	minExpires     = 60 * time.Second
	maxExpires     = 7200 * time.Second
)

// draining is what a SUBSCRIBE is told after Close, in seconds.
const draining = "5"

// Bounds of what a SUBSCRIBE may carry, in bytes; a subscription keeps it.
const (
	maxURI   = 512
	maxField = 256
)

// DefaultMax is how many subscriptions there may be if Options.Max is 0.
const DefaultMax = 20000

// Params is what a document depends on beside the state.
type Params struct {
	Event    string // package: dialog, presence
	Accept   string // media type that the watcher takes
	Entity   string // the subscribed URI, to the byte
	Version  uint32 // of the subscription: 0, 1, 2, ...
	Target   string // a URI that reaches this server and names the resource
	Watcher  string // From URI
	User     string // the name that the watcher has authenticated with; "" = nobody asked
	Agent    string // User-Agent of the SUBSCRIBE
	Reliable bool   // TCP or TLS: size does not matter
	Room     []byte // what the document may be written in, from its start; nil = in memory of its own
}

// Document is a state as a watcher is told it.
type Document struct {
	Body        []byte
	ContentType string
	Shown       string // which call it shows, opaque here; "" = none
}

// Source has the states.
type Source interface {
	// Resolve names the resource that a user part of a URI stands for.
	Resolve(user string) (resource string, ok bool)
	// Document renders the newest state of a resource. It is called at any time
	// from several goroutines and must not block. ok is false if there is no
	// such resource any more, as there is none called "": the document is then the
	// last one, and may be empty.
	Document(resource string, p Params) (d Document, ok bool)
}

// Options is what a Notifier is built from.
type Options struct {
	Endpoint  *sipua.Endpoint
	Table     *dialog.Table
	Wheel     *dialog.Wheel
	Source    Source
	Log       zerolog.Logger
	Journal   Journal                     // nil = nothing is kept
	Epoch     uint64                      // of the journal's owner: higher with each start; 0 = unknown
	Max       int                         // subscriptions; 0 = DefaultMax
	KeepAlive time.Duration               // how often a flow behind NAT is used at least; 0 = never
	Refused   func(reason string)         // counts refusals; may be nil
	Observe   func(latency time.Duration) // from a change to the 200 of its NOTIFY; concurrently; may be nil
	Follower  Follower                    // may be nil

	places int // of the window; 0 = as many as the receive buffer has room for
}

// Notifier serves SUBSCRIBE.
type Notifier struct {
	o      Options
	ctx    context.Context // ends what is in flight
	stop   context.CancelFunc
	index  *index
	lists  Lists
	slots  slots
	window *window
	wake   chan struct{} // 1: something in slots
	done   sync.WaitGroup

	backlog  backlog
	laggards laggards
	restored []*sub        // owned by whoever calls Restore, then Resume
	block    uint32        // of ceilings
	every    atomic.Int64  // interval of keep-alives
	flows    chan struct{} // 1: see what is to be kept alive
	ending   atomic.Bool
}

// New starts a notifier; Close ends it.
func New(o Options) *Notifier {
	if o.Max <= 0 {
		o.Max = DefaultMax
	}
	if o.Refused == nil {
		o.Refused = func(string) {}
	}
	if o.Observe == nil {
		o.Observe = func(time.Duration) {}
	}
	if o.places <= 0 {
		o.places = places(o.Endpoint.ReceiveBuffer())
	}
	n := &Notifier{o: o, lists: listsOf(o.Source), wake: make(chan struct{}, 1), slots: slots{since: map[string]time.Time{}},
		window: newWindow(o.places), backlog: backlog{wake: make(chan struct{}, 1)}, block: block, flows: make(chan struct{}, 1)}
	n.index = newIndex(o.Max, n.open)
	n.every.Store(int64(o.KeepAlive))
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.done.Go(n.fan)
	n.done.Go(n.drain)
	n.done.Go(n.keepOpen)
	return n
}

// Close stops telling anybody anything; it must not be called from a queue.
// Subscriptions stay as they are, in the journal too, and go on after a restart:
// their watchers are not told that the server stops (RFC 6665 4.4.2 leaves that to
// us).
func (n *Notifier) Close() {
	n.stop()
	n.done.Wait()
	var resting sync.WaitGroup
	for _, s := range n.index.all() {
		resting.Add(1)
		if s.queue.Post(func() { defer resting.Done(); s.catchUp(); s.rest() }) != nil {
			resting.Done()
		}
	}
	resting.Wait()
}

// Changed says that the state of a resource is a newer one. It does not block:
// a resource has one slot, and the newest state wins.
func (n *Notifier) Changed(resource string) {
	n.slots.mark(resource, time.Now())
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// fan passes changes on to the subscriptions, one after the other, so that no two
// changes of a resource cross; and places in the window to those who wait for one.
func (n *Notifier) fan() {
	var list []*sub
	v := &volley{n: n}
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.wake:
		case <-n.window.wake:
		}
		for resource, at := range n.slots.take() {
			list = n.index.of(resource, list[:0])
			for _, s := range list {
				if s.list != nil { // the list itself is another one
					s.list.mark("")
				}
			}
			n.alter(v, list, at)
			for _, l := range n.within(resource) {
				list = n.index.of(topicOf(l), list[:0])
				for _, s := range list {
					s.list.mark(resource)
				}
				n.alter(v, list, at)
			}
			clear(list[:cap(list)])
		}
		for s := n.window.next(time.Now()); s != nil; s = n.window.next(time.Now()) {
			v.visit(s, (*sub).admitted)
		}
		v.send()
	}
}

// alter tells subscriptions that there is a newer state.
func (n *Notifier) alter(v *volley, list []*sub, at time.Time) {
	for i := -aheadSub; i < 0; i++ {
		ahead(list, i)
	}
	for i, s := range list {
		ahead(list, i)
		if s.news.CompareAndSwap(0, int64(instantOf(at))) {
			v.visit(s, (*sub).changed)
		}
	}
	v.send()
}

// Stray takes a response that matches no transaction: the late answer of a slow
// watcher proves that it lives. Others are ignored.
func (n *Notifier) Stray(res *sip.Response) {
	cseq := res.CSeq()
	if cseq == nil || cseq.MethodName != sip.NOTIFY || res.StatusCode < 200 {
		return
	}
	id := dialog.ID{CallID: sipua.CallID(res), Local: sipua.FromTag(res), Remote: sipua.ToTag(res)}
	e, ok := n.o.Table.Find(id)
	if !ok {
		return
	}
	if s, ok := e.Usage().(*sub); ok {
		a := sipua.AnswerOf(res)
		_ = s.queue.Post(func() { s.late(a) })
	}
}

// Showing says whether a live subscription to resource, or to a list that it is
// in, by the user of From at the address of Contact, from the same host as
// source, was last told of a call, as far as it answered; and of which
// (Document.Shown).
func (n *Notifier) Showing(resource, from, contact string, source sipua.Flow) (shown string, ok bool) {
	return n.index.showing(watcherOf(resource, from, contact), n.within(resource), source.Remote.Addr())
}

// Watchers counts the subscriptions to a resource, and to lists that it is in.
func (n *Notifier) Watchers(resource string) int {
	count := n.index.watchers(resource)
	for _, l := range n.within(resource) {
		count += n.index.watchers(topicOf(l))
	}
	return count
}

// Len counts all subscriptions.
func (n *Notifier) Len() int { return n.index.len() }

// Sizes counts what the notifier holds, by kind; without subscriptions all are 0.
func (n *Notifier) Sizes() map[string]int {
	sizes := n.index.sizes()
	out, waiting := n.window.sizes()
	sizes["window"] = out + waiting
	return sizes
}

// Lamps lists all subscriptions, by resource and watcher.
func (n *Notifier) Lamps() []Lamp { return n.index.lamps() }
