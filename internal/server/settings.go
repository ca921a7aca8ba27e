package server

import (
	"net"

	"parkd/internal/config"
	"parkd/internal/leg"
	"parkd/internal/orbit"
	"parkd/internal/sdp"
)

// settings is the configuration as decisions see it.
func settings(c *config.Config) orbit.Settings {
	set := orbit.Settings{
		RetrieveCodes: c.Park.RetrieveCodes,
		MaxCalls:      c.Park.MaxCalls,
		MaxTime:       c.Park.MaxTime,
		Return:        orbit.Recall{Display: c.Return.Display, AlertInfo: c.Return.AlertInfo},
	}
	for i := range c.Orbits {
		set.Orbits = append(set.Orbits, orbitSettings(&c.Orbits[i]))
	}
	for i := range c.Pools {
		p := &c.Pools[i]
		set.Pools = append(set.Pools, orbit.Pool{
			Extension: p.Extension, Orbits: p.Orbits, Pick: picks[p.Pick], Overflow: p.Overflow, Announce: p.Announce, Message: p.Message,
		})
	}
	return set
}

var presses = map[string]orbit.Press{
	"watchers": orbit.PressWatchers, "always": orbit.PressAlways, "never": orbit.PressNever,
}

var retrieves = map[string]orbit.Retrieve{
	"bridge": orbit.RetrieveBridge, "direct": orbit.RetrieveDirect, "refer": orbit.RetrieveRefer,
}

var actions = map[string]orbit.Action{
	"parker": orbit.ToParker, "fallback": orbit.ToFallback, "keep": orbit.Keep,
}

var picks = map[string]orbit.Pick{
	"first": orbit.PickFirst, "next": orbit.PickNext, "random": orbit.PickRandom, "longest-free": orbit.PickLongestFree,
}

func orbitSettings(o *config.Orbit) orbit.Orbit {
	s := orbit.Orbit{
		Extension: o.Extension, Name: o.Name, Enabled: o.Enabled, Music: o.Music,
		Multiple: o.AllowMultiple, MaxCalls: o.MaxCalls, Press: presses[o.Lamp.Press],
		Retrieve: retrieves[o.Retrieve],
		Timeout: orbit.Timeout{
			Enabled: o.Timeout.Enabled, Action: actions[o.Timeout.Action], After: o.Timeout.After, Ring: o.Timeout.Ring,
			Fallback: o.Timeout.Fallback, FallbackAfter: o.Timeout.FallbackAfter, Confirm: o.Timeout.Confirm,
		},
	}
	if o.Transfer.Enabled && o.Transfer.Key != "" {
		s.TransferKey = o.Transfer.Key[0]
	}
	return s
}

// policy is the configuration as legs see it.
func (s *Server) policy(c *config.Config) *leg.Policy {
	return &leg.Policy{
		Domains: c.SIP.Domains, Trusted: c.Access.Trusted, ReturnUsers: c.Access.ReturnUsers,
		ReferUsers: c.Access.ReferUsers, RetrieveUsers: c.Access.RetrieveUsers, Advertise: advertised(c.SIP.Advertise),
		OutboundProxy: c.SIP.OutboundProxy, ParkerHeaders: c.Park.ParkerHeaders,
		Codecs: c.Media.Codecs, Security: sdp.ParseSecurity(c.Media.SRTP), MediaAddress: c.Media.Address, KeepAlive: c.Park.Keepalive,
		Own: s.own(), Listener: s.listener,
		Peer: s.endpoint.Peer, Hosted: hosted(c), Credentials: credentials(c),
	}
}

// music lists the tunes that orbits name.
func music(c *config.Config) []string {
	var names []string
	seen := map[string]bool{}
	for i := range c.Orbits {
		if name := c.Orbits[i].Music; !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// advertised is the host of sip.advertise.
func advertised(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return s
}
