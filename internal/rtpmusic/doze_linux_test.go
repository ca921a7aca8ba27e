package rtpmusic

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// isDozing says whether no poller has the port, by what epoll says of the socket.
func (p *Port) isDozing(t *testing.T) bool {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sock.(*rawSocket)
	polled := s.poller.has(s)
	if polled == p.out.dozes {
		t.Errorf("a poller has it: %t; dozing: %t", polled, p.out.dozes)
	}
	return !polled
}

// tire has the port doze as soon as it may: as if it had been awake for looseAfter.
func (p *Port) tire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.woken -= looseAfter
}

// doze waits until the port dozes.
func (f *peer) doze() {
	f.t.Helper()
	f.port.tire()
	waitFor(f.t, "a nap", func() bool { return f.port.isDozing(f.t) })
}

// press sends a key, its end three times.
func (f *peer) press(event byte) {
	f.seq++
	for i, end := range []byte{0, 0x80, 0x80, 0x80} {
		f.write(rtpBytes(i == 0, 101, f.seq+uint16(i), 1000*uint32(f.seq), 7, []byte{event, end, 3, 32}))
	}
	f.seq += 3
}

// Whoever dozes hears all, a little later: voice, a new source, keys. What is urgent
// wakes it, and what comes then is heard without a sender.
func TestDozes(t *testing.T) {
	e := newTestEngine(t)
	f, g := newPeer(t, e, loopback), newPeer(t, e, loopback)
	keys := make(chan byte, 10)
	f.port.OnKey(func(d byte) { keys <- d })
	f.port.Play(newLoop(1))
	f.next()
	if f.port.isDozing(t) {
		t.Error("it dozes just after its description")
	}
	f.doze()
	f.say("x", 1)
	waitFor(t, "voice", func() bool { return !f.port.Heard().IsZero() })
	if !f.port.isDozing(t) {
		t.Error("voice has woken it")
	}
	f.port.mu.Lock()
	f.port.out.filtered, f.port.deaf = false, nil // all of it comes
	f.port.mu.Unlock()
	before := e.Stats().In
	f.say("x", 3*dozeReads)
	waitFor(t, "more than is read at once", func() bool { return e.Stats().In == before+3*dozeReads })

	f.port.mu.Lock()
	f.port.out.heard, f.port.out.woken = f.port.out.heard-dozeDeep, f.port.out.woken-dozeDeep
	f.port.mu.Unlock()
	f.press(1)
	waitKey(t, keys, '1')
	f.doze()
	f.write(rtpBytes(true, 101, f.seq+1, 1000*uint32(f.seq), 7, []byte{2, 0, 3, 32}))
	waitFor(t, "a key, which wakes it", func() bool { return !f.port.isDozing(t) })
	f.seq++
	f.press(3)
	waitKey(t, keys, '2')
	waitKey(t, keys, '3')

	for what, wake := range map[string]func(){
		"hold":            func() { s := f.session(addrOf(f.conn)); s.Send = false; f.port.Set(s) },
		"its description": func() { f.port.Set(f.session(addrOf(f.conn))) },
		"a bridge":        func() { Bridge(f.port, g.port) },
		"silence":         f.port.Stop,
	} {
		f.port.Set(f.session(addrOf(f.conn)))
		f.port.Play(newLoop(1))
		f.doze()
		wake()
		waitFor(t, "end of the nap by "+what, func() bool { return !f.port.isDozing(t) })
		f.press(5)
		if what == "a bridge" {
			f.press(5) // what came before the bridge is told with what comes next
		}
		waitKey(t, keys, '5')
		for len(keys) > 0 {
			<-keys
		}
	}
	f.port.Set(f.session(addrOf(f.conn)))
	f.port.Play(newLoop(1))
	f.doze()
	f.port.Close()
}

// Where reports are answered by when they came, or a refusal may tell where the peer
// is, nobody dozes.
func TestDozesNot(t *testing.T) {
	e := newTestEngine(t)
	f, g := newPeer(t, e, loopback), newPeer(t, e, loopback)
	s := f.session(addrOf(f.conn))
	s.Mux = true
	f.port.Set(s)
	other := newSocket(t, loopback)
	waitFor(t, "an asymmetric peer", func() bool {
		g.sayFrom(other, "x", 1)
		return g.port.Source() == addrOf(other)
	})
	h := newPeer(t, e, loopback)
	for _, p := range []*peer{f, g, h} {
		p.port.Play(newLoop(1))
		p.port.tire()
	}
	waitFor(t, "a nap", func() bool { return h.port.isDozing(t) })
	for range 3 * dozeLook / framePtime {
		f.next()
	}
	if f.port.isDozing(t) || g.port.isDozing(t) {
		t.Error("a nap of who may not")
	}
}

// Each key is told once, and one after the other, whoever reads it.
func TestKeysOfTheTired(t *testing.T) {
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	var told, calls atomic.Int32
	f.port.OnKey(func(byte) {
		if calls.Add(1) > 1 {
			t.Error("two calls at once")
		}
		told.Add(1)
		calls.Add(-1)
	})
	f.port.Play(newLoop(1))
	for n := range int32(12) { // the first of three wakes the port
		f.doze()
		for i := range 3 {
			f.press(byte(i))
		}
		waitFor(t, "keys", func() bool { return told.Load() >= 3*(n+1) })
	}
	f.read(e.Stats(), 0)
	if told.Load() != 36 {
		t.Errorf("36 keys were told %d times", told.Load())
	}
}

// has says whether the poller is told of what comes to a socket: of another it knows
// nothing to modify.
func (l *poller) has(s *rawSocket) bool {
	err := l.control(unix.EPOLL_CTL_MOD, s)
	return err == nil
}

// Who has said nothing for long is looked at less often, until something comes.
func TestSleepsDeep(t *testing.T) {
	for ptime := ptimeStep; ptime <= maxPtime; ptime += ptimeStep {
		for _, row := range []struct {
			name         string
			heard, woken time.Duration // ago
			want         int           // ms between two looks at most
		}{
			{"heard lately", dozeDeep - 1, time.Hour, dozeLook},
			{"woken lately", time.Hour, dozeDeep - 1, dozeLook},
			{"silent", dozeDeep, dozeDeep, dozeSleep},
		} {
			const now = 2 * time.Hour
			w, p := &pacer{now: now}, &Port{num: 10}
			p.music.ptime = ptime
			p.out.dozes, p.out.heard, p.out.woken = true, now-row.heard, now-row.woken
			last, looks := int64(0), 0
			for tick := int64(ptime); tick <= 6000; tick += int64(ptime) {
				if p.looks(w, tick) {
					if gap := int(tick - last); gap > row.want {
						t.Errorf("%s, packets of %d ms: %d ms between two looks", row.name, ptime, gap)
					}
					last = tick
					looks++
				}
			}
			if least := 6000/row.want - 1; looks < least || looks > 6000/(row.want-ptime)+1 {
				t.Errorf("%s, packets of %d ms: %d looks in 6 s", row.name, ptime, looks)
			}
		}
	}
}
