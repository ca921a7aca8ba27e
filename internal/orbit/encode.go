package orbit

import (
	"encoding/json"
	"fmt"
)

// EncodeCall returns a call as a journal keeps it.
func EncodeCall(c Call) []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain values: cannot happen
	}
	return b
}

// DecodeCall reads what EncodeCall wrote. It refuses a record that no State
// could have written.
func DecodeCall(b []byte) (Call, error) {
	var c Call
	if err := json.Unmarshal(b, &c); err != nil {
		return Call{}, fmt.Errorf("call record: %w", err)
	}
	if !c.fits() {
		return Call{}, fmt.Errorf("call record: call %q, phase %d, at %q, legs %q do not fit", c.ID, c.Phase, c.At, c.Legs())
	}
	return c, nil
}

// fits reports whether a call has what its phase asks for, and nothing else.
func (c *Call) fits() bool {
	if c.ID == "" || c.Caller == "" || c.Phase > Inviting {
		return false
	}
	joined, calls := c.Phase == Bridged || c.Phase == Transferring, c.Phase == Transferring || c.Phase == Inviting
	if c.Handing > HandingOn || c.Handing != 0 && c.Phase != Bridged {
		return false
	}
	return (c.At == "") == joined && (c.Other == "") == (c.Phase == Parked || c.Phase == Inviting || c.Handing == HandingOn) &&
		(c.Left == "" || calls) && (!c.Outside || c.Phase == Inviting)
}
