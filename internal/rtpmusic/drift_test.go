package rtpmusic

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// clocked is a socket that holds each packet against the clock, and sometimes takes its
// time.
type clocked struct {
	t      *testing.T
	ptime  int
	closed chan struct{}
	stall  func() time.Duration

	// Written by the sender, read when it is over.
	first, last packet.Packet
	begun, at   time.Time
	count, gaps int
}

func (c *clocked) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	<-c.closed
	return 0, netip.AddrPort{}, net.ErrClosed
}

func (c *clocked) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	now := time.Now()
	var p packet.Packet
	if p.Parse(b); c.count > 0 {
		// The time of the frame, which the packet may be late by.
		due := c.at.Add(time.Duration(p.Timestamp-c.last.Timestamp) * time.Millisecond / ticksPerMs)
		step := due.Sub(c.at)
		frame := time.Duration(c.ptime) * time.Millisecond
		if now.Before(due) || now.Sub(due) >= frame+time.Millisecond || step%frame != 0 || step < frame || p.SequenceNumber != c.last.SequenceNumber+1 {
			c.t.Errorf("%v at %v after %v at %v", p.Header, now, c.last.Header, c.at)
		}
		c.gaps += int(step/frame) - 1
		c.at = due
	} else {
		c.first, c.begun, c.at = p, now, now
	}
	c.last = p
	c.last.Header.CSRC = nil
	c.count++
	if d := c.stall(); d > 0 {
		time.Sleep(d)
	}
	return len(b), nil
}

func (c *clocked) LocalAddr() net.Addr { return &net.UDPAddr{} }

func (c *clocked) Close() error {
	close(c.closed)
	return nil
}

// Six hours of music on a machine that stalls now and then: no timestamp is ever away
// from the clock, what is late by a packet is left out and counted, and nothing comes in
// a burst.
func TestSixHoursWithoutDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var socks []*clocked
		stalls := rand.New(rand.NewPCG(1, 2))
		e := NewEngine(Config{Ports: [2]uint16{10000, 10100}, Threads: 1, Listen: func(netip.AddrPort) (Conn, error) {
			c := &clocked{t: t, closed: make(chan struct{}), stall: func() time.Duration { return 0 }}
			socks = append(socks, c)
			return c, nil
		}})
		defer e.Close()
		// One in some thousands of packets takes up to 200 ms.
		stall := func() time.Duration {
			if stalls.IntN(5000) > 0 {
				return 0
			}
			return time.Duration(stalls.Int64N(int64(200 * time.Millisecond)))
		}
		for i, ptime := range []int{20, 20, 30, 60} {
			p, err := e.Open(ourIP)
			must(t, err)
			c := socks[len(socks)-1]
			if c.ptime = ptime; i != 1 {
				c.stall = stall
			}
			p.Set(Session{Remote: netip.MustParseAddrPort("10.0.0.9:4000"), Codec: codec.PCMU, Ptime: ptime, Send: true})
			p.Play(newLoop(7))
		}
		e.still()
		const hours = 6
		time.Sleep(hours * time.Hour)
		e.Close() // the sender has ended: what it wrote may be read
		skipped := uint64(0)
		for i, c := range socks {
			passed := c.at.Sub(c.begun)
			if got := binary.BigEndian.Uint32(binary.BigEndian.AppendUint32(nil, c.last.Timestamp-c.first.Timestamp)); got != ticks(passed) {
				t.Errorf("stream %d: timestamps are %d ticks from the clock", i, int32(got-ticks(passed)))
			}
			if frames := int(passed/time.Millisecond)/c.ptime + 1; c.count+c.gaps != frames || passed < hours*time.Hour-time.Second {
				t.Errorf("stream %d: %d packets and %d left out in %v, want %d together", i, c.count, c.gaps, passed, frames)
			}
			skipped += uint64(c.gaps)
		}
		if st := e.Stats(); st.Skipped != skipped || skipped < 100 || st.Late == 0 {
			t.Errorf("%d were left out, counted are %d (%d late)", skipped, st.Skipped, st.Late)
		}
	})
}

// A whole turn of the pacer, with streams of every length of packets and one on hold,
// allocates nothing.
func TestWalkDoesNotAllocate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		pc := newPacer(w.e, 0)
		pc.gather()
		count := 0
		for i, ptime := range []int{10, 20, 20, 30, 40, 50, 60} {
			f := w.phone(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(4000+i)).String())
			must(t, f.conn.Close()) // packets go nowhere
			s := f.session(codec.PCMU, 0)
			s.Ptime, s.Send = ptime, i != 2
			f.port.Set(s)
			f.port.music.play(newLoop(1), 0)
			f.port.music.paced = true
			f.port.Place()
			pc.add(f.port)
			count++
		}
		pc.adopt()
		out := func() uint64 { return pc.count.out.Load() }
		time.Sleep(time.Second)
		pc.catchUp()
		before := out()
		n := testing.AllocsPerRun(100, func() {
			for range 12 {
				time.Sleep(5 * time.Millisecond)
				pc.catchUp()
				pc.next()
			}
		})
		if sent := out() - before; n != 0 || sent < 100*14 || pc.load.Load() != int64(count-1) {
			t.Errorf("%v allocations a turn, %d packets, %d streams", n, sent, pc.load.Load())
		}
	})
}
