package bubble

import (
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// changes are how a phone changes its session: by re-INVITE and by UPDATE.
var changes = map[string]func(*phone.Call, phone.SDP){
	"re-INVITE": func(c *phone.Call, s phone.SDP) { c.Change(s) },
	"UPDATE":    func(c *phone.Call, s phone.SDP) { c.UpdateTo(s).Expect(200) },
}

// holds are how phones hold, with what the other party is told then.
var holds = map[string]struct {
	sdp  phone.SDP
	told string
}{
	"sendonly": {phone.SDP{Direction: "sendonly"}, "sendonly"},
	"inactive": {phone.SDP{Direction: "inactive"}, "inactive"},
	"0.0.0.0":  {phone.SDP{Address: "0.0.0.0"}, "sendonly"},
	"port 0":   {phone.SDP{Removed: true}, "inactive"},
}

// told is the direction that a phone was last told, "" if it was told nothing.
func told(c *phone.Call) string {
	list := c.Got("INVITE")
	if len(list) == 0 {
		return ""
	}
	for _, way := range []string{"sendonly", "recvonly", "inactive"} {
		if strings.Contains(list[len(list)-1].Body, "a="+way+"\r\n") {
			return way
		}
	}
	return "sendrecv"
}

// isTold checks what a phone was told last.
func isTold(s *kit.Site, c *phone.Call, want string) {
	s.T.Helper()
	s.Wait(20 * time.Millisecond)
	if got := told(c); got != want {
		s.T.Errorf("told %q, want %q", got, want)
	}
}

// hearsVoice checks that one hears that voice and nothing else.
func hearsVoice(s *kit.Site, c *phone.Call, voice byte) {
	s.T.Helper()
	time.Sleep(5 * time.Millisecond)
	only(s, c.Media.Hear(time.Second), voice)
}

func TestAHoldIsPassedOn(t *testing.T) {
	for by, change := range changes {
		for name, hold := range holds {
			for _, holder := range []string{"retriever", "caller"} {
				t.Run(by+", "+name+", by the "+holder, func(t *testing.T) {
					run(t, func(s *kit.Site) {
						alice, bob := s.Phone("alice"), s.Phone("bob")
						held := park(alice, bob)
						holding := retrieve(s, bob, held)
						if holder == "caller" {
							held, holding = holding, held
						}
						change(holding, hold.sdp)
						isTold(s, held, hold.told)
						hearsNothing(s, holding)
						if hold.told == "sendonly" { // its own music, say
							hearsVoice(s, held, holding.Media.Voice())
						} else {
							hearsNothing(s, held)
						}
						change(holding, phone.SDP{})
						isTold(s, held, "sendrecv")
						talk(s, held, holding)
						if n := len(held.Got("INVITE")); n != 2 {
							s.T.Errorf("%d re-INVITEs, want 2", n)
						}
						if n := len(holding.Got("INVITE")); n != 0 {
							s.T.Errorf("the holder was asked %d times", n)
						}
						goodbye(s, holding, held)
						if name == "sendonly" {
							s.Golden("hold-" + strings.ToLower(by) + "-" + holder)
						}
					})
				})
			}
		}
	}
}

func TestTwoWhoHoldEachOtherAreNotLocked(t *testing.T) {
	for name, second := range map[string]phone.SDP{"sendonly": {Direction: "sendonly"}, "inactive": {Direction: "inactive"}} {
		for _, first := range []string{"first", "second"} {
			t.Run(name+", the "+first+" resumes first", func(t *testing.T) {
				run(t, func(s *kit.Site) {
					alice, bob := s.Phone("alice"), s.Phone("bob")
					a := park(alice, bob)
					b := retrieve(s, bob, a)
					a.Change(phone.SDP{Direction: "sendonly"})
					isTold(s, b, "sendonly")
					b.Change(second)
					isTold(s, a, "sendonly") // b was not to send anyway
					hearsNothing(s, a)
					hearsNothing(s, b)
					if first == "second" {
						a, b = b, a
					}
					a.Change(phone.SDP{})
					hearsNothing(s, b)
					b.Change(phone.SDP{})
					s.Wait(100 * time.Millisecond)
					talk(s, a, b)
					goodbye(s, a, b)
					if first == "first" && name == "sendonly" {
						s.Golden("hold-both")
					}
				})
			})
		}
	}
}

// A phone on hold refreshes its session with what it has answered, or under a new
// version: it holds nobody.
func TestAPhoneOnHoldThatRefreshesHoldsNobody(t *testing.T) {
	for name, hold := range holds {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := retrieve(s, bob, parked)
				fetched.Change(hold.sdp)
				isTold(s, parked, hold.told)
				parked.Change(phone.SDP{Direction: map[string]string{"sendonly": "recvonly", "inactive": "inactive"}[hold.told]})
				s.Wait(time.Second)
				if way := told(fetched); way != "" {
					s.T.Errorf("the holder was told %q", way)
				}
				parked.Answers(phone.SDP{}) // to what it is offered next
				fetched.Change(phone.SDP{})
				isTold(s, parked, "sendrecv")
				talk(s, parked, fetched)
				goodbye(s, parked, fetched)
			})
		})
	}
}

// The caller was held when the retriever vanished from under them: parked again or
// taken by somebody else, they are in no hold any more.
func TestWhoWasHeldHearsWhoeverComesNext(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		fetched.Change(phone.SDP{Direction: "inactive"})
		isTold(s, parked, "inactive")
		taken := carol.Call("701", phone.Opts{Replaces: fetched.Replaces()})
		fetched.ExpectEnd(time.Second)
		isTold(s, parked, "sendrecv")
		talk(s, taken, parked)
		goodbye(s, taken, parked)
		s.Golden("hold-replaced")
	})
}

// A retriever who never confirms has held the caller: the music comes back.
func TestWhoWasHeldHearsMusicAgain(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		never := bob.Invite("*4701", phone.Opts{SDP: phone.SDP{Direction: "inactive"}})
		never.Expect(200)
		isTold(s, parked, "inactive")
		s.Wait(40 * time.Second)
		isTold(s, parked, "sendrecv")
		hearsMusic(s, parked)
		parked.Hangup()
	})
}

// Who retrieves somebody who is on hold is told so in the answer.
func TestAHeldCallerIsFetched(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		parked.Change(phone.SDP{Direction: "sendonly"})
		fetched := bob.Call("*4701", phone.Opts{})
		if body := fetched.Tx.Wait(0).Body; !strings.Contains(body, "a=sendonly\r\n") {
			s.T.Errorf("answered %s", body)
		}
		hearsVoice(s, fetched, 0x21)
		parked.Change(phone.SDP{})
		isTold(s, fetched, "sendrecv")
		talk(s, parked, fetched)
		goodbye(s, parked, fetched)
	})
}

func TestAPhoneThatRefusesTheHoldIsLeftAlone(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		alice.Auto("INVITE", 488)
		fetched.Change(phone.SDP{Direction: "sendonly"})
		s.Wait(10 * time.Minute)
		if n := len(parked.Got("INVITE")); n != 1 {
			s.T.Errorf("%d re-INVITEs, want 1", n)
		}
		hearsVoice(s, parked, fetched.Media.Voice())
		alice.Auto("INVITE", 200)
		fetched.Change(phone.SDP{})
		s.Wait(time.Second)
		talk(s, parked, fetched)
		fetched.Change(phone.SDP{Direction: "sendonly"})
		isTold(s, parked, "sendonly")
		goodbye(s, fetched, parked)
	})
}

func TestAPhoneThatIsBusyIsToldAgain(t *testing.T) {
	for _, code := range []int{491, 500} {
		t.Run(phoneStatus(code), func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := retrieve(s, bob, parked)
				alice.Auto("INVITE", code)
				fetched.Change(phone.SDP{Direction: "sendonly"})
				s.Wait(10 * time.Millisecond)
				alice.Auto("INVITE", 200)
				s.Wait(31 * time.Second)
				isTold(s, parked, "sendonly")
				if n := len(parked.Got("INVITE")); n != 2 {
					s.T.Errorf("%d re-INVITEs, want 2", n)
				}
				goodbye(s, fetched, parked)
			})
		})
	}
}

func phoneStatus(code int) string {
	if code == 491 {
		return "glare"
	}
	return "trouble"
}

// Both change their minds at once: each is answered with 491 and asked again.
func TestTwoWhoHoldAtOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		// Alice does the same while ours is under way to her, and refuses it.
		alice.Auto("INVITE", 0)
		fetched.Change(phone.SDP{Direction: "sendonly"})
		crossing := parked.Reinvite(phone.SDP{Direction: "sendonly"})
		if r := crossing.Wait(time.Second); r.Code() != 491 {
			s.T.Fatalf("answered %s", r.Start)
		}
		alice.Auto("INVITE", 200)
		parked.Late(491, "INVITE")
		s.Wait(5 * time.Second)
		isTold(s, parked, "sendonly")
		parked.Change(phone.SDP{Direction: "sendonly"})
		isTold(s, fetched, "sendonly")
		parked.Change(phone.SDP{})
		isTold(s, fetched, "sendrecv")
		fetched.Change(phone.SDP{})
		s.Wait(100 * time.Millisecond)
		talk(s, parked, fetched)
		goodbye(s, fetched, parked)
	})
}

// While a phone is slow to answer, only the newest of many changes waits for it.
func TestTheNewestWishWins(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		alice.Auto("INVITE", 0)
		for _, way := range []string{"sendonly", "inactive", "", "sendonly", "recvonly"} {
			fetched.Change(phone.SDP{Direction: way})
		}
		s.Wait(time.Second)
		if n := len(parked.Got("INVITE")); n != 1 {
			s.T.Errorf("%d re-INVITEs at once", n)
		}
		alice.Auto("INVITE", 200)
		parked.Late(200, "INVITE")
		s.Wait(100 * time.Millisecond)
		isTold(s, parked, "recvonly")
		if n := len(parked.Got("INVITE")); n != 2 {
			s.T.Errorf("%d re-INVITEs, want 2", n)
		}
		goodbye(s, fetched, parked)
	})
}

// A re-INVITE without an offer is offered what the other party wants.
func TestAnOfferlessReinviteIsOfferedTheHold(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		fetched.Change(phone.SDP{Direction: "sendonly"})
		isTold(s, parked, "sendonly")
		if r := parked.AskOffer().Expect(200); !strings.Contains(r.Body, "a=sendonly\r\n") {
			s.T.Errorf("offered %s", r.Body)
		}
		parked.Ack()
		fetched.Change(phone.SDP{})
		isTold(s, parked, "sendrecv")
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
	})
}

// Who changes codec is answered in the other's if it can be; else it is transcoded.
func TestACodecIsChangedWithinABridge(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		fetched.Change(phone.SDP{Formats: "8 101"})
		s.Wait(100 * time.Millisecond)
		got := fetched.Media.Hear(time.Second)
		steady(s, got, time.Second)
		if got[0].PT != 8 {
			s.T.Errorf("hears payload type %d", got[0].PT)
		}
		steady(s, parked.Media.Hear(time.Second), time.Second)
		parked.Change(phone.SDP{Formats: "0 8 101"})
		s.Wait(100 * time.Millisecond)
		talk(s, fetched, parked) // byte for byte: both in PCMA
		goodbye(s, fetched, parked)
	})
}

func TestAHoldOutlivesTheProcess(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		fetched.Change(phone.SDP{Direction: "sendonly"})
		isTold(s, parked, "sendonly")
		s.Crash(down)
		s.Wait(2 * time.Second)
		if n := len(parked.Got("INVITE")) + len(fetched.Got("INVITE")); n != 1 {
			s.T.Errorf("%d re-INVITEs, want 1", n)
		}
		hearsNothing(s, fetched)
		hearsVoice(s, parked, fetched.Media.Voice())
		parked.Change(phone.SDP{Direction: "sendonly"})
		s.Crash(down)
		fetched.Change(phone.SDP{})
		s.Wait(100 * time.Millisecond)
		hearsNothing(s, parked)
		parked.Change(phone.SDP{})
		s.Wait(100 * time.Millisecond)
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
	})
}
