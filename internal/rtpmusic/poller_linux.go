package rtpmusic

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller reads many sockets by one epoll descriptor, which the Go runtime polls in
// turn: no thread waits. It is level-triggered and reads one packet of a socket at
// a time, so that no peer starves the others.
type poller struct {
	e    *Engine
	fd   int      // of file
	file *os.File // owns the epoll descriptor
	raw  syscall.RawConn

	unfiltered sync.Once // that filters are refused has been told

	mu    sync.Mutex
	slots []*Port // guarded by mu; an event carries an index
	free  []int32 // guarded by mu; empty slots

	// Owned by run.
	r      reader
	next   time.Duration // what is read before waits until then for what follows
	events [128]unix.EpollEvent
	ports  [128]*Port
	buf    [maxDatagram]byte
}

// startPollers starts n pollers.
func (e *Engine) startPollers(n int) error {
	for i := range n {
		l, err := newPoller(e, &e.readers[i])
		if err != nil {
			return err
		}
		e.pollers = append(e.pollers, l)
		e.wg.Go(l.run)
	}
	return nil
}

func newPoller(e *Engine, count *counters) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("media poller: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // makes the file pollable
		_ = unix.Close(fd)
		return nil, fmt.Errorf("media poller: %w", err)
	}
	l := &poller{e: e, fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	l.r = reader{e: e, count: count}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		_ = l.file.Close()
		return nil, fmt.Errorf("media poller: %w", err)
	}
	return l, nil
}

func (l *poller) close() { _ = l.file.Close() } // ends run

// add puts a port under the poller.
func (l *poller) add(p *Port, s *rawSocket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		s.slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		s.slot = int32(len(l.slots))
		l.slots = append(l.slots, nil)
	}
	l.slots[s.slot] = p
	err := l.control(unix.EPOLL_CTL_ADD, s)
	if err != nil {
		l.slots[s.slot] = nil
		l.free = append(l.free, s.slot)
	}
	return err
}

// refused tells once that the system takes no filters.
func (l *poller) refused(err error) {
	l.unfiltered.Do(func() {
		l.e.log.Warn().Err(err).Msg("no kernel filter for sound that nobody listens to; it is read")
	})
}

// remove takes a port away again. An event that is being carried may still find
// it, closed, or the next port in its slot, which has nothing to read.
func (l *poller) remove(s *rawSocket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.control(unix.EPOLL_CTL_DEL, s) // the close that follows does it, too
	l.slots[s.slot] = nil
	l.free = append(l.free, s.slot)
}

// control calls epoll_ctl, unless the engine has closed the poller: Control keeps
// the descriptor from being another's.
func (l *poller) control(op int, s *rawSocket) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: s.slot}
	var err error
	if outer := l.raw.Control(func(uintptr) { err = unix.EpollCtl(l.fd, op, s.fd, &ev) }); outer != nil {
		return outer
	}
	return err
}

// run reads until the engine closes.
func (l *poller) run() {
	// The callback waits for readiness whenever it returns false.
	err := l.raw.Read(func(fd uintptr) bool {
		for gathered := false; ; {
			n := l.ready(fd)
			switch {
			case n > 0:
				l.read(l.events[:n])
				gathered = false
			case gathered:
				return false
			default:
				l.gather()
				gathered = true
			}
		}
	})
	select {
	case <-l.e.done:
	default:
		l.e.log.Error().Err(err).Msg("media reader ended")
	}
}

// ready finds the sockets that have something; it does not wait.
func (l *poller) ready(fd uintptr) int {
	for {
		n, _, err := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), 0, 0, 0)
		if err != unix.EINTR {
			return int(int32(n)) // -1 with any other error
		}
	}
}

// gatherTime is how long packets may wait for each other. To wake a reader takes as much
// as to pass five or ten of them on, and 500 bridges have 50 a millisecond. In a crowd the
// arrival of a packet is noticed so late, or twice as late as Go's timers are: in what RTCP
// reports of jitter, too, and of delay where it comes to the same port.
const gatherTime = time.Millisecond

// gather is called when all that had come has been read. What comes next is read at once
// if this came after a pause.
func (l *poller) gather() {
	now := l.e.now()
	if rest := l.next - now; rest > 0 {
		time.Sleep(rest)
		now = l.e.now()
	}
	l.next = now + gatherTime
}

// read reads the ports that have something.
func (l *poller) read(events []unix.EpollEvent) {
	l.mu.Lock()
	for i := range events {
		l.ports[i] = l.slots[events[i].Fd]
	}
	l.mu.Unlock()
	for i := range events {
		if p := l.ports[i]; p != nil {
			l.ports[i] = nil
			p.poll(l, events[i].Events&unix.EPOLLERR != 0)
		}
	}
}

// poll reads one packet; failed says that the socket has an error to tell.
func (p *Port) poll(l *poller, failed bool) {
	p.reading.Lock()
	defer p.reading.Unlock()
	p.mu.Lock()
	if p.closed || p.out.dozes { // since the event
		p.mu.Unlock()
		return
	}
	if failed {
		s := p.sock.(*rawSocket)
		p.refused(s.failure())
		s.watch(false) // else what is queued would wake us for ever
	}
	if _, screened := p.receive(&l.r, l.buf[:]); screened {
		p.sock.(*rawSocket).attach()
	}
}

// look reads what has come to a port that dozes.
func (p *Port) look(w *pacer) {
	p.reading.Lock()
	defer p.reading.Unlock()
	for range dozeReads {
		p.mu.Lock()
		if p.closed || !p.out.dozes { // meanwhile
			p.mu.Unlock()
			return
		}
		came, screened := p.receive(&w.r, w.buf[:])
		if screened {
			p.e.wg.Go(p.sock.(*rawSocket).attach) // a sender has no time for it
		}
		if !came {
			return
		}
	}
}

// receive reads one packet, acts upon it, and unlocks p.mu. came says that there was
// one, screened that it is time to attach a filter.
func (p *Port) receive(r *reader, b []byte) (came, screened bool) {
	n, from, err := p.sock.(*rawSocket).recv(b)
	if err != 0 {
		p.mu.Unlock()
		return false, false
	}
	r.take(p, b[:n], from)
	screened = p.screen()
	p.mu.Unlock()
	r.act(p)
	return true, screened
}
