package rtpmusic

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	mathrand "math/rand/v2"
	"net/netip"
	"time"

	"github.com/pion/rtcp"

	"parkd/internal/rtpmusic/packet"
	"parkd/internal/rtpmusic/srtp"
)

// quality is what a peer last said of the stream that it gets from us.
type quality struct {
	known  bool
	loss   float64       // of the packets since its report before: 0 to 1
	lost   uint32        // since it began to listen
	jitter time.Duration // between arrivals (RFC 3550 A.8)
	trip   time.Duration // to it and back; 0 = not known
}

// reports is the RTCP of a port: what it has told its peer, and was told.
type reports struct {
	cname  [cnameSize]byte // one a session (RFC 7022 4.2)
	source netip.AddrPort  // as described, by which control knows the port; not valid: it does not
	member member          // by which it knows it, too; the zero member: it does not
	found  netip.AddrPort  // where RTCP of the member came from; not valid: nowhere else than source
	at     time.Duration   // when RTCP came to control; 0 = not since the last description
	spoke  bool            // the peer has got something from us, and so a BYE (RFC 3550 6.3.7)

	last, before uint32 // packets sent at the last report and the one before

	rx     received
	lsr    uint32        // the middle of the NTP time of the peer's last SR
	lsrOf  uint32        // whose that is
	lsrAt  time.Duration // when it came
	heard  quality       // as the peer says
	parted bool          // the peer has sent a BYE

	clashed bool // the peer has sent under our SSRC, once (RFC 3550 8.2)
}

// cnameSize is the length of a CNAME: 96 random bits in base64 (RFC 7022 5).
const cnameSize = 16

func newCNAME() (name [cnameSize]byte) {
	var b [cnameSize / 4 * 3]byte
	_, _ = rand.Read(b[:]) // never fails
	base64.StdEncoding.Encode(name[:], b[:])
	return name
}

// RFC 3550 6.3.1: what may be spent on RTCP would allow two members of a session of
// 64 kbit/s more than one report a second; so the least interval is the one that
// counts, and half of it before the first.
const (
	reportEvery = 5 * time.Second
	// compensation is e - 3/2: what the interval is divided by, since others wait
	// again when they have waited (timer reconsideration, of no use among two).
	compensation = 1.21828
)

// untilReport is the time to the next report: spread, so that no two ends of many
// calls keep in step (RFC 3550 6.3.1).
func untilReport(first bool) time.Duration {
	every := reportEvery
	if first {
		every /= 2
	}
	return time.Duration(float64(every) * (0.5 + mathrand.Float64()) / compensation)
}

// RTCPPort returns the UDP port that RTCP comes to from peers that do not multiplex it
// with RTP; 0 if there is none.
func (p *Port) RTCPPort() uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.controlled(0) {
		return 0
	}
	return p.control.port
}

// controlled gives the port an RTCP socket, best one at that port of ours; false if
// there is none to be had.
func (p *Port) controlled(best uint16) bool {
	if p.control == nil && !p.closed {
		p.control = p.e.control(p.addr, best)
	}
	return p.control != nil
}

// attend has RTCP come from where the session says. again: it says what the one before
// did, so what has been found since holds.
func (p *Port) attend(again bool) {
	to := netip.AddrPort{}
	if s := &p.session; !s.Mux && p.leads(s.RTCP) && p.controlled(0) {
		to = s.RTCP
	}
	if p.reports.at = 0; !again || p.latch.mode == LatchNever {
		p.disowns()
	}
	if to == p.reports.source {
		return
	}
	p.control.move(p, p.reports.source, to)
	p.reports.source = to
}

// leave gives the RTCP socket back.
func (p *Port) leave() {
	if p.control == nil {
		return
	}
	p.disowns()
	p.control.move(p, p.reports.source, netip.AddrPort{})
	p.control.leave()
	p.control = nil
}

// reaches reports whether the peer can be sent RTCP: on hold, too. Not to an address
// that was described and was not there when RTP was sent: something translates
// addresses in between, and where RTCP goes is known when some has come.
func (p *Port) reaches() bool {
	l := &p.latch
	if !p.leads(l.target) || !p.lock.sends() {
		return false
	}
	c := &p.reports
	return p.session.Mux || c.found.IsValid() || c.source.IsValid() && l.target.Addr() == l.remote.Addr()
}

// report sends the peer a report if it can be sent any, by way of room.
func (p *Port) report(room []byte) {
	if p.reaches() {
		p.sendRTCP(p.compound(room, p.e.now(), false))
	}
}

// bye takes leave of the peer at the end of the stream. An engine that closes says
// nothing: the next process goes on with it.
func (p *Port) bye() {
	if p.e.over() {
		return
	}
	p.leaveStream(p.e.now())
	if h := p.reports.heard; h.known {
		p.e.log.Debug().Uint16("port", p.num).Uint32("packets", p.out.packets).Uint32("lost", h.lost).Float64("loss", h.loss).
			Dur("jitter", h.jitter).Dur("round_trip", h.trip).Bool("bye", p.reports.parted).Msg("media ends, as its peer last saw it")
	}
}

// leaveStream tells the peer that nothing follows under our SSRC. RFC 3550 6.3.7: whoever
// has sent nothing must not send a BYE.
func (p *Port) leaveStream(now time.Duration) {
	if p.reaches() && (p.reports.spoke || p.out.packets > 0) {
		p.sendRTCP(p.compound(nil, now, true))
	}
}

// sendRTCP sends a compound to the peer: all RTCP goes through here.
func (p *Port) sendRTCP(b []byte) {
	if p.lock != nil {
		var err error
		if b, err = p.lock.out.RTCP(b); err != nil {
			return
		}
	}
	count := p.e.spare()
	var err error
	switch c := &p.reports; {
	case p.session.Mux:
		err = p.sock.send(b)
	case c.found.IsValid():
		err = p.control.send(b, c.found)
	default:
		err = p.control.send(b, c.source)
	}
	if err != nil {
		count.failed.Add(1)
		return
	}
	p.reports.spoke = true
	count.reports.Add(1)
}

// Lengths of what reports are made of, in octets.
const (
	srSize     = 28                          // of a sender
	rrSize     = 8                           // of somebody who has not sent
	blockSize  = 24                          // what is said of a stream
	sdesSize   = 4 + (4+2+cnameSize+1+3)/4*4 // ends with a zero, in whole words
	byeSize    = 8                           // takes leave
	reportRoom = srSize + blockSize + sdesSize + byeSize + srtp.Overhead
)

// Packet types beside typeSR and typeRR (RFC 3550 12.1).
const (
	typeSDES = 202
	typeBYE  = 203
)

// compound appends what is sent at now (RFC 3550 6.1): SR or RR, SDES, and a BYE.
func (p *Port) compound(dst []byte, now time.Duration, bye bool) []byte {
	o, c, be := &p.out, &p.reports, binary.BigEndian
	block, heard := c.block(now)
	count, more := uint8(0), 0
	if heard {
		count, more = 1, blockSize
	}
	// RFC 3550 6.4: SR from whoever has sent since the report before the last one.
	if o.packets != c.before {
		dst = appendHeader(dst, count, typeSR, srSize+more, o.ssrc)
		dst = be.AppendUint64(dst, ntp(p.e.start.Add(now)))
		dst = be.AppendUint32(dst, o.ts+ticks(now-o.at-o.lead))
		dst = be.AppendUint32(dst, o.packets)
		dst = be.AppendUint32(dst, o.octets)
	} else {
		dst = appendHeader(dst, count, typeRR, rrSize+more, o.ssrc)
	}
	c.before, c.last = c.last, o.packets
	if heard {
		dst = be.AppendUint32(dst, block.SSRC)
		dst = be.AppendUint32(dst, uint32(block.FractionLost)<<24|block.TotalLost&0xFFFFFF)
		dst = be.AppendUint32(dst, block.LastSequenceNumber)
		dst = be.AppendUint32(dst, block.Jitter)
		dst = be.AppendUint32(dst, block.LastSenderReport)
		dst = be.AppendUint32(dst, block.Delay)
	}
	dst = appendHeader(dst, 1, typeSDES, sdesSize, o.ssrc)
	dst = append(dst, byte(rtcp.SDESCNAME), cnameSize)
	dst = append(dst, c.cname[:]...)
	for range sdesSize - 4 - 4 - 2 - cnameSize {
		dst = append(dst, 0)
	}
	if bye {
		dst = appendHeader(dst, 1, typeBYE, byeSize, o.ssrc)
	}
	return dst
}

// appendHeader appends the first two words of an RTCP packet of so many octets; its
// length is said in words, less one (RFC 3550 6.4.1).
func appendHeader(dst []byte, count, kind uint8, size int, ssrc uint32) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, 2<<6|count, kind), uint16(size/4-1))
	return binary.BigEndian.AppendUint32(dst, ssrc)
}

// ntp is a moment as RFC 3550 4 has it: seconds since 1900, and 2^-32 of them.
func ntp(t time.Time) uint64 {
	const from1900 = 2208988800
	return uint64(t.Unix()+from1900)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// middle is the middle half of an NTP time, in 1/65536 s.
func middle(ntp uint64) uint32 { return uint32(ntp >> 16) }

// short is a length of time in 1/65536 s.
func short(d time.Duration) uint32 { return uint32(d << 16 / time.Second) }

// takeControl reads RTCP from the socket that ports share: of p's peer, by where it
// comes from, or of m, who p's peer may be.
func (r *reader) takeControl(p *Port, from netip.AddrPort, m member, b []byte) {
	r.now = r.e.now()
	c := &p.reports
	known := from == c.source || from == c.found
	if !known && !c.finds(m, r.now) {
		r.count.strangers.Add(1)
		return
	}
	if p.lock != nil {
		if b = p.lock.open(b, r.now); b == nil {
			p.unopened()
			r.count.forged.Add(1)
			return
		}
	}
	if r.pkt.Parse(b) != packet.RTCP || !known && !isCompound(b) {
		r.count.invalid.Add(1)
		return
	}
	if !known {
		c.found = from
		r.e.log.Debug().Uint16("port", p.num).Stringer("peer", from).Msg("rtcp latched")
	}
	c.at = max(r.now, 1)
	r.takeRTCP(p, b)
}

// takeRTCP reads RTCP of p's peer: from where that is known to be, in the clear.
func (r *reader) takeRTCP(p *Port, b []byte) {
	p.listened(r) // whatever it says
	list, err := rtcp.Unmarshal(b)
	if err != nil {
		return
	}
	c := &p.reports
	for _, pkt := range list {
		switch pkt := pkt.(type) {
		case *rtcp.SenderReport:
			c.lsr, c.lsrOf, c.lsrAt = middle(pkt.NTPTime), pkt.SSRC, r.now
			p.told(pkt.Reports, r.now)
		case *rtcp.ReceiverReport:
			p.told(pkt.Reports, r.now)
		case *rtcp.Goodbye:
			c.parted = true // the call ends by SIP, or does not
		}
	}
}

// told takes note of what the peer says of our stream.
func (p *Port) told(blocks []rtcp.ReceptionReport, now time.Duration) {
	for _, b := range blocks {
		if b.SSRC != p.out.ssrc {
			continue
		}
		h := quality{
			known: true, loss: float64(b.FractionLost) / 256, lost: b.TotalLost,
			jitter: time.Duration(b.Jitter) * time.Millisecond / ticksPerMs,
		}
		if b.LastSenderReport != 0 { // RFC 3550 6.4.1: A - LSR - DLSR
			trip := int32(middle(ntp(p.e.start.Add(now))) - b.LastSenderReport - b.Delay)
			h.trip = time.Duration(max(trip, 0)) * time.Second >> 16
		}
		p.reports.heard = h
	}
}
