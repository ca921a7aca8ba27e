package bubble

import (
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// lit is how soon a lamp shows what has happened.
const lit = 100 * time.Millisecond

func TestALampIsDarkThenLitThenDark(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Subscribe("701")
		dark := watch.Await(lit, "terminated")
		if dark.Version != 0 || dark.State != "active" || dark.Dialogs != 1 || dark.Entity != "sip:701@10.0.0.1:5060" || dark.CallID != "" {
			s.T.Errorf("first document: %+v", dark)
		}
		if dark.Expires < 3599 || dark.Expires > 3600 {
			s.T.Errorf("expires in %d s, want 3600", dark.Expires)
		}
		parked := park(alice, bob)
		on := watch.Await(lit, "early")
		if on.Version != 1 || on.Dialogs != 1 || on.Direction != "recipient" || on.ID == "" || on.CallID == "" || on.LocalTag == "" || on.RemoteTag == "" {
			s.T.Errorf("second document: %+v", on)
		}
		if on.RemoteName != "alice" || on.RemoteURI != "sip:alice@10.0.1.1" {
			s.T.Errorf("lamp shows %q %s, want alice", on.RemoteName, on.RemoteURI)
		}
		if want := "sip:701@10.0.0.1:5060"; on.LocalTarget != want || on.RemoteTarget != want {
			s.T.Errorf("targets %s and %s, want %s: a press must reach the orbit", on.LocalTarget, on.RemoteTarget, want)
		}
		if on.CallID == parked.CallID() {
			s.T.Error("the ids of the real dialog are published")
		}
		s.Wait(time.Second)
		fetched := bob.Call("*4701", phone.Opts{})
		off := watch.Await(lit, "terminated")
		if off.Version != 2 || off.Dialogs != 1 {
			s.T.Errorf("third document: %+v", off)
		}
		s.Wait(time.Second)
		goodbye(s, fetched, parked)
		watch.Refresh(0).Expect(200)
		if end := watch.AwaitEnd(lit); end.Reason != "timeout" {
			s.T.Errorf("ended because of %q", end.Reason)
		}
		s.Wait(time.Second)
		s.Golden("lamp")
	})
}

func TestALampTurnsDarkWhenTheCallerHangsUp(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(lit, "early")
		parked.Hangup()
		watch.Await(lit, "terminated")
		watch.Refresh(0).Expect(200)
	})
}

func TestALampStaysLitWhileTheCallReturns(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Subscribe("701")
		parked := park(alice, bob)
		lamp := watch.Await(lit, "early")
		back := bob.Ringing(after + time.Second)
		s.Wait(time.Second)
		// A press fetches the call out of its return.
		still := watch.Await(lit, "early")
		if still.CallID != lamp.CallID {
			s.T.Error("the ids changed with the return")
		}
		if still.RemoteName != "alice (returning)" {
			s.T.Errorf("the lamp shows %q", still.RemoteName)
		}
		fetched := carol.Call("701", phone.Opts{Replaces: still.Replaces(false)})
		back.ExpectCancel(time.Second)
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		watch.Refresh(0).Expect(200)
	})
}

func TestALampShowsTheNextToBeFetched(t *testing.T) {
	runWith(t, kit.Orbit("701", several), func(s *kit.Site) {
		ann, ben, desk := s.Phone("ann"), s.Phone("ben"), s.Phone("desk")
		watch := desk.Subscribe("701")
		first := park(ann, desk)
		lamp := watch.Await(lit, "early")
		second := park(ben, desk)
		s.Wait(time.Second)
		if l := watch.Await(0, "early"); l.RemoteName != "ann (+1)" || l.Dialogs != 1 || l.CallID != lamp.CallID {
			s.T.Errorf("lamp shows %+v, want ann and one who waits", l)
		}
		fetched := desk.Call("701", phone.Opts{Replaces: lamp.Replaces(false)})
		talk(s, fetched, first)
		s.Wait(time.Second)
		next := watch.Await(0, "early")
		if next.RemoteName != "ben" || next.CallID == lamp.CallID {
			s.T.Errorf("lamp shows %s, want ben", next.RemoteName)
		}
		goodbye(s, fetched, first)
		second.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestALostNotifyIsRepeatedAndANewerStateOvertakesIt(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Subscribe("701")
		watch.Await(lit, "terminated")
		s.Wait(time.Second)
		start := time.Now()
		lose(s, 1, "NOTIFY")
		parked := park(alice, bob)
		on := watch.Await(time.Second, "early")
		about(s, "repeated NOTIFY", on.At.Sub(start), t1)

		s.Wait(10 * time.Second)
		start = time.Now()
		lose(s, 1000, "NOTIFY")
		parked.Hangup()
		s.Wait(time.Second)
		again := park(alice, bob)
		s.Wait(600 * time.Millisecond)
		s.Net.Hook(nil)
		next := watch.Await(2*time.Second, "early")
		for next.CallID == on.CallID {
			s.Wait(10 * time.Millisecond)
			next = watch.Await(2*time.Second, "early")
		}
		if late := next.At.Sub(start); late > 2100*time.Millisecond {
			s.T.Errorf("the newest state came after %v, want 2 s", late)
		}
		if next.CSeq <= on.CSeq || next.Version <= on.Version {
			s.T.Errorf("CSeq or version went back: %+v after %+v", next, on)
		}
		again.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestAWatcherWhoNeverAnswersIsToldAllTheSame(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		carol.Auto("NOTIFY", 0)
		watch := carol.Subscribe("701")
		s.Wait(5 * time.Minute)
		parked := park(alice, bob)
		watch.Await(3*time.Second, "early")
		parked.Hangup()
		watch.Await(3*time.Second, "terminated")
		carol.Auto("NOTIFY", 200)
		watch.Refresh(0).Expect(200)
		watch.AwaitEnd(3 * time.Second)
	})
}

func TestARefreshedSubscriptionLivesOnAndOthersExpire(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := carol.Subscribe("701")
		left := bob.Subscribe("701")
		s.Wait(55 * time.Minute)
		before := len(watch.Lamps())
		if got := watch.Refresh(3600).Expect(200).Get("Expires"); got != "3600" {
			s.T.Errorf("refreshed for %s s", got)
		}
		s.Wait(lit)
		if got := len(watch.Lamps()); got != before+1 { // RFC 6665 4.2.1.2
			s.T.Errorf("%d documents after the refresh, want %d", got, before+1)
		}
		s.Wait(10 * time.Minute)
		if end := left.AwaitEnd(0); end.Reason != "timeout" {
			s.T.Errorf("expired because of %q", end.Reason)
		}
		told := len(left.Lamps())
		parked := park(alice, bob)
		watch.Await(lit, "early")
		if got := len(left.Lamps()); got != told {
			s.T.Error("whoever watches no more was told")
		}
		left.Refresh(600).Expect(481)
		parked.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestAFetchIsAnsweredWithOneDocument(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetch := bob.Watch("701", 0)
		fetch.Expect(200)
		if l := fetch.AwaitEnd(lit); l.Dialog != "early" || l.Version != 0 || l.RemoteName != "alice" {
			s.T.Errorf("fetched %+v", l)
		}
		parked.Hangup()
		s.Wait(time.Minute)
		if n := len(fetch.Lamps()); n != 1 {
			s.T.Errorf("%d documents, want 1", n)
		}
	})
}

func TestAPhoneThatKnowsNothingOfItIsToldNoMore(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		watch.Await(lit, "terminated")
		bob.Auto("NOTIFY", 481)
		park(alice, bob).Hangup()
		s.Wait(time.Minute)
		told := len(bob.Got("NOTIFY"))
		park(alice, bob).Hangup()
		s.Wait(time.Minute)
		if got := len(bob.Got("NOTIFY")); got != told {
			s.T.Errorf("%d NOTIFYs after the 481", got-told)
		}
	})
}

func TestAWatcherBehindNatIsToldWhereItsSubscribeCameFrom(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Watch("701", 3600, "Contact: <sip:bob@192.168.7.7:5060>")
		watch.Expect(200)
		parked := park(alice, bob)
		watch.Await(lit, "early")
		parked.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestTheTwoHundredComesBeforeTheFirstNotify(t *testing.T) {
	run(t, func(s *kit.Site) {
		bob := s.Phone("bob")
		first := ""
		s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict {
			if first == "" && p.From == kit.Server {
				first = string(p.Data[:11])
			}
			return fakenet.Verdict{}
		})
		watch := bob.Subscribe("701")
		l := watch.Await(lit, "terminated")
		if first != "SIP/2.0 200" {
			s.T.Errorf("first came %q", first)
		}
		if got, want := bob.Got("NOTIFY")[0].FromTag(), watch.Tx.All(200)[0].ToTag(); got != want {
			s.T.Errorf("NOTIFY from tag %q, 200 to tag %q (%+v)", got, want, l)
		}
		watch.Refresh(0).Expect(200)
	})
}
