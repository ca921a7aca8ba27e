package sipua

import (
	"context"
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// Way is how a request goes when nothing has to be asked or opened before: from
// a UDP listener of ours to a literal address. The zero Way leads nowhere.
type Way struct {
	layer *layer
	to    netip.AddrPort
}

// Way finds the way to a target; false if there is none, as over TCP and TLS and
// to a name: then Request finds one. It stays good while the endpoint runs.
func (e *Endpoint) Way(to Target) (Way, bool) {
	if to.Flow.Network != "udp" && to.Flow.Network != "" || to.Credentials != nil {
		return Way{}, false
	}
	addr := to.Addr
	if addr == "" {
		var uri sip.Uri
		if to.URI == "" || sip.ParseUri(to.URI, &uri) != nil || !atOnce(uri, to.Flow.Network) {
			return Way{}, false
		}
		var err error
		if _, addr, err = resolve(context.Background(), uri, to.Flow.Network); err != nil {
			return Way{}, false
		}
	}
	remote, err := netip.ParseAddrPort(addr)
	if err != nil {
		return Way{}, false
	}
	l := e.udpLayer(to.Flow, remote.Addr())
	return Way{l, netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}, l != nil
}

// atOnce says whether a URI leads over UDP to a literal address.
func atOnce(uri sip.Uri, came string) bool {
	host := uri.Host
	if maddr, ok := URIParam(uri.UriParams, "maddr"); ok && maddr != "" {
		host = maddr
	}
	_, err := ParseHost(host)
	return err == nil && transportOf(&uri, came) == "udp"
}

// Only says whether a request that is too long for UDP goes this way all the same,
// since no connection is tried (RFC 3261 18.1.1): the peer is behind a NAT, or has
// taken none, or none is served here.
func (w Way) Only(nat bool) bool { return nat || !w.layer.e.connects(w.to.String()) }

// Valid says whether the way leads anywhere.
func (w Way) Valid() bool { return w.layer != nil }

func (w Way) flow() Flow { return Flow{Network: "udp", Local: w.layer.packet.local, Remote: w.to} }
