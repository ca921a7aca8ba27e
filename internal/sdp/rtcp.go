package sdp

import (
	"net/netip"
	"strconv"

	"github.com/pion/sdp/v3"
)

// control are the lines about RTCP of a stream of ours. An offer has both: what comes on
// the RTP port if the peer multiplexes, and where it sends if it does not (RFC 5761
// 5.1.1); an answer has one. They have no place where the media is another party's.
func (l Local) control(mux, apart bool) []sdp.Attribute {
	if l.RTCP == 0 || !l.Elsewhere.IsZero() {
		return nil
	}
	var lines []sdp.Attribute
	if mux {
		lines = append(lines, sdp.NewPropertyAttribute("rtcp-mux"))
	}
	if apart { // RFC 3605 2.1; at the address of c=
		lines = append(lines, sdp.NewAttribute("rtcp", strconv.Itoa(int(l.RTCP))))
	}
	return lines
}

// muxes says whether RTP and RTCP can share a port with these payload types: RFC 5761 4
// wants none that looks like RTCP behind a marker bit.
func muxes(types ...uint8) bool {
	for _, pt := range types {
		if pt >= 64 && pt <= 95 {
			return false
		}
	}
	return true
}

// offersMux says whether our last offer did.
func (l Local) offersMux() bool {
	if l.Previous == nil {
		return l.RTCP != 0 && l.Elsewhere.IsZero()
	}
	p, err := Parse(l.Previous)
	return err == nil && p.RTCPMux
}

// reports sets where the peer wants RTCP. In a session whose media flows past us we
// have nothing to report.
func (a *Agreed) reports(l Local, mux bool) {
	switch {
	case !l.Elsewhere.IsZero():
		a.RTCP = netip.AddrPort{}
	case mux:
		a.RTCP, a.RTCPMux = a.Remote, true
	}
}
