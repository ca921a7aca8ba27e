package rtpmusic

import "time"

// A socket that somebody polls costs whoever sends from it an eighth of the packet
// more: once that is gone the system looks for those who wait to write, and finds the
// poller. So a port to which music is played, and from which nothing urgent is to be
// expected, dozes: no poller has it, and the sender of the music looks every dozeLook
// whether something has come. What wakes it: a new description, a key, a bridge, the
// end of the music, a peer who is looked for. Then the poller has it for looseAfter.

// How long what comes may wait then, ms: the longest packets are shorter. From whoever has
// said nothing for dozeDeep nothing but a key is to be expected, and to look is a thirtieth
// of what their music costs.
const (
	dozeLook  = 100
	dozeSleep = 300
)

const dozeDeep = 10 * time.Second

// dozeReads is how many packets are read at a look: more than voice has. Who sends more
// is heard no sooner.
const dozeReads = 16

// looks is called for each frame: true if it is time to look what has come. The port
// dozes from then on if it may.
func (p *Port) looks(w *pacer, tick int64) bool {
	ptime, look := p.music.ptime, dozeLook
	if p.out.dozes && w.now-max(p.out.heard, p.out.woken) >= dozeDeep {
		look = dozeSleep
	}
	if (int(tick)/ptime+int(p.num/2))%(look/ptime) != 0 { // not all at once
		return false
	}
	if p.out.dozes {
		return true
	}
	// With RTCP at the same port reports are answered by how long ago they came
	// (RFC 3550 6.4.1, DLSR), and an error of the socket may tell that the peer is
	// elsewhere.
	if p.peer != nil || p.session.Mux || p.latch.doubtful() || p.inbox.keys.Down() || w.now-p.out.woken < looseAfter {
		return false
	}
	p.out.dozes = p.sock.doze(true)
	return false
}

// wake gives the port back to its poller.
func (p *Port) wake() {
	if p.out.dozes {
		p.out.dozes = p.sock.doze(false)
		p.out.woken = p.e.now()
	}
}
