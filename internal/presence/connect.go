package presence

import (
	"net/netip"
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
		s.backoff, s.retry = 0, time.Now()
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
	s.n.index.update(s, &s.rec)
	s.keep(nil)
	s.turn()
}

// join puts a subscription under its connection; it holds mu.
func (x *index) join(s *sub, f sipua.Flow) {
	l := linkOf(f)
	if l == s.face.link {
		return
	}
	if s.face.link != (link{}) {
		take(x.links, s.face.link, s)
	}
	if s.face.link = l; l != (link{}) {
		put(x.links, l, s)
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
	if s.face.lost = s.face.link; !nat {
		s.face.lost = s.face.link.host()
	}
	put(x.lost, s.face.lost, s)
}

func (x *index) found(s *sub) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unlose(s)
}

// unlose holds mu.
func (x *index) unlose(s *sub) {
	if s.face.lost != (link{}) {
		take(x.lost, s.face.lost, s)
		s.face.lost = link{}
	}
}

// connected returns the subscriptions that came by a connection from the same
// place as a new one, and those that have not answered and to whom it may lead.
func (x *index) connected(l link) (same, lost []*sub) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := range x.links[l] {
		same = append(same, s)
	}
	for _, where := range []link{l, l.host()} {
		for s := range x.lost[where] {
			lost = append(lost, s)
		}
	}
	return same, lost
}

// mates are the other subscriptions under a connection whose From, and Contact
// but for its port, are those of s.
func (x *index) mates(s *sub, l link) (list []*sub) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for m := range x.links[l] {
		a, b := m.face.watcher, s.face.watcher
		if m != s && a.from != "" && a.from == b.from && withoutPort(a.contact) == withoutPort(b.contact) {
			list = append(list, m)
		}
	}
	return list
}

func withoutPort(contact string) string { return contact[:max(0, strings.LastIndexByte(contact, ':'))] }
