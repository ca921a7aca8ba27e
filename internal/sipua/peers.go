package sipua

import "net/netip"

// SetPeers names the addresses of servers that we are registered with: what they
// send is served without a password, as if access.trusted held them. The list
// belongs to the endpoint from then on.
func (e *Endpoint) SetPeers(addrs []netip.Addr) {
	peers := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		peers[a.Unmap().WithZone("")] = true
	}
	e.peers.Store(&peers)
}

// Peer says whether SetPeers named an address.
func (e *Endpoint) Peer(addr netip.Addr) bool {
	peers := e.peers.Load()
	return peers != nil && (*peers)[addr.Unmap().WithZone("")]
}

// Trusts says whether an address is served without a password.
func (e *Endpoint) Trusts(addr netip.Addr) bool {
	return e.settings.Load().access.trusts(addr) || e.Peer(addr)
}
