package rtpmusic

import (
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// Music that is cut in the middle of a wave clicks, so it dies away in one last frame,
// which is this stream's own.

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
	m, o := &p.music, &p.out
	b := m.ending(make([]byte, packet.HeaderSize, packetRoom), min(m.ptime, framePtime)*bytesPerMs)
	o.seq++
	if o.nearCeiling() {
		p.near()
	}
	long := time.Duration(m.ptime) * time.Millisecond
	o.used(o.ts+ticks(long), now, o.at+o.lead+long-now, long)
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
