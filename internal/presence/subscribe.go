package presence

import (
	"strconv"
	"strings"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

const statusBadEvent = 489 // RFC 6665 8.3.2

// retryAfter is what a SUBSCRIBE beyond the limit is told, in seconds.
const retryAfter = "60"

// refusal is a SUBSCRIBE that is answered with an error.
type refusal struct {
	code    int
	reason  string // of the log and the metric
	headers []sip.Header
}

func refuse(code int, reason string, headers ...sip.Header) *refusal {
	return &refusal{code, reason, headers}
}

// stopped is why nothing is taken in after Close. Where the endpoint is frozen, nobody
// is told so: the next process answers what is sent again.
const stopped = "draining"

// closed is the refusal after Close: what is durable is served again soon.
func closed() *refusal {
	return refuse(sip.StatusTemporarilyUnavailable, stopped, sip.NewHeader("Retry-After", draining))
}

// notYet is the refusal of a request within a subscription after Close. It is a 500
// (RFC 3261 21.5.1): 480 would end the subscription (RFC 6665 4.1.2.2), which is to
// go on after a restart.
func notYet() *refusal {
	return refuse(sip.StatusInternalServerError, stopped, sip.NewHeader("Retry-After", draining))
}

// terms are what a SUBSCRIBE asks for.
type terms struct {
	event, id string
	types     []string      // of the package
	accept    string        // one of them; "" = none is taken
	expires   time.Duration // 0 = to end it, or a fetch
}

// unacceptable is the refusal when the phone takes none of the package's types.
func (t *terms) unacceptable() *refusal {
	return refuse(sip.StatusNotAcceptable, "accept", sip.NewHeader("Accept", strings.Join(t.types, ", ")))
}

// Subscribe serves a SUBSCRIBE outside any dialog (RFC 6665 4.2.1). One that
// comes again although its transaction is over is answered as before: a server
// that ended between a record and its 200 has lost the transaction. So the phone
// is told the tag that it may have NOTIFYs with already.
func (n *Notifier) Subscribe(r *sipua.Request) {
	if n.ctx.Err() != nil || n.ending.Load() {
		n.refused(r, closed())
		return
	}
	rec, t, no := n.read(r)
	if no == nil {
		if s := n.index.repeated(&rec); s != nil && s.id == rec.Dialog.ID {
			no = s.repeat(r)
		} else {
			no = n.install(r, rec, t)
		}
	}
	if no == nil {
		return
	}
	n.refused(r, no)
}

func (n *Notifier) refused(r *sipua.Request, no *refusal) {
	if no.reason == stopped && n.o.Endpoint.Frozen() {
		return
	}
	n.o.Refused(no.reason)
	n.o.Log.Info().Str("user", sipua.UserOf(&r.Recipient)).Str("source", r.Flow.Remote.String()).Int("code", no.code).
		Str("reason", no.reason).Msg("subscription refused")
	if err := r.Reply(no.code, "", no.headers...); err != nil {
		n.o.Log.Debug().Err(err).Msg("response not sent")
	}
}

// install answers and starts a subscription, or a fetch.
func (n *Notifier) install(r *sipua.Request, rec Subscription, t terms) *refusal {
	s := newSub(n, rec)
	if t.expires == 0 { // RFC 6665 4.4.3
		if !n.index.visit() {
			return refuse(sip.StatusTemporarilyUnavailable, "subscriptions", sip.NewHeader("Retry-After", retryAfter))
		}
		return n.start(s, func() { s.fetch(r) })
	}
	replaced, ok := n.index.add(s, &s.rec, false)
	if !ok {
		return refuse(sip.StatusTemporarilyUnavailable, "subscriptions", sip.NewHeader("Retry-After", retryAfter))
	}
	return n.start(s, func() { s.begin(r, t, replaced) })
}

// start runs the first function of a new queue, which cannot be full.
func (n *Notifier) start(s *sub, f func()) *refusal {
	if err := s.queue.Post(f); err != nil {
		n.index.drop(s)
		return refuse(sip.StatusInternalServerError, "queue")
	}
	return nil
}

// read checks a SUBSCRIBE and makes its subscription.
func (n *Notifier) read(r *sipua.Request) (Subscription, terms, *refusal) {
	var none Subscription
	t, no := termsOf(r, "")
	if no != nil {
		return none, t, no
	}
	// The resource is the user of the Request-URI, else of To; user=phone and
	// other parameters do not matter.
	entity := r.Recipient
	if to := r.To(); to != nil && (sipua.UserOf(&entity) == "" || retargeted(&entity, &to.Address)) {
		entity = to.Address
	}
	user := sipua.UserOf(&entity)
	rec := Subscription{User: user, Entity: entity.String(), Event: t.event, EventID: t.id, Since: time.Now()}
	if len(rec.Entity) > maxURI {
		return none, t, refuse(sip.StatusRequestURITooLong, "length")
	}
	if rec.Resource, rec.List, no = n.choose(r, user, &t); no != nil {
		return none, t, no
	}
	rec.Accept = t.accept
	if no := rec.watcher(r); no != nil {
		return none, t, no
	}
	rec.Dialog = dialog.Dialog{ID: dialog.ID{CallID: sipua.CallID(r.Request), Remote: sipua.FromTag(r.Request)},
		RemoteSeq: sipua.CSeq(r.Request), Flow: r.Flow}
	if s := n.index.repeated(&rec); s != nil {
		r.SetLocalTag(s.id.Local)
	}
	var err error
	if rec.Dialog, err = dialog.FromRequest(r, r.LocalTag()); err != nil {
		return none, t, refuse(sip.StatusBadRequest, "dialog")
	}
	rec.Dialog.NAT = behindNAT(r, rec.Dialog)
	rec.Expires = rec.Since.Add(t.expires)
	return rec, t, nil
}

// retargeted reports whether a registrar has put our Contact in the place of what
// the phone has subscribed to (RFC 3261 16.5), which then stands in To only: some
// phones look at nothing else than a document whose entity is just that.
func retargeted(uri, to *sip.Uri) bool {
	return sipua.UserOf(uri) == sipua.UserOf(to) && !strings.EqualFold(uri.Host, to.Host)
}

// watcher fills in who subscribes.
func (s *Subscription) watcher(r *sipua.Request) *refusal {
	contacts := sipua.Headers(r.Request, "contact")
	if len(contacts) != 1 { // RFC 6665 4.1.2.1: a SUBSCRIBE makes a dialog
		return refuse(sip.StatusBadRequest, "contact")
	}
	c, err := sipua.ParseNameAddr(contacts[0])
	if err != nil || c.URI.Wildcard || c.URI.Host == "" || c.URI.Scheme != "sip" && c.URI.Scheme != "sips" {
		return refuse(sip.StatusBadRequest, "contact")
	}
	from := r.From()
	if from == nil {
		return refuse(sip.StatusBadRequest, "from")
	}
	s.From, s.By, s.Contact = from.Address.String(), r.User, c.URI.String()
	s.Instance, _ = c.Params.Get("+sip.instance")
	s.Agent, _ = sipua.Header(r.Request, "user-agent")
	if len(s.Agent) > maxField {
		s.Agent = strings.ToValidUTF8(s.Agent[:maxField], "")
	}
	if len(s.From) > maxURI || len(s.Contact) > maxURI || len(s.Instance) > maxField || len(s.EventID) > maxField ||
		len(sipua.CallID(r.Request)) > maxField || len(sipua.FromTag(r.Request)) > maxField {
		return refuse(sip.StatusBadRequest, "length")
	}
	return nil
}

// termsOf reads Event, Accept and Expires. have is the package of the
// subscription to be refreshed, "" for a new one.
func termsOf(r *sipua.Request, have string) (terms, *refusal) {
	events := sipua.Headers(r.Request, "event")
	if len(events) == 0 && have != "" {
		events = []string{have} // some phones leave it out of a refresh
	}
	if len(events) > 1 {
		return terms{}, refuse(sip.StatusBadRequest, "event")
	}
	var e sipua.Event
	if len(events) == 1 {
		var err error
		if e, err = sipua.ParseEvent(events[0]); err != nil {
			return terms{}, refuse(sip.StatusBadRequest, "event")
		}
	}
	p, ok := packOf(e.Package)
	if !ok || have != "" && e.Package != have {
		// RFC 6665 4.2.1.1, 8.3.2: 489 says what is served.
		return terms{}, refuse(statusBadEvent, "event", sip.NewHeader("Allow-Events", sipua.Events))
	}
	t := terms{event: e.Package, id: e.ID, types: p.types}
	for _, m := range p.types {
		// RFC 6665 3.1.3: no Accept means the package's default, its first type.
		if t.accept == "" && sipua.Accepts(r.Request, m, true) {
			t.accept = m
		}
	}
	var no *refusal
	t.expires, no = expiresOf(r)
	return t, no
}

// expiresOf is how long the subscription will last: never longer than asked
// (RFC 6665 4.2.1.1).
func expiresOf(r *sipua.Request) (time.Duration, *refusal) {
	value, ok := sipua.Header(r.Request, "expires")
	if !ok {
		return defaultExpires, nil
	}
	seconds, err := sipua.ParseExpires(value)
	if err != nil {
		return 0, refuse(sip.StatusBadRequest, "expires")
	}
	d := time.Duration(seconds) * time.Second
	if d != 0 && d < minExpires { // RFC 6665 4.2.1.4
		return 0, refuse(sip.StatusIntervalToBrief, "expires", sip.NewHeader("Min-Expires", itoa(int(minExpires/time.Second))))
	}
	return min(d, maxExpires), nil
}

// behindNAT says whether NOTIFYs go to the source of the SUBSCRIBE although its
// Contact says otherwise: the Contact's address is another one, so there is a
// NAT between. Not behind a proxy, be it one that does not record its route.
func behindNAT(r *sipua.Request, d dialog.Dialog) bool {
	if len(sipua.Headers(r.Request, "via")) > 1 {
		return false
	}
	n, err := sipua.ParseNameAddr("<" + d.Target + ">")
	// RFC 2606 2: such a host has no address at all.
	return d.NAT || err == nil && strings.HasSuffix(strings.ToLower(n.URI.Host), ".invalid")
}

func itoa(n int) string { return strconv.Itoa(n) }
