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
	switch {
	case c.ID == "", c.Caller == "", c.Phase > Bridged,
		(c.At == "") != (c.Phase == Bridged), (c.Other == "") != (c.Phase == Parked || c.Handing == HandingOn),
		c.Handing > HandingOn, c.Handing != 0 && c.Phase != Bridged:
		return Call{}, fmt.Errorf("call record: call %q, phase %d, at %q, legs %q and %q do not fit", c.ID, c.Phase, c.At, c.Caller, c.Other)
	}
	return c, nil
}
