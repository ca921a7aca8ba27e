package packet

import (
	"encoding/binary"
	"strings"
	"time"
)

// Event is the payload of a telephone-event packet (RFC 4733 2.3).
type Event struct {
	Code     uint8
	End      bool
	Volume   uint8  // -dBm0
	Duration uint16 // in units of the RTP clock, since the packet's timestamp
}

// ParseEvent reads a payload; false if it is too short. Further events after the
// first (RFC 4733 2.5.1.5) are left alone.
func ParseEvent(payload []byte) (Event, bool) {
	if len(payload) < 4 {
		return Event{}, false
	}
	return Event{
		Code:     payload[0],
		End:      payload[1]&0x80 != 0,
		Volume:   payload[1] & 0x3F,
		Duration: binary.BigEndian.Uint16(payload[2:]),
	}, true
}

// EventSize is the length of an event's payload.
const EventSize = 4

// Append appends the payload.
func (e Event) Append(b []byte) []byte {
	flags := e.Volume & 0x3F
	if e.End {
		flags |= 0x80
	}
	return append(b, e.Code, flags, byte(e.Duration>>8), byte(e.Duration))
}

// digits are the keys of the DTMF events, by code (RFC 4733 3.2).
const digits = "0123456789*#ABCD"

// KeyCode is the event of a key; false if it is none.
func KeyCode(digit byte) (code uint8, ok bool) {
	i := strings.IndexByte(digits, digit)
	return uint8(max(i, 0)), i >= 0
}

// Digit returns the key of a DTMF event (RFC 4733 3.2): 0-9 * # A-D, or 0 for any
// other event.
func (e Event) Digit() byte {
	if int(e.Code) >= len(digits) {
		return 0
	}
	return digits[e.Code]
}

// Bounds of the detection of presses.
const (
	// keyGone: a press whose end was lost is over when audio goes on and no event
	// packet came for so long. Events are sent every 20 to 50 ms.
	keyGone = 150 * time.Millisecond
	// keyOld: event packets with an earlier timestamp are of an earlier press
	// that the network delayed, unless they are this many clock units older.
	keyOld = 10 * 8000
	// segmentSlack is how far the timestamp of a further segment of a long press
	// (RFC 4733 2.5.1.3) may be from the end of the longest duration.
	segmentSlack = 2000
)

// Keys finds key presses in a stream of telephone-event packets: each once, when
// the key is let go, whichever of its packets are lost. The zero value is ready.
type Keys struct {
	ssrc, ts uint32        // the press last heard of
	heard    time.Duration // when its last packet came
	long     uint16        // its longest duration
	code     uint8
	known    bool // there was a press
	down     bool // and it has not been counted
}

// Press tells presses apart; the zero value is none.
type Press struct {
	ssrc, ts uint32
	known    bool
}

// Last is the press last heard of.
func (k *Keys) Last() Press { return Press{k.ssrc, k.ts, k.known} }

// Down says whether a key is held down, as far as is known.
func (k *Keys) Down() bool { return k.down }

// Event takes an event packet that arrived at now (on any clock that only rises)
// and appends to dst the digits of the presses that it ends: none, one, or two if
// the end of the one before was lost and so was all but the end of this.
func (k *Keys) Event(dst []byte, ssrc, ts uint32, marker bool, e Event, now time.Duration) []byte {
	if e.Digit() == 0 {
		return dst
	}
	same := k.known && ssrc == k.ssrc
	switch {
	case same && ts == k.ts:
		// RFC 4733 2.5.1.2: one timestamp, one press; its end is sent three times.
	case same && k.segment(ts, marker, e):
		k.ts, k.long = ts, 0
	case same && int32(ts-k.ts) < 0 && int32(ts-k.ts) > -keyOld:
		return dst
	default:
		dst = k.end(dst)
		*k = Keys{ssrc: ssrc, ts: ts, code: e.Code, known: true, down: true}
	}
	k.heard = now
	k.long = max(k.long, e.Duration)
	if e.End {
		dst = k.end(dst)
	}
	return dst
}

// segment says whether an event at ts goes on with the press at hand: RFC 4733
// 2.5.1.3 gives a press that outlasts the duration field a new timestamp, without
// marker. Where durations are in units of 16 kHz beside audio of which the clock is
// 8000 Hz (G722, RFC 3551 4.5.2), timestamps may rise by either; another press could
// not have begun so soon.
func (k *Keys) segment(ts uint32, marker bool, e Event) bool {
	if !k.down || marker || e.Code != k.code || k.long < 0xFFFF-segmentSlack {
		return false
	}
	step := int32(ts - k.ts)
	return near(step, 0xFFFF) || near(step, 0x7FFF)
}

func near(step, full int32) bool { return step >= full-segmentSlack && step <= full+segmentSlack }

// Audio takes note of an audio packet at now; it ends a press whose end was lost.
func (k *Keys) Audio(dst []byte, now time.Duration) []byte {
	if k.down && now-k.heard > keyGone {
		return k.end(dst)
	}
	return dst
}

// end counts the press at hand unless it has been counted.
func (k *Keys) end(dst []byte) []byte {
	if !k.down {
		return dst
	}
	k.down = false
	return append(dst, Event{Code: k.code}.Digit())
}
