package bubble

import (
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

func TestAPressWithTheIdsOfTheLampFetchesThatCall(t *testing.T) {
	for name, o := range map[string]struct {
		reversed bool
		suffix   string
	}{
		"tags as written": {}, "tags reversed": {reversed: true}, "early-only": {suffix: ";early-only"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				watch := bob.Subscribe("701")
				parked := park(alice, bob)
				lamp := watch.Await(time.Second, "early")
				fetched := bob.Call("701", phone.Opts{Replaces: lamp.Replaces(o.reversed) + o.suffix})
				talk(s, fetched, parked)
				watch.Await(time.Second, "terminated")
				if name == "tags as written" {
					s.Golden("press-with-replaces")
				}
				goodbye(s, parked, fetched)
				watch.Refresh(0).Expect(200)
			})
		})
	}
}

func TestALatePressNeverFetchesAnothersCall(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := bob.Subscribe("701")
		first := park(alice, bob)
		lamp := watch.Await(time.Second, "early")
		first.Hangup()
		second := park(carol, bob)
		bob.Invite("701", phone.Opts{Replaces: lamp.Replaces(false)}).Expect(481)
		hearsMusic(s, second)
		s.Golden("late-press")
		second.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestAWatchersPlainCallIsAPress(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(time.Second, "early")
		s.Wait(time.Second)
		fetched := bob.Call("701", phone.Opts{})
		talk(s, fetched, parked)
		s.Golden("plain-press")
		goodbye(s, fetched, parked)
		watch.Refresh(0).Expect(200)
	})
}

func TestAWatchersLatePlainPressIsRefusedAndNeverParked(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(time.Second, "early")
		s.Wait(time.Second)
		lose(s, 1000, "NOTIFY") // bob's lamp stays lit
		parked.Hangup()
		s.Wait(time.Second)
		bob.Invite("701", phone.Opts{}).Expect(404)
		if n := len(s.MediaPorts()); n != 0 {
			s.T.Errorf("%d legs: the press was parked", n)
		}
		s.Net.Hook(nil)
		watch.Await(time.Minute, "terminated")
		s.Wait(time.Second)
		free(s, bob) // the lamp is dark: a direct dial
		watch.Refresh(0).Expect(200)
	})
}

func TestAWatchersLatePlainPressNeverFetchesAnothersCall(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := bob.Subscribe("701")
		first := park(alice, bob)
		watch.Await(time.Second, "early")
		s.Wait(time.Second)
		lose(s, 1000, "NOTIFY")
		first.Hangup()
		second := park(carol, bob)
		bob.Invite("701", phone.Opts{}).Expect(404)
		hearsMusic(s, second)
		s.Net.Hook(nil)
		watch.Await(time.Minute, "early")
		second.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestOthersWhoDialALitOrbitAreRefusedAndJoinedWithNobody(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(time.Second, "early")
		carol.Invite("701", phone.Opts{}).Expect(486)
		// A watcher who is transferred to the orbit does not press its key.
		bob.Invite("701", referred(carol)).Expect(486)
		hearsMusic(s, parked)
		parked.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestForTenSecondsNobodyTakesTheLegOfAPlainPress(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(time.Second, "early")
		s.Wait(time.Second)
		fetched := bob.Call("701", phone.Opts{})
		s.Wait(5 * time.Second)
		carol.Invite("701", phone.Opts{Replaces: fetched.Replaces()}).Expect(486)
		talk(s, fetched, parked)
		s.Wait(5 * time.Second)
		taken := carol.Call("701", phone.Opts{Replaces: fetched.Replaces()})
		fetched.ExpectEnd(time.Second)
		talk(s, taken, parked)
		goodbye(s, taken, parked)
		watch.Refresh(0).Expect(200)
	})
}

func TestBothSidesOfAFetchedCallCanBeTransferredAway(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol, dave := s.Phone("alice"), s.Phone("bob"), s.Phone("carol"), s.Phone("dave")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		instead := carol.Call("701", phone.Opts{Replaces: fetched.Replaces()})
		fetched.ExpectEnd(time.Second)
		talk(s, instead, parked)
		caller := dave.Call("701", phone.Opts{Replaces: parked.Replaces()})
		parked.ExpectEnd(time.Second)
		talk(s, instead, caller)
		goodbye(s, caller, instead)
	})
}
