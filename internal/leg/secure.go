package leg

import (
	"crypto/rand"

	"parkd/internal/sdp"
)

// Keys of SRTP are never written down, neither ours nor the peer's. So a restored leg
// that is protected has none: it is silent until a re-INVITE of ours has told the peer
// new ones and has been answered with the peer's, or one of the peer's has. Nothing
// that a former process may have sent is ever protected by them (RFC 3711 9.1).

// newKeys draws keys.
func newKeys() sdp.Keys {
	var raw [sdp.KeyOctets]byte
	_, _ = rand.Read(raw[:]) // never fails
	return sdp.NewKeys(raw)
}

// rekeyed: the session is protected by s from now on. A key of ours that it was
// protected by before has been used, and is never described again.
func (l *Leg) rekeyed(s sdp.Secured) {
	if l.agreed != nil && l.agreed.Secured.Ours.Known() && l.agreed.Secured.Ours != s.Ours {
		l.local.Keys = newKeys()
		l.local.Keys.Keep(s)
	}
}

// secured reports whether SRTP protects the leg.
func (l *Leg) secured() bool { return l.agreed != nil && l.agreed.Secured.Suite != "" }

// locked reports whether it does, and nobody knows the keys.
func (l *Leg) locked() bool { return l.agreed != nil && l.agreed.Secured.Locked() }

// shut reports whether the peer is to be told of no address but ours: it does not take
// others, or what it sends is for our key.
func (l *Leg) shut() bool { return l.closed || l.secured() }

// unlock: a restored leg that is protected is to agree on new keys. Be it that this
// process has described some: whether the peer has read them, or a 200 of the former
// process, nobody knows.
func (l *Leg) unlock() {
	if !l.secured() {
		return
	}
	if a := *l.agreed; !a.Secured.Locked() {
		a.Secured = sdp.Secured{Suite: a.Secured.Suite}
		l.agree(a)
	}
	l.moving, l.behind, l.wanted = true, true, true
}
