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

// Serves says whether requests from an address are served, of somebody who has
// shown before to be that user ("" = nobody asked); and, if not, whether there are
// passwords that would change it.
func (e *Endpoint) Serves(addr netip.Addr, user string) (ok, password bool) {
	a := &e.settings.Load().access
	_, known := a.users[user]
	return e.Trusts(addr) || user != "" && known, len(a.users) > 0
}

// Trusts says whether an address is served without a password.
func (e *Endpoint) Trusts(addr netip.Addr) bool {
	return e.settings.Load().access.trusts(addr) || e.Peer(addr)
}
