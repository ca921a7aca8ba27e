package rtpmusic

import (
	"sync"

	"golang.org/x/net/bpf"
)

// A filter is a program by which the kernel throws away the voice of a peer to whom
// nobody listens: a parked caller's microphone sends 50 packets a second. It lets
// pass all that is acted upon: what is not RTP, RTCP, keys, and of the rest one packet
// in sampleEvery, which tells that the peer is there. It reads the
// headers alone, which SRTP leaves clear.
type filter struct {
	prog []bpf.RawInstruction
}

// sampleEvery is of how many packets of voice one passes: a power of two. Of usual
// ones, 20 ms long, it is one each 1.28 s.
const sampleEvery = 64

// Where a filter finds fields of a datagram: it sees the UDP header, too.
const (
	udpHeader = 8
	atVersion = udpHeader     // version, padding, extension, CSRC count (RFC 3550 5.1)
	atType    = udpHeader + 1 // marker and payload type; of RTCP the packet type
	atSeq     = udpHeader + 2
)

// newFilter makes the filter for telephone-events of two payload types; 0 is none.
func newFilter(event, event2 uint8) *filter {
	raw, err := bpf.Assemble(filterProgram(event, event2))
	if err != nil {
		panic(err) // of constants: cannot happen
	}
	return &filter{raw}
}

// filterProgram is what newFilter assembles. It returns how many octets of the
// datagram pass.
func filterProgram(event, event2 uint8) (prog []bpf.Instruction) {
	passIf := func(cond bpf.JumpTest, val uint32) {
		prog = append(prog, bpf.JumpIf{Cond: cond, Val: val, SkipFalse: 1}, bpf.RetConstant{Val: 1 << 18})
	}
	load := func(at uint32, size int, mask uint32) {
		prog = append(prog, bpf.LoadAbsolute{Off: at, Size: size}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask})
	}
	// To load what is not there would drop the datagram.
	prog = append(prog, bpf.LoadExtension{Num: bpf.ExtLen})
	passIf(bpf.JumpLessThan, atSeq+2)
	load(atVersion, 1, 0xC0)
	passIf(bpf.JumpNotEqual, 0x80) // RFC 7983 7: from 128 to 191 it is RTP or RTCP
	load(atType, 1, 0xE0)
	passIf(bpf.JumpEqual, 0xC0) // RFC 5761 4: from 192 to 223 it is RTCP
	load(atType, 1, 0x7F)
	for _, pt := range []uint8{event, event2} {
		if pt != 0 {
			passIf(bpf.JumpEqual, uint32(pt))
		}
	}
	load(atSeq, 2, sampleEvery-1)
	passIf(bpf.JumpEqual, 0)
	return append(prog, bpf.RetConstant{Val: 0})
}

// filters are those in use: ports whose peers have the same payload types share one.
type filters struct {
	mu   sync.Mutex
	made map[[2]uint8]*filter // guarded by mu; payload types are seven bits, so it is bounded
}

// of returns the filter for two payload types of telephone-events.
func (f *filters) of(event, event2 uint8) *filter {
	key := [2]uint8{min(event, event2), max(event, event2)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.made == nil {
		f.made = make(map[[2]uint8]*filter)
	}
	if f.made[key] == nil {
		f.made[key] = newFilter(event, event2)
	}
	return f.made[key]
}

// screenAfter is how many packets are read for nobody before a filter is attached,
// which costs as much CPU time as reading some of them, and memory of the kernel: not
// for a caller who is fetched at once, nor again and again for one who presses keys.
const screenAfter = 64

// screenSpread is how many more it may be, a number of each port's own: after a restart
// all callers are heard at once.
const screenSpread = 64

// screen is called after each packet that was read. It takes the filter off while it is
// not known who the peer is, or it seems to go on from another address, so that the peer
// is found; and while the peer holds a key down, since only what follows tells that it
// was let go when the end of it was lost (packet.Keys). Otherwise, without a bridge, it
// returns true when it is time to attach one, by attach.
func (p *Port) screen() bool {
	switch {
	case p.peer != nil || !p.latch.settled || p.latch.moving() || p.inbox.keys.Down():
		p.unscreen()
	case !p.out.filtered && p.deaf != nil:
		p.inbox.idle++
		p.out.filtered = p.inbox.idle >= screenAfter+uint8(p.num/2%screenSpread) && p.sock.filter(p.deaf)
		return p.out.filtered
	}
	return false
}

// unscreen has everything be heard, at once.
func (p *Port) unscreen() {
	p.wake()
	p.inbox.idle = 0
	if p.out.filtered {
		p.out.filtered = false
		p.sock.filter(nil)
	}
}
