package sipua

import (
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	many         = 32               // answers to come are many
	maxSources   = 1 << 16          // distinct UDP sources in one turn; more are dropped
	sourceTurn   = 10 * time.Second // sources are forgotten one to two turns after their last packet
	sourceSlots  = 1 << 10          // buckets for the rate of packets
	readBackoff  = 10 * time.Millisecond
	readBackoffs = time.Second
)

var (
	errFull    = errors.New("send buffer is full")
	errStopped = errors.New("stopped before it was sent")
)

// packetConn stands between a UDP socket and sipgo. sipgo ends its listener at
// the first read error, and remembers every source for ever; so errors are
// absorbed here, and sipgo is told one constant source, while the pool that it
// finds sockets in is filled and emptied here. The true source is set on the
// message by layer.receive, which runs in the reading goroutine right after
// ReadFrom.
type packetConn struct {
	net.PacketConn
	raw   *rawUDP // in its place; nil if it is not the system's
	layer *layer
	local netip.AddrPort
	self  selfAddr
	once  sync.Once
	in    counter // packets read
	out   counter // packets written
	lost  counter // of those, for want of room

	// Owned by the reading goroutine:
	from    string
	seed    maphash.Seed
	turned  time.Time
	current map[string]struct{}
	before  map[string]struct{}
	buckets []packetBucket
}

type packetBucket struct {
	tokens float64
	last   time.Time
}

// selfAddr is the listener's own address, as text.
type selfAddr string

func (selfAddr) Network() string  { return "udp" }
func (a selfAddr) String() string { return string(a) }

func newPacketConn(l *layer, c net.PacketConn) *packetConn {
	local := addrPort(c.LocalAddr())
	p := &packetConn{
		PacketConn: c, layer: l, local: local, self: selfAddr(local.String()),
		seed: maphash.MakeSeed(), turned: time.Now(), current: map[string]struct{}{},
		buckets: make([]packetBucket, sourceSlots),
	}
	p.raw = openRaw(c, func() bool { return l.exchanges.count.Load() >= many })
	return p
}

// LocalAddr is the address that requests must carry as theirs, to the letter,
// to leave from this socket (sipgo trap 5).
func (p *packetConn) LocalAddr() net.Addr { return p.self }

// ReadFrom returns the next packet that is to be parsed. It fails only when
// the socket is closed.
func (p *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	// sipgo has registered the socket when it reads for the first time.
	p.once.Do(func() {
		if p.layer.e.unready.Add(-1) == 0 {
			close(p.layer.e.ready)
		}
	})
	wait := readBackoff
	for {
		if p.layer.e.frozen.Load() {
			<-p.layer.e.done
			return 0, nil, net.ErrClosed
		}
		data, from, at, err := p.read(b)
		if err != nil && p.layer.e.frozen.Load() || errors.Is(err, errWoken) {
			continue
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !p.pause(wait) {
				return 0, nil, net.ErrClosed
			}
			p.layer.e.log.Warn().Err(err).Stringer("local", p.local).Msg("UDP read failed")
			wait = min(2*wait, readBackoffs)
			continue
		}
		wait = readBackoff
		if !from.IsValid() || !p.allow(from, at) {
			continue
		}
		p.in.Add(1)
		if p.layer.e.tracing() {
			p.layer.e.traceWire("received", "udp", p.self, from, data)
		}
		if p.layer.exchanges.take(data) || p.pinged(data, from) {
			continue
		}
		p.from = from.String()
		return copy(b, data), p.self, nil
	}
}

// read reads one packet, with b for room, if it needs any, and says when; v4-mapped
// addresses become v4.
func (p *packetConn) read(b []byte) ([]byte, netip.AddrPort, time.Time, error) {
	if p.raw != nil {
		return p.raw.read()
	}
	n, addr, err := p.PacketConn.ReadFrom(b)
	return b[:n], addrPort(addr), time.Now(), err
}

// send sends a packet to a literal address.
func (p *packetConn) send(b []byte, to netip.AddrPort) (err error) {
	p.out.Add(1)
	if p.layer.e.tracing() {
		p.layer.e.traceWire("sent", "udp", p.self, to, b)
	}
	if p.raw != nil {
		return p.sent(p.raw.send(b, to))
	}
	_, err = p.PacketConn.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}

// sent counts a packet that is lost for want of room, which is no error: it is as one
// that the network loses.
func (p *packetConn) sent(err error) error {
	if err == nil || !errors.Is(err, errFull) {
		return err
	}
	if n := p.lost.Add(1); n&(n-1) == 0 {
		p.layer.e.log.Warn().Uint64("packets", n).Stringer("local", p.local).Msg("UDP packets lost: the send buffer is full")
	}
	return nil
}

// sendAll sends packets to literal addresses, but for those that have failed already.
func (p *packetConn) sendAll(list []packet) {
	if p.raw == nil {
		for i := range list {
			if o := &list[i]; o.err == nil {
				o.err = p.send(o.wire, o.to)
			}
		}
		return
	}
	tracing, n := p.layer.e.tracing(), 0
	for i := range list {
		o := &list[i]
		if o.err != nil {
			continue
		}
		n++
		if tracing {
			p.layer.e.traceWire("sent", "udp", p.self, o.to, o.wire)
		}
	}
	p.out.Add(uint64(n))
	p.raw.sendAll(list)
	for i := range list {
		list[i].err = p.sent(list[i].err)
	}
}

// WriteTo sends a packet.
func (p *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if err := p.send(b, addrPort(to)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// SetReadDeadline ends a read that waits.
func (p *packetConn) SetReadDeadline(t time.Time) error {
	if p.raw != nil {
		p.raw.wake()
		return nil
	}
	return p.PacketConn.SetReadDeadline(t)
}

// Close closes the socket.
func (p *packetConn) Close() error {
	if p.raw != nil {
		return p.raw.close()
	}
	return p.PacketConn.Close()
}

// pause waits after a read error; false means that the endpoint has ended.
func (p *packetConn) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.layer.e.done:
		return false
	}
}

// allow says whether a packet from that source is looked at: its address has
// a token left, and the table of sources has room.
func (p *packetConn) allow(from netip.AddrPort, now time.Time) bool {
	if rate := p.layer.e.settings.Load().PacketRate; rate > 0 {
		b := &p.buckets[maphash.Comparable(p.seed, from.Addr())%sourceSlots]
		b.tokens = min(rate, b.tokens+now.Sub(b.last).Seconds()*rate)
		b.last = now
		if b.tokens < 1 {
			p.layer.e.refused(ReasonPackets)
			return false
		}
		b.tokens--
	}
	if now.Sub(p.turned) > sourceTurn {
		p.turn(now)
	}
	if len(p.current) < maxSources {
		return true
	}
	if _, known := p.current[from.String()]; known {
		return true
	}
	p.layer.e.refused(ReasonPackets)
	return false
}

// know makes sipgo find this socket for a source whose message is being
// handled; the entry must live until the transaction has taken it.
func (p *packetConn) know(source string) {
	if _, ok := p.current[source]; ok || source == string(p.self) {
		return
	}
	p.current[source] = struct{}{}
	if _, ok := p.before[source]; ok {
		return
	}
	pool := p.layer.tpl.Pool("udp")
	if c := pool.Get(string(p.self)); c != nil {
		pool.Add(source, c)
	}
}

// turn forgets the sources that were not heard of in the last turn.
func (p *packetConn) turn(now time.Time) {
	var gone []string
	for source := range p.before {
		if _, ok := p.current[source]; !ok {
			gone = append(gone, source)
		}
	}
	p.layer.tpl.Pool("udp").DeleteMultiple(gone)
	p.before, p.current, p.turned = p.current, map[string]struct{}{}, now
}
