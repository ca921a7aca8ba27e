package sipua

import (
	"net"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// together is how many packets go with one system call. The sends of each on the
// loopback, where they take longest, are some ten microseconds.
const together = 32

// salvo is what sendmmsg(2) needs.
type salvo struct {
	mu sync.Mutex // held to send by it, which never waits for long: see room
	*salvoRoom
}

type salvoRoom struct {
	heads   [together]mmsghdr
	vectors [together]unix.Iovec
	names   [together]unix.RawSockaddrInet6 // room for either family
	of      [together]int                   // which of the packets that is
}

func newSalvoRoom() *salvoRoom {
	s := &salvoRoom{}
	for i := range s.heads {
		h := &s.heads[i]
		h.Name, h.Iov = (*byte)(unsafe.Pointer(&s.names[i])), &s.vectors[i]
		h.SetIovlen(1)
	}
	return s
}

// sendAll sends packets as send does each, but for those that have failed already, and
// leaves their errors in them.
func (r *rawUDP) sendAll(list []packet) {
	r.sends.RLock()
	defer r.sends.RUnlock()
	r.salvo.mu.Lock()
	defer r.salvo.mu.Unlock()
	if r.salvo.salvoRoom == nil {
		r.salvo.salvoRoom = newSalvoRoom()
	}
	closed, n := r.closed.Load(), 0
	for i := range list {
		p := &list[i]
		switch {
		case p.err != nil:
			continue
		case closed:
			p.err = r.failed(p.to, net.ErrClosed)
			continue
		case len(p.wire) == 0:
			p.err = r.failed(p.to, unix.EINVAL)
			continue
		}
		r.salvo.names[n] = unix.RawSockaddrInet6{}
		size, ok := r.name(&r.salvo.names[n], p.to)
		if !ok {
			p.err = r.failed(p.to, unix.EAFNOSUPPORT)
			continue
		}
		r.salvo.heads[n].Namelen = uint32(size)
		r.salvo.vectors[n].Base = &p.wire[0]
		r.salvo.vectors[n].SetLen(len(p.wire))
		r.salvo.of[n] = i
		if n++; n == together {
			r.fire(list, n)
			n = 0
		}
	}
	r.fire(list, n)
}

// fire sends the first n of the salvo.
func (r *rawUDP) fire(list []packet, n int) {
	s := r.salvo.salvoRoom
	for k := 0; k < n; {
		// It does not wait, so the scheduler need not know.
		sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&s.heads[k])), uintptr(n-k), unix.MSG_DONTWAIT, 0, 0)
		p := &list[s.of[k]] // whom an error is about: those before it have gone
		switch errno {
		case 0:
			k += int(sent)
		case unix.EINTR:
		case unix.EAGAIN:
			if !r.room() {
				p.err = r.failed(p.to, errFull)
				k++
			}
		default:
			p.err = r.failed(p.to, os.NewSyscallError("sendmmsg", errno))
			k++
		}
	}
	for i := range n {
		s.vectors[i].Base = nil
	}
}
