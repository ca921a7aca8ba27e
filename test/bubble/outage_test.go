package bubble

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"parkd/internal/store"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// A peer that cannot be reached when the server is back, for its switch starts
// anew after the same power cut, is not given up: not by a session timer, and what
// it has to be told is told until it answers.
func TestAPeerBehindASlowSwitchIsNotGivenUp(t *testing.T) {
	for name, timer := range map[string]bool{"session timer": true, "moved": false} {
		t.Run(name, func(t *testing.T) {
			crash(t, nil, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				o := referred(bob)
				if timer {
					o.Headers = []string{"Session-Expires: 1800;refresher=uas", "Supported: timer"}
				}
				parked := alice.Call("701", o)
				parked.Media.Talk(0x21)
				s.Wait(time.Second)
				host := netip.MustParseAddr("10.0.1.1")
				s.CrashAnd(time.Second, func() {
					s.Net.Cut(host, true)
					if !timer {
						s.Config.Media.Address = netip.MustParseAddr("10.0.0.77")
					}
				})
				s.Wait(45 * time.Second)
				s.Net.Cut(host, false)
				s.Wait(time.Minute)
				if n := len(parked.Got("BYE")); n != 0 {
					s.T.Fatal("the caller was hung up on")
				}
				asked := parked.Got("INVITE")
				if len(asked) == 0 || !timer && !strings.Contains(string(asked[len(asked)-1].Body), "10.0.0.77") {
					s.T.Errorf("asked %d times, and not told where parkd is now", len(asked))
				}
				parked.Hangup()
			})
		})
	}
}

// A call whose leg was lost with a damaged journal is nobody's: it ends, and does
// not light a lamp for ever.
func TestACallWithoutItsLegEnds(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		s.Wait(time.Second)
		s.Log.Expect("leg has no record")
		s.CrashAnd(time.Second, func() {
			m := s.Journal()
			for k := range must(m.Load("")) {
				if strings.Contains(k, "/leg/") {
					m.Append(store.Batch{Del: []string{k}}, func(error) {})
				}
			}
		})
		s.Wait(2 * time.Second)
		watch.Await(time.Second, "terminated")
		parked.Bye().Expect(481)
		watch.Refresh(0).Expect(200)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The 200 to a BYE waits for the record of that very end, and not for one that
// was on its way to the disk before.
func TestABYEWaitsForItsOwnRecord(t *testing.T) {
	t.Parallel()
	disk := &hanging{}
	kit.RunOn(t, nil, func() store.Store { disk.Store = store.NewMemory(); return disk }, func(s *kit.Site) {
		c := s.Phone("alice").Call("701", phone.Opts{})
		s.Wait(time.Second)
		disk.hang()
		c.Reinvite(phone.SDP{})
		s.Wait(100 * time.Millisecond)
		bye := c.Bye()
		s.Wait(100 * time.Millisecond)
		disk.write(1)
		s.Wait(100 * time.Millisecond)
		if n := len(bye.All(200)); n != 0 {
			s.T.Error("answered before it was written down")
		}
		disk.free()
		bye.ExpectWithin(time.Second, 200)
	})
}

// A peer that is faster than the disk does not fill the memory.
func TestNoMoreThanAFewRequestsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	disk := &hanging{}
	kit.RunOn(t, nil, func() store.Store { disk.Store = store.NewMemory(); return disk }, func(s *kit.Site) {
		c := s.Phone("alice").Call("701", phone.Opts{})
		s.Wait(time.Second)
		disk.hang()
		var asked []*phone.Tx
		for range 20 {
			asked = append(asked, c.Do("UPDATE", ""))
			s.Wait(10 * time.Millisecond)
		}
		disk.free()
		s.Wait(time.Second)
		taken, refused := 0, 0
		for _, tx := range asked {
			taken += min(1, len(tx.All(200)))
			refused += min(1, len(tx.All(500)))
		}
		if taken != 16 || refused != 4 {
			s.T.Errorf("%d taken, %d refused", taken, refused)
		}
		c.Hangup()
	})
}

// A parker whose pick-up could not be written down, and who therefore was never
// told that they have the caller, does not end the caller.
func TestAParkerWhoGivesUpWhileTheDiskHangsDoesNotEndTheCaller(t *testing.T) {
	t.Parallel()
	disk := &hanging{}
	kit.RunOn(t, nil, func() store.Store { disk.Store = store.NewMemory(); return disk }, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		disk.hang()
		back.PickupLate()
		s.Wait(40 * time.Second)
		disk.free()
		s.Wait(time.Second)
		if !parked.Ended().IsZero() {
			s.T.Fatal("the caller was hung up on")
		}
		hearsMusic(s, parked)
		parked.Hangup()
	})
}

// A peer that refuses to hear where parkd is now is asked again, later each time;
// one that cannot take it at all is not asked again.
func TestARefusedMoveIsNoStorm(t *testing.T) {
	for code, most := range map[int]int{488: 1, 503: 14} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			crash(t, nil, func(s *kit.Site) {
				alice := s.Phone("alice")
				alice.Auto("INVITE", code)
				c := alice.Call("701", phone.Opts{}) // silent: kept alive all the time
				s.Wait(time.Second)
				s.CrashAnd(time.Second, func() { s.Config.Media.Address = netip.MustParseAddr("10.0.0.77") })
				s.Wait(time.Hour)
				c.ExpectAlive()
				if n := len(c.Got("INVITE")); n == 0 || n > most {
					s.T.Errorf("asked %d times in an hour, want at most %d", n, most)
				}
				c.Hangup()
			})
		})
	}
}

// A leg that an offerless INVITE began, and whose answer went with the process, is
// asked for another.
func TestALegWithoutASessionSurvivesASecondCrash(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		drop := func(starts ...string) {
			s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
				for _, start := range starts {
					if strings.HasPrefix(string(p.Data), start) {
						return fakenet.Verdict{Drop: true}
					}
				}
				return fakenet.Verdict{}
			})
		}
		drop("ACK")
		c := s.Phone("alice").Invite("701", phone.Opts{Offerless: true})
		c.Expect(200)
		c.Ack()
		s.Crash(40 * time.Second)
		drop("ACK", "INVITE")
		s.Wait(100 * time.Millisecond)
		s.Crash(time.Second)
		s.Wait(45 * time.Second) // the first offer gets lost, too
		s.Net.Hook(nil)
		s.Wait(2 * time.Minute)
		c.ExpectAlive()
		hearsMusic(s, c)
		c.Hangup()
	})
}

// A server that starts before its network is up has no media sockets. Its callers
// stay, parked and bridged, and hear again when there are some.
func TestAStartBeforeTheNetworkIsUpLosesNobody(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		bridged := park(alice, bob)
		fetched := retrieve(s, bob, bridged)
		parked := park(carol, bob)
		s.Wait(time.Second)
		s.CrashAnd(time.Second, func() { s.Down.Store(true) })
		s.Wait(20 * time.Second)
		for _, c := range []*phone.Call{bridged, fetched, parked} {
			c.ExpectAlive()
		}
		s.Crash(time.Second) // nothing was written that loses them now
		s.Wait(5 * time.Second)
		s.Down.Store(false)
		s.Wait(2 * time.Second)
		hearsMusic(s, parked)
		talk(s, bridged, fetched)
		for _, c := range []*phone.Call{bridged, fetched, parked} {
			if n := len(c.Got("INVITE")); n != 0 {
				s.T.Errorf("asked %d times although nothing has changed", n)
			}
		}
		parked.Hangup()
		bridged.Hangup()
		fetched.ExpectEnd(time.Second)
	})
}

// hanging is a disk that may stop answering.
type hanging struct {
	store.Store

	mu   sync.Mutex
	hung bool
	late []func()
}

// Append implements store.Store.
func (h *hanging) Append(b store.Batch, done func(error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hung {
		h.late = append(h.late, func() { h.Store.Append(b, done) })
		return
	}
	h.Store.Append(b, done)
}

func (h *hanging) hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hung = true
}

// free has the disk work again.
func (h *hanging) free() {
	h.mu.Lock()
	h.hung = false
	n := len(h.late)
	h.mu.Unlock()
	h.write(n)
}

// write has the disk write the oldest n of what waits.
func (h *hanging) write(n int) {
	h.mu.Lock()
	late := h.late[:n]
	h.late = h.late[n:]
	h.mu.Unlock()
	for _, f := range late {
		f()
	}
}
