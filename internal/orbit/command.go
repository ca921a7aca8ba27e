package orbit

import (
	"errors"
	"time"
)

// Refusals. Package leg maps them to SIP status codes, in one place.
var (
	ErrUnknown  = errors.New("no such orbit")
	ErrNothing  = errors.New("nothing to retrieve")
	ErrFull     = errors.New("orbit full")
	ErrLimit    = errors.New("too many parked calls")
	ErrDraining = errors.New("shutting down")
	ErrReplaces = errors.New("replaces matches no dialog")
	ErrGuarded  = errors.New("leg has just retrieved and cannot be replaced")
	ErrEarly    = errors.New("replaced dialog is not early")
	ErrStore    = errors.New("journal cannot be written")
	ErrGone     = errors.New("no such call")
	ErrNobody   = errors.New("nobody to call back")
	ErrPending  = errors.New("another change of the call is under way")
	ErrTarget   = errors.New("not somebody whom a transfer may call")
	ErrRefer    = errors.New("nobody there to be transferred")
	ErrBarred   = errors.New("not somebody who may retrieve")
)

// Refusal is the error of an INVITE that was read as one for an orbit of ours.
type Refusal struct {
	Orbit string
	What  string // park, retrieve or press
	Err   error
}

// Error implements error.
func (r *Refusal) Error() string { return r.What + " on " + r.Orbit + ": " + r.Err.Error() }

// Unwrap implements errors.Unwrap.
func (r *Refusal) Unwrap() error { return r.Err }

// Command is anything that a decision is wanted for.
type Command interface{ command() }

// Replaces is a Replaces header field (RFC 3891).
type Replaces struct {
	CallID, ToTag, FromTag string
	EarlyOnly              bool
	Leg                    string // the leg whose dialog it names, "" if none of ours
}

// Invite asks what to do with a new INVITE whose media is already reserved.
type Invite struct {
	Leg       string    // the new leg; also the id of the call it may become
	To        string    // user part of the Request-URI, unescaped
	Retrieve  bool      // ;operation=retrieve
	Barred    bool      // whoever sent it may not retrieve
	Replaces  *Replaces // nil if absent
	Referred  bool      // a parker header was there: a transfer
	Parker    string    // its URI, if a return may call it
	Self      string    // the caller's own URI, if a return may call it
	Shown     string    // Call-ID of the alias that this watcher's lamp showed, "" if none
	Name, URI string    // of the caller
	Codec     string    // agreed; "" in an offerless INVITE
	Record    []byte    // snapshot of the leg, opaque here
}

// Acked says that a leg's 200 was acknowledged (RFC 3261 13.3.1.4), and with
// which codec.
type Acked struct {
	Leg, Codec string
	Record     []byte // the leg's snapshot from now on; nil = unchanged
}

// Answered says that the party whom a return or transfer called has answered.
type Answered struct {
	Leg     string
	Machine bool // it says of itself that it is none: a mailbox, an announcement
	// Forwarded: it is not at the number that was called.
	Forwarded bool
	Codec     string // agreed
	Record    []byte
}

// Hangup says that a leg has ended, however it did: BYE, CANCEL, an error
// response to our INVITE, no ACK, a dead peer, or our own Bye.
type Hangup struct {
	Leg  string
	Code int  // SIP status that ended an INVITE of ours, 0 if none
	Rang bool // and its phone had rung before
	// Moved are the URIs that a 3xx names and a return may call, the one that is
	// preferred first.
	Moved []string
	Reply bool // the leg waits for Noted: its peer's BYE is answered then
	// Ending: our BYE is not answered yet, and the leg is known until another
	// Hangup: should the server go down, the next one sends another BYE.
	Ending bool
	Early  bool // it sent a REFER, and was not told yet how that ended
	Lost   bool // the answer to our INVITE was never confirmed: a restart came in between
}

// Key says that a leg's party pressed a key.
type Key struct {
	Leg   string
	Digit byte
	Long  time.Duration // for how long; 0 = nobody says
	Info  uint32        // CSeq of the INFO that it came by, which waits for KeyTaken or the other leg; 0 = by RTP
	Short bool          // the INFO has no more than the key
}

// Identified says that a leg's party is said to be somebody: by a peer that is
// believed, within the call. Who's URI is "" if it is nobody in particular.
type Identified struct {
	Leg string
	Who Identity
}

// Note replaces a leg's snapshot; nil leaves it as it is. With Reply the leg
// is told by Noted when that is durable.
type Note struct {
	Leg    string
	Record []byte
	Reply  bool
}

// Return asks to call the parker of a call back at once.
type Return struct{ Call string }

// Drop asks to end a call.
type Drop struct{ Call string }

// Due asks to decide what the earliest deadline calls for, if it has passed.
type Due struct{}

// Undo takes back a new park that could not be written down.
type Undo struct{ Leg string }

// Drain refuses new parks from now on. With Return every parked call that has
// somebody to go back to is returned at once; with End every call is ended.
type Drain struct{ Return, End bool }

// Restart resolves what a restored state has half done. It comes before Owed
// and every other command; a second one changes nothing.
type Restart struct{}

// Configure puts other settings in force while calls are held. The settings
// belong to the state from then on.
type Configure struct{ Settings Settings }

func (Invite) command()     {}
func (Refer) command()      {}
func (Summon) command()     {}
func (Progress) command()   {}
func (Acked) command()      {}
func (Answered) command()   {}
func (Hangup) command()     {}
func (Key) command()        {}
func (Identified) command() {}
func (Note) command()       {}
func (Return) command()     {}
func (Drop) command()       {}
func (Due) command()        {}
func (Undo) command()       {}
func (Drain) command()      {}
func (Restart) command()    {}
func (Configure) command()  {}
