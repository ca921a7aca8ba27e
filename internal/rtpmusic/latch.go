package rtpmusic

import (
	"net/netip"
	"time"
)

// Latch says whose packets are taken for the peer's, and where it is sent to.
type Latch uint8

const (
	// LatchAuto finds peers behind NAT and those that send from another port than
	// they listen on: see latch.
	LatchAuto Latch = iota
	// LatchAlways sends to where packets come from, whatever was described.
	LatchAlways
	// LatchNever knows the described address alone: everybody else is a stranger.
	LatchNever
)

// latchAfter is how many packets in a row a source must send before it is the
// peer's.
const latchAfter = 3

// refound is how long a source that was found is waited for after the description has
// been repeated, or the process has begun anew: most go on within a packet's time, and
// before that one of a stranger's floods would have sent its three.
const refound = time.Second

// latch decides where a peer is: from where its packets are accepted and where
// ours go. It starts from the address in the peer's description.
//
// A peer behind NAT describes an address of its own network; its packets come
// from another one, and there it must be answered (symmetric RTP, RFC 4961; RFC
// 7362 calls it latching, and warns of it: whoever is first may be a stranger). But
// there are also peers that send from one port and receive on another, and
// nothing in a packet tells the two apart. So:
//
//   - A source of which latchAfter valid packets come in a row, of one stream (one
//     SSRC, sequence numbers that go on) and none of anybody else in between, is the
//     peer's: its packets are accepted.
//   - If its IP address is another than the described one, something translates
//     addresses between us, and the described address is likely not even
//     reachable: we send to the source from then on.
//   - If only the port differs, nothing hides the peer, whose description is
//     right: it is asymmetric, and we go on sending to the described address.
//     Unless that refuses (ICMP): then nobody is there, and we send to the source.
//     (LatchAlways does not make this difference.)
//   - The first packet from the described address settles that there is no NAT.
//   - Once settled it stays settled, and everybody else is a stranger, until the
//     peer sends a new description. With a new address that starts afresh; with
//     the old one (a session refresh) all goes on where it was, and three packets
//     of another source may move it once more if the source is silent for refound.
//   - Only the peer itself is heard from the described address: if latchAfter packets
//     come from there after all, whoever was first has been a stranger, and nobody
//     hides the peer.
//   - But a NAT may give a peer another port in the middle of a call. Where the
//     source has been silent for looseAfter, whoever goes on with its very stream (its
//     SSRC, and sequence numbers within reach of its last one) is no stranger: a guess
//     would have to hit one of 2^32 SSRCs three times. It is where we send if we sent
//     to the source before.
//   - After a restart it stands as after such a refresh: a peer that is silent
//     gets music where it was, and three packets of another source may move it.
//
// Packets of the described address are accepted always.
type latch struct {
	remote  netip.AddrPort // as described
	source  netip.AddrPort // accepted besides remote
	target  netip.AddrPort // where we send
	mode    Latch
	settled bool
	last    mark          // of the last packet that was accepted
	until   time.Duration // while not settled: the source is waited for

	restored netip.AddrPort // of a former process: target with the first description

	candidate netip.AddrPort // whoever sent the last packets
	next      mark           // of its last one
	count     uint8
}

// mark is what tells streams apart.
type mark struct {
	ssrc uint32
	seq  uint16
	at   time.Duration // when it came
}

// goesOn says whether n is a later packet of the stream of m (RFC 3550 A.1), or one
// that was overtaken.
func (m mark) goesOn(n mark) bool {
	step := int16(n.seq - m.seq)
	return n.ssrc == m.ssrc && step != 0 && step <= maxDropout && step >= -maxMisorder
}

// set takes a new description.
func (l *latch) set(remote netip.AddrPort, mode Latch, now time.Duration) {
	switch {
	case mode == LatchNever:
		*l = latch{remote: remote, source: remote, target: remote, mode: mode}
	case l.restored.IsValid() && reachable(remote):
		*l = latch{remote: remote, source: l.restored, target: l.restored, mode: mode, until: now + refound}
	case remote != l.remote || l.restored.IsValid():
		*l = latch{remote: remote, source: remote, target: remote, mode: mode}
	default:
		if l.settled {
			l.until = now + refound
		}
		l.settled, l.count, l.mode = false, 0, mode
	}
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
func (l *latch) packet(src netip.AddrPort, m mark) (accepted, moved bool) {
	switch {
	case l.settled && src == l.remote && l.target != src:
		return true, l.described(m)
	case l.settled && l.known(src):
		if l.last = m; l.moving() { // it is where it was
			l.count = 0
		}
		return true, false
	case l.settled && (m.at-l.last.at < looseAfter || !l.last.goesOn(m)), l.mode == LatchNever && src != l.remote:
		return false, false
	case src == l.remote, src == l.source && l.mode == LatchAlways:
		return true, l.settle(src, m)
	case src == l.source:
		l.settled, l.last = true, m
		return true, false
	case m.at < l.until && (l.last == (mark{}) || !l.last.goesOn(m)):
		return false, false
	case src != l.candidate || m.ssrc != l.next.ssrc || m.seq != l.next.seq && !l.next.goesOn(m):
		l.candidate, l.count = src, 0
	case m.seq == l.next.seq: // the same again
		return false, false
	}
	l.next = m
	if l.count++; l.count < latchAfter {
		return false, false
	}
	return true, l.settle(src, m)
}

// described takes note of a packet from the described address while we send to another;
// true if we do no more.
func (l *latch) described(m mark) (moved bool) {
	if l.candidate != l.remote || !l.next.goesOn(m) {
		l.candidate, l.count = l.remote, 0
	}
	l.next = m
	if l.count++; l.count < latchAfter {
		return false
	}
	return l.settle(l.remote, m)
}

// settle makes src the peer's; true if target has changed.
func (l *latch) settle(src netip.AddrPort, m mark) (moved bool) {
	symmetric := l.mode == LatchAlways || l.settled && l.source == l.target
	l.source, l.settled, l.last, l.count = src, true, m, 0
	to := src
	if src.Addr() == l.remote.Addr() && !symmetric {
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

// moving says whether the peer may be about to show itself at another address, which
// the next packets tell.
func (l *latch) moving() bool { return l.settled && l.count > 0 && l.candidate != l.remote }

// refused takes note that target is unreachable; true if target has changed.
func (l *latch) refused() (moved bool) {
	if !l.doubtful() {
		return false
	}
	l.target = l.source
	return true
}
