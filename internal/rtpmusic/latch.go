package rtpmusic

import "net/netip"

// latchAfter is how many packets in a row a source must send before it is the
// peer's.
const latchAfter = 3

// latch decides where a peer is: from where its packets are accepted and where
// ours go. It starts from the address in the peer's description.
//
// A peer behind NAT describes an address of its own network; its packets come
// from another one, and there it must be answered (symmetric RTP, RFC 4961). But
// there are also peers that send from one port and receive on another, and
// nothing in a packet tells the two apart. So:
//
//   - A source of which latchAfter valid packets come in a row, with one SSRC and
//     none of anybody else in between, is the peer's: its packets are accepted.
//   - If its IP address is another than the described one, something translates
//     addresses between us, and the described address is likely not even
//     reachable: we send to the source from then on.
//   - If only the port differs, nothing hides the peer, whose description is
//     right: it is asymmetric, and we go on sending to the described address.
//     Unless that refuses (ICMP): then nobody is there, and we send to the source.
//   - The first packet from the described address settles that there is no NAT.
//   - Once settled it stays settled, and everybody else is a stranger, until the
//     peer sends a new description. With a new address that starts afresh; with
//     the old one (a session refresh) all goes on where it was, and three packets
//     of another source may move it once more.
//   - After a restart it stands as after such a refresh: a peer that is silent
//     gets music where it was, and three packets of another source may move it.
//
// Packets of the described address are accepted always.
type latch struct {
	remote  netip.AddrPort // as described
	source  netip.AddrPort // accepted besides remote
	target  netip.AddrPort // where we send
	settled bool

	restored netip.AddrPort // of a former process: target with the first description

	candidate netip.AddrPort // whoever sent the last packets
	ssrc      uint32
	count     uint8
}

// set takes a new description.
func (l *latch) set(remote netip.AddrPort) {
	if l.restored.IsValid() && reachable(remote) {
		*l = latch{remote: remote, source: l.restored, target: l.restored}
		return
	}
	if remote != l.remote || l.restored.IsValid() {
		*l = latch{remote: remote, source: remote, target: remote}
		return
	}
	l.settled, l.count = false, 0
}

// hidden returns where we send if it is not where the description says.
func (l *latch) hidden() netip.AddrPort {
	if l.restored.IsValid() {
		return l.restored
	}
	if l.target == l.remote {
		return netip.AddrPort{}
	}
	return l.target
}

// reachable says whether a described address is one at all; a peer on hold may
// describe none.
func reachable(a netip.AddrPort) bool {
	return a.IsValid() && !a.Addr().IsUnspecified() && a.Port() != 0
}

// known says whether packets from src are accepted as things are.
func (l *latch) known(src netip.AddrPort) bool {
	return src == l.source || src == l.remote
}

// packet takes note of a valid RTP packet and says whether it is accepted and
// whether target has changed.
func (l *latch) packet(src netip.AddrPort, ssrc uint32) (accepted, moved bool) {
	if l.settled {
		return l.known(src), false
	}
	switch src {
	case l.remote:
		return true, l.settle(src)
	case l.source:
		l.settled = true
		return true, false
	}
	if src != l.candidate || ssrc != l.ssrc {
		l.candidate, l.ssrc, l.count = src, ssrc, 0
	}
	if l.count++; l.count < latchAfter {
		return false, false
	}
	return true, l.settle(src)
}

// settle makes src the peer's; true if target has changed.
func (l *latch) settle(src netip.AddrPort) (moved bool) {
	l.source, l.settled = src, true
	to := src
	if src.Addr() == l.remote.Addr() {
		to = l.remote
	}
	moved = l.target != to
	l.target = to
	return moved
}

// doubtful says whether the peer is taken for asymmetric, which a refusal of the
// described address would prove wrong.
func (l *latch) doubtful() bool {
	return l.settled && l.source != l.target && l.target == l.remote
}

// refused takes note that target is unreachable; true if target has changed.
func (l *latch) refused() (moved bool) {
	if !l.doubtful() {
		return false
	}
	l.target = l.source
	return true
}
