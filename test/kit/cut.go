package kit

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/store"
	"parkd/test/kit/fakenet"
)

var (
	errEarlyEnd = errors.New("server ended at its start")
	errNotReady = errors.New("server does not get ready")
)

// Event is something at which a server can be cut.
type Event int

// The events.
const (
	Append   Event = iota // a batch for the journal
	Sent                  // a SIP packet of the server's
	Received              // a SIP packet to it
	events
)

// String is how a subtest names the event.
func (e Event) String() string { return [...]string{"append", "sent", "received"}[e] }

// Side is on which side of an event a server is cut.
type Side int

// The sides.
const (
	Before  Side = iota // the batch is not durable, the packet does not leave or is not seen
	Between             // of an Append: the batch is durable, and nobody was told so
	After               // its done was called, the packet is on its way, or was taken in
	never
)

// String is how a subtest names the side.
func (s Side) String() string { return [...]string{"before", "between", "after"}[s] }

// Cut is when a server is cut off and killed, and how long there is no other.
type Cut struct {
	On   Event
	N    int // the n-th of its life, from 0
	Side Side
	Down time.Duration
}

// String is how a subtest names the cut.
func (c Cut) String() string { return fmt.Sprintf("%v %d %v, down %v", c.On, c.N, c.Side, c.Down) }

// Outage is the time between two servers.
type Outage struct {
	Cut   Cut
	At    time.Time
	Ready time.Time // zero while it lasts
}

// Counts is how many of each event a server has seen.
type Counts [events]int

// cutter counts a server's events and strikes at one of them.
type cutter struct {
	kill func(Cut)

	mu     sync.Mutex // leaf
	counts Counts
	cut    *Cut // nil = none, or done
}

func newCutter(kill func(Cut)) *cutter { return &cutter{kill: kill} }

func (c *cutter) arm(cut Cut) { c.cut = &cut }

// at counts an event and says at which side of it strike is to be called.
func (c *cutter) at(e Event) Side {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts[e]
	c.counts[e]++
	if c.cut == nil || c.cut.On != e || c.cut.N != n {
		return never
	}
	return c.cut.Side
}

// pending is the cut that has not come yet; nil = none.
func (c *cutter) pending() *Cut {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

func (c *cutter) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = nil
}

func (c *cutter) strike() {
	c.mu.Lock()
	cut := c.cut
	c.cut = nil
	c.mu.Unlock()
	if cut != nil {
		c.kill(*cut)
	}
}

// cutConn is the SIP socket of a server that may be cut.
type cutConn struct {
	*fakenet.Conn
	c *cutter
}

// ReadFrom implements net.PacketConn.
func (c *cutConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.Conn.ReadFrom(b)
		if err != nil || !fakenet.SIP(b[:n]) {
			return n, from, err
		}
		switch c.c.at(Received) {
		case Before:
			c.c.strike()
			continue // nothing comes any more
		case Between, After: // once it was dealt with, before any answer to it arrives
			time.AfterFunc(fakenet.Latency/2, c.c.strike)
		}
		return n, from, err
	}
}

// WriteTo implements net.PacketConn.
func (c *cutConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if !fakenet.SIP(b) {
		return c.Conn.WriteTo(b, to)
	}
	side := c.c.at(Sent)
	if side == Before {
		c.c.strike()
	}
	n, err := c.Conn.WriteTo(b, to)
	if side == Between || side == After {
		c.c.strike()
	}
	return n, err
}

// Plan is how a scenario's servers are cut.
type Plan struct {
	Configure Configure
	Disk      time.Duration // that a batch for the journal takes
	Cuts      []Cut         // of one server after the other; those after the last run on
	Operator  bool          // there is an HTTP interface
	Trace     bool          // servers log all that is on the wire
	Stop      bool          // they are stopped there, as by SIGTERM, and not killed
	Missed    func()        // called if the scenario ends before the last cut; nil = that is a fault
}

// RunCut runs a scenario whose servers are cut off and killed as planned; each
// has a successor, which starts from what was durable. It checks that in the
// end nothing is left over, at the phones, in the server or in its journal, and
// returns what each of the servers has seen.
func RunCut(t *testing.T, plan Plan, scenario func(*Site)) (seen []Counts) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := NewSite(t, plan.Configure)
		defer s.Close()
		s.medium, s.slow, s.cuts, s.gentle = store.NewMemory(), plan.Disk, plan.Cuts, plan.Stop
		if plan.Operator {
			s.Operator = NewOperator()
		}
		s.Log.trace = plan.Trace
		s.Start()
		scenario(s)
		s.rest()
		s.allCut(plan.Missed)
		seen = s.seen()
		s.unheld()
		s.empty()
		s.Stopped()
		s.forgotten()
	})
	return seen
}

// Crash kills the server and starts another after a while, from what was
// durable. At a site made by RunCut only.
func (s *Site) Crash(down time.Duration) {
	s.T.Helper()
	s.CrashAnd(down, func() {})
}

// CrashAnd is Crash that does something while there is no server.
func (s *Site) CrashAnd(down time.Duration, meanwhile func()) {
	s.T.Helper()
	s.Ladder.Note("the server is killed")
	s.Kill()
	s.mu.Lock()
	number := s.outage(Cut{Down: down})
	s.mu.Unlock()
	meanwhile()
	time.Sleep(down)
	s.Ladder.Note("another server is started")
	s.Start()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outages[number].Ready = time.Now()
}

// Journal is the medium of the site's servers, as one that runs sees it after
// the next start. At a site made by RunCut and only while no server runs.
func (s *Site) Journal() *store.Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.medium
}

// strike kills a server and sees to its successor.
func (s *Site) strike(l *life, c Cut) {
	if s.gentle {
		s.stopAt(l, c)
		return
	}
	if !s.kill(l) {
		return
	}
	s.Ladder.Note("the server is killed: %v", c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming++
	go s.succeed(s.outage(c), c)
}

// outage notes that one begins, or goes on where the successor was cut before it
// served, and returns its number. The lock is held.
func (s *Site) outage(c Cut) int {
	if n := len(s.outages); n > 0 && s.outages[n-1].Ready.IsZero() {
		s.outages[n-1].Cut = c
		return n - 1
	}
	s.outages = append(s.outages, Outage{Cut: c, At: time.Now()})
	return len(s.outages) - 1
}

func (s *Site) succeed(number int, c Cut) {
	defer s.succeeded()
	time.Sleep(c.Down)
	s.Ladder.Note("another server is started")
	l, err := s.begin()
	if err != nil {
		s.T.Errorf("the successor: %v", err)
		return
	}
	s.mu.Lock()
	if s.life != l { // cut itself, as soon as it served or before
		s.mu.Unlock()
		return
	}
	s.outages[number].Ready = time.Now()
	o := s.outages[number]
	s.mu.Unlock()
	if s.Restarted != nil {
		s.Restarted(o)
	}
}

func (s *Site) succeeded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming--; s.coming == 0 {
		s.settled.Broadcast()
	}
}

// settle waits until every server that was cut has its successor.
func (s *Site) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.coming > 0 {
		s.settled.Wait()
	}
}

// Outages lists the outages so far.
func (s *Site) Outages() []Outage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Outage(nil), s.outages...)
}

// seen is what the servers have seen.
func (s *Site) seen() (list []Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range append(slices.Clone(s.killed), s.life) {
		l.cutter.mu.Lock()
		list = append(list, l.cutter.counts)
		l.cutter.mu.Unlock()
	}
	return list
}

// rest lets everything end that an outage may have left half-done: requests of
// the phones', answers without an ACK, and legs whose phone knows nothing of
// them, which a keep-alive finds out.
func (s *Site) rest() {
	s.T.Helper()
	for before := -1; before != len(s.Outages()); {
		before = len(s.Outages())
		s.settle()
		time.Sleep(linger)
		if before > 0 {
			time.Sleep(linger)
		}
		synctest.Wait()
	}
}

// allCut checks that every planned cut was made.
func (s *Site) allCut(missed func()) {
	s.T.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.life.cutter.pending()
	switch {
	case c == nil && len(s.cuts) == 0:
	case missed != nil:
		missed()
	default:
		s.T.Errorf("never cut: %v, %v", c, s.cuts)
	}
}

// unheld checks that no phone has a call any more: parkd knows of none.
func (s *Site) unheld() {
	s.T.Helper()
	for _, p := range s.Phones() {
		for _, c := range p.Calls() {
			if c.Ended().IsZero() {
				s.T.Errorf("%s still has the call %s", p.Name, c.CallID())
			}
		}
	}
}

// forgotten checks that the journal holds no call, leg or subscription.
func (s *Site) forgotten() {
	s.T.Helper()
	left, err := s.medium.Reopen().Load("")
	if err != nil {
		s.T.Error(err)
	}
	for key, value := range left {
		// What has another shape is no call, leg or subscription; what could not
		// be read was set aside.
		if strings.Contains(key, "/") && !strings.HasPrefix(key, "damaged/") {
			s.T.Errorf("the journal still holds %s: %.300s", key, value)
		}
	}
}
