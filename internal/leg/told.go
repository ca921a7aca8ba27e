package leg

import "parkd/internal/sdp"

// told is what a description of ours says besides our own address: to each of two
// legs that are joined, what the other's party said of itself.
type told struct {
	way       sdp.Direction // what the other's party sends and receives
	elsewhere sdp.Elsewhere // its media; zero: ours
}

// said is what the last description says.
func (l *Leg) said() told { return told{l.local.Direction, l.local.Elsewhere} }

// tell has the next description say something else.
func (l *Leg) tell(t told) { l.local.Direction, l.local.Elsewhere = t.way, t.elsewhere }

// want is what the peer should be told: of whoever it is joined with, and alone
// that we send and receive. A restored leg does not know yet whose it is.
func (l *Leg) want() told {
	if l.partner == nil && l.restored && !l.assigned {
		return l.said()
	}
	f := l.other()
	w := told{way: f.wish}
	if l.straight(f) {
		w.elsewhere = f.party
		if before := l.local.Elsewhere; !f.party.Addr.IsValid() { // on hold by 0.0.0.0: it stays where it was
			w.elsewhere.Addr = before.Addr
		}
		if !w.elsewhere.Addr.IsValid() {
			w.elsewhere = sdp.Elsewhere{}
		}
	}
	return w
}

// other is the face of the leg that this one is joined with: of nobody, if it is not.
func (l *Leg) other() face {
	if l.partner != nil {
		if f := l.partner.face.Load(); f != nil {
			return *f
		}
	}
	return face{}
}

// adapt has the next description say what is wanted, and reports whether that is
// something new. What the peer has refused is not offered again.
func (l *Leg) adapt() bool {
	w := l.want()
	if l.declined != nil {
		if w == *l.declined {
			return false
		}
		l.declined = nil
	}
	if w == l.said() {
		return false
	}
	if !l.chase(w.elsewhere) {
		l.closed, w.elsewhere = true, sdp.Elsewhere{}
	}
	l.tell(w)
	return true
}

// preference is the codec that we would have the peer use: that of whoever it is
// joined with, for nothing is to be transcoded, else its own.
func (l *Leg) preference() string {
	if l.partner != nil {
		if name := l.partner.codecName(); name != "" {
			return name
		}
	}
	return l.codecName()
}

// ours is our end as the next description says it: RTCP is where it is now.
func (l *Leg) ours() sdp.Local {
	if n := l.port.RTCPPort(); n != 0 {
		l.local.RTCP = n
	}
	local := l.local
	local.Previous = l.last
	return local
}

// offer writes an offer of what is to be told now.
func (l *Leg) offer() []byte {
	local := l.ours()
	return sdp.Offer(local, preferred(local.Codecs, l.preference()))
}

// agreeTo writes the answer to an offer of the peer's, and takes what they agree on.
// After an error nothing has changed.
func (l *Leg) agreeTo(remote sdp.Remote, body []byte) error {
	local := l.ours()
	w := l.want()
	local.Direction, local.Elsewhere = w.way, w.elsewhere
	answer, agreed, err := remote.Answer(local, l.preference())
	if err != nil {
		return err
	}
	if agreed.Codec.Name != w.elsewhere.Codec.Name || agreed.Secured.Suite != "" {
		w.elsewhere = sdp.Elsewhere{} // what the two speak differs, or is protected: through us
	}
	l.wish = remote.WishAfter(l.accepted.way, l.wish)
	l.tell(w)
	l.accepted, l.declined = w, nil
	l.remote, l.described, l.last = remote, body, answer
	l.agree(agreed)
	return nil
}

// concluded takes a description that answers our last one.
func (l *Leg) concluded(body []byte) error {
	remote, err := sdp.Parse(body)
	if err != nil {
		return err
	}
	local := l.local
	local.Previous = l.last
	agreed, err := remote.Accept(local)
	if err != nil {
		return err
	}
	l.remote, l.described = remote, body
	l.wish = remote.WishAfter(l.local.Direction, l.wish)
	l.accepted = l.said()
	l.agree(agreed)
	return nil
}

// spurned: the peer refuses what it was told. The session is as before (RFC 3261
// 14.1), and nobody else's address is offered again.
func (l *Leg) spurned() {
	t := l.said()
	if t == l.accepted {
		return
	}
	l.declined = &t
	l.closed = l.closed || t.elsewhere != l.accepted.elsewhere
	l.tell(l.accepted)
	l.behind = true
}
