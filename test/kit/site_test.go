package kit

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/store"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

func TestAKilledServerSaysNothingAndAnotherTakesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSite(t, nil)
		defer s.Close()
		disk := store.NewMemory()
		s.Store = disk
		s.Start()
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		s.Wait(time.Second)
		s.Kill()
		s.Wait(2 * fakenet.Latency) // what is under way
		if heard := c.Media.Hear(time.Second); len(heard) > 0 {
			t.Errorf("%d packets came after the kill", len(heard))
		}
		c.ExpectAlive()
		if bound := s.Net.Bound(Server.Addr()); len(bound) > 0 {
			t.Errorf("still bound: %v", bound)
		}
		s.Store = disk.Reopen()
		s.Start()
		alice.Request("OPTIONS", "701", nil, "").Expect(200)
		s.Stop()
	})
}

func TestALegThatIsLeftIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSite(t, nil)
		defer s.Close()
		s.Start()
		c := s.Phone("alice").Call("701", phone.Opts{})
		if n := len(s.MediaPorts()); n != 1 {
			t.Errorf("%d media ports, want 1", n)
		}
		s.Stop()
		if legs, ok := s.Log.Number("stopping", "legs"); !ok || legs != 1 {
			t.Errorf("%v legs at the stop, want 1", legs)
		}
		if c.Ended().IsZero() {
			t.Error("the server stopped without a BYE")
		}
	})
}

func TestNthCountsSIPOnly(t *testing.T) {
	Run(t, nil, func(s *Site) {
		alice := s.Phone("alice")
		sip := 0
		count := s.Nth(1, fakenet.Verdict{Drop: true}, func(fakenet.Packet) bool { sip++; return false })
		c := alice.Call("701", phone.Opts{}) // its first 200 is lost
		s.Wait(time.Second)
		c.Hangup()
		if n := count.Load(); n != int64(sip) || n < 6 {
			s.T.Errorf("counted %d of %d packets", n, sip)
		}
		if !strings.Contains(s.Ladder.String(), "| lost") {
			s.T.Error("the ladder does not show the loss")
		}
	})
}
