package orbit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// Phase is where a call stands.
type Phase uint8

// The phases of a call.
const (
	Parked     Phase = iota // in its orbit, with music
	Retrieving              // answered to a retriever whose ACK has not come
	Returning               // in its orbit, with music, while the parker is rung
	Bridged                 // joined with Other; At is empty
	// Transferring: Other is called to take the place of Left, with whom the
	// caller is joined; with music once Left has hung up. At is empty.
	Transferring
	Inviting // Caller is called, to be parked in the place that is kept for them
)

// String returns the phase as the HTTP interface names it.
func (p Phase) String() string {
	return [...]string{"parked", "retrieving", "returning", "bridged", "transferring", "inviting"}[p]
}

// Identity is who somebody is, as a call remembers it.
type Identity struct {
	Name string `json:"name,omitempty"`
	URI  string `json:"uri,omitempty"`  // of a return that rings its fallback, an extension
	Self string `json:"self,omitempty"` // their own validated URI, "" if a return may not call it
}

// Call is one call that parkd holds: a durable value. A leg is named by the
// id that internal/leg gave it.
type Call struct {
	ID       string    `json:"id"`
	At       string    `json:"at,omitempty"`     // orbit; empty once bridged
	Home     string    `json:"home"`             // its last orbit
	Caller   string    `json:"caller"`           // leg of the parked party
	Other    string    `json:"other,omitempty"`  // leg of the retriever, or of a return
	Parker   string    `json:"parker,omitempty"` // whom a return calls; a validated URI
	Self     string    `json:"self,omitempty"`   // the caller's own validated URI, should their leg prove to be a consultation
	Name     string    `json:"name,omitempty"`   // of the caller
	URI      string    `json:"uri"`              // of the caller
	Codec    string    `json:"codec,omitempty"`
	Pool     string    `json:"pool,omitempty"`     // through which the caller came to the orbit
	Referred bool      `json:"referred,omitempty"` // somebody transferred them here, known or not: theirs is no consultation call
	Consult  bool      `json:"consult,omitempty"`  // they dialled it, and may be about to transfer somebody there
	With     Identity  `json:"with,omitzero"`      // who Other is
	Left     string    `json:"left,omitempty"`     // leg whose REFER is under way, as long as it is there
	By       Identity  `json:"by,omitzero"`        // who transferred: Left, there or gone
	Outside  bool      `json:"outside,omitempty"`  // Left is no leg, but a REFER outside of any dialog
	Told     bool      `json:"told,omitempty"`     // one of the two was told who the other is, and is to be told of the next
	Handing  Handing   `json:"handing,omitempty"`
	Phase    Phase     `json:"phase"`
	Seq      uint64    `json:"seq"`             // place in the FIFO
	Since    time.Time `json:"since"`           // parked since
	Due      time.Time `json:"due,omitzero"`    // the next return, the end of ringing, or how long the retriever's ACK is waited for; bridged: until then Other may think that they have transferred the caller
	Tries    int       `json:"tries,omitempty"` // failed returns
	Attempt  int       `json:"attempt,omitempty"`
	Asked    bool      `json:"asked,omitempty"` // the return was asked for: not by timeout.action
	Turn     int       `json:"turn,omitempty"`  // numbers the call's parkings: a new alias each
	// Answered: whoever the return called has answered, and is asked to press 1.
	Answered bool      `json:"answered,omitempty"`
	Rung     string    `json:"rung,omitempty"` // URIs that the return has called, the last one now, with spaces between
	Then     string    `json:"then,omitempty"` // URIs that it may call then, of a 3xx
	Guard    time.Time `json:"guard,omitzero"` // until then nobody may take Other's place
}

// Legs are the legs of the call, "" where there is none.
func (c *Call) Legs() [3]string { return [...]string{c.Caller, c.Other, c.Left} }

// waiting is the leg that hears the music of an orbit, and which; "" if none does.
func (c *Call) waiting() (leg, ext string) {
	switch {
	case c.fetchable():
		return c.Caller, c.At
	case c.Phase == Inviting && !c.Outside:
		return c.Left, c.At
	case c.Phase == Transferring && c.Left == "":
		return c.Caller, c.Home
	}
	return "", ""
}

// Alias is the dialog that lamps publish for a parked call: a Call-ID and two
// tags made for one parking, never those of a real dialog (RFC 4235 3.7.2
// asks to keep real ones private). An INVITE with Replaces of it retrieves
// that very call; it ends with the parking.
type Alias struct {
	CallID    string `json:"call_id"`
	LocalTag  string `json:"local_tag"`
	RemoteTag string `json:"remote_tag"`
}

// Alias returns the alias of the call's present parking.
func (c *Call) Alias() Alias {
	sum := sha256.Sum256([]byte(c.ID + "/" + strconv.Itoa(c.Turn)))
	h := hex.EncodeToString(sum[:])
	return Alias{CallID: h[:24], LocalTag: h[24:36], RemoteTag: h[36:48]}
}

// fetchable reports whether a retrieve may take the call.
func (c *Call) fetchable() bool {
	return c.At != "" && (c.Phase == Parked || c.Phase == Returning)
}

// joined is the leg that a leg of the call is joined with, "" if it is with none.
func (c *Call) joined(leg string) string {
	switch {
	case c.Phase == Transferring && leg == c.Caller:
		return c.Left
	case c.Phase == Transferring && leg == c.Left:
		return c.Caller
	case c.Phase != Bridged && c.Phase != Retrieving, c.Other == "":
		return ""
	case leg == c.Caller:
		return c.Other
	case leg == c.Other:
		return c.Caller
	}
	return ""
}

// ackWait is how long a 2xx waits for its ACK: 64*T1 (RFC 3261 13.3.1.4).
const ackWait = 64 * 500 * time.Millisecond

// deadline is when the call next wants a decision; zero = never. While it is
// being retrieved nothing is: the retriever's leg reports the ACK or its end,
// and Due only tells a restarted server whether there is one to wait for.
func (c *Call) deadline(maxTime time.Duration) time.Time {
	if c.Handing != 0 || c.Phase == Transferring || c.Phase == Inviting {
		return c.Due
	}
	if !c.fetchable() {
		return time.Time{}
	}
	t := c.Due
	if maxTime > 0 {
		if end := c.Since.Add(maxTime); t.IsZero() || end.Before(t) {
			t = end
		}
	}
	return t
}
