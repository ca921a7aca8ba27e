package presence

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/sipua"
)

// A phone that calls from a new port each time, listens nowhere and refreshes one
// of its lamps is told all of them there.
func TestTCPPhoneComesBack(t *testing.T) {
	for _, nat := range []bool{false, true} {
		t.Run(fmt.Sprint("NAT ", nat), func(t *testing.T) {
			o, p, other := newOffice(t), newDeskphone(t), newDeskphone(t)
			for _, q := range []*deskphone{p, other} {
				q.connect(o.addr, "")
				q.contact = "sip:bob@" + q.conn.LocalAddr().String() + ";transport=tcp"
				if nat {
					q.contact = "sip:bob@192.168.1.9:5060;transport=tcp"
				}
			}
			p.subscribe("701")
			p.subscribe("702")
			other.subscribe("703")
			for _, what := range []string{"701 ", "702 "} {
				if !p.told(what, 5*time.Second) {
					t.Fatalf("not told %q", what)
				}
			}
			if !other.told("703 ", 5*time.Second) {
				t.Fatal("the other was not told")
			}
			o.kill()
			for _, orbit := range []string{"701", "702", "703"} {
				o.park(orbit, "ann")
			}
			o.start()
			other.connect(o.addr, "")
			fmt.Fprint(other.conn, "\r\n\r\n")
			p.connect(o.addr, "")
			if !nat {
				p.contact = "sip:bob@" + p.conn.LocalAddr().String() + ";transport=tcp"
			}
			fmt.Fprint(p.conn, "\r\n\r\n")
			if p.told("701 ann", 300*time.Millisecond) || p.told("702 ann", 0) {
				t.Error("told although nothing shows whose connection it is")
			}
			p.subscribe("701")
			for _, what := range []string{"701 ann", "702 ann"} {
				if !p.told(what, time.Second) {
					t.Errorf("not told %q", what)
				}
			}
			o.park("702", "eve")
			if !p.told("702 eve", time.Second) {
				t.Error("not told a change")
			}
			if other.told("703 ann", 100*time.Millisecond) || o.n.Len() != 3 {
				t.Errorf("%d subscriptions", o.n.Len())
			}
			o.kill() // and it is kept where they are now
			o.start()
			p.connect(o.addr, "")
			p.subscribe("702")
			if !p.told("701 ann", time.Second) || !p.told("702 eve", time.Second) {
				t.Error("not told after another restart")
			}
		})
	}
}

// A phone that listens is called at its Contact; if it is not there yet, it is
// as soon as something from its host connects.
func TestTCPPhoneIsCalled(t *testing.T) {
	o, p := newOffice(t), newDeskphone(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	listen := func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.serve(c)
		}
	}
	go listen()
	p.connect(o.addr, "")
	p.contact = "sip:bob@" + at + ";transport=tcp"
	p.subscribe("701")
	if !p.told("701 ", 5*time.Second) {
		t.Fatal("not told")
	}
	o.kill()
	o.park("701", "ann")
	o.start()
	if !p.told("701 ann", 2*time.Second) {
		t.Error("not called")
	}

	ln.Close()
	o.kill()
	o.park("701", "eve")
	o.start()
	if p.told("701 eve", 300*time.Millisecond) {
		t.Fatal("told where nobody is")
	}
	if ln, err = net.Listen("tcp", at); err != nil {
		t.Skipf("somebody else has the port now: %v", err)
	}
	defer ln.Close()
	go listen()
	c, err := net.Dial("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "\r\n\r\n")
	if !p.told("701 eve", time.Second) { // the next try by itself comes after five
		t.Error("not called although it is back")
	}
}

// A connection from the same port as before is taken for the same phone, unless
// it says that it is not: then nothing ends, and the phone itself is told when a
// request of its own comes.
func TestTCPSamePort(t *testing.T) {
	for _, same := range []bool{true, false} {
		t.Run(fmt.Sprint("same phone ", same), func(t *testing.T) {
			o, p := newOffice(t), newDeskphone(t)
			p.connect(o.addr, "")
			from := p.conn.LocalAddr().String()
			p.contact = "sip:bob@192.168.1.9:5060;transport=tcp"
			p.subscribe("701")
			if !p.told("701 ", 5*time.Second) {
				t.Fatal("not told")
			}
			p.hangUp()
			o.kill()
			o.park("701", "ann")
			o.start()
			q := p
			if !same {
				q = newDeskphone(t)
				q.code = 481
			}
			o.logged("watcher does not answer") // the first try
			q.connect(o.addr, from)
			fmt.Fprint(q.conn, "\r\n\r\n")
			if same {
				if !p.told("701 ann", time.Second) {
					t.Error("not told")
				}
				return
			}
			if !q.told("701 refused", time.Second) {
				t.Error("the port was not tried")
			}
			o.logged("481 that may not be the watcher's")
			if o.n.Len() != 1 {
				t.Fatal("another phone ended the subscription")
			}
			p.connect(o.addr, "")
			p.subscribe("701")
			if !p.told("701 ann", time.Second) {
				t.Error("not told")
			}
			p.mu.Lock()
			p.code = 481 // from the phone itself it counts
			p.mu.Unlock()
			o.park("701", "eve")
			if !p.told("701 refused", time.Second) {
				t.Error("not told")
			}
			o.logged("lamp ended by its watcher")
			if o.n.Len() != 0 {
				t.Error("not ended by its phone")
			}
		})
	}
}

// away is a subscription of a phone on TCP in a bubble, where there is none: each
// try fails at once, and is counted as one.
func (b *bed) away(contact string) (s *sub, from sipua.Flow) {
	b.t.Helper()
	p := b.watch("192.0.2.9:5060")
	s = b.n.index.all()[0]
	from = sipua.Flow{Network: "tcp", Local: serverAddr, Remote: netip.MustParseAddrPort("192.0.2.9:40001")}
	b.on(s, func() {
		s.rec.Dialog.Flow, s.rec.Dialog.Target = from, contact
		s.rec.Dialog.NAT = contact != "sip:bob@192.0.2.9:5060;transport=tcp"
		s.routed()
		b.n.index.update(s, &s.rec)
	})
	pass(time.Minute)
	b.park("701", "ann")
	if len(p.got()) != 1 || b.n.Lamps()[0].Version != 1 {
		b.t.Fatalf("%+v", b.n.Lamps())
	}
	return s, from
}

// on runs f on the queue of a subscription.
func (b *bed) on(s *sub, f func()) {
	b.t.Helper()
	if err := s.queue.Post(f); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

func (b *bed) tries() uint32 { return b.n.Lamps()[0].Version }

const listens, behind = "sip:bob@192.0.2.9:5060;transport=tcp", "sip:bob@192.168.1.9:5060;transport=tcp"

// Which connections have a phone tried again that no way led to.
func TestWhoIsTriedAgain(t *testing.T) {
	for _, row := range []struct {
		name, contact, network, from string
		again, sure                  bool
	}{
		{"its host", listens, "tcp", "192.0.2.9:40002", true, true},
		{"its port", listens, "tcp", "192.0.2.9:40001", true, false},
		{"another host", listens, "tcp", "192.0.2.10:40001", false, true},
		{"another network", listens, "tls", "192.0.2.9:40001", false, true},
		{"its NAT", behind, "tcp", "192.0.2.9:40002", false, true},
		{"its port of its NAT", behind, "tcp", "192.0.2.9:40001", true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				s, _ := b.away(row.contact)
				before := b.tries()
				b.n.Connected(sipua.Flow{Network: row.network, Remote: netip.MustParseAddrPort(row.from)})
				pass(10 * time.Millisecond)
				if again := b.tries() > before; again != row.again || s.sure != row.sure {
					t.Errorf("again %v, sure %v", again, s.sure)
				}
			})
		})
	}
}

// A connection that comes while a try is under way is not forgotten, should that
// fail; and its phone, once known, does not wait for it.
func TestConnectionDuringATry(t *testing.T) {
	bubble(t, func(b *bed) {
		s, from := b.away(listens)
		pass(10 * time.Minute)
		var under *telling
		try := func() {
			under = &telling{flow: from, sent: time.Now(), cancel: func() {}}
			s.sending, s.retry = under, 0
			s.unheard()
		}
		b.on(s, try)
		before := b.tries()
		b.n.Connected(from)
		pass(10 * time.Millisecond)
		if b.tries() != before {
			t.Error("two tries at a time")
		}
		b.on(s, func() { s.answered(under, sipua.Answer{}, sipua.ErrTransport) })
		if b.tries() == before {
			t.Error("not tried again at once")
		}

		pass(10 * time.Minute)
		b.on(s, try)
		before = b.tries()
		now := sipua.Flow{Network: "tcp", Remote: netip.MustParseAddrPort("192.0.2.9:40003")}
		b.on(s, func() {
			s.pace = pacer{free: 0, last: instantOf(time.Now())}
			s.since = instantOf(time.Now())
			s.pump()
		})
		if b.tries() != before {
			t.Error("two tries at a time")
		}
		b.on(s, func() { s.follow(linkOf(from), now) })
		if b.tries() == before || linkOf(s.rec.Dialog.Flow) != linkOf(now) {
			t.Error("waits for what was sent elsewhere")
		}
	})
}

// Only those who came by the same connection, from the same place and under the
// same names, are of one phone.
func TestMates(t *testing.T) {
	for _, row := range []struct {
		name, from, contact, remote string
		mate                        bool
	}{
		{"another lamp", "sip:bob@example.com", "sip:bob@192.0.2.9:5070", "192.0.2.9:40001", true},
		{"another user", "sip:eve@example.com", "sip:bob@192.0.2.9:5060", "192.0.2.9:40001", false},
		{"another address", "sip:bob@example.com", "sip:bob@192.0.2.8:5060", "192.0.2.9:40001", false},
		{"another connection", "sip:bob@example.com", "sip:bob@192.0.2.9:5060", "192.0.2.9:40002", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(b *bed) {
				s, from := b.away(listens)
				p := b.phone("192.0.2.9:5061")
				p.subscribe("sip:702@192.0.2.1")
				synctest.Wait()
				var m *sub
				for _, other := range b.n.index.all() {
					if other != s {
						m = other
					}
				}
				b.on(m, func() {
					m.rec.From, m.rec.Contact = row.from, row.contact
					m.rec.Dialog.Flow = sipua.Flow{Network: "tcp", Remote: netip.MustParseAddrPort(row.remote)}
					b.n.index.update(m, &m.rec)
				})
				b.on(s, func() {
					s.rec.Dialog.Flow.Remote = netip.MustParseAddrPort("192.0.2.9:40009")
					s.pace = pacer{last: instantOf(time.Now())}
					s.leads(from)
					if s.pace != (pacer{}) {
						t.Error("what was told elsewhere counts")
					}
				})
				synctest.Wait()
				if mate := m.rec.Dialog.Flow.Remote.Port() == 40009; mate != row.mate {
					t.Errorf("taken along: %v", mate)
				}
			})
		})
	}
}
