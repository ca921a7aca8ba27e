package leg

import (
	"net/netip"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sdp"
)

// Media past us (RFC 3725). Both dialogs and both descriptions are there when it
// begins, so that each of the two re-INVITEs is an offer of what the other party
// has described, and nothing waits for anybody. The leg that leads is told first;
// when its party has taken the other's address, the other leg follows. Until then,
// and wherever one refuses, the relay is in place: nothing is lost by trying.
const (
	lookEvery = time.Second // how often it is looked whether media may flow past us
	looks     = 30          // and how many times after each change
)

// path is what a leg knows of the way that its media goes. Owned by the leg's queue.
type path struct {
	leads   bool          // it leads the two that are joined
	direct  bool          // it leads, and media is to flow past us
	closed  bool          // the peer is to be told of no address but ours
	past    bool          // it leads, and media does flow past us
	looking *dialog.Timer // for the next look; nil = it has been looked enough
	looked  int
	chased  time.Time // when the peer was last told of another address than before
	chases  int       // and how often of late
}

// lead has the leg lead the two that are joined, or no more. resumed: it may have
// done so in a former process.
func (l *Leg) lead(direct, resumed bool) {
	switch {
	case !direct:
		l.unlead()
	case !l.leads:
		l.leads = true
		l.direct = resumed && !l.local.Elsewhere.IsZero()
		l.review()
	}
	l.show()
}

func (l *Leg) unlead() {
	l.leads, l.direct = false, false
	l.looking.Stop()
	l.looking = nil
	l.flows(false)
}

// straight reports whether the peer is to be told where the media of the other
// party is, who shows f.
func (l *Leg) straight(f face) bool {
	switch {
	case l.agreed == nil || f.party.Codec.Name != l.agreed.Codec.Name || l.shut() || f.closed:
		return false
	case l.leads:
		return l.direct
	}
	return f.direct && (f.told || !l.local.Elsewhere.IsZero())
}

// review: something has changed in one of the two. Whoever leads takes the media
// back where it may not flow past us any more, and looks anew where it may.
func (l *Leg) review() {
	if !l.leads {
		return
	}
	f := l.other()
	if l.direct && !l.straight(f) {
		l.direct = false
		l.show()
	}
	l.flows(l.direct && f.told && !l.accepted.elsewhere.IsZero())
	if l.direct || l.shut() || f.closed {
		return
	}
	l.looked = 0
	if l.looking == nil {
		l.looking = l.after(lookEvery, l.look)
	}
}

// look begins to lead media past us, once both parties are known to be where they
// say.
func (l *Leg) look() {
	l.looking = nil
	if !l.leads || l.direct || l.state != confirmed {
		return
	}
	if l.open() {
		l.direct = true
		l.show()
		l.catchUp()
		return
	}
	if l.looked++; l.looked < looks {
		l.looking = l.after(lookEvery, l.look)
	}
}

// open reports whether the two can reach each other and understand each other.
func (l *Leg) open() bool {
	f, mine := l.other(), l.face.Load()
	a, b := mine.party, f.party
	return a.Codec.Name == b.Codec.Name && !l.shut() && !f.closed &&
		near(a.Addr, b.Addr) && l.port.Source() == a.Addr && l.partner.port.Source() == b.Addr &&
		b.Fits(l.last)
}

// near reports whether one address can be reached from the other: both of one
// family, and both public or both not.
func near(a, b netip.AddrPort) bool {
	return usable(a) && usable(b) && a.Addr().Is4() == b.Addr().Is4() &&
		private(a.Addr()) == private(b.Addr()) && a.Addr().IsLoopback() == b.Addr().IsLoopback()
}

func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}

// usable reports whether media can be sent to a described address.
func usable(a netip.AddrPort) bool {
	return a.IsValid() && !a.Addr().IsUnspecified() && a.Port() != 0
}

// Phones that take another port for each description would chase each other.
const (
	chaseFor = 30 * time.Second
	chaseMax = 5
)

// chase takes note that the peer is to be told of the other's media, and reports
// whether that is of use.
func (l *Leg) chase(to sdp.Elsewhere) bool {
	if to.IsZero() || l.accepted.elsewhere.IsZero() || to.Addr == l.accepted.elsewhere.Addr {
		return true
	}
	if time.Since(l.chased) > chaseFor {
		l.chases = 0
	}
	l.chased = time.Now()
	l.chases++
	return l.chases <= chaseMax
}

// flows says which way media goes, when that has changed.
func (l *Leg) flows(past bool) {
	if l.past == past {
		return
	}
	l.past = past
	if past {
		l.m.direct.Add(1)
		l.log.Info().Msg("media flows directly")
		return
	}
	l.m.direct.Add(-1)
	l.log.Info().Msg("media flows through parkd")
}
