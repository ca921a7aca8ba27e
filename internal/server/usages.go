package server

import (
	"net/netip"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/config"
	"parkd/internal/leg"
	"parkd/internal/presence"
	"parkd/internal/sipua"
)

// endpointOptions is the configuration as the SIP endpoint sees it.
func (s *Server) endpointOptions(known func(user string) bool) sipua.Options {
	return sipua.Options{
		Listeners: s.o.Listeners, DialTLS: s.certs.dialing(), Log: s.log, Settings: s.endpointSettings(s.config.Load()),
		Known: known, OnRefused: s.operators.metrics.Refused,
	}
}

// endpointSettings is the part of it that may change.
func (s *Server) endpointSettings(c *config.Config) sipua.Settings {
	set := sipua.Settings{
		Advertise: c.SIP.Advertise, UserAgent: "parkd/" + s.o.Version,
		Access:        sipua.Access{Trusted: c.Access.Trusted, Realm: c.Access.Realm},
		OutboundProxy: c.SIP.OutboundProxy,
		Rate:          admissionRate, Burst: admissionBurst,
	}
	for _, u := range c.Access.Users {
		set.Access.Users = append(set.Access.Users, sipua.User{Username: u.Username, Password: u.Password.Reveal(), HA1: u.HA1.Reveal()})
	}
	for _, cr := range c.SIP.Credentials {
		set.Credentials = append(set.Credentials, sipua.Credential{Realm: cr.Realm, Username: cr.Username, Password: cr.Password.Reveal()})
	}
	return set
}

// buildUsages makes the INVITE and SUBSCRIBE usages and hands them what comes in.
func (s *Server) buildUsages(w *world, m leg.Media) {
	s.lamps = newLamps(s.config.Load(), w)
	s.notifier = presence.New(presence.Options{
		Endpoint: s.endpoint, Table: s.table, Wheel: s.wheel, Log: s.log,
		KeepAlive: s.config.Load().SIP.NATKeepalive, Journal: subscriptions{s.o.Store}, Epoch: s.o.Store.Epoch(),
		Source: s.lamps, Refused: s.operators.metrics.Refused, Observe: s.operators.metrics.Notified,
		Follower: follower{s.operators},
	})
	s.legs = leg.New(s.ctx, leg.Options{
		Endpoint: s.endpoint, Table: s.table, Wheel: s.wheel, Media: m, Decider: s.runner,
		Watchers: watchers{s.notifier}, Policy: s.policy(s.config.Load()), Epoch: s.o.Store.Epoch(), Refused: s.operators.metrics.Refused, Log: s.log,
	})
	w.legs, w.notifier = s.legs, s.notifier
	s.endpoint.Handle("INVITE", s.legs.Invite)
	s.endpoint.Handle("SUBSCRIBE", s.notifier.Subscribe)
	s.endpoint.Handle("REFER", s.legs.Refer)
	s.endpoint.HandleInDialog(s.table.Request)
	s.endpoint.HandleACK(s.table.ACK)
	s.endpoint.HandleStray(s.stray)
	s.endpoint.HandleConnect(s.notifier.Connected)
}

// stray hands a response that matches no transaction to the usage of its method.
func (s *Server) stray(res *sip.Response) {
	switch cseq := res.CSeq(); {
	case cseq == nil:
	case cseq.MethodName == sip.INVITE:
		s.legs.Stray(res)
	default:
		s.notifier.Stray(res)
	}
}

// own reports which addresses are our own listeners'.
func (s *Server) own() func(netip.AddrPort) bool {
	var ours []netip.AddrPort
	for _, l := range s.o.Listeners {
		if a, err := netip.ParseAddrPort(address(l)); err == nil {
			ours = append(ours, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
		}
	}
	return func(a netip.AddrPort) bool {
		for _, o := range ours {
			if a.Port() != o.Port() {
				continue
			}
			if a.Addr() == o.Addr() {
				return true
			}
			if o.Addr().IsUnspecified() {
				// The kernel sends from an address to itself only where it is local.
				local, err := s.endpoint.LocalAddr(sipua.Flow{Remote: a})
				if err == nil && local == a.Addr() {
					return true
				}
			}
		}
		return false
	}
}

// listener is the address of the listener for peers of a network: the one with
// their kind of address, or with both.
func (s *Server) listener(network string, peer netip.Addr) netip.AddrPort {
	for _, l := range s.o.Listeners {
		a, err := netip.ParseAddrPort(address(l))
		if err != nil || l.Network != network {
			continue
		}
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if a.Addr().Is4() == peer.Unmap().Is4() || a.Addr() == netip.IPv6Unspecified() {
			return a
		}
	}
	return netip.AddrPort{}
}

// watchers answers a leg's question about lamps.
type watchers struct{ notifier *presence.Notifier }

// Showing implements leg.Watchers.
func (w watchers) Showing(invite *sipua.Request, resource string) string {
	from, _ := sipua.Addr(invite.Request, "from")
	contact, ok := sipua.Addr(invite.Request, "contact")
	if !ok {
		return ""
	}
	shown, _ := w.notifier.Showing(resource, from.URI.String(), contact.URI.String(), invite.Flow)
	return shown
}
