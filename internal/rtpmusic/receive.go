package rtpmusic

import (
	"net/netip"
	"time"

	"parkd/internal/rtpmusic/packet"
)

// inbox is what a port knows of the packets of its peer.
type inbox struct {
	keys   packet.Keys
	codec  string // of the last sound
	digits []byte // pressed, not yet told
	onKey  func(byte)
	paid   time.Duration // up to when keys have been told of: see bound
	idle   uint8         // packets read since somebody listened; modulo 256
}

// reader reads ports, one packet at a time. A port has one at a time, which owns
// these fields; those of the port are read and written under its mutex.
type reader struct {
	e     *Engine
	count *counters
	pkt   packet.Packet
	out   [packetRoom]byte // a packet after transcoding

	// What take found and act does.
	now    time.Duration
	data   []byte // the datagram
	codec  string // of the sender
	event  bool
	clock  int   // of its durations
	noise  bool  // neither sound nor event: nothing to relay
	peer   *Port // relay to this one
	moved  netip.AddrPort
	digits []byte
	onKey  func(byte)
}

// take reads the datagram b of p, under p's mutex. It does nothing that needs
// another one; act does.
func (r *reader) take(p *Port, b []byte, from netip.AddrPort) {
	r.now, r.data, r.peer, r.moved, r.noise = r.e.now(), b, nil, netip.AddrPort{}, false
	r.digits = r.digits[:0]
	if len(b) == maxDatagram { // more than that, it may be, and cut short
		r.count.invalid.Add(1)
		return
	}
	if p.lock != nil {
		if b = p.lock.open(b, r.now); b == nil {
			p.unopened()
			r.count.forged.Add(1)
			return
		}
		r.data = b
	}
	switch r.pkt.Parse(b) {
	case packet.RTP:
		r.takeRTP(p, from)
	case packet.RTCP:
		if p.latch.known(from) {
			r.takeRTCP(p, b)
		} else {
			r.count.strangers.Add(1)
		}
	default:
		r.count.invalid.Add(1)
	}
	if len(p.inbox.digits) > 0 && p.inbox.onKey != nil {
		r.digits = append(r.digits, p.inbox.digits...)
		r.onKey = p.inbox.onKey
	}
	p.inbox.digits = p.inbox.digits[:0]
}

// listened takes note of a sign of life.
func (p *Port) listened(r *reader) {
	p.heard.Store(int64(max(r.now, 1)))
	r.count.in.Add(1)
}

func (r *reader) takeRTP(p *Port, from netip.AddrPort) {
	s, h := &p.session, &r.pkt
	if s.Codec == "" {
		r.count.invalid.Add(1)
		return
	}
	r.event = h.PayloadType != 0 && (h.PayloadType == s.EventRecvPT || h.PayloadType == s.EventPT)
	sound := ""
	if !r.event {
		if sound = s.heard(h.PayloadType); sound == "" {
			r.takeNoise(p, from)
			return
		}
	}
	if h.SSRC == p.out.ssrc {
		r.count.invalid.Add(1)
		p.collided(from, r.now)
		return
	}
	accepted, moved := p.latch.packet(from, mark{h.SSRC, h.SequenceNumber, r.now})
	if !accepted {
		r.count.strangers.Add(1)
		return
	}
	p.listened(r)
	p.out.heard = r.now
	p.hears(h.SSRC, from)
	if moved {
		r.moved = from
		p.aim()
		p.replaced()
	}
	if p.latch.doubtful() {
		p.sock.watch(true)
	} else if !p.out.joined && p.out.ready && from == p.latch.target {
		p.out.joined = p.sock.join(true)
	}
	p.inbox.take(h, sound, r.now)
	if p.peer != nil {
		p.reports.rx.take(h, r.event, r.now)
	}
	late := r.event && p.before != (packet.Press{}) && p.inbox.keys.Last() == p.before // the end of a key, twice more
	if !late {
		r.relay(p)
	}
}

// takeNoise takes a packet of a payload type that nobody agreed on: comfort noise, say.
func (r *reader) takeNoise(p *Port, from netip.AddrPort) {
	r.count.invalid.Add(1)
	if !p.latch.known(from) {
		return
	}
	p.listened(r)
	r.noise = true
	if p.peer != nil && r.pkt.SSRC == p.reports.rx.ssrc { // it has come, and is not lost
		p.reports.rx.take(&r.pkt, true, r.now)
	}
	r.relay(p)
}

// collided: a packet has our own SSRC. RFC 3550 8.2: it is taken for the peer's, by an
// accident that another SSRC of ours ends; and what comes from there under that too is
// ours, in a loop.
func (p *Port) collided(from netip.AddrPort, now time.Duration) {
	if p.reports.clashed || !p.latch.known(from) {
		return
	}
	p.reports.clashed = true
	p.leaveStream(now)
	p.anew()
	p.replaced()
}

// take finds keys in a packet of the peer's: of a codec, or an event if that is "".
func (x *inbox) take(h *packet.Packet, sound string, now time.Duration) {
	waiting := len(x.digits)
	if sound != "" {
		x.codec = sound
		x.digits = x.keys.Audio(x.digits, now)
	} else if ev, ok := packet.ParseEvent(h.Payload); ok {
		x.digits = x.keys.Event(x.digits, h.SSRC, h.Timestamp, h.Marker, ev, now)
	}
	x.bound(waiting, now)
}

// Each key that is told of is a command to whoever decides. keyLeast is how long one takes
// that anybody presses, with the pause after it; keyBurst is how much of that may be in
// arrears.
const (
	keyLeast = 40 * time.Millisecond
	keyBurst = 2 * time.Second
)

// bound drops the keys behind the first n that come faster than anybody can press.
func (x *inbox) bound(n int, now time.Duration) {
	for i := n; i < len(x.digits); i++ {
		if x.paid = max(x.paid, now-keyBurst); x.paid > now {
			x.digits = x.digits[:i]
			return
		}
		x.paid += keyLeast
	}
}

// relay has the packet passed on, if p is bridged and may send.
func (r *reader) relay(p *Port) {
	if s := &p.session; p.peer != nil && s.Recv {
		r.peer, r.codec, r.clock = p.peer, p.inbox.codec, s.eventClock()
	}
}

// act does what take found to be done, without p's mutex.
func (r *reader) act(p *Port) {
	if r.moved.IsValid() {
		r.e.log.Debug().Uint16("port", p.num).Stringer("peer", r.moved).Msg("media latched")
	}
	if r.peer != nil {
		r.peer.relayFrom(p, r)
	}
	for _, d := range r.digits {
		r.onKey(d)
	}
	r.onKey, r.peer = nil, nil
}
