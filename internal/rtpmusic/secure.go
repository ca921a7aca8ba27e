package rtpmusic

import (
	"bytes"
	"slices"
	"time"

	"parkd/internal/rtpmusic/srtp"
	"parkd/internal/sdp"
)

// lock is the SRTP of a port, owned as the port is. One without contexts is that of a
// session whose keys nobody knows any more: nothing is sent and nothing is heard until
// there are new ones.
type lock struct {
	of  sdp.Secured
	out *srtp.Sender
	in  *srtp.Receiver

	before *srtp.Receiver // of the key that the peer had before
	until  time.Duration  // when nothing under that is on its way any more

	told bool // the log has it that the peer's key is used up
}

// rekeyGrace is for how long packets under a former key of the peer are taken: they
// were sent before it had our answer.
const rekeyGrace = 5 * time.Second

// secure takes the keys of a session. Descriptions that say the same again change
// nothing: contexts stay, with all that they count. A new key of ours begins a new
// stream (RFC 3711 9.1: nothing is sent under a key that was used before).
func (p *Port) secure(s sdp.Secured) {
	was := p.lock
	if was != nil && was.of == s {
		return
	}
	if was != nil && was.out != nil && was.of.Ours != s.Ours {
		p.spent = was.of.Ours
	}
	if s.Suite == "" {
		p.lock = nil
		return
	}
	l := &lock{of: s}
	p.lock = l
	if s.Locked() || s.Ours == p.spent {
		return
	}
	if was != nil && was.of.Suite == s.Suite {
		if was.of.Ours == s.Ours {
			l.out = was.out
		}
		if sameKeys(was.of, s) {
			l.in = was.in
		}
	}
	var err error
	if l.in == nil {
		// The peer may have sent to a former process; and RFC 3711 3.3.1: under a new key
		// its rounds go on.
		late := was != nil
		if l.in, err = srtp.NewReceiver(s.Suite, peerKeys(s), late); err == nil && was != nil && was.in != nil {
			l.before, l.until = was.in, p.e.now()+rekeyGrace
		}
	}
	if err == nil && l.out == nil {
		if l.out, err = srtp.NewSender(s.Suite, []byte(s.Ours)); err == nil {
			p.anew()
		}
	}
	if err != nil { // descriptions hold keys that fit only: cannot happen
		p.e.log.Error().Err(err).Uint16("port", p.num).Msg("no srtp possible")
		l.out, l.in = nil, nil
	}
}

// anew begins another stream, of which nothing was reported yet.
func (p *Port) anew() {
	p.out.anew()
	p.relay.pause()
	p.reports.last, p.reports.before = 0, 0
}

// peerKeys are what the peer sends under.
func peerKeys(s sdp.Secured) []srtp.Key {
	var list []srtp.Key
	for _, k := range s.PeerKeys() {
		list = append(list, srtp.Key{Key: []byte(k.Key), MKI: []byte(k.MKI), Lifetime: k.Lifetime})
	}
	return list
}

// sameKeys reports whether the peer sends under what it did. A key's lifetime is what
// was said first: it is used no longer for being described again.
func sameKeys(a, b sdp.Secured) bool {
	return slices.EqualFunc(a.PeerKeys(), b.PeerKeys(), func(a, b sdp.PeerKey) bool { return a.Key == b.Key && a.MKI == b.MKI })
}

// anew begins another stream. RFC 3711 3.3.1: its numbers begin in the lower half, so
// that no loss at the start hides their roll over.
func (o *out) anew() {
	o.start()
	o.seq &= 0x7FFF
	o.raise()
	o.begun = false
}

// sends reports whether there is a key to send with, or no need of one.
func (l *lock) sends() bool { return l == nil || l.out != nil }

// protect makes a packet ready to be sent; nil if it must not be: a peer whose voice
// is relayed has used a number twice, say.
func (l *lock) protect(b []byte) []byte {
	if l.out == nil {
		return nil
	}
	b, err := l.out.RTP(b)
	if err != nil {
		return nil
	}
	return b
}

// open takes the protection off a datagram of the peer's; nil if it is not the
// peer's, or came before, or there are no keys.
func (l *lock) open(b []byte, now time.Duration) []byte {
	if l.in == nil || len(b) < 2 {
		return nil
	}
	if l.before == nil {
		return opened(l.in, b)
	}
	if now > l.until {
		l.before = nil
		return opened(l.in, b)
	}
	if got := opened(l.in, bytes.Clone(b)); got != nil { // what does not fit is wiped
		return got
	}
	return opened(l.before, b)
}

// unopened looks at why a datagram of the peer's was not opened: one that sends under a
// key longer than it said is heard no more, which an operator should know.
func (p *Port) unopened() {
	if l := p.lock; l.in != nil && !l.told && l.in.Spent() {
		l.told = true
		p.e.log.Warn().Uint16("port", p.num).Msg("peer sends under a key of srtp whose lifetime is over")
	}
}

func opened(r *srtp.Receiver, b []byte) []byte {
	open := r.RTP
	if b[1] >= 192 && b[1] <= 223 { // RFC 5761 4: RTCP's packet types
		open = r.RTCP
	}
	out, err := open(b)
	if err != nil {
		return nil
	}
	return out
}
