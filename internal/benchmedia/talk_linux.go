package benchmedia

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Way is the way of a caller's packets: from their own address to a port of parkd.
type Way struct{ From, To netip.AddrPort }

// Talk is what callers send.
type Talk struct {
	stop chan struct{}
	done chan struct{}

	mu   sync.Mutex
	sent Sent // guarded by mu; so far
}

// Sent is what was sent so far.
func (t *Talk) Sent() Sent {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent
}

func (t *Talk) set(s Sent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = s
}

// Talk has callers send G.711, a packet every so many frames of 20 ms: 1 is who
// talks, 64 what is left of that behind parkd's filter. It lasts until End.
func (c *Callers) Talk(ways []Way, every int) (*Talk, error) {
	m, err := c.mouths(ways, every)
	if err != nil {
		return nil, err
	}
	t := &Talk{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // until it ends, and the thread with it
		m.run(t)
		close(t.done)
	}()
	return t, nil
}

// End ends it and tells how much it was.
func (t *Talk) End() Sent {
	close(t.stop)
	<-t.done
	return t.Sent()
}

// message is struct mmsghdr of sendmmsg(2).
type message struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// mouth is one caller's packet, ready to be sent: only its header changes.
type mouth struct {
	header [12]byte
	parts  [2]unix.Iovec
	to     unix.RawSockaddrInet4
	source struct { // the address of 127.0.0.0/8 that it is from
		unix.Cmsghdr
		unix.Inet4Pktinfo
		_ [4]byte
	}
}

// mouths are all callers, by phases: the socket of each phase is the same.
type mouths struct {
	fds      [Slots]int
	callers  [Slots][]mouth
	messages [Slots][]message
	every    int
}

func (c *Callers) mouths(ways []Way, every int) (*mouths, error) {
	m := &mouths{fds: [Slots]int(c.fds[:]), every: max(every, 1)}
	for _, w := range ways {
		i, ok := c.slot(w.From)
		if !ok {
			return nil, fmt.Errorf("%s is no address of a caller", w.From)
		}
		port := w.To.Port()
		p := mouth{to: unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port<<8 | port>>8, Addr: w.To.Addr().As4()}}
		p.header[0] = 0x80
		binary.BigEndian.PutUint16(p.header[2:], uint16(len(m.callers[i])*m.every)) // the filter's samples are spread
		binary.BigEndian.PutUint32(p.header[8:], uint32(w.From.Port())<<16|uint32(port))
		p.source.Level, p.source.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		p.source.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		p.source.Spec_dst = w.From.Addr().As4()
		m.callers[i] = append(m.callers[i], p)
	}
	voice := make([]byte, packetSize-len(mouth{}.header))
	for i := range voice {
		voice[i] = 0xff // G.711 silence
	}
	for i, callers := range m.callers {
		m.messages[i] = make([]message, len(callers))
		for j := range callers {
			p, h := &callers[j], &m.messages[i][j].hdr
			p.parts[0].Base, p.parts[1].Base = &p.header[0], &voice[0]
			p.parts[0].SetLen(len(p.header))
			p.parts[1].SetLen(len(voice))
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&p.to)), unix.SizeofSockaddrInet4
			h.Iov = &p.parts[0]
			h.SetIovlen(len(p.parts))
			h.Control = (*byte)(unsafe.Pointer(&p.source))
			h.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		}
	}
	return m, nil
}

// run sends until it is to stop. Callers of a phase who send seldom take turns.
func (m *mouths) run(t *Talk) {
	var s Sent
	clock := newPace()
	cpu := threadCPU()
	for tick := 0; ; tick++ {
		s.CPU, s.Took = threadCPU()-cpu, clock.now()
		t.set(s)
		select {
		case <-t.stop:
			return
		default:
		}
		due := time.Duration(tick) * time.Millisecond
		clock.until(due)
		slot := tick % Slots
		list, turn := m.messages[slot], tick/Slots%m.every
		list = list[len(list)*turn/m.every : len(list)*(turn+1)/m.every]
		if clock.now()-due >= Slots*time.Millisecond {
			s.Skipped += len(list)
			continue
		}
		for j := range list {
			m.callers[slot][len(m.messages[slot])*turn/m.every+j].next(m.every)
		}
		s.Packets += sendAll(m.fds[slot], list)
	}
}

// next is the caller's next packet.
func (p *mouth) next(every int) {
	binary.BigEndian.PutUint16(p.header[2:], binary.BigEndian.Uint16(p.header[2:])+uint16(every))
	binary.BigEndian.PutUint32(p.header[4:], binary.BigEndian.Uint32(p.header[4:])+160*uint32(every))
}

// sendAll returns how many were sent.
func sendAll(fd int, list []message) int {
	sent := 0
	for len(list) > 0 {
		n, _, err := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)), unix.MSG_NOSIGNAL, 0, 0)
		if err != 0 {
			n = 0
			list = list[1:] // the first one's fault
		}
		sent += int(n)
		list = list[n:]
	}
	return sent
}
