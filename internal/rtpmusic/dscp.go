package rtpmusic

import (
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Mark sets the DSCP (RFC 2474 3), 0 to 63, of packets from ports that are opened
// from now on.
func (e *Engine) Mark(dscp int) { e.dscp.Store(uint32(dscp)) }

// trafficClass is the octet of an IP header with the DSCP; ECN is not used.
func (e *Engine) trafficClass() int { return int(e.dscp.Load()) << 2 }

// markConn marks the packets of a socket of package net.
func (e *Engine) markConn(c Conn, v6 bool) {
	u, ok := c.(*net.UDPConn)
	if !ok {
		return
	}
	if v6 {
		e.marked(ipv6.NewConn(u).SetTrafficClass(e.trafficClass()))
	} else {
		e.marked(ipv4.NewConn(u).SetTOS(e.trafficClass()))
	}
}

// marked takes note that packets of a port could not be marked: they go out all the same.
func (e *Engine) marked(err error) {
	if err != nil {
		e.log.Debug().Err(err).Msg("media packets without their DSCP")
	}
}
