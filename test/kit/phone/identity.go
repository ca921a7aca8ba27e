package phone

import (
	"fmt"

	"parkd/test/kit/wire"
)

// Asserted is the header by which a switch vouches for who is on a call of its
// (RFC 3325).
func Asserted(name, uri string) string {
	return fmt.Sprintf("P-Asserted-Identity: %q <%s>", name, uri)
}

// Party is the header that older switches have for it.
func Party(name, uri string) string {
	return fmt.Sprintf("Remote-Party-ID: %q <%s>;party=calling;privacy=off;screen=yes", name, uri)
}

// Update sends an UPDATE without a description, without waiting.
func (c *Call) Update(headers ...string) *Tx { return c.Do("UPDATE", "", headers...) }

// Rename changes the From of the phone's requests within the call (RFC 4916).
func (c *Call) Rename(from string) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.dialog.local = from
}

// Updates is the Allow header of a phone that takes UPDATE, and all else that phones do.
const Updates = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, UPDATE"

// Identity is the URI that a request asserts, "" if it asserts none.
func (r Request) Identity() string { return wire.Address(r.Get("P-Asserted-Identity")) }
