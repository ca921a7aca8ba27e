// Package orbit decides what happens to parked calls. It does no I/O.
//
// Everything that can happen to a call (an INVITE, a BYE, a key, an answer,
// a deadline) comes in as a Command. State.Decide reads the state and says
// what changes, or refuses; State.Apply makes the change; what the network
// then has to do is a list of Effects, plain data that others carry out and
// whose results come back as further commands.
//
// A Runner is the one goroutine that owns a State. The package promises that
// a refusal changes nothing, that a call is in one place at a time, that an
// orbit keeps its FIFO order and its capacity, that other settings move nobody,
// and that after a crash Restart and Owed say what is still to be done. It knows no SIP, no SDP and no sockets: the
// facts of an INVITE reach it already gathered.
package orbit

import "time"

// Press says which plain INVITEs to an orbit count as the press of a lamp key.
type Press uint8

// The values of lamp.press.
const (
	PressWatchers Press = iota // of a phone whose lamp showed the call
	PressAlways                // of anybody, while a call is parked
	PressNever                 // of nobody
)

// Retrieve says how a parked call and whoever takes it are joined.
type Retrieve uint8

// The values of retrieve.
const (
	RetrieveBridge Retrieve = iota // their media is relayed
	RetrieveDirect                 // it flows past parkd, where the two allow it
	RetrieveRefer                  // handed off
)

// Action says whom a time-out calls.
type Action uint8

// The values of timeout.action.
const (
	ToParker   Action = iota // the parker, and the fallback after some tries
	ToFallback               // the fallback
	Keep                     // nobody: there is no return but one that is asked for
)

// Timeout is an orbit's rule for calls that nobody fetches.
type Timeout struct {
	Enabled       bool
	Action        Action
	After         time.Duration // parked for so long: the parker is called
	Ring          time.Duration // and rung for so long
	Fallback      string        // extension called instead; "" = none
	FallbackAfter int           // after so many failed returns
	Confirm       bool          // whoever answers presses 1 before they are joined
}

// Orbit is the configuration of one park orbit.
type Orbit struct {
	Extension   string
	Name        string
	Enabled     bool
	Music       string
	Multiple    bool // several calls in a FIFO
	MaxCalls    int  // with Multiple: 0 = no limit of its own
	Timeout     Timeout
	TransferKey byte // '0'-'9' '*' '#' brings the caller back to the parker; 0 = none
	Press       Press
	Retrieve    Retrieve
}

// capacity is how many calls the orbit holds; 0 = as many as come.
func (o *Orbit) capacity() int {
	if !o.Multiple {
		return 1
	}
	return o.MaxCalls
}

// Settings is what the decisions depend on besides the calls.
type Settings struct {
	Orbits        []Orbit
	Pools         []Pool
	RetrieveCodes []string      // dialled before an extension, such as "*4"
	MaxCalls      int           // parked calls over all orbits; 0 = no limit
	MaxTime       time.Duration // a parked call older than this is ended; 0 = never
	Return        Recall
}
