package leg

import (
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sdp"
)

// pairing is what a leg knows of the one that it is joined with, and what its peer is
// told of that. Owned by the leg's queue.
type pairing struct {
	partner  *Leg          // it is joined with; nil = none
	assigned bool          // an effect has said what the peer is to hear
	wish     sdp.Direction // what the peer wants to send and receive
	accepted told          // what the peer has taken of what it was told
	declined *told         // and what it has refused
	wanted   bool          // a re-INVITE
	behind   bool          // last is not what there is to describe
	pause    *dialog.Timer // after a glare
}

// face is what a leg shows of itself to the one that it is joined with. A face is
// replaced, never changed.
type face struct {
	wish   sdp.Direction // what its party wants to send and receive
	party  sdp.Elsewhere // its party's media; without Addr while that cannot be sent to
	direct bool          // it leads, and media is to flow past us
	told   bool          // its party has taken the address of the other's media
	closed bool          // its party is to be told of no address but ours
}

// join relays media between the leg and another. direct: the leg may lead the two
// to a media path past us.
func (l *Leg) join(peer *Leg, direct bool, n uint64) {
	if peer == nil || l.state == ending || l.state == ended || l.turn.over(n) || peer.turn.over(n) {
		return
	}
	resumed := l.restored && !l.assigned
	if l.partner != peer {
		l.part()
		if !both(l, peer, n, func() { connect(l.port, peer.port) }) {
			return
		}
		l.partner, l.assigned = peer, true
		peer.post(func() { peer.met(l, n) })
	}
	l.lead(direct, resumed)
	l.catchUp()
}

// connect joins two ports, if they are there.
func connect(port, peer Port) {
	if later, ok := peer.(*latePort); ok {
		later.Join(port)
	} else {
		port.Join(peer)
	}
}

// met: another leg has joined this one, by the n-th effect.
func (l *Leg) met(peer *Leg, n uint64) {
	if l.state == ending || l.state == ended || l.partner == peer || l.turn.over(n) {
		return
	}
	l.part()
	l.partner, l.assigned = peer, true
	l.show()
	l.catchUp()
}

// part ends what join began.
func (l *Leg) part() {
	peer := l.partner
	if peer == nil {
		return
	}
	if later, ok := peer.port.(*latePort); ok {
		later.Part(l.port)
	}
	l.port.Part(peer.port)
	l.alone()
	peer.post(func() {
		if peer.partner == l { // what it is to hear now, an effect will say
			peer.alone()
		}
	})
}

// homeAfter is how long a party whose media flowed past us is given to hang up, or to
// be joined with somebody else, before it is told to send to us.
const homeAfter = 200 * time.Millisecond

// alone forgets the other leg. Whoever still sends to the other party, as after a
// REFER that has parked that one, is told to stop.
func (l *Leg) alone() {
	l.partner = nil
	if !l.accepted.elsewhere.IsZero() {
		l.after(homeAfter, l.catchUp)
	}
	l.unlead()
	l.closed = false
	l.declined = nil
	l.show()
}

// show has the other leg see what has changed of this one.
func (l *Leg) show() {
	f := face{wish: l.wish, direct: l.direct, told: !l.accepted.elsewhere.IsZero(), closed: l.shut()}
	if a := l.agreed; a != nil {
		f.party = sdp.Elsewhere{Codec: a.Codec, Event: a.Event}
		if usable(a.Remote) {
			f.party.Addr = a.Remote
		}
	}
	if before := l.face.Swap(&f); before != nil && *before == f {
		return
	}
	if peer := l.partner; peer != nil {
		peer.post(func() {
			if peer.partner == l {
				peer.review()
				peer.catchUp()
			}
		})
	}
}
