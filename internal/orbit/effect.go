package orbit

import "time"

// Party is somebody as phones show them.
type Party struct{ Name, URI string }

// Effect is something that the network has to do. Carrying one out twice does
// no harm: after a crash Owed repeats what may have been done before.
type Effect interface {
	// LegID names the leg that carries the effect out.
	LegID() string
}

// Answer accepts a leg's INVITE: with music, or joined with Peer, whose codec
// it prefers and whose party it shows (P-Asserted-Identity).
type Answer struct {
	Leg   string
	Call  string
	Orbit string
	Music string // played when Peer is empty
	Peer  string
	Party Party // with music: what the orbit is called, to a caller who does not know which it is
}

// Refuse declines a leg's INVITE.
type Refuse struct {
	Leg string
	Err error
}

// Play gives a leg, bridged before or not, the music of its orbit.
type Play struct{ Leg, Music string }

// Say speaks to a leg, bridged before or not: words of Vocabulary one after the
// other, and then the music Then, or silence if that is "".
type Say struct {
	Leg   string
	Words []string
	Then  string
}

// Park gives a leg that was answered before the music of the orbit that it is in
// from now on.
type Park struct{ Leg, Call, Orbit, Music string }

// Bridge joins a leg with another. Direct allows their media to flow past parkd.
type Bridge struct {
	Leg, Peer string
	Direct    bool
}

// Ring calls somebody on a new leg, for a caller who keeps what they hear.
type Ring struct {
	Leg    string
	Call   string
	Target string // URI, or an extension of the PBX
	Caller string // leg of the caller, or Summon: says whom to send the INVITE to
	Orbit  string
	Party  Party     // the caller, as the called phone shows them; no URI: the orbit
	Alert  string    // value of Alert-Info, "" = none
	Person bool      // no machine is to answer
	Refer  Reference // what a REFER asks for; zero for a return
}

// Reference is what the INVITE that a REFER asks for carries besides: values of
// its header fields, "" where there is none.
type Reference struct {
	ReferredBy string // RFC 3892
	Replaces   string // RFC 3891
}

// Report tells whoever sent a REFER how far it got (RFC 3515 2.4.5): a status of
// the INVITE that followed, or why it was refused. After a 2xx the leg that sent
// it, which nobody is joined with any more, is over.
type Report struct {
	Leg  string
	Code int
	Err  error // instead of Code
}

// Identify tells a leg's peer who is at the other end now; without a URI that is the
// orbit that the leg is in. A leg that has told so already says nothing.
type Identify struct {
	Leg   string
	Party Party
}

// PassKey has a leg's peer know of a key that was pressed at the other end. If it
// came by INFO, whoever sent that is answered as the peer answers.
type PassKey struct {
	Leg string
	Key Key
}

// KeyTaken says that the key of an INFO was taken here.
type KeyTaken struct {
	Leg  string
	Info uint32
}

// Message sends somebody a text, on the way that a return to them would go. Nobody
// waits for what becomes of it.
type Message struct {
	Leg    string // of the caller: says whom to send it to
	Call   string
	Orbit  string
	Target string // URI
	From   Party  // the orbit
	Text   string
}

// Bye ends a leg in whatever way its state asks for: BYE, CANCEL or refusal.
type Bye struct{ Leg, Reason string }

// Noted tells a leg that the snapshot it gave with a Note is durable, or that
// no disk will make it so now: it may go on.
type Noted struct{ Leg string }

// LegID implements Effect.
func (e Answer) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Refuse) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Play) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Say) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Park) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Report) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Bridge) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Ring) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Identify) LegID() string { return e.Leg }

// LegID implements Effect.
func (e PassKey) LegID() string { return e.Leg }

// LegID implements Effect.
func (e KeyTaken) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Message) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Bye) LegID() string { return e.Leg }

// LegID implements Effect.
func (e Noted) LegID() string { return e.Leg }

// Kind names what happened to a call.
type Kind string

// The kinds of event.
const (
	KindParked      Kind = "parked"
	KindTransferred Kind = "transferred" // another leg took the place of one of the call's
	KindRetrieved   Kind = "retrieved"
	KindReturning   Kind = "returning"
	KindReturned    Kind = "returned"
	KindKept        Kind = "kept"     // a return or retrieve came to nothing: parked still
	KindTransfer    Kind = "transfer" // somebody is called to take the place of one of the call's
	KindStayed      Kind = "stayed"   // that came to nothing: everybody is where they were
	KindEnded       Kind = "ended"
)

// Event is told to operators: logs, metrics, live views.
type Event struct {
	Kind   Kind
	Orbit  string
	Call   string
	Detail string
}

// Change is the outcome of a decision. A leg that was not known before comes
// with the call in Put that it belongs to; the legs of a call in Del are there
// until a later change says that each is gone.
type Change struct {
	Put      []Call
	Del      []string
	Legs     map[string][]byte // nil value: the leg is gone
	Now      []Effect          // at once
	After    []Effect          // once the change is durable, in order
	Events   []Event
	Drain    bool      // not durable
	Settings *Settings // put in force; not durable

	park string // the leg of a new park, which a failed write undoes
}

// Empty reports whether there is nothing to apply or to do.
func (ch *Change) Empty() bool {
	return len(ch.Put) == 0 && len(ch.Del) == 0 && len(ch.Legs) == 0 &&
		len(ch.Now) == 0 && len(ch.After) == 0 && !ch.Drain && ch.Settings == nil
}

// durable reports whether the change has something to write down.
func (ch *Change) durable() bool {
	return len(ch.Put) > 0 || len(ch.Del) > 0 || len(ch.Legs) > 0
}

func (ch *Change) put(c Call) { ch.Put = append(ch.Put, c) }

func (ch *Change) leg(id string, record []byte) {
	if ch.Legs == nil {
		ch.Legs = map[string][]byte{}
	}
	ch.Legs[id] = record
}

func (ch *Change) after(e ...Effect) { ch.After = append(ch.After, e...) }

func (ch *Change) bye(leg, reason string) {
	if leg != "" {
		ch.After = append(ch.After, Bye{leg, reason})
	}
}

// report tells whoever sent a REFER, if they are still there.
func (ch *Change) report(leg string, code int) {
	if leg != "" {
		ch.After = append(ch.After, Report{Leg: leg, Code: code})
	}
}

func (ch *Change) event(k Kind, c *Call, detail string) {
	ch.Events = append(ch.Events, Event{k, c.Home, c.ID, detail})
}

// CallView is a call as operators see it.
type CallView struct {
	ID      string
	State   string // parked retrieving returning bridged transferring inviting
	Orbit   string // the orbit it is in, or was in before it was bridged
	Caller  Party
	With    Party // whom they are joined with, or who is rung; zero while parked
	Parker  string
	Since   time.Time
	Returns time.Time // zero = no return is due
	Codec   string
	Alias   Alias
}

// View is an orbit as lamps and operators see it, or a pool as its lamp does.
type View struct {
	Orbit   string
	Name    string
	Music   string
	Enabled bool
	State   string    // free parked returning; of a pool free full
	Head    *CallView // the next to be retrieved, nil if there is none
	Behind  int       // how many wait behind it
	Count   int       // calls in the orbit, those being retrieved too
	Gone    bool      // there is no such orbit any more
	Full    bool      // of a pool: no orbit is free
}

// SameLamp reports whether two views of an orbit look the same on a lamp: a call
// that is being retrieved, and that there are to be no new ones, do not show.
func (v View) SameLamp(w View) bool {
	if v.Name != w.Name || v.Gone != w.Gone || v.Full != w.Full || (v.Head == nil) != (w.Head == nil) {
		return false
	}
	if v.Head == nil {
		return true
	}
	a, b := v.Head, w.Head
	return a.Alias == b.Alias && a.State == b.State && a.Caller == b.Caller && v.Behind == w.Behind
}
