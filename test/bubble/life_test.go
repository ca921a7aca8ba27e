package bubble

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

func TestASilentCallerWhosePhoneAnswersStays(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		c.Change(phone.SDP{Direction: "inactive"}) // silence is legal
		s.Wait(time.Hour)
		c.ExpectAlive()
		asked := c.Got("OPTIONS")
		if len(asked) < 118 || len(asked) > 120 {
			s.T.Errorf("asked %d times in an hour, want every 30 s", len(asked))
		}
		c.Change(phone.SDP{})
		s.Wait(30 * time.Millisecond)
		hearsMusic(s, c)
		c.Hangup()
	})
}

// Of a caller who talks to nobody the kernel lets one packet in 64 pass: that is a sign
// of life as good as all of them.
func TestACallerWhoIsHeardIsAskedRarely(t *testing.T) {
	for name, talk := range map[string]func(*phone.Media, byte) byte{"all": (*phone.Media).Talk, "sampled": (*phone.Media).Sampled} {
		t.Run(name, func(t *testing.T) {
			runWith(t, func(c *config.Config) { c.Park.Keepalive = time.Minute }, func(s *kit.Site) {
				alice := s.Phone("alice")
				c := alice.Call("701", phone.Opts{})
				talk(c.Media, 0x55)
				s.Wait(5*time.Minute + time.Second)
				if n := len(c.Got("OPTIONS")); n != 5 {
					s.T.Errorf("asked %d times in five minutes, want once a minute", n)
				}
				c.Hangup()
			})
		})
	}
}

func TestAPhoneThatKnowsTheCallNoMoreIsLetGo(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		c := park(alice, bob)
		c.Media.Quiet()
		alice.Auto("OPTIONS", 481)
		s.Wait(time.Minute)
		if c.Ended().IsZero() {
			s.T.Error("the leg lives on")
		}
		free(s, bob)
	})
}

func TestAPhoneThatIsDeadForFiveMinutesIsLetGo(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		c := alice.Call("701", phone.Opts{})
		c.Media.Talk(0x55)
		s.Wait(time.Minute)
		alice.Close()
		s.Wait(4*time.Minute + 50*time.Second)
		bob.Invite("701", phone.Opts{}).Expect(486)
		s.Wait(100 * time.Second)
		free(s, bob)
	})
}

func TestARebootingSwitchLosesNobody(t *testing.T) {
	run(t, func(s *kit.Site) {
		pbx, bob := s.Phone("pbx"), s.Phone("bob")
		c := park(pbx, bob)
		c.Media.Quiet()
		pbx.Auto("OPTIONS", 0)
		s.Wait(90 * time.Second)
		pbx.Auto("OPTIONS", 200)
		s.Wait(25 * time.Second)
		back := bob.Ringing(10 * time.Second)
		back.Pickup()
		talk(s, back, c)
		goodbye(s, c, back)
	})
}

func TestADeadRetrieverEndsTheCallForBoth(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		_ = fetched
		bob.Close()
		parked.ExpectEnd(7 * time.Minute)
	})
}

func TestACallIsEndedAfterTheLongestTime(t *testing.T) {
	runWith(t, func(c *config.Config) { c.Park.MaxTime = 10 * time.Minute }, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		start := time.Now()
		c.ExpectEnd(11 * time.Minute)
		about(s, "end", time.Since(start), 10*time.Minute)
		free(s, alice)
	})
}
