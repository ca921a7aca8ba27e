package rtpmusic

import (
	"time"

	"parkd/internal/rtpmusic/packet"
)

const (
	ticksPerMs  = 8    // of the RTP clock: 8000 Hz with all three codecs (RFC 3551 4.5)
	bytesPerMs  = 8    // of payload, in all three codecs
	framePtime  = 20   // ms of a usual packet
	maxPtime    = 60   // ms of the longest packet of music
	ptimeStep   = 10   // ms
	maxDatagram = 2048 // octets: longer than any packet that is read or relayed
)

// out is the one RTP stream that a port sends, whoever's sound is in it.
// Timestamps follow the clock, sequence numbers the packets (RFC 3550 5.1).
type out struct {
	ssrc    uint32
	ts      uint32        // the highest that was used up
	at      time.Duration // when ts was
	lead    time.Duration // by how much that was before its time
	long    time.Duration // of the packet
	seq     uint16        // the highest that was sent
	warn    uint16        // the seq at which a new Place is asked for
	marker  bool          // the next packet starts a talk spurt (RFC 3551 4.1)
	ready   bool          // there is an address to send to and the peer wants it
	begun   bool          // ts has been used
	joined  bool          // the socket is joined to the peer
	keyTS   uint32        // timestamp of the key that is being sent
	keyLead time.Duration

	filtered bool          // the kernel throws away what comes and nobody listens to
	heard    time.Duration // when RTP last came from the peer
	dozes    bool          // the sender of music looks what has come, and no poller
	woken    time.Duration // when that ended last, or a description came

	// What was sent since the stream began, modulo 2^32 (RFC 3550 6.4.1); at least, in a
	// process that goes on with it.
	packets uint32
	octets  uint32 // of payload
}

// resume returns the timestamp of a packet sent at now whose sound follows on
// nothing: later than the last one, by the time that has gone by since. If that is
// less than a packet the stream is ahead of the clock then, by lead, until there is a
// pause.
func (o *out) resume(now time.Duration) (ts uint32, lead time.Duration) {
	if !o.begun {
		return o.ts, 0
	}
	due := max(now, o.free())
	return o.ts + ticks(due-o.at-o.lead), due - now
}

// free is when what was sent last is over.
func (o *out) free() time.Duration { return o.at + o.lead + o.long }

// nearCeiling says whether seq has reached warn.
func (o *out) nearCeiling() bool { return int16(o.seq-o.warn) >= 0 }

// over is the first tick after what was sent last.
func (o *out) over() int64 {
	if !o.begun {
		return 0
	}
	return int64((o.free() + time.Millisecond - 1) / time.Millisecond)
}

// used takes note that the timestamp ts was used up at now, lead before its time, for
// so long a packet.
func (o *out) used(ts uint32, now, lead, long time.Duration) {
	o.ts, o.at, o.lead, o.long, o.begun = ts, now, lead, long, true
}

// advance moves the cursor to the tick now at hand and returns the timestamp of
// the frame there and how many frames before it were left out.
func (p *Port) advance(tick int64) (ts uint32, skipped int) {
	m, o := &p.music, &p.out
	now, long := time.Duration(tick)*time.Millisecond, time.Duration(m.ptime)*time.Millisecond
	if m.fresh {
		m.fresh, m.apart, m.pos, m.tick = false, false, 0, tick
		o.marker = true
		ts, lead := o.resume(now)
		o.used(ts, now, lead, long)
		return ts, 0
	}
	ms := int(tick - m.tick)
	m.tick = tick
	m.move(ms * bytesPerMs)
	if m.apart {
		m.apart = false
		o.marker = true
		ts, lead := o.resume(now)
		o.used(ts, now, lead, long)
		return ts, 0
	}
	ts = o.ts + uint32(ms)*ticksPerMs
	o.used(ts, now, o.lead, long)
	return ts, max(ms/m.ptime-1, 0)
}

// What frame did.
type verdict uint8

const (
	frameMade  verdict = iota
	frameHeld          // nothing may be sent now; the stream goes on
	frameOver          // the sender is to forget the port: its music has ended, or nobody may hear it
	frameMoved         // the sender is to put the port among those of its ptime
)

// frame makes the frame of a tick, among those that the sender that has the port is
// to send. The port stays locked then, and else does not.
func (p *Port) frame(w *pacer, tick int64, ptime int) verdict {
	p.mu.Lock()
	v := p.makeFrame(w, tick, ptime)
	if v != frameMade {
		p.wake()
		p.mu.Unlock()
	}
	return v
}

func (p *Port) makeFrame(w *pacer, tick int64, ptime int) verdict {
	m, o := &p.music, &p.out
	if !m.playing || !o.ready || len(m.audio) == 0 {
		m.leave(ptime)
		m.paced = false
		return frameOver
	}
	if m.ptime != ptime {
		m.leave(ptime)
		return frameMoved
	}
	if tick < m.after || tick < m.tick && !m.fresh { // on its way from one sender to another
		return frameHeld
	}
	ts, skipped := p.advance(tick)
	if skipped > 0 {
		o.marker = true
		w.count.skipped.Add(uint64(skipped))
	}
	w.frames = w.frames[:len(w.frames)+1]
	f := &w.frames[len(w.frames)-1]
	b := f.buf[:packet.HeaderSize+m.ptime*bytesPerMs]
	m.fill(b[packet.HeaderSize:])
	o.seq++
	packet.PutHeader(b, o.marker, m.pt, o.seq, ts, o.ssrc)
	o.marker = false
	if o.nearCeiling() {
		p.near()
	}
	if b = p.prepare(b, w.now); b == nil {
		w.frames = w.frames[:len(w.frames)-1]
		w.count.failed.Add(1)
		return frameHeld
	}
	f.port, f.b, f.size = p, b, m.ptime*bytesPerMs
	if p.looks(w, tick) {
		w.looks = append(w.looks, p)
	}
	return frameMade
}
