package rtpmusic

// Tune is music. *library.Tune is one. A stream of it plays piece after piece, and
// what a tune is may change between two of them.
type Tune interface {
	// Next returns what is played after a piece of the tune, and what a stream
	// begins with after nil. It returns at once, and never nil.
	Next(after Piece) Piece
}

// Piece is sound that is played from its start to its end, in every codec that
// there is: Audio returns payload that nobody may write to, 8 octets a millisecond,
// and at least maxPtime of it. Pieces can be compared by ==.
type Piece = interface {
	Audio(codec string) []byte
}

// music is a cursor over a tune. While nothing plays it keeps no piece of it in
// memory.
type music struct {
	audio   []byte // of piece, in codec
	pos     int    // in audio, of the next frame
	tick    int64  // to which time has gone on: that of the last frame, while a sender has the port
	after   int64  // before this tick no frame is sent: sound up to it was, as another sender had the port
	ptime   int    // ms
	playing bool
	fresh   bool  // no frame yet since play
	apart   bool  // the next frame does not follow the last one
	paced   bool  // a sender has the port
	pt      uint8 // payload type

	tune  Tune
	piece Piece // of tune
	next  Piece // follows piece if part of it was sent already; else nil
	codec string
}

// set follows a session: codec, its payload type, and length of packets.
func (m *music) set(s Session) {
	m.ptime, m.codec, m.pt = clampPtime(s.Ptime), s.Codec, s.PT
	if m.piece == nil {
		return
	}
	m.audio = m.piece.Audio(m.codec)
	if m.pos >= len(m.audio) {
		m.pos = 0
	}
}

// clampPtime returns the length of packets in ms for what was asked for.
func clampPtime(ms int) int {
	if ms <= 0 {
		return framePtime
	}
	return min(max(ms/ptimeStep, 1), maxPtime/ptimeStep) * ptimeStep
}

// play begins a tune at a tick.
func (m *music) play(t Tune, tick int64) {
	m.tune, m.next, m.pos, m.tick = t, nil, 0, tick
	m.put(t.Next(nil))
	m.playing, m.fresh = true, true
}

// stop ends it.
func (m *music) stop() {
	m.tune, m.piece, m.next, m.audio = nil, nil, nil, nil
	m.playing = false
}

// leave takes note that the sender whose packets were of ptime ms gives the port away.
func (m *music) leave(ptime int) {
	m.after, m.apart = m.tick+int64(ptime), true
}

// pass has time go on to a tick where no sender does that: the tune goes on though
// nobody may hear it.
func (m *music) pass(tick int64) {
	if !m.playing || m.paced || tick <= m.tick {
		return
	}
	m.move(int(tick-m.tick) * bytesPerMs)
	m.tick, m.fresh, m.apart = tick, false, true
}

func (m *music) put(p Piece) { m.piece, m.audio = p, p.Audio(m.codec) }

// move moves the cursor on by n octets.
func (m *music) move(n int) {
	m.pos += n
	if m.pos >= len(m.audio) {
		m.turn()
	}
}

// turn brings a cursor that is beyond the end of its piece to where it belongs in
// what follows.
func (m *music) turn() {
	for len(m.audio) > 0 && m.pos >= len(m.audio) {
		m.pos -= len(m.audio)
		next := m.following()
		m.next = nil
		if next == m.piece {
			m.pos %= len(m.audio) // many rounds have gone by if the machine was suspended
			return
		}
		m.put(next)
	}
	if len(m.audio) == 0 {
		m.pos = 0 // without a codec a tune does not begin
	}
}

// following returns what is played after the piece. The tune is asked once a piece,
// not before sound of what follows is due, and its answer holds.
func (m *music) following() Piece {
	if m.next == nil {
		m.next = m.tune.Next(m.piece)
	}
	return m.next
}

// fill puts the octets at the cursor into b, and those of what follows the piece if
// that ends before b is full.
func (m *music) fill(b []byte) {
	if n := copy(b, m.audio[m.pos:]); n < len(b) {
		copy(b[n:], m.following().Audio(m.codec))
	}
}
