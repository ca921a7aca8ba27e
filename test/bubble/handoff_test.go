package bubble

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// handed has 701's callers handed off.
var handed = kit.Orbit("701", refers)

// handing has alice parked and bob fetch her, both with phones that can do more; hers
// does with a REFER as r says.
func handing(s *kit.Site, r phone.Referral) (parked, fetched *phone.Call) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	alice.Refers(r)
	parked = alice.Call("701", phone.Opts{ReferredBy: bob.URI(), Headers: phone.Handy})
	parked.Media.Talk(0x21)
	fetched = bob.Call("*4701", phone.Opts{Headers: phone.Handy})
	fetched.Media.Talk(0x42)
	return parked, fetched
}

// onTheirOwn finds the call that two phones have past parkd, and checks that they talk.
func onTheirOwn(s *kit.Site, a, b *phone.Phone) (x, y *phone.Call) {
	s.T.Helper()
	s.Wait(time.Second)
	live := func(p *phone.Phone) *phone.Call {
		var list []*phone.Call
		for _, c := range p.Calls() {
			if c.Ended().IsZero() {
				list = append(list, c)
			}
		}
		if len(list) != 1 {
			s.T.Fatalf("%s has %d calls, want one", p.Name, len(list))
		}
		return list[0]
	}
	x, y = live(a), live(b)
	if n := len(s.MediaPorts()); n != 0 {
		s.T.Errorf("parkd has %d legs", n)
	}
	start := time.Now()
	s.Wait(time.Second)
	only(s, x.Media.Got(start), y.Media.Voice())
	only(s, y.Media.Got(start), x.Media.Voice())
	return x, y
}

func TestARetrievedCallIsHandedOff(t *testing.T) {
	for name, r := range map[string]phone.Referral{
		"success": {Code: 202}, "hangs up instead of saying so": {Code: 202, Early: true},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, handed, func(s *kit.Site) {
				parked, fetched := handing(s, r)
				parked.ExpectEnd(time.Second)
				fetched.ExpectEnd(time.Second)
				x, y := onTheirOwn(s, s.Phones()[0], s.Phones()[1])
				got := parked.Got("REFER")
				if len(got) != 1 || !strings.Contains(got[0].Get("Referred-By"), "<sip:701@10.0.0.1") {
					s.T.Fatalf("%d REFERs: %v", len(got), got)
				}
				x.Hangup()
				y.ExpectEnd(time.Second)
				if name == "success" {
					s.Golden("handed-off")
				}
				free(s, s.Phone("carol"))
			})
		})
	}
}

func TestAReturnedCallIsHandedOff(t *testing.T) {
	runWith(t, handed, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		alice.Refers(phone.Referral{Code: 202})
		bob.Refers(phone.Referral{Code: 202})
		parked := alice.Call("701", phone.Opts{ReferredBy: bob.URI(), Headers: phone.Handy})
		parked.Media.Talk(0x21)
		back := bob.Ringing(after + time.Second)
		back.Media.Talk(0x42)
		back.Pickup()
		parked.ExpectEnd(time.Second)
		back.ExpectEnd(time.Second)
		x, y := onTheirOwn(s, alice, bob)
		s.Golden("return-handed-off")
		x.Hangup()
		y.ExpectEnd(time.Second)
	})
}

// What fails, is refused or is silent leaves the two bridged, and nobody notices.
func TestAHandOffThatComesToNothing(t *testing.T) {
	for name, r := range map[string]phone.Referral{
		"405": {Code: 405}, "603": {Code: 603}, "no answer": {}, "NOTIFY 486": {Code: 202, Status: 486},
		"silence": {Code: 202, Status: 486, Silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, handed, func(s *kit.Site) {
				parked, fetched := handing(s, r)
				s.Wait(100 * time.Millisecond)
				start := time.Now()
				s.Wait(40 * time.Second)
				for _, c := range []*phone.Call{parked, fetched} {
					steadyVoice(s, c.Media.Got(start))
				}
				talk(s, fetched, parked)
				if name == "NOTIFY 486" {
					s.Golden("hand-off-failed")
				}
				goodbye(s, fetched, parked) // at once: nothing is under way any more
			})
		})
	}
}

// steadyVoice checks that no packet was missing.
func steadyVoice(s *kit.Site, got []phone.RTP) {
	s.T.Helper()
	for i := 1; i < len(got); i++ {
		if got[i].Seq != got[i-1].Seq+1 || got[i].At.Sub(got[i-1].At) > 25*time.Millisecond {
			s.T.Errorf("a gap: %+v after %+v", got[i], got[i-1])
			return
		}
	}
}

// Who cannot do it is not asked.
func TestAHandOffThatIsNotTried(t *testing.T) {
	for name, headers := range map[string][2][]string{
		"the caller takes no REFER":       {{phone.Updates}, phone.Handy},
		"the retriever has no Replaces":   {phone.Handy, {phone.Handy[0]}},
		"neither says what it can do":     {nil, nil},
		"the orbit does not hand off":     {phone.Handy, phone.Handy},
		"the retriever has replaces only": {phone.Handy, {"Supported: replaces"}},
	} {
		t.Run(name, func(t *testing.T) {
			configure := handed
			if strings.HasPrefix(name, "the orbit") {
				configure = nil
			}
			runWith(t, configure, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				alice.Refers(phone.Referral{Code: 603})
				parked := alice.Call("701", phone.Opts{Headers: headers[0]})
				fetched := bob.Call("*4701", phone.Opts{Headers: headers[1]})
				talk(s, fetched, parked)
				want := 0
				if strings.HasSuffix(name, "only") {
					want = 1
				}
				if n := len(alice.Got("REFER")); n != want {
					s.T.Errorf("%d REFERs, want %d", n, want)
				}
				goodbye(s, parked, fetched)
			})
		})
	}
}

// The retriever's BYE while the call is handed off is the Replaces taking effect: the
// caller is let go when their phone has said so, or after 64*T1.
func TestTheRetrieverHangsUpWhileTheCallIsHandedOff(t *testing.T) {
	runWith(t, handed, func(s *kit.Site) {
		parked, fetched := handing(s, phone.Referral{Code: 202, Status: 100, Silent: true})
		s.Wait(time.Second)
		fetched.Hangup()
		s.Wait(20 * time.Second)
		parked.ExpectAlive()
		parked.Do("NOTIFY", "SIP/2.0 200 OK\r\n", "Event: refer", "Subscription-State: terminated;reason=noresource",
			"Content-Type: message/sipfrag").Expect(200)
		parked.ExpectEnd(time.Second)
	})
}

func TestTheRetrieverHangsUpAndNobodySaysWhy(t *testing.T) {
	runWith(t, handed, func(s *kit.Site) {
		parked, fetched := handing(s, phone.Referral{Code: 202, Status: 100, Silent: true})
		start := time.Now()
		s.Wait(time.Second)
		fetched.Hangup()
		parked.ExpectEnd(33 * time.Second)
		about(s, "the caller's end", time.Since(start), 32*time.Second)
	})
}

// RFC 3515 2.4.6: what comes late of a first REFER says nothing of the second.
func TestALateReportOfAnEarlierHandOff(t *testing.T) {
	runWith(t, handed, func(s *kit.Site) {
		parked, fetched := handing(s, phone.Referral{Code: 202, Status: 486, Silent: true})
		s.Wait(40 * time.Second) // nothing was heard of it
		fetched.Refer(ours("701")).Accepted()
		fetched.ExpectEnd(10 * time.Second)
		carol := s.Phone("carol")
		again := carol.Call("*4701", phone.Opts{Headers: phone.Handy})
		s.Wait(100 * time.Millisecond)
		refers := parked.Got("REFER")
		if len(refers) != 2 {
			s.T.Fatalf("%d REFERs, want 2", len(refers))
		}
		say := func(refer phone.Request, code int) {
			cseq, _, _ := strings.Cut(refer.Get("CSeq"), " ")
			parked.Do("NOTIFY", fmt.Sprintf("SIP/2.0 %d Whatever\r\n", code), "Event: refer;id="+cseq,
				"Subscription-State: terminated;reason=noresource", "Content-Type: message/sipfrag").Expect(200)
		}
		say(refers[0], 481)
		again.Hangup() // as whoever is replaced does
		s.Wait(time.Second)
		parked.ExpectAlive()
		say(refers[1], 200)
		parked.ExpectEnd(time.Second)
		if bye := parked.Got("BYE"); len(bye) != 1 || !strings.Contains(bye[0].Get("Reason"), "handed off") {
			s.T.Errorf("%v", bye)
		}
	})
}

func TestTheCallerHangsUpWhileTheyAreHandedOff(t *testing.T) {
	runWith(t, handed, func(s *kit.Site) {
		parked, fetched := handing(s, phone.Referral{Code: 202, Status: 100, Silent: true})
		s.Wait(time.Second)
		goodbye(s, parked, fetched)
	})
}
