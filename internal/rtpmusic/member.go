package rtpmusic

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Whose RTCP is it that comes to the socket which ports share? A description says where
// from, but behind NAT it cannot know: the port beside a translated one is another one.
// What tells is RFC 3550 8.2: a peer has one SSRC in its RTP and in its RTCP. So who
// sends RTCP with the SSRC of a stream that a port has latched, from the host that the
// stream comes from, is that port's peer, and reports go back there (symmetric RTCP,
// RFC 4961 4). A stranger would have to share the host and to hit one of 2^32 SSRCs;
// with SRTP also to have the key.
//
// It is done once. Whoever comes from elsewhere later is a stranger, as long as RTCP
// comes from where it was; and until the peer has another description. What LatchNever
// says of RTP it says of RTCP. A BYE ends nothing, whoever sends it.

// member is who sends RTCP: its SSRC, and the host that it sends from.
type member struct {
	ssrc uint32
	host netip.Addr
}

// claim says which port hears a member. Two that hear the same one (phones behind one
// NAT that draw no SSRC at random) are not told apart: neither has it.
type claim struct {
	port *Port // nil: there were several
	n    int
}

// goneAfter is for how long no RTCP must have come for another address to be the
// peer's: three of its intervals of 5 s, spread by half (RFC 3550 6.3.1).
const goneAfter = 20 * time.Second

// RTCP's packet types (RFC 3550 12.1).
const (
	typeSR = 200
	typeRR = 201
)

// memberOf is who a datagram says that it is of; the zero member: of nobody. SRTP leaves
// that in the clear (RFC 3711 3.4).
func memberOf(from netip.AddrPort, b []byte) member {
	if len(b) < 8 || b[1] != typeSR && b[1] != typeRR {
		return member{}
	}
	return member{binary.BigEndian.Uint32(b[4:]), from.Addr()}
}

// isCompound says whether b is a compound of RTCP packets (RFC 3550 6.1, A.2): a report
// first, of version 2 all, only the last with padding, and their lengths add up.
func isCompound(b []byte) bool {
	if len(b) < 8 || b[1] != typeSR && b[1] != typeRR {
		return false
	}
	for len(b) > 0 {
		if len(b) < 4 || b[0]>>6 != 2 {
			return false
		}
		n := 4 * (1 + int(binary.BigEndian.Uint16(b[2:])))
		if n > len(b) || b[0]&0x20 != 0 && n != len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}

// hears takes note of the SSRC of the stream that has been latched at from; it is called
// with each packet of it.
func (p *Port) hears(ssrc uint32, from netip.AddrPort) {
	c := &p.reports
	m := member{ssrc, from.Addr()}
	if m == c.member || !c.source.IsValid() || p.latch.mode == LatchNever || from != p.latch.source {
		return
	}
	p.control.claim(p, c.member, m)
	c.member = m
	if c.found.Addr() != m.host {
		c.found = netip.AddrPort{}
	}
}

// disowns forgets where the peer's RTCP was found, and whose it is.
func (p *Port) disowns() {
	c := &p.reports
	c.found = netip.AddrPort{}
	if c.member != (member{}) {
		p.control.claim(p, c.member, member{})
		c.member = member{}
	}
}

// finds says whether RTCP of m may be taken for the peer's though it comes from an
// address that it is not known at.
func (c *reports) finds(m member, now time.Duration) bool {
	return m == c.member && m != (member{}) && (c.at == 0 || now-c.at > goneAfter)
}

// claim has RTCP of the member to given to p, and no more that of from; either may be
// the zero member, which is none.
func (c *control) claim(p *Port, from, to member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if from != (member{}) {
		was := c.members[from]
		if was.n--; was.n > 0 {
			c.members[from] = was
		} else {
			delete(c.members, from)
		}
	}
	if to == (member{}) {
		return
	}
	next := claim{port: p, n: c.members[to].n + 1}
	if next.n > 1 {
		next.port = nil
	}
	c.members[to] = next
}

// owner is the port whose peer a datagram is of, as far as its address and its first
// octets tell; nil: nobody's.
func (c *control) owner(from netip.AddrPort, m member) *Port {
	if p := c.members[m].port; p != nil {
		return p
	}
	return c.peers[from]
}
