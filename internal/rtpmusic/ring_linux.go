package rtpmusic

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring gives the packets of many sockets to the kernel with one system call:
// io_uring(7). Where a call is dear, since the kernel has page tables of its own, a
// packet costs little more than half of what a sendto costs. It belongs to the thread
// that made it.
type ring struct {
	fd      int
	queues  []byte // mapped: both queues
	entries []byte // mapped: what is submitted

	head, tail *uint32 // of the queue of what is submitted
	done, came *uint32 // head and tail of that of completions
	sends      []ringSend
	results    []ringResult
}

// ringSend is struct io_uring_sqe of linux/io_uring.h, of a send.
type ringSend struct {
	op       uint8
	flags    uint8
	_        uint16
	fd       int32
	to       uint64 // addr2
	addr     uint64
	len      uint32
	msgFlags uint32
	frame    uint64 // user_data
	_        uint32
	toSize   uint16 // addr_len
	_        [18]byte
}

// ringResult is struct io_uring_cqe.
type ringResult struct {
	frame uint64
	res   int32
	_     uint32
}

// ringParams is struct io_uring_params; what is where in a queue is a number of
// octets.
type ringParams struct {
	sends, results, flags uint32
	_                     [2]uint32
	features              uint32
	_                     [4]uint32
	sendsAt               struct{ head, tail, _, _, _, _, array, _, _, _ uint32 }
	resultsAt             struct{ head, tail, _, _, _, entries, _, _, _, _ uint32 }
}

// Of linux/io_uring.h.
const (
	ringSubmitAll    = 1 << 7     // IORING_SETUP_SUBMIT_ALL
	ringSingleIssuer = 1 << 12    // IORING_SETUP_SINGLE_ISSUER
	ringOneMap       = 1 << 0     // IORING_FEAT_SINGLE_MMAP
	ringSkips        = 1 << 11    // IORING_FEAT_CQE_SKIP
	ringOpSend       = 26         // IORING_OP_SEND
	ringSkip         = 1 << 6     // IOSQE_CQE_SKIP_SUCCESS
	ringEntriesAt    = 0x10000000 // IORING_OFF_SQES
)

// newRing makes a ring for a batch. Kernels before 6.1 have none that can do what it
// takes, and many containers may not use it.
func newRing() (*ring, error) {
	p := ringParams{flags: ringSubmitAll | ringSingleIssuer}
	fd, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, batchSize, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring: %w", errno)
	}
	r := &ring{fd: int(fd)}
	err := r.mapAll(&p)
	if err == nil {
		err = r.try()
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("io_uring: %w", err)
	}
	return r, nil
}

// mapAll maps the queues into memory.
func (r *ring) mapAll(p *ringParams) (err error) {
	if p.features&ringOneMap == 0 || p.features&ringSkips == 0 {
		return unix.ENOSYS
	}
	size := max(p.sendsAt.array+4*p.sends, p.resultsAt.entries+p.results*uint32(unsafe.Sizeof(ringResult{})))
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if r.queues, err = unix.Mmap(r.fd, 0, int(size), prot, flags); err != nil {
		return err
	}
	if r.entries, err = unix.Mmap(r.fd, ringEntriesAt, int(p.sends)*int(unsafe.Sizeof(ringSend{})), prot, flags); err != nil {
		return err
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.queues[offset])) }
	r.head, r.tail = at(p.sendsAt.head), at(p.sendsAt.tail)
	r.done, r.came = at(p.resultsAt.head), at(p.resultsAt.tail)
	r.sends = unsafe.Slice((*ringSend)(unsafe.Pointer(&r.entries[0])), p.sends)
	r.results = unsafe.Slice((*ringResult)(unsafe.Pointer(at(p.resultsAt.entries))), p.results)
	array := unsafe.Slice(at(p.sendsAt.array), p.sends) // indices into sends
	for i := range array {
		array[i] = uint32(i)
	}
	return nil
}

// try sends a packet from a socket to itself: a kernel may know the call, and not an
// address in it.
func (r *ring) try() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	s := &rawSocket{fd: fd}
	s.aim(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(at.(*unix.SockaddrInet4).Port)))
	f := []frame{{port: &Port{sock: s}, b: make([]byte, 1)}}
	r.send(f)
	return f[0].err
}

// send sends frames, at most a batch, from sockets of the system, and says of each
// what went wrong.
func (r *ring) send(frames []frame) {
	tail, mask := *r.tail, uint32(len(r.sends)-1)
	for i := range frames {
		f := &frames[i]
		f.err = nil
		s := f.port.sock.(*rawSocket)
		e := ringSend{op: ringOpSend, flags: ringSkip, fd: int32(s.fd), frame: uint64(i), msgFlags: unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT,
			addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(f.b)))), len: uint32(len(f.b))}
		if !s.joined {
			e.to, e.toSize = uint64(uintptr(unsafe.Pointer(&s.to))), uint16(s.toSize)
		}
		r.sends[(tail+uint32(i))&mask] = e
	}
	atomic.StoreUint32(r.tail, tail+uint32(len(frames)))
	n, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(len(frames)), 0, 0, 0, 0)
	if errno != 0 {
		n = 0
	}
	if int(n) < len(frames) { // the kernel has no memory: what it did not take is taken back
		*r.tail = atomic.LoadUint32(r.head)
		for i := range frames[n:] {
			frames[int(n)+i].err = unix.EAGAIN
		}
	}
	r.reap(frames)
}

// reap takes the results, which only failures have.
func (r *ring) reap(frames []frame) {
	done, mask := *r.done, uint32(len(r.results)-1)
	for ; done != atomic.LoadUint32(r.came); done++ {
		if c := r.results[done&mask]; c.res < 0 && c.frame < uint64(len(frames)) {
			f := &frames[c.frame]
			f.err = f.port.sock.(*rawSocket).again(f.b, unix.Errno(-c.res))
		}
	}
	atomic.StoreUint32(r.done, done)
}

func (r *ring) close() {
	if r == nil {
		return
	}
	for _, m := range [][]byte{r.queues, r.entries} {
		if m != nil {
			_ = unix.Munmap(m) // nothing is left to be done about it
		}
	}
	_ = unix.Close(r.fd)
}
