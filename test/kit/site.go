// Package kit builds whole-server scenarios in fake time: a parkd, a network
// and phones inside a testing/synctest bubble, in which minutes pass in
// milliseconds and only order and time matter. It promises that a scenario
// which ends well has left nothing behind in the server: no leg, no port, no
// goroutine.
package kit

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/config"
	"parkd/internal/store"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/ladder"
	"parkd/test/kit/phone"
)

// Server is where parkd listens.
var Server = netip.MustParseAddrPort("10.0.0.1:5060")

// linger is how long transactions live on after a call: 64*T1 and some.
const linger = 40 * time.Second

// Site is a parkd with its phones.
type Site struct {
	T         *testing.T
	Net       *fakenet.Net
	Ladder    *ladder.Recorder
	Log       *Log
	Config    config.Config
	Store     store.Store  // of the next Start; nil = a new one in memory
	Down      atomic.Bool  // no media socket can be bound, as before the network is up
	Operator  *Operator    // nil = there is no HTTP interface
	Restarted func(Outage) // told of each end of an outage, on a goroutine of its own
	began     []string     // goroutines of a server without calls; nil = not noted

	mu      sync.Mutex // leaf; guards all below
	coming  int        // successors that are to start, or whose Restarted runs
	settled *sync.Cond // coming is 0
	phones  []*phone.Phone
	life    *life   // the server that runs; nil = none
	killed  []*life // they wind down
	medium  *store.Memory
	slow    time.Duration // what a batch takes on medium
	cuts    []Cut         // of the servers to come
	gentle  bool          // they are stopped, not killed
	next    config.Config // what the server reads at a reload
	outages []Outage
}

// Configure changes the configuration of a site: 701-710, one call each, with
// the built-in defaults and a journal in memory.
type Configure func(*config.Config)

// Run runs a scenario in a bubble of its own.
func Run(t *testing.T, configure Configure, scenario func(*Site)) {
	t.Helper()
	run(t, configure, nil, scenario)
}

// RunSlow is Run with a journal on a disk that takes so long for each batch.
func RunSlow(t *testing.T, configure Configure, disk time.Duration, scenario func(*Site)) {
	t.Helper()
	run(t, configure, func() store.Store { return newDisk(store.NewMemory(), disk, newCutter(nil)) }, scenario)
}

// RunOn is Run with a journal of the test's own, which it may break.
func RunOn(t *testing.T, configure Configure, journal func() store.Store, scenario func(*Site)) {
	t.Helper()
	run(t, configure, journal, scenario)
}

func run(t *testing.T, configure Configure, journal func() store.Store, scenario func(*Site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := NewSite(t, configure)
		defer s.Close()
		if journal != nil {
			s.Store = journal()
		}
		s.Start()
		s.note()
		scenario(s)
		s.Idle()
		s.Stop()
	})
}

// NewSite makes a site whose server does not run. Inside a bubble only.
func NewSite(t *testing.T, configure Configure) *Site {
	t.Helper()
	s := &Site{T: t, Net: fakenet.New(), Ladder: ladder.New(), Log: &Log{}, Config: config.Default()}
	s.settled = sync.NewCond(&s.mu)
	s.Config.Store.Kind = "memory"
	if configure != nil {
		configure(&s.Config)
	}
	s.Net.Watch(s.Ladder.Watch)
	return s
}

// Nth gives a verdict to the n-th SIP packet from now on, from 0. It returns a
// counter of the packets. Spare, which may be nil, sees
// them all and names those that are let through.
func (s *Site) Nth(n int, v fakenet.Verdict, spare func(fakenet.Packet) bool) *atomic.Int64 {
	count := new(atomic.Int64)
	s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
		if !p.SIP() {
			return fakenet.Verdict{}
		}
		spared := spare != nil && spare(p)
		if count.Add(1) != int64(n)+1 || spared {
			return fakenet.Verdict{}
		}
		return v
	})
	return count
}

// Idle lets all transactions end and checks that the server holds nothing: no
// call, leg, media port, dialog, timer, subscription or transaction, and no
// goroutine that it did not begin with.
func (s *Site) Idle() {
	s.T.Helper()
	time.Sleep(linger)
	synctest.Wait()
	s.empty()
}

// empty checks that the server holds nothing, and has it say so itself.
func (s *Site) empty() {
	s.T.Helper()
	if ports := s.MediaPorts(); len(ports) > 0 {
		s.T.Errorf("media ports still open: %v", ports)
	}
	s.light()
	s.Drain()
	synctest.Wait()
	if legs, ok := s.stopped(); !ok || legs != 0 {
		s.T.Errorf("%v legs left", legs)
	}
}

// MediaPorts lists the server's open media ports, one for each leg: the even ones. All
// legs share one for RTCP.
func (s *Site) MediaPorts() []netip.AddrPort {
	var list []netip.AddrPort
	for _, a := range s.Net.Bound(Server.Addr()) {
		if a != Server && a.Port()%2 == 0 {
			list = append(list, a)
		}
	}
	return list
}

// Phone adds a phone to the site; the first is at 10.0.1.1.
func (s *Site) Phone(name string) *phone.Phone {
	s.T.Helper()
	host := netip.AddrFrom4([4]byte{10, 0, 1, byte(len(s.Phones()) + 1)})
	return s.PhoneAt(name, netip.AddrPortFrom(host, 5060))
}

// PhoneAt adds a phone at an address.
func (s *Site) PhoneAt(name string, addr netip.AddrPort) *phone.Phone {
	s.T.Helper()
	p := phone.New(s.T, s.Net, name, addr, Server)
	s.Ladder.Column(addr.Addr(), name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.phones) == 0 {
		s.Ladder.Column(Server.Addr(), "parkd")
	}
	s.phones = append(s.phones, p)
	return p
}

// Phones lists the phones of the site.
func (s *Site) Phones() []*phone.Phone {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*phone.Phone(nil), s.phones...)
}

// Wait lets time pass.
func (s *Site) Wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Golden compares the ladder so far with testdata/name.txt.
func (s *Site) Golden(name string) {
	s.T.Helper()
	synctest.Wait()
	ladder.Golden(s.T, name, s.Ladder.String())
}

// Close takes the phones off the network, ends a server that still runs, and
// shows what happened if the test has failed.
func (s *Site) Close() {
	s.end()
	for _, p := range s.Phones() {
		p.Close()
	}
	for _, fault := range s.Log.Faults() {
		s.T.Errorf("logged: %s", fault)
	}
	if s.T.Failed() {
		s.T.Logf("the exchange:\n%s\nthe log:\n%s", s.Ladder, s.Log)
	}
}

// Orbit changes the settings of an orbit.
func Orbit(ext string, change func(*config.Orbit)) Configure {
	return func(c *config.Config) {
		for i := range c.Orbits {
			if c.Orbits[i].Extension == ext {
				change(&c.Orbits[i])
				return
			}
		}
		panic(fmt.Sprintf("no orbit %s", ext))
	}
}
