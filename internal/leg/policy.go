package leg

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// Policy is what legs are configured with: an immutable value.
type Policy struct {
	Domains []string              // ours; empty = what the caller dialled
	Trusted []netip.Prefix        // access.trusted
	Peer    func(netip.Addr) bool // is this a server that we are registered with? May be nil
	Hosted  []string              // domains of those servers: as good as ours
	// Credentials are those of the account that a user of ours is registered by.
	// May be nil.
	Credentials   func(user string) []sipua.Credential
	Advertise     string                    // host by which we are reached, "" = our own address
	ReturnUsers   *regexp.Regexp            // whom a return may call
	ReferUsers    *regexp.Regexp            // whom a transfer may call
	RetrieveUsers *regexp.Regexp            // who may retrieve
	OutboundProxy string                    // URI, "" = none
	ParkerHeaders []string                  // name the parker, in order
	Codecs        []string                  // in our order of preference
	Security      sdp.Security              // of SRTP
	MediaAddress  netip.Addr                // in SDP; zero = the local address towards the peer
	KeepAlive     time.Duration             // between proofs of life
	Own           func(netip.AddrPort) bool // is this address one of our listeners'?
	// Listener is our address for peers of a network: of the listener with their
	// kind of address, zero if there is none.
	Listener func(network string, peer netip.Addr) netip.AddrPort
}

// returnTarget validates a URI that somebody wrote into a header as a return's
// target: such a header is a claim of a stranger, and whom it names is called
// at somebody's cost (toll fraud). dialled is the host of the Request-URI that
// it came with. The result has lost every parameter but transport.
func (p *Policy) returnTarget(uri, dialled string) (string, bool) {
	u, err := parseTarget(uri)
	if err == nil && u.Host == "" && strings.Contains(uri, ":") { // a number
		plain := sipua.UserOf(&u)
		if !p.ReturnUsers.MatchString(plain) {
			return "", false
		}
		return "tel:" + plain, true
	}
	if err != nil || !p.ReturnUsers.MatchString(sipua.UserOf(&u)) || !p.ours(u.Host, dialled) {
		return "", false
	}
	return u.String(), true
}

// barred reports whether whoever sent a request may not retrieve: by the name that
// they have authenticated with, now or when the dialog began, or if nobody asked for
// one by the user of From.
func (p *Policy) barred(name string, req *sipua.Request) bool {
	if from := req.From(); name == "" && from != nil {
		name = sipua.UserOf(&from.Address)
	}
	return !p.RetrieveUsers.MatchString(name)
}

// ours reports whether a return may go to a host.
func (p *Policy) ours(host, dialled string) bool {
	same := func(d string) bool { return strings.EqualFold(d, host) }
	if slices.ContainsFunc(p.Hosted, same) {
		return true
	}
	if len(p.Domains) > 0 {
		return slices.ContainsFunc(p.Domains, same)
	}
	if strings.EqualFold(host, dialled) {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && p.trusts(addr)
}

// local is the way that a peer comes if it is reached from where flow came in,
// or else from the listener of ours that can reach it.
func (p *Policy) local(flow sipua.Flow, network string, peer netip.AddrPort) sipua.Flow {
	own := flow.Local.Addr()
	if network != flow.Network || !own.IsUnspecified() && own.Is4() != peer.Addr().Is4() {
		flow = sipua.Flow{Network: network, Local: p.Listener(network, peer.Addr())}
	}
	flow.Remote = peer
	return flow
}

// described is the address that stands in our descriptions for a socket bound
// to addr: media.address in its place, where that is configured.
func (p *Policy) described(addr netip.Addr) netip.Addr {
	if p.MediaAddress.IsValid() && p.MediaAddress.Unmap().Is4() == addr.Unmap().Is4() {
		return p.MediaAddress
	}
	return addr
}

func (p *Policy) trusts(addr netip.Addr) bool {
	addr = addr.Unmap()
	return p.Peer != nil && p.Peer(addr) || slices.ContainsFunc(p.Trusted, func(t netip.Prefix) bool { return t.Contains(addr) })
}

// credentials answer challenges to what we send as user.
func (p *Policy) credentials(user string) []sipua.Credential {
	if p.Credentials == nil {
		return nil
	}
	return p.Credentials(user)
}

// parseTarget reads a SIP URI, or an extension of the PBX, whose host is then
// empty. Of the parameters only transport is kept.
func parseTarget(s string) (sip.Uri, error) {
	if !strings.Contains(s, ":") && !strings.Contains(s, "@") {
		return sip.Uri{Scheme: "sip", User: sipua.EscapeUser(s)}, nil
	}
	var u sip.Uri
	if err := sip.ParseUri(s, &u); err != nil {
		return u, fmt.Errorf("target %q: %w", s, err)
	}
	if strings.EqualFold(u.Scheme, "tel") {
		return telTarget(&u)
	}
	if u.Scheme != "sip" && u.Scheme != "sips" || u.Host == "" || u.Port < 0 || u.Port > 65535 {
		return u, fmt.Errorf("target %q: not a SIP URI", s)
	}
	// What is called is what is validated: no ;phone-context within the user,
	// escaped or not.
	user, _, _ := strings.Cut(sipua.UserOf(&u), ";")
	kept := sip.Uri{Scheme: u.Scheme, User: sipua.EscapeUser(user), Host: u.Host, Port: u.Port}
	switch t, _ := sipua.URIParam(u.UriParams, "transport"); strings.ToLower(t) {
	case "udp", "tcp", "tls":
		kept.UriParams = sip.HeaderParams{{K: "transport", V: strings.ToLower(t)}}
	}
	return kept, nil
}

// separators are what may stand in a number for the eye (RFC 3966 3).
var separators = strings.NewReplacer("-", "", ".", "", "(", "", ")", "")

var number = regexp.MustCompile(`^\+?[0-9*#]{1,32}$`)

// telTarget reads a telephone number as an extension of the PBX (RFC 3966, RFC
// 3261 19.1.6): it goes where those go, and nowhere by itself.
func telTarget(u *sip.Uri) (sip.Uri, error) {
	digits := separators.Replace(sipua.UserOf(u))
	if !number.MatchString(digits) {
		return sip.Uri{}, fmt.Errorf("target %q: not a number", u.String())
	}
	return sip.Uri{Scheme: "sip", User: sipua.EscapeUser(digits), UriParams: sip.HeaderParams{{K: "user", V: "phone"}}}, nil
}

// home is the host of an extension of the PBX: our first domain, else whoever
// sent us the caller.
func (p *Policy) home(d dialog.Dialog) (host string, port int) {
	if len(p.Domains) > 0 {
		return p.Domains[0], 0
	}
	host = d.Flow.Remote.Addr().Unmap().String()
	if d.Flow.Network == "udp" {
		port = int(d.Flow.Remote.Port())
	}
	return host, port
}

// literal reports the address of a URI whose host is one.
func literal(u sip.Uri) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(strings.Trim(u.Host, "[]"))
	if err != nil {
		return netip.AddrPort{}, false
	}
	port := u.Port
	if port == 0 {
		port = 5060 // RFC 3261 19.1.2
		if u.Scheme == "sips" {
			port = 5061
		}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
}
