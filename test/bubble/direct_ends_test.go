package bubble

import (
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// Whoever comes in between: the media comes back first, and goes past parkd again
// when the new two are joined.
func TestADirectCallIsTransferred(t *testing.T) {
	for _, who := range []string{"caller", "retriever"} {
		t.Run(who, func(t *testing.T) {
			runDirect(t, func(s *kit.Site) {
				alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
				parked := park(alice, bob)
				fetched := straight(s, bob, parked)
				gone, stays := fetched, parked
				if who == "caller" {
					gone, stays = parked, fetched
				}
				taken := carol.Call("701", phone.Opts{Replaces: gone.Replaces()})
				taken.Media.Talk(0x63)
				gone.ExpectEnd(time.Second)
				s.Wait(50 * time.Millisecond)
				talkThrough(s, taken, stays)
				s.Wait(sooner)
				talkDirectly(s, taken, stays)
				goodbye(s, taken, stays)
				s.Golden("direct-transfer-of-" + who)
			})
		})
	}
}

// Both sides change the session while parkd does.
func TestGlareWhileMediaIsLedPastParkd(t *testing.T) {
	for _, who := range []string{"caller", "retriever"} {
		t.Run(who, func(t *testing.T) {
			runDirect(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := fetchFor(bob, parked)
				p, c := alice, parked
				if who == "retriever" {
					p, c = bob, fetched
				}
				p.Auto("INVITE", 0)
				for len(c.Got("INVITE")) == 0 {
					s.Wait(10 * time.Millisecond)
				}
				crossing := c.Reinvite(phone.SDP{Direction: "sendonly"})
				crossing.Expect(491)
				p.Auto("INVITE", 200)
				c.Late(491, "INVITE")
				s.Wait(10 * time.Millisecond)
				c.Change(phone.SDP{})
				s.Wait(6 * time.Second)
				talkDirectly(s, parked, fetched)
				goodbye(s, parked, fetched)
			})
		})
	}
}

// One hangs up while it is being switched over.
func TestABYEInTheMiddleOfTheSwitch(t *testing.T) {
	for _, asked := range []string{"caller", "retriever"} {
		for _, leaves := range []string{"caller", "retriever"} {
			t.Run(asked+" is asked, "+leaves+" leaves", func(t *testing.T) {
				runDirect(t, func(s *kit.Site) {
					alice, bob := s.Phone("alice"), s.Phone("bob")
					parked := park(alice, bob)
					fetched := fetchFor(bob, parked)
					of := map[string]*phone.Call{"caller": parked, "retriever": fetched}
					map[string]*phone.Phone{"caller": alice, "retriever": bob}[asked].Auto("INVITE", 0)
					for len(of[asked].Got("INVITE")) == 0 {
						s.Wait(10 * time.Millisecond)
					}
					goodbye(s, of[leaves], map[string]*phone.Call{"caller": fetched, "retriever": parked}[leaves])
				})
			})
		}
	}
}

// Phones that are not heard any more are asked whether they are there.
func TestADirectCallEndsWhenOneIsGone(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		s.Wait(10 * time.Minute)
		parked.ExpectAlive()
		talkDirectly(s, parked, fetched)
		for _, m := range []string{"OPTIONS", "INVITE", "BYE"} {
			bob.Auto(m, 0)
		}
		parked.ExpectEnd(7 * time.Minute)
		fetched.Media.Quiet()
		bob.Forget(fetched)
	})
}

func TestADirectCallOutlivesTheProcess(t *testing.T) {
	crash(t, kit.Orbit("701", direct), func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		was := reinvites(parked, fetched)
		s.Crash(down)
		s.Wait(10 * time.Second)
		talkDirectly(s, parked, fetched)
		if n := reinvites(parked, fetched); n != was {
			s.T.Errorf("%d re-INVITEs although nothing changed", n-was)
		}
		fetched.Change(phone.SDP{Direction: "sendonly"})
		isTold(s, parked, "sendonly")
		s.Crash(down)
		s.Wait(10 * time.Second)
		fetched.Change(phone.SDP{})
		isTold(s, parked, "sendrecv")
		talkDirectly(s, parked, fetched)
		taken := carol.Call("701", phone.Opts{Replaces: fetched.Replaces()})
		taken.Media.Talk(0x63)
		fetched.ExpectEnd(time.Second)
		s.Wait(50 * time.Millisecond)
		talkThrough(s, taken, parked)
		goodbye(s, taken, parked)
	})
}

// An orbit that is no more to be direct takes its media back at a restart.
func TestADirectCallThatIsNoMoreToBe(t *testing.T) {
	crash(t, kit.Orbit("701", direct), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		s.CrashAnd(down, func() { kit.Orbit("701", func(o *config.Orbit) { o.Retrieve = "bridge" })(&s.Config) })
		s.Wait(2 * time.Second)
		talkThrough(s, parked, fetched)
		goodbye(s, parked, fetched)
	})
}

func TestTheLogTellsWhichWayMediaGoes(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		if !strings.Contains(s.Log.String(), "media flows directly") {
			s.T.Error("nothing of a direct call in the log")
		}
		goodbye(s, parked, fetched)
	})
}

// Parked again, the caller hears music of parkd's, be they held before.
func TestADirectCallIsParkedAgain(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(map[bool]string{false: "talking", true: "held"}[held], func(t *testing.T) {
			runDirect(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := straight(s, bob, parked)
				if held {
					fetched.Change(phone.SDP{Direction: "inactive"})
					isTold(s, parked, "inactive")
				}
				fetched.Refer("sip:702@10.0.0.1").Accepted().Ends(time.Second, 200)
				s.Wait(300 * time.Millisecond) // bob's phone does not hang up, but it is told to let alice alone
				isTold(s, parked, "sendrecv")
				hearsMusic(s, parked)
				if at := fetched.Media.Remote().Addr(); at != kit.Server.Addr() {
					s.T.Errorf("who parked them sends to %v", at)
				}
				if at := parked.Media.Remote().Addr(); at != kit.Server.Addr() {
					s.T.Errorf("the caller sends to %v", at)
				}
				fetched.Hangup()
				goodbye(s, bob.Call("*4702", phone.Opts{}), parked)
			})
		})
	}
}
