package sdp

import (
	"net/netip"
	"strconv"
	"strings"

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

// keepsSilent says whether our next offer has no RTCP: where our last description agreed
// to that, an offer that leaves it out would ask for RTCP again.
func (l Local) keepsSilent() bool {
	if l.Previous == nil || !l.Elsewhere.IsZero() {
		return false
	}
	p, err := Parse(l.Previous)
	return err == nil && p.RTCPOff
}

// bandwidth are the b= lines about RTCP of a stream of ours.
func (s section) bandwidth() []sdp.Bandwidth {
	if !s.silent {
		return nil
	}
	return []sdp.Bandwidth{{Type: "RS"}, {Type: "RR"}}
}

// bandwidth is what b= lines say of RTCP: of those who send media and of those who only
// receive (RFC 3556 2).
type bandwidth struct{ senders, receivers share }

// share is how much of the bandwidth of RTCP somebody may have.
type share uint8

const (
	unsaid share = iota
	nothing
	something
)

// add reads the value of a b= line; the first of a kind counts. One that is neither kind,
// or no number, says nothing.
func (b *bandwidth) add(value string) {
	kind, number, _ := strings.Cut(value, ":")
	bps, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
	if err != nil {
		return
	}
	said := something
	if bps == 0 {
		said = nothing
	}
	switch kind = strings.TrimSpace(kind); {
	case strings.EqualFold(kind, "RS") && b.senders == unsaid:
		b.senders = said
	case strings.EqualFold(kind, "RR") && b.receivers == unsaid:
		b.receivers = said
	}
}

// none says whether nobody may send RTCP. What is said of a stream counts before what is
// said of the session. Where only one kind is left out, there is RTCP: here both ends are
// senders most of the time, and share what there is (RFC 3550 6.2).
func (b bandwidth) none(session bandwidth) bool {
	if b.senders == unsaid {
		b.senders = session.senders
	}
	if b.receivers == unsaid {
		b.receivers = session.receivers
	}
	return b.senders == nothing && b.receivers == nothing
}

// reports sets where r wants RTCP. In a session whose media flows past us we have
// nothing to report.
func (a *Agreed) reports(r Remote, l Local, mux bool) {
	switch {
	case !l.Elsewhere.IsZero(), r.RTCPOff:
		a.RTCP = netip.AddrPort{}
	case mux:
		a.RTCP, a.RTCPMux = a.Remote, true
	}
}
