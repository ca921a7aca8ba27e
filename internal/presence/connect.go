package presence

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"parkd/internal/sipua"
)

// link is our peer's end of a TCP or TLS connection.
type link struct {
	network string
	remote  netip.AddrPort
}

// linkOf is zero for UDP.
func linkOf(f sipua.Flow) link {
	if f.Network == "udp" || !f.Remote.IsValid() {
		return link{}
	}
	return link{f.Network, netip.AddrPortFrom(f.Remote.Addr().Unmap(), f.Remote.Port())}
}

// host is the link without its port.
func (l link) host() link {
	if l == (link{}) {
		return l
	}
	return link{l.network, netip.AddrPortFrom(l.remote.Addr(), 0)}
}

// Connected says that a peer has opened a TCP or TLS connection, as
// sipua.Endpoint.HandleConnect tells it. It does not block.
//
// Which phone it is, nobody knows before a request in a dialog says so: phones
// come back from another port each time, and several may be behind one address.
// So nothing goes over the new connection on suspicion, since a NOTIFY to the
// wrong phone gets a 481, which ends a subscription. But a phone on that host
// is back, so those whom no way led to are tried again: at their Contact, or
// over this connection if it comes from the same port as theirs.
func (n *Notifier) Connected(f sipua.Flow) {
	same, lost := n.index.connected(linkOf(f))
	for _, s := range same {
		_ = s.queue.Post(func() { s.sure = false })
	}
	n.backlog.add(lost, true)
}

// unheard notes that a NOTIFY goes out over TCP or TLS, until it is answered:
// meanwhile a connection may come that it should have gone by. Whoever is behind
// NAT cannot be called there: only one from the very same port can be theirs.
func (s *sub) unheard() {
	d := &s.rec.Dialog
	if linkOf(d.Flow) != (link{}) {
		s.lost = true
		s.n.index.lose(s, d.NAT && len(d.Routes) == 0)
	}
}

func (s *sub) found() {
	if s.lost {
		s.lost = false
		s.n.index.found(s)
	}
}

// turn tells what is to be told. What found no way is told again at once, or as
// soon as that shows.
func (s *sub) turn() {
	switch {
	case !s.lost || s.gone:
	case s.sending != nil && !s.sending.over:
		s.sending.again = true
	default:
		s.backoff, s.retry = 0, instantOf(time.Now())
	}
	s.pump()
}

// sameWay says whether the NOTIFY in flight went where the next one would go. A
// phone that has come by another connection does not wait for what was sent to
// the one before.
func (s *sub) sameWay() bool {
	l := linkOf(s.rec.Dialog.Flow)
	return l == link{} || l == linkOf(s.sending.flow)
}

// leads takes the other subscriptions of a phone along: one of them was
// refreshed over a new connection, so what came by the same connection as it did
// before (was), under the same names, is that phone's too. It would be refreshed
// there sooner or later; until then it would be out of reach.
func (s *sub) leads(was sipua.Flow) {
	old, now := linkOf(was), linkOf(s.rec.Dialog.Flow)
	if old == now {
		return
	}
	s.pace = pacer{} // nothing was told here
	if old == (link{}) || old.host() != now.host() || s.n.o.Endpoint.Connected(was) {
		return
	}
	flow := s.rec.Dialog.Flow
	for _, m := range s.n.index.mates(s, old) {
		_ = m.queue.Post(func() { m.follow(old, flow) })
	}
}

// follow moves the subscription to the connection that its phone has now.
func (s *sub) follow(old link, flow sipua.Flow) {
	if s.gone || s.closing != "" || linkOf(s.rec.Dialog.Flow) != old {
		return
	}
	s.rec.Dialog.Flow, s.sure, s.pace = flow, true, pacer{}
	s.routed()
	s.n.index.update(s, &s.rec)
	s.keep(nil)
	s.turn()
}

// link is the connection that a subscription is under; it holds mu of the index.
func (f *face) link() link { return linkOf(sipua.Flow{Network: f.network, Remote: f.remote}) }

// join puts a subscription under its connection; it holds mu.
func (x *index) join(s *sub, f sipua.Flow) {
	old, now := s.face.link(), linkOf(f)
	s.face.network, s.face.remote = f.Network, f.Remote
	if old == now {
		return
	}
	if old != (link{}) {
		x.links = take(x.links, &x.most.links, old, s, inLinks)
	}
	if now != (link{}) {
		put(x.links, now, s, inLinks)
	}
}

// lose notes that a subscription's NOTIFY is not answered yet; found, that it is.
func (x *index) lose(s *sub, nat bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unlose(s)
	if !s.face.listed {
		return
	}
	where := s.face.link()
	if !nat {
		where = where.host()
	}
	s.face.lost = &where
	put(x.lost, where, s, inLost)
}

func (x *index) found(s *sub) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unlose(s)
}

// unlose holds mu.
func (x *index) unlose(s *sub) {
	if s.face.lost != nil {
		x.lost = take(x.lost, &x.most.lost, *s.face.lost, s, inLost)
		s.face.lost = nil
	}
}

// connected returns the subscriptions that came by a connection from the same
// place as a new one, and those that have not answered and to whom it may lead.
func (x *index) connected(l link) (same, lost []*sub) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.links[l]), slices.Concat(x.lost[l], x.lost[l.host()])
}

// mates are the other subscriptions under a connection whose From, and Contact
// but for its port, are those of s.
func (x *index) mates(s *sub, l link) (list []*sub) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range x.links[l] {
		if m != s && m.face.mate != 0 && m.face.mate == s.face.mate {
			list = append(list, m)
		}
	}
	return list
}

func withoutPort(contact string) string { return contact[:max(0, strings.LastIndexByte(contact, ':'))] }
