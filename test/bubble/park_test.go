package bubble

import (
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

func TestATransferredCallerHearsMusicAndIsFetched(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		start := time.Now()
		parked := park(alice, bob)
		s.Wait(3*time.Second - 2*time.Millisecond)
		music := parked.Media.Got(time.Time{})
		about(s, "first packet of music", music[0].At.Sub(start), 10*time.Millisecond)
		if !music[0].Marker {
			s.T.Error("music begins without a marker")
		}
		steady(s, music, 3*time.Second)

		fetched := bob.Call("*4701", phone.Opts{})
		if got, want := fetched.Tx.All(200)[0].Get("P-Asserted-Identity"), `"alice" <sip:alice@10.0.1.1>`; got != want {
			s.T.Errorf("the phone shows %s, want %s", got, want)
		}
		if got := fetched.Tx.All(200)[0].Get("Remote-Party-ID"); got == "" {
			s.T.Error("no Remote-Party-ID for older phones")
		}
		talk(s, fetched, parked)
		goodbye(s, parked, fetched)
		s.Golden("park-and-retrieve")
		free(s, alice)
	})
}

func TestEveryCodeFetches(t *testing.T) {
	for _, dialled := range []string{"*4701", "%2A4701", "*78701", "**701", "701;operation=retrieve", "701;operation=RETRIEVE"} {
		t.Run(dialled, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := bob.Call(dialled, phone.Opts{})
				talk(s, fetched, parked)
				goodbye(s, fetched, parked)
			})
		})
	}
}

func TestADirectDialHearsTheMusicAndIsReturnedToNobody(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		s.Wait(10 * time.Minute)
		c.ExpectAlive()
		if n := len(alice.Got("INVITE")); n != 0 {
			s.T.Errorf("%d calls came back", n)
		}
		hearsMusic(s, c)
		c.Hangup()
		hearsNothing(s, c)
	})
}

func TestTwoWhoPressAtOnceGetOneCallAndOneRefusal(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		calls := []*phone.Call{bob.Invite("*4701", phone.Opts{}), carol.Invite("*4701", phone.Opts{})}
		s.Wait(time.Second)
		won, lost := calls[0], calls[1]
		if won.Tx.Wait(0).Code() != 200 {
			won, lost = lost, won
		}
		won.Expect(200)
		won.Ack()
		lost.Expect(404)
		talk(s, won, parked)
		if n := len(s.MediaPorts()); n != 2 {
			s.T.Errorf("%d legs, want 2: the loser must not be parked", n)
		}
		goodbye(s, won, parked)
	})
}

func TestTheOldestCallIsFetchedFirst(t *testing.T) {
	runWith(t, kit.Orbit("701", several), func(s *kit.Site) {
		desk := s.Phone("desk")
		var parked []*phone.Call
		for _, name := range []string{"ann", "ben", "cid"} {
			parked = append(parked, park(s.Phone(name), desk))
			s.Wait(time.Second)
		}
		hearsMusic(s, parked[0])
		hearsMusic(s, parked[2])
		for _, c := range parked {
			goodbye(s, retrieve(s, desk, c), c)
		}
		desk.Invite("*4701", phone.Opts{}).Expect(404)
	})
}

func TestAFullOrbitRefusesBeforeAnyAnswer(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		refused := carol.Invite("701", referred(bob))
		refused.Expect(486)
		for code := 101; code < 300; code++ {
			if len(refused.Tx.All(code)) > 0 {
				s.T.Errorf("%d came before the refusal", code)
			}
		}
		carol.Invite("701", phone.Opts{}).Expect(486)
		hearsMusic(s, parked)
		s.Golden("full")
		parked.Hangup()
		free(s, carol)
	})
}

func TestAConsultationCallIsCompletedIntoAPark(t *testing.T) {
	runWith(t, kit.Orbit("701", several), func(s *kit.Site) {
		bob, alice, carol := s.Phone("bob"), s.Phone("alice"), s.Phone("carol")
		consult := bob.Call("701", phone.Opts{})
		s.Wait(10 * time.Second)
		later := park(carol, bob)
		s.Wait(10 * time.Second)
		parked := alice.Call("701", phone.Opts{Replaces: consult.Replaces()})
		consult.ExpectEnd(time.Second)
		hearsNothing(s, consult)
		hearsMusic(s, parked)
		s.Golden("attended-transfer")

		// Alice stands where bob stood: before carol.
		goodbye(s, retrieve(s, bob, parked), parked)
		later.Hangup()
	})
}

func TestACompletedConsultationComesBackToWhoeverMadeIt(t *testing.T) {
	run(t, func(s *kit.Site) {
		bob, alice := s.Phone("bob"), s.Phone("alice")
		consult := bob.Call("701", phone.Opts{})
		s.Wait(10 * time.Second)
		parked := alice.Call("701", phone.Opts{Replaces: consult.Replaces()})
		consult.ExpectEnd(time.Second)
		back := bob.Ringing(121 * time.Second)
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
	})
}

func TestCallsWithDifferentCodecsAreBridged(t *testing.T) {
	for name, formats := range map[string][2]string{
		"PCMU to PCMA": {"0 101", "8 101"}, "PCMA to G722": {"8 101", "9 101"}, "G722 to G722": {"9 101", "9 101"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := alice.Call("701", phone.Opts{SDP: phone.SDP{Formats: formats[0]}})
				hearsMusic(s, parked)
				fetched := bob.Call("*4701", phone.Opts{SDP: phone.SDP{Formats: formats[1]}})
				parked.Media.Talk(0x21)
				fetched.Media.Talk(0x42)
				s.Wait(100 * time.Millisecond)
				steady(s, parked.Media.Hear(time.Second), time.Second)
				steady(s, fetched.Media.Hear(time.Second), time.Second)
				goodbye(s, parked, fetched)
			})
		})
	}
}

func TestTheRetrieverIsGivenTheCallersCodec(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := alice.Call("701", phone.Opts{SDP: phone.SDP{Formats: "8 101"}})
		fetched := bob.Call("*4701", phone.Opts{SDP: phone.SDP{Formats: "0 8 9 101"}})
		talk(s, fetched, parked) // byte for byte: nothing is transcoded
		goodbye(s, parked, fetched)
	})
}
