package rtpmusic

import (
	"encoding/binary"
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
	p.tail()
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
		p.tail()
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
	p.fadeOut()
	p.music.stop()
	p.peer = peer
	p.relay, p.keys = relay{}, nil
	p.reports.rx = received{}
	p.before = p.inbox.keys.Last()
	p.out.marker = true
}

// drain takes what is queued in the socket while p has no peer: keys are noted,
// to be told of with the next packet, and nothing is relayed. From now on everything
// comes.
func (p *Port) drain() {
	p.peer = nil
	p.unscreen()
	r := reader{e: p.e, count: p.e.spare()}
	p.sock.drain(func(b []byte, from netip.AddrPort) {
		r.take(p, b, from)
		p.inbox.digits = append(p.inbox.digits, r.digits...)
	})
}

// relay turns the packets of one sender into the stream of another port: with
// that stream's SSRC, and sequence numbers and timestamps moved by a constant, so
// that losses, pauses and the order of packets stay what they were. The constants
// are chosen whenever the sender begins anew. Packets that are not passed on leave
// no gap in the numbers, which would look like a loss.
type relay struct {
	trans    *codec.Transcoder // nil until it is needed
	from, to string            // its codecs
	reorder                    // what comes, if trans has memory
	begun    bool

	// Of the sender's stream.
	ssrc uint32
	seq  uint16        // the highest so far
	age  uint16        // packets since it began, at most maxMisorder
	ts   uint32        // the highest so far
	at   time.Duration // when it came
	said uint32        // timestamp of the last voice
	says bool          // there was some

	seqShift uint16        // what to add, modulo 2^16
	tsShift  uint32        // and modulo 2^32
	lead     time.Duration // of the first packet

	voice *ending // what was passed on last; nil = none
	last  uint32  // its timestamp

	keyTS    uint32 // of the event last heard of
	keyShift uint32 // what to add to it
	keyed    bool   // there was one
	full     bool   // of it a segment's end has been passed on, on the peer's clock
}

// Bounds within which a stream counts as going on.
const (
	maxDropout  = 3000                  // packets (RFC 3550 A.1)
	maxMisorder = 100                   // packets (RFC 3550 A.1)
	maxDrift    = 2000 * ticksPerMs     // of timestamps from the clock
	shortest    = 10 * time.Millisecond // packets of the peer's, mostly
)

// order says where in its stream a packet is.
type order uint8

const (
	newest order = iota
	older        // or the same again
	before       // sent before the stream began for us
)

// follow takes note of a packet that arrived at now, and begins anew if it is of
// another stream than the ones before. ts is its timestamp in the stream of o.
func (v *relay) follow(h *packet.Packet, is kind, o *out, now time.Duration) (where order, ts uint32) {
	step := int16(h.SequenceNumber - v.seq)
	same := v.begun && h.SSRC == v.ssrc && step <= maxDropout && step >= -maxMisorder &&
		int64(step) <= maxMisorder+int64((now-v.at)/shortest) // no more can have been lost
	ticks := int64(now-v.at) * ticksPerMs / int64(time.Millisecond)
	drift := int64(int32(h.Timestamp-v.ts)) - ticks
	strayed := drift > maxDrift || drift < -maxDrift
	if same && step > 0 && is != event {
		// Timestamps of events are those of their start (RFC 4733 2.1).
		same = !strayed && !(is == voice && v.says && int32(h.Timestamp-v.said) < 0)
	}
	if !same {
		if v.trans != nil && v.ssrc != h.SSRC {
			v.trans.Restart()
		}
		v.begun, v.keyed, v.says, v.age, v.held, v.due = true, false, false, 0, nil, h.SequenceNumber
		v.ssrc, v.seq, v.ts, v.at = h.SSRC, h.SequenceNumber, h.Timestamp, now
		v.seqShift = o.seq + 1 - h.SequenceNumber
		ts, v.lead = o.resume(now)
		v.tsShift = ts - h.Timestamp
		o.marker = true
		strayed = false
	}
	shift := v.tsShift
	if is == event {
		shift = v.key(h.Timestamp, strayed, o, now)
	}
	ts = h.Timestamp + shift
	if step <= 0 && same {
		if -int(step) > int(v.age) {
			return before, ts
		}
		return older, ts
	}
	if same {
		v.seq = h.SequenceNumber
		v.age = min(v.age+uint16(step), maxMisorder)
	}
	if is == voice {
		v.said, v.says = h.Timestamp, true
	}
	if shift == v.tsShift && int32(h.Timestamp-v.ts) > 0 {
		v.ts, v.at = h.Timestamp, now
	}
	return newest, ts
}

// key returns what to add to the timestamp of an event. That of one on a clock of its
// own may have strayed from the stream's: such a press begins when its first packet
// comes.
func (v *relay) key(ts uint32, strayed bool, o *out, now time.Duration) uint32 {
	if v.keyed && ts == v.keyTS {
		return v.keyShift
	}
	v.keyed, v.full, v.keyTS, v.keyShift = true, false, ts, v.tsShift
	if strayed {
		begin, _ := o.resume(now)
		v.keyShift = begin - ts
	}
	return v.keyShift
}

// pause takes note that packets are not passed on: time goes on without them, and so
// must sequence numbers.
func (v *relay) pause() { v.begun, v.held = false, nil }

// leaveOut closes the gap that the newest packet would leave, as it is not passed on.
// Those before it that are still on their way are lost.
func (v *relay) leaveOut(o *out) {
	v.seqShift--
	v.age = 0
	o.marker = true
}

// transcodes makes trans ready. ordered: it needs packets in their order, from seq on
// if it is new. It is nil for a codec to itself.
func (v *relay) transcodes(from, to string, seq uint16) (ordered bool) {
	if v.from != from || v.to != to {
		v.from, v.to, v.trans, v.held, v.due = from, to, nil, nil, seq
		if from != to {
			v.trans = codec.NewTranscoder(from, to)
		}
	}
	return v.trans != nil && v.trans.Memory()
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
		v.pause()
		return
	}
	if h.SSRC == o.ssrc { // RFC 3550 8.2: it came from here, and would go round for ever
		return
	}
	if r.noise && (!v.begun || h.SSRC != v.ssrc) { // nothing that a stream begins with
		return
	}
	is := voice
	switch {
	case r.noise:
		is = nothing
	case r.event:
		is = event
	}
	where, ts := v.follow(h, is, o, r.now)
	if where == before {
		return
	}
	w := waiting{seq: h.SequenceNumber, ts: ts, at: r.now, kind: is, marker: h.Marker, payload: h.Payload}
	switch {
	case is == event && s.EventPT == 0:
		w.kind = nothing
	case is == event:
		v.rescale(&w, r.clock, s.eventClock())
	}
	switch ordered := v.transcodes(r.codec, s.Codec, w.seq); {
	case ordered:
		q.inOrder(w, r)
	case w.kind == nothing:
		if where == newest {
			v.leaveOut(o)
		}
	case v.trans == nil || w.kind == event:
		b := r.data[h.Offset-packet.HeaderSize : h.Offset+len(h.Payload)]
		q.pass(w, b, r.now, r.count)
	default:
		b := v.trans.Frame(r.out[:packet.HeaderSize], h.Payload)
		q.pass(w, b, r.now, r.count)
	}
}

// pass sends a packet of the relay; b is its payload behind room for the header.
func (q *Port) pass(w waiting, b []byte, now time.Duration, count *counters) {
	o := &q.out
	seq, pt := w.seq+q.relay.seqShift, q.session.PT
	if w.kind == event {
		pt = q.session.EventPT
	}
	if int16(seq-o.seq) > 0 {
		o.seq = seq
		if o.nearCeiling() {
			q.near()
		}
	}
	if !o.begun || int32(w.ts-o.ts) > 0 {
		long := keyStep
		if w.kind == voice {
			q.relay.passed(q.session.Codec, b[packet.HeaderSize:], w.ts)
			long = max(time.Duration(len(b)-packet.HeaderSize)*time.Millisecond/bytesPerMs, ptimeStep*time.Millisecond)
		}
		o.used(w.ts, now, q.relay.lead, long)
	}
	packet.PutHeader(b, w.marker || o.marker, pt, seq, w.ts, o.ssrc)
	o.marker = false
	if !q.send(b, now) {
		count.failed.Add(1)
		return
	}
	count.relayed.Add(1)
	count.out.Add(1)
}

// rescale has an event say how long it is in units of another clock. What the duration
// field cannot say of it is another segment (RFC 4733 2.5.1.3), behind a packet which
// says that the first one is full.
func (v *relay) rescale(w *waiting, from, to int) {
	if from == to || len(w.payload) < packet.EventSize {
		return
	}
	long := int(binary.BigEndian.Uint16(w.payload[2:])) * to / from
	switch {
	case long <= segment:
	case !v.full:
		v.full, long = true, segment
		w.payload[1] &^= 0x80 // E: of the whole press only
	default:
		long = min(long-segment, segment)
		w.ts, w.marker = w.ts+uint32(segment*ticksPerMs*1000/to), false
	}
	binary.BigEndian.PutUint16(w.payload[2:], uint16(long))
}
