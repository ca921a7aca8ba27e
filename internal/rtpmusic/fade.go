package rtpmusic

import (
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// Music that is cut in the middle of a wave clicks, so it dies away in one last frame,
// which is this stream's own. So does a voice that we cut.

// heardNow reports whether the peer is just hearing music: the frame before the next
// one was sent.
func (p *Port) heardNow(now time.Duration) bool {
	m, o := &p.music, &p.out
	return m.playing && !m.fresh && !m.apart && o.ready && !o.marker && now-o.at <= 2*time.Duration(m.ptime)*time.Millisecond
}

// ending appends n octets of the music to dst, from the next frame on, as it dies away.
func (m *music) ending(dst []byte, n int) []byte {
	at := m.pos + m.ptime*bytesPerMs
	before := min(at, codec.FadeBefore)
	sound := make([]byte, before+n+codec.FadeAfter)
	if have := copy(sound, m.audio[min(at-before, len(m.audio)):]); have < len(sound) {
		copy(sound[have:], m.following().Audio(m.codec))
	}
	return codec.FadeOut(dst, m.codec, sound, before, n)
}

// fadeOut sends the next frame of music ahead of its time, as it dies away.
func (p *Port) fadeOut() {
	now := p.e.now()
	if !p.heardNow(now) {
		return
	}
	m := &p.music
	long := min(m.ptime, framePtime)
	b := m.ending(make([]byte, packet.HeaderSize, packetRoom), long*bytesPerMs)
	p.sendNext(b, time.Duration(m.ptime)*time.Millisecond, time.Duration(long)*time.Millisecond, now)
}

// tailTime is for how long a voice goes on that was cut, as it dies away.
const tailTime = 10 * time.Millisecond

// passed takes note of voice that has been passed on, newer than all before.
func (v *relay) passed(name string, payload []byte, ts uint32) {
	if v.voice == nil || v.voice.codec != name {
		v.voice = &ending{codec: name}
	}
	e := v.voice
	v.last = ts
	if over := len(e.audio) + len(payload) - codec.TailBefore; over > 0 {
		e.audio = e.audio[:copy(e.audio, e.audio[min(over, len(e.audio)):])]
	}
	e.audio = append(e.audio, payload[max(0, len(payload)-codec.TailBefore):]...)
}

// tail has the voice that was relayed until now die away, if the peer is just hearing it.
// An engine that closes says nothing: the next process goes on with the stream.
func (p *Port) tail() {
	o, e, now := &p.out, p.relay.voice, p.e.now()
	p.relay.voice = nil
	if e == nil || p.closed || p.e.over() || !o.ready || !o.begun || o.ts != p.relay.last || e.codec != p.session.Codec || now-o.at > 2*o.long {
		return
	}
	b := codec.Tail(make([]byte, packet.HeaderSize, packetRoom), e.codec, e.audio, int(tailTime/time.Millisecond)*bytesPerMs)
	if len(b) > packet.HeaderSize {
		p.sendNext(b, o.long, tailTime, now)
	}
}

// sendNext sends what follows on the last packet, which was of so long before it, ahead
// of its time; b is its payload behind room for the header.
func (p *Port) sendNext(b []byte, before, long, now time.Duration) {
	o := &p.out
	o.seq++
	if o.nearCeiling() {
		p.near()
	}
	o.used(o.ts+ticks(before), now, o.at+o.lead+before-now, long)
	packet.PutHeader(b, false, p.session.PT, o.seq, o.ts, o.ssrc)
	if count := p.e.spare(); p.send(b, now) {
		count.out.Add(1)
	} else {
		count.failed.Add(1)
	}
}

// ending is a piece of one stream: how its music died away, before it plays another.
type ending struct {
	codec string
	audio []byte
}

// Audio implements Piece. A codec that was agreed on just now begins in silence.
func (e *ending) Audio(name string) []byte {
	if name == e.codec {
		return e.audio
	}
	return codec.AppendSilence(nil, name, len(e.audio))
}

// change plays a tune in place of what is playing, after that has died away.
func (p *Port) change(t Tune) {
	m, last := &p.music, (*ending)(nil)
	if p.heardNow(p.e.now()) {
		last = &ending{m.codec, m.ending(nil, maxPtime*bytesPerMs)}
	}
	m.play(t, p.e.tick())
	if last == nil {
		m.after = p.out.over()
		return
	}
	m.next = m.piece
	m.put(last)
}
