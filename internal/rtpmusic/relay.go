package rtpmusic

import (
	"net/netip"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// Bridge relays between two ports both ways until Unbridge, Play or Close of
// either, and ends the music and the former bridges of both. What lay unread in
// either socket is not relayed. Where codecs differ, voice is transcoded.
func Bridge(a, b *Port) {
	if a == b {
		return
	}
	a.part()
	b.part()
	a.join(b)
	b.join(a)
}

// Unbridge ends the bridge of two ports, if they have one; both are silent then.
func Unbridge(a, b *Port) {
	a.unbridge(b)
	b.unbridge(a)
}

// part ends the port's bridge if it has one.
func (p *Port) part() {
	p.mu.Lock()
	peer := p.peer
	p.peer = nil
	p.mu.Unlock()
	if peer != nil {
		peer.unbridge(p)
	}
}

// unbridge ends the port's bridge if it is with peer.
func (p *Port) unbridge(peer *Port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.peer == peer {
		p.peer = nil
	}
}

// join makes p relay to and from peer. The two ports of a bridge are never locked
// together; until both have joined, packets between them are dropped.
func (p *Port) join(peer *Port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.drain()
	p.music.stop()
	p.peer = peer
	p.relay, p.keys = relay{}, nil
	p.before = p.inbox.keys.Last()
	p.out.marker = true
}

// drain takes what is queued in the socket while p has no peer: keys are noted,
// to be told of with the next packet, and nothing is relayed.
func (p *Port) drain() {
	p.peer = nil
	r := reader{e: p.e, count: p.e.spare()}
	p.sock.drain(func(b []byte, from netip.AddrPort) {
		r.take(p, b, from)
		p.inbox.digits = append(p.inbox.digits, r.digits...)
	})
}

// relay turns the packets of one sender into the stream of another port: with
// that stream's SSRC, and sequence numbers and timestamps moved by a constant, so
// that losses, pauses and the order of packets stay what they were. The constants
// are chosen whenever the sender begins anew.
type relay struct {
	trans    *codec.Transcoder // nil until it is needed
	from, to string            // its codecs
	begun    bool

	// Of the sender's stream.
	ssrc uint32
	seq  uint16        // the highest so far
	age  uint16        // packets since it began, at most maxMisorder
	ts   uint32        // the highest so far
	at   time.Duration // when it came

	seqShift uint16 // what to add, modulo 2^16
	tsShift  uint32 // and modulo 2^32
}

// Bounds within which a stream counts as going on.
const (
	maxDropout  = 3000              // packets (RFC 3550 A.1)
	maxMisorder = 100               // packets (RFC 3550 A.1)
	maxDrift    = 2000 * ticksPerMs // of timestamps from the clock
)

// order says where in its stream a packet is.
type order uint8

const (
	newest order = iota
	older        // or the same again
	before       // sent before the stream began for us
)

// follow takes note of a packet that arrived at now, and begins anew if it is of
// another stream than the ones before.
func (v *relay) follow(h *packet.Packet, event bool, o *out, now time.Duration) order {
	step := int16(h.SequenceNumber - v.seq)
	same := v.begun && h.SSRC == v.ssrc && step <= maxDropout && step >= -maxMisorder
	if same && step > 0 && !event {
		// Timestamps of events are those of their start (RFC 4733 2.1).
		ticks := int64(now-v.at) * ticksPerMs / int64(time.Millisecond)
		drift := int64(int32(h.Timestamp-v.ts)) - ticks
		same = drift <= maxDrift && drift >= -maxDrift
	}
	if !same {
		v.begun, v.ssrc, v.seq, v.age = true, h.SSRC, h.SequenceNumber, 0
		v.ts, v.at = h.Timestamp, now
		v.seqShift = o.seq + 1 - h.SequenceNumber
		v.tsShift = o.resume(now) - h.Timestamp
		v.trans = nil
		o.marker = true
		return newest
	}
	if step <= 0 {
		if -int(step) > int(v.age) {
			return before
		}
		return older
	}
	v.seq = h.SequenceNumber
	v.age = min(v.age+uint16(step), maxMisorder)
	if int32(h.Timestamp-v.ts) > 0 {
		v.ts, v.at = h.Timestamp, now
	}
	return newest
}

// transcode appends payload in the codec to, to dst; nil if that can't be done.
func (v *relay) transcode(dst, payload []byte, from, to string) []byte {
	if v.trans == nil || v.from != from || v.to != to {
		v.from, v.to = from, to
		if v.trans = codec.NewTranscoder(from, to); v.trans == nil {
			return nil
		}
	}
	return v.trans.Frame(dst, payload)
}

// relayFrom sends the packet that r has read from p, if q is still bridged to p.
func (q *Port) relayFrom(p *Port, r *reader) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.peer != p || q.closed {
		return
	}
	s, o, v, h := &q.session, &q.out, &q.relay, &r.pkt
	if !o.ready || s.Codec == "" || q.pressing {
		v.begun = false // time goes on without these packets, and so must sequence numbers
		return
	}
	where := v.follow(h, r.event, o, r.now)
	if where == before {
		return
	}
	pt, b := s.PT, r.data[h.Offset-packet.HeaderSize:h.Offset+len(h.Payload)]
	switch {
	case r.event:
		if pt = s.EventPT; pt == 0 {
			return
		}
	case r.codec != s.Codec:
		if where == older { // a codec with memory must not go back
			return
		}
		sound := v.transcode(r.out[packet.HeaderSize:packet.HeaderSize], h.Payload, r.codec, s.Codec)
		if sound == nil {
			return
		}
		b = r.out[:packet.HeaderSize+len(sound)]
	}
	seq, ts := h.SequenceNumber+v.seqShift, h.Timestamp+v.tsShift
	if int16(seq-o.seq) > 0 {
		o.seq = seq
		if o.nearCeiling() {
			q.near()
		}
	}
	if !o.begun || int32(ts-o.ts) > 0 {
		o.used(ts, r.now)
	}
	packet.PutHeader(b, h.Marker || o.marker, pt, seq, ts, o.ssrc)
	o.marker = false
	if !q.send(b, r.now) {
		r.count.failed.Add(1)
		return
	}
	r.count.relayed.Add(1)
	r.count.out.Add(1)
}
