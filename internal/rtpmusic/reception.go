package rtpmusic

import (
	"time"

	"github.com/pion/rtcp"

	"parkd/internal/rtpmusic/packet"
)

// received counts the packets of a peer that somebody listens to (RFC 3550 A.3, A.8).
// What a parked caller says is thrown away by the kernel, so of that nothing is
// reported.
type received struct {
	begun    bool
	ssrc     uint32
	seq      uint16 // the highest so far
	cycles   uint32 // of seq, times 2^16
	base     uint32 // the first one
	count    uint32
	transit  uint32 // of the packet before, in ticks
	timed    bool   // there was one
	jitter   uint32 // ticks, times 16
	expected uint32 // at the last report
	reported uint32 // count then
}

// take takes note of a packet that came at now. Events have the timestamp of their
// start, so they tell nothing about jitter (RFC 4733 2.1).
func (v *received) take(h *packet.Packet, event bool, now time.Duration) {
	step := int16(h.SequenceNumber - v.seq)
	if !v.begun || h.SSRC != v.ssrc || step > maxDropout || step < -maxMisorder {
		*v = received{begun: true, ssrc: h.SSRC, seq: h.SequenceNumber, base: uint32(h.SequenceNumber)}
		step = 0
	}
	if step > 0 {
		if h.SequenceNumber < v.seq {
			v.cycles += 1 << 16
		}
		v.seq = h.SequenceNumber
	}
	v.count++
	if event {
		return
	}
	transit := ticks(now) - h.Timestamp
	if v.timed {
		d := int32(transit - v.transit)
		v.jitter += uint32(max(d, -d)) - (v.jitter+8)>>4
	}
	v.transit, v.timed = transit, true
}

// longest is how long ago an SR can be that a report refers to: more does not fit into its
// field (RFC 3550 6.4.1).
const longest = 1 << 16 * time.Second

// block is what is reported of the peer's stream: nothing if none has come since the
// last report (RFC 3550 6.4.1).
func (c *reports) block(now time.Duration) (b rtcp.ReceptionReport, heard bool) {
	v := &c.rx
	if v.count == v.reported {
		return b, false
	}
	highest := v.cycles + uint32(v.seq)
	expected := highest - v.base + 1
	b = rtcp.ReceptionReport{
		SSRC: v.ssrc, LastSequenceNumber: highest, Jitter: v.jitter >> 4,
		// A.3: signed, for a packet that comes twice counts twice.
		TotalLost: uint32(min(max(int64(int32(expected-v.count)), -1<<23), 1<<23-1)) & 0xFFFFFF,
	}
	due, came := expected-v.expected, v.count-v.reported
	if lost := int32(due - came); lost > 0 && due > 0 {
		b.FractionLost = uint8(min(uint32(lost)<<8/due, 255))
	}
	v.expected, v.reported = expected, v.count
	if c.lsr != 0 && c.lsrOf == v.ssrc && now-c.lsrAt < longest {
		b.LastSenderReport, b.Delay = c.lsr, short(now-c.lsrAt)
	}
	return b, true
}
