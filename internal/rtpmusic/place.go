package rtpmusic

import (
	"net/netip"
	"time"
)

// Place is where a port's stream resumes after the process that sent it has ended,
// however it did: nothing that its peer sees goes backwards (RFC 3550 5.1). It is
// a snapshot to be kept with the leg, good until OnPlace says that there is another.
type Place struct {
	SSRC uint32 `json:"ssrc"`
	// Seq is a ceiling: nothing above it is sent before there is a new Place, and
	// the stream resumes with the number after it. It is PlaceBlock ahead of what
	// was sent, so that it is no step back modulo 2^16. A receiver that follows RFC
	// 3550 A.1 loses one packet by the jump.
	Seq uint16    `json:"seq"`
	TS  uint32    `json:"ts"` // the timestamp of At; they rise by the clock from there
	At  time.Time `json:"at"`
	// Source is where music is sent if that is not the address in the peer's
	// description, as the peer is behind NAT; unset if it is.
	Source netip.AddrPort `json:"source,omitzero"`

	// What reports say (RFC 3550 6.4.1, 6.5.1): ceilings, as Seq is one; the name; and at
	// which port of ours RTCP was received.
	Packets uint32 `json:"packets,omitempty"`
	Octets  uint32 `json:"octets,omitempty"`
	CNAME   string `json:"cname,omitempty"`
	RTCP    uint16 `json:"rtcp,omitempty"`
}

// After returns the place for a process before which others have resumed by this one:
// so many, none of which has kept another.
func (pl Place) After(others uint64) Place {
	pl.Seq += uint16(others) * PlaceBlock
	pl.Packets += uint32(others) * PlaceBlock
	pl.Octets += uint32(others) * PlaceBlock * maxPtime * bytesPerMs
	return pl
}

// PlaceBlock is how many packets a ceiling is ahead, and what a process may send
// after Resume by the Place that it was given.
const PlaceBlock = 8192

const (
	placeWarn   = PlaceBlock / 2 // how near to the ceiling a new Place is asked for
	placeSpread = 1024           // that much earlier at most: calls of one restart are not to ask together
	placeAgain  = 512            // packets after which it is asked for again
	placeEvery  = time.Second    // more often it is not asked for, whatever a peer sends
)

// Place raises the ceiling and returns the place to be kept. Whoever calls it keeps
// what it returns, in the order of the calls.
func (p *Port) Place() Place {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := &p.out
	at, ts := time.Now().UTC().Truncate(time.Millisecond), o.ts
	if o.begun {
		ts += ticks(p.e.now() - o.at)
	}
	o.raise()
	pl := Place{SSRC: o.ssrc, Seq: o.seq, TS: ts, At: at, Source: p.latch.hidden(),
		Packets: o.packets, Octets: o.octets, CNAME: string(p.reports.cname[:])}
	if p.control != nil {
		pl.RTCP = p.control.port
	}
	return pl.After(1)
}

// raise sets when a ceiling that is PlaceBlock ahead is to be raised again.
func (o *out) raise() { o.warn = o.seq + placeWarn - uint16(o.ssrc%placeSpread) }

// Resume makes the port go on with a former one's stream; it is called before the
// first Set. The PlaceBlock numbers after pl.Seq are this process's. So that no
// later one sends them again, whoever resumes by a Place that is older than the
// last process resumes by what its After returns; then nothing needs to be kept at a
// start. Music goes to pl.Source at once; whoever
// is heard first and consistently may move it, as with any new description.
func (p *Port) Resume(pl Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gap := time.Since(pl.At)
	if gap < 0 {
		// The clock was set back and nobody knows how long it has been: as long as
		// the packets up to the ceiling would have taken, say.
		gap = PlaceBlock * framePtime * time.Millisecond
	}
	o := &p.out
	o.ssrc, o.seq, o.packets, o.octets = pl.SSRC, pl.Seq, pl.Packets, pl.Octets
	c := &p.reports
	if c.last, c.before = o.packets, o.packets; len(pl.CNAME) == cnameSize {
		copy(c.cname[:], pl.CNAME)
	}
	p.controlled(pl.RTCP)
	o.raise()
	o.used(pl.TS+ticks(gap), p.e.now(), 0, framePtime*time.Millisecond)
	p.latch.restored = plain(pl.Source)
}

// OnPlace sets who is told that the Place that was kept is to be replaced: the
// stream comes near its ceiling, or music goes to another address. f runs on a
// goroutine of its own, calls may overlap, and it must not call Engine.Close, which
// waits for it. A call that has begun may outlast Close; none begins after it.
func (p *Port) OnPlace(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onPlace = f
}

// near is called once out.seq has reached out.warn.
func (p *Port) near() {
	p.out.warn = p.out.seq + placeAgain
	p.replaced()
}

// replaced has it told that there is a new Place: each is a record that is written. Where
// that was a moment ago, the next visit tells it.
func (p *Port) replaced() {
	now := p.e.now()
	if p.unasked = p.asked != 0 && now-p.asked < placeEvery; p.unasked {
		return
	}
	p.asked = max(now, 1)
	if p.onPlace != nil {
		p.e.wg.Go(p.onPlace)
	}
}

// ticks returns a length of time as one of timestamps, modulo 2^32.
func ticks(d time.Duration) uint32 {
	return uint32(int64(d) / int64(time.Millisecond/ticksPerMs))
}
