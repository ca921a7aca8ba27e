// Package rtpmusic is the media of parkd: UDP ports for RTP, music that is paced
// to them, key presses heard on them and voice relayed between them.
//
// It promises that a stream of music costs one packet every Session.Ptime and
// nothing else: no goroutine, no timer and no allocation; that opening, closing,
// playing, stopping and bridging take the same time with one port open and with
// ten thousand; that a frame which cannot be sent in time is left out and counted
// and never sent in a burst; and that what a peer receives from one port is one
// RTP stream (RFC 3550) from the first packet to the last, whoever's sound is in
// it, and whichever process sends it (Place). It knows nothing of SIP and SDP: what
// two ends agreed on comes as a Session.
//
// All methods are safe for concurrent use. None of them waits for the network.
package rtpmusic

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// What Open and OpenAt refuse with.
var (
	// ErrNoPorts: every port of the range is taken, by us or by others, or was until a
	// moment ago.
	ErrNoPorts = errors.New("rtpmusic: no free port")
	// ErrTaken: the port that OpenAt was asked for is somebody else's.
	ErrTaken = errors.New("rtpmusic: port taken")
	// ErrClosed: the engine is closed.
	ErrClosed = errors.New("rtpmusic: engine closed")
)

// Conn is a UDP socket as Config.Listen makes it. *net.UDPConn is one. Reading
// and writing happen at the same time; Close ends a read that waits.
type Conn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

// Config says how an engine works.
type Config struct {
	// Ports is the range of UDP ports, first and last; the even ones are used
	// (RFC 3550 11).
	Ports [2]uint16
	// Threads is how many senders and how many readers there may be at most;
	// 0 is one of each a core.
	Threads int
	// Latch is what SetLatch takes.
	Latch Latch
	// Listen replaces sockets of the system, for tests and for systems other than
	// Linux. Then each port has a goroutine that reads it and music is paced by
	// timers of package time, so that all of it runs in a testing/synctest bubble.
	Listen func(netip.AddrPort) (Conn, error)
	DSCP   int // of packets: see Mark
	Log    zerolog.Logger
}

// Engine owns the ports and the goroutines that serve them.
type Engine struct {
	log    zerolog.Logger
	listen func(netip.AddrPort) (Conn, error) // nil: sockets of the system
	start  time.Time                          // zero of the engine's clock and of every pacer's ticks
	done   chan struct{}                      // closed by Close
	wg     sync.WaitGroup

	pacers  []*pacer
	wheel   *wheel
	ports   [2]uint16 // the range
	pollers []*poller // none with listen
	err     error     // why there are no pollers; Open returns it
	readers []counters
	dscp    atomic.Uint32
	next    atomic.Uint32 // spreads ports over pollers and readers
	filters filters
	latch   atomic.Uint32 // a Latch

	controls controls

	mu     sync.Mutex
	pool   pool               // guarded by mu
	open   map[*Port]struct{} // guarded by mu
	closed bool               // guarded by mu
}

// NewEngine starts an engine. If the system refuses what it needs, Open says so.
func NewEngine(c Config) *Engine {
	n := cores()
	if c.Threads > 0 {
		n = min(n, c.Threads)
	}
	e := &Engine{
		log:    c.Log,
		listen: c.Listen,
		start:  time.Now(),
		done:   make(chan struct{}),
		ports:  c.Ports,
		pool:   newPool(c.Ports),
		open:   make(map[*Port]struct{}),
	}
	e.Mark(c.DSCP)
	e.SetLatch(c.Latch)
	e.controls.by, e.controls.failed = make(map[netip.Addr]*control), make(map[netip.Addr]time.Duration)
	if e.listen == nil {
		e.listen = systemListen
	}
	e.readers = make([]counters, n)
	for i := range n {
		w := newPacer(e, i%phase) // they share less if each sends while the others sleep
		e.pacers = append(e.pacers, w)
		e.wg.Go(w.run)
	}
	e.wheel = newWheel(e)
	e.wg.Go(e.wheel.run)
	if e.listen == nil {
		e.err = e.startPollers(n)
	}
	return e
}

// SetLatch says how peers are found from their next description on.
func (e *Engine) SetLatch(l Latch) { e.latch.Store(uint32(l)) }

// now is the engine's clock: the time since it started.
func (e *Engine) now() time.Duration { return time.Since(e.start) }

// tick is the pacers' clock: how many of their ticks have begun.
func (e *Engine) tick() int64 { return int64(e.now() / time.Millisecond) }

// Open binds a free even UDP port of the range on ip: the one that has rested
// longest, and portRest at least. A port that somebody else has bound is left alone
// for a while. It returns ErrNoPorts, ErrClosed, or what the system says if it refuses otherwise
// (no descriptors left, an address that is not ours).
func (e *Engine) Open(ip netip.Addr) (*Port, error) {
	if e.err != nil {
		return nil, fmt.Errorf("open media port on %s: %w", ip, e.err)
	}
	tries := maxTries
	for {
		num, err := e.take(&tries)
		if err != nil {
			return nil, fmt.Errorf("open media port on %s: %w", ip, err)
		}
		at := netip.AddrPortFrom(ip.Unmap(), num)
		p := newPort(e, at)
		err = p.bind(at)
		if err == nil {
			return e.opened(p)
		}
		if !e.unbound(num, err) {
			return nil, fmt.Errorf("open media port on %s: %w", ip, err)
		}
	}
}

// OpenAt binds this very port, even or odd, of the range or not: one that a former
// process had, whose peer goes on sending to it. A number of the range leaves the
// pool for that long, however short its rest was; another never enters it. The
// error wraps ErrTaken if somebody else has the port, ErrClosed, or what the system
// says (syscall.EADDRNOTAVAIL: the address is not ours any more, or is none);
// either way Open may find another.
func (e *Engine) OpenAt(local netip.AddrPort) (*Port, error) {
	p, err := e.openAt(netip.AddrPortFrom(local.Addr().Unmap(), local.Port()))
	if err != nil {
		return nil, fmt.Errorf("open media port %s: %w", local, err)
	}
	return p, nil
}

func (e *Engine) openAt(local netip.AddrPort) (*Port, error) {
	if e.err != nil {
		return nil, e.err
	}
	if !local.IsValid() || local.Port() == 0 {
		return nil, syscall.EADDRNOTAVAIL
	}
	e.mu.Lock()
	closed := e.closed
	if !closed {
		e.pool.claim(local.Port())
	}
	e.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	p := newPort(e, local)
	err := p.bind(local)
	if err == nil {
		return e.opened(p)
	}
	if e.unbound(p.num, err) {
		return nil, fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return nil, err
}

// unbound gives back a number that could not be bound; true if somebody else has it.
func (e *Engine) unbound(num uint16, err error) bool {
	busy := inUse(err)
	e.mu.Lock()
	defer e.mu.Unlock()
	if busy {
		e.pool.refuse(num, e.now())
	} else {
		e.pool.give(num)
	}
	return busy
}

// maxTries bounds how many ports taken by others one Open meets: all that a range
// can have, so that nobody is refused while a port is free. Each is met once in
// portRetry, at some 10 µs, so that opening takes constant time on the whole.
const maxTries = 1 << 15

// take takes a port number out of the pool.
func (e *Engine) take(tries *int) (uint16, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0, ErrClosed
	}
	if *tries--; *tries < 0 {
		return 0, ErrNoPorts
	}
	num, ok := e.pool.take(e.now())
	if !ok {
		return 0, ErrNoPorts
	}
	return num, nil
}

// opened enters a port in the books, unless the engine was closed meanwhile.
func (e *Engine) opened(p *Port) (*Port, error) {
	e.mu.Lock()
	closed := e.closed
	if !closed {
		e.open[p] = struct{}{}
	}
	e.mu.Unlock()
	if closed {
		p.Close()
		return nil, ErrClosed
	}
	e.wheel.add(p, untilReport(true))
	return p, nil
}

// release takes a closed port out of the books; its number begins to rest.
func (e *Engine) release(p *Port) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, p)
	e.pool.rest(p.num, e.now())
}

// over reports whether the engine is closing.
func (e *Engine) over() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// Close closes every port and ends every goroutine of the engine; it returns when
// they have ended, so it must not be called from a key callback.
func (e *Engine) Close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		e.wg.Wait()
		return
	}
	e.closed = true
	ports := make([]*Port, 0, len(e.open))
	for p := range e.open {
		ports = append(ports, p)
	}
	e.mu.Unlock()
	close(e.done)
	for _, p := range ports {
		p.Close()
	}
	for _, l := range e.pollers {
		l.close()
	}
	e.wg.Wait()
}

// spare returns counters for whoever has none of their own.
func (e *Engine) spare() *counters {
	return &e.readers[e.next.Add(1)%uint32(len(e.readers))]
}

// pacerFill is how many streams a sender gets before the next one is used: a third to
// half of a core. Two that send at once cost more a packet than one, since each has
// what is shared from the other's memory.
const pacerFill = 3000

// pacer returns the sender for one more stream.
func (e *Engine) pacer() *pacer {
	best := e.pacers[0]
	for _, w := range e.pacers {
		if w.load.Load() < pacerFill {
			return w
		}
		if w.load.Load() < best.load.Load() {
			best = w
		}
	}
	return best
}
