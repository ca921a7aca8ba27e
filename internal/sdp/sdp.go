// Package sdp decides what two ends of an audio call agree on: RFC 3264 offers
// and answers as pure values over pion/sdp. It does no I/O, keeps no state and
// resolves no names. Of a peer's description it uses one audio stream; every
// other m= line is answered with port 0.
package sdp

import (
	"errors"
	"net/netip"
	"strings"
)

// What Parse, Answer and Accept refuse. All are wrapped with the detail.
var (
	// ErrSyntax: the body is no session description, or beyond the bounds of Parse (400, or 488).
	ErrSyntax = errors.New("sdp: malformed description")
	// ErrNoAudio: no m=audio line over RTP (488).
	ErrNoAudio = errors.New("sdp: no audio stream over RTP")
	// ErrAddress: the c= line is a host name, a multicast or a broadcast address (488).
	ErrAddress = errors.New("sdp: unusable connection address")
	// ErrNoCodec: no codec in common, or the peer refused our only stream (488).
	ErrNoCodec = errors.New("sdp: no common codec")
	// ErrSecure: audio is offered over SRTP only, and that is off, or keyed in a way that
	// is not spoken (488).
	ErrSecure = errors.New("sdp: only secure audio offered")
	// ErrClear: audio is offered or answered in the clear, and SRTP is required (488).
	ErrClear = errors.New("sdp: no secure audio offered")
	// ErrLocal: the Local given cannot be described (a fault of the caller).
	ErrLocal = errors.New("sdp: unusable local description")
)

// Bounds of Parse.
const (
	MaxBody  = 16 << 10 // bytes of a description
	MaxMedia = 32       // m= lines
)

// Bounds of a packet's duration in ms, and ours.
const (
	minPtime     = 10
	maxPtime     = 60
	defaultPtime = 20
)

// Codec is an audio format that parkd speaks, under the number that a peer gave it.
type Codec struct {
	Name  string // PCMU, PCMA or G722
	PT    uint8  // RTP payload type
	Clock int    // RTP clock in Hz: 8000 for all three (RFC 3551 4.5.2 for G722)
}

// Event is telephone-event (RFC 4733). PT 0 means none.
type Event struct {
	PT    uint8
	Clock int // Hz
}

// Direction is a stream's direction as its describer wrote it (RFC 4566 6).
type Direction uint8

// The zero Direction is sendrecv, the default of RFC 4566 6.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

var directions = [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}

// String is the attribute's name.
func (d Direction) String() string {
	if int(d) < len(directions) {
		return directions[d]
	}
	return "inactive"
}

func (d Direction) sends() bool    { return d == SendRecv || d == SendOnly }
func (d Direction) receives() bool { return d == SendRecv || d == RecvOnly }

func direction(send, recv bool) Direction {
	switch {
	case send && recv:
		return SendRecv
	case send:
		return SendOnly
	case recv:
		return RecvOnly
	}
	return Inactive
}

// Origin is an o= line. Two descriptions of one session with equal Origins are
// the same description (RFC 3264 8).
type Origin struct {
	User, ID, Version, Address string
}

// Remote is what a peer's description says about the one audio stream used.
type Remote struct {
	Addr      netip.AddrPort // where it receives RTP
	RTCP      netip.AddrPort // where it receives RTCP (RFC 3605, else port+1)
	RTCPMux   bool           // it offers RFC 5761
	RTCPOff   bool           // none is to be sent, either way (RFC 3556)
	Codecs    []Codec        // those that parkd knows, in the peer's order of preference
	Event     Event          // the one on the audio clock if there are several
	Direction Direction
	Ptime     int    // ms, 10-60, as asked for; 20 if it is not
	MaxPtime  int    // ms, 10-60; 0 = not said
	Hold      bool   // port 0, 0.0.0.0, ::, sendonly or inactive: nothing may be sent
	Secure    bool   // SRTP only (RTP/SAVP and relatives)
	Index     int    // which m= line, from 0
	Media     int    // how many m= lines
	Origin    Origin // o=

	cryptos []crypto // of this stream, usable ones
	other   *Remote  // the best stream that is protected if this one is not, or the other way round; nil = none

	lines []mline // every m= line as written, to be answered in order
	times []string
}

// Unchanged says whether r repeats the description before it in the same
// session: same origin, same version (RFC 3264 8).
func (r Remote) Unchanged(before Remote) bool {
	return r.Origin != Origin{} && r.Origin == before.Origin
}

// Removed says whether the stream's port is 0 (RFC 3264 8.2).
func (r Remote) Removed() bool { return r.Addr.Port() == 0 }

// Local is our end of a session.
type Local struct {
	Addr      netip.AddrPort // where we receive RTP
	RTCP      uint16         `json:",omitempty"` // the port where we receive RTCP of who does not multiplex it; 0: nothing is said of RTCP
	SessionID uint64         // o= of a first description
	Version   uint64         // o= of a first description
	Codecs    []string       // ours, in our order of preference
	User      string         // o= user; "" = "-"
	Direction Direction      // what we are willing to do; sendrecv by default

	Security Security `json:",omitempty"` // what we want of SRTP
	Keys     Keys     `json:"-"`          // ours, to be described

	// Elsewhere is whose media the description names instead of ours, in a session
	// whose media flows past us; zero = nobody's.
	Elsewhere Elsewhere `json:",omitzero"`

	// Previous is our last description in this session, nil for the first. Its
	// o= id is kept, its version rises by one if anything else changed, its m=
	// lines and payload numbers stay (RFC 3264 8). For Accept it is the offer
	// that was answered.
	Previous []byte

	origin string // address of o=, once a description has been sent
}

// Elsewhere is the media of another party: where it receives, and with which
// numbers (RFC 3725).
type Elsewhere struct {
	Addr  netip.AddrPort
	Codec Codec
	Event Event
}

// IsZero reports whether it is nobody's.
func (e Elsewhere) IsZero() bool { return e == Elsewhere{} }

// Agreed is the outcome of an offer and its answer.
type Agreed struct {
	Codec  Codec // PT is the number to send with, the peer's
	RecvPT uint8 // the number that the peer will send with
	// Also is what it may send instead at any time, with its numbers: it has answered an
	// offer of ours with more than one codec (RFC 3264 5.1).
	Also      [2]Codec `json:",omitzero"`
	Event     Event    // telephone-event to send with
	RecvEvent Event    // telephone-event that the peer will send with
	Ptime     int      // ms of a packet that we send
	Send      bool     // we may send
	Recv      bool     // the peer may send
	Remote    netip.AddrPort
	RTCP      netip.AddrPort // where the peer receives RTCP; unset: nowhere
	RTCPMux   bool           `json:",omitempty"` // on the port of RTP, both ways (RFC 5761)
	Secured   Secured        `json:",omitzero"`  // by SRTP
}

// known are the formats that parkd speaks: name to static payload type (RFC 3551 6).
var known = []Codec{
	{Name: "PCMU", PT: 0, Clock: 8000},
	{Name: "PCMA", PT: 8, Clock: 8000},
	{Name: "G722", PT: 9, Clock: 8000},
}

const (
	eventName = "telephone-event"
	eventPT   = 101 // ours in offers
)

func codecByName(name string) (Codec, bool) {
	for _, c := range known {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
	}
	return Codec{}, false
}

func codecByStatic(pt uint8) (Codec, bool) {
	for _, c := range known {
		if c.PT == pt {
			return c, true
		}
	}
	return Codec{}, false
}

func find(codecs []Codec, name string) (Codec, bool) {
	for _, c := range codecs {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
	}
	return Codec{}, false
}

func wants(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
