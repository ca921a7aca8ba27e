package sipua

import (
	"fmt"
	"net/netip"
)

// LocalAddr is the local address that the peer at the end of a flow reaches,
// whatever is advertised: the listener's, or for a listener on all addresses
// the one that the kernel sends from. ErrNoRoute, wrapped, if there is none.
func (e *Endpoint) LocalAddr(f Flow) (netip.Addr, error) {
	if a := f.Local.Addr(); a.IsValid() && !a.IsUnspecified() {
		return a.Unmap(), nil
	}
	if f.Remote.IsValid() {
		if a := e.contacts.towards(f.Remote.Addr().Unmap()); a.IsValid() {
			return a.Unmap(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("local address towards %s: %w", f.Remote, ErrNoRoute)
}
