package bubble

import (
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// rel are the headers of a reliable provisional response.
func rel(rseq string) []string { return []string{"Require: 100rel", "RSeq: " + rseq} }

// racks lists the RAck headers that came to a phone, in order.
func racks(p *phone.Phone) (list []string) {
	for _, r := range p.Got("PRACK") {
		list = append(list, r.Get("RAck"))
	}
	return list
}

func expectRacks(s *kit.Site, p *phone.Phone, want ...string) {
	s.T.Helper()
	s.Wait(time.Second)
	if got := racks(p); strings.Join(got, ", ") != strings.Join(want, ", ") {
		s.T.Errorf("acknowledged %q, want %q", got, want)
	}
}

// RFC 3262 3: what is demanded is kept by sending nothing but 100.
func TestAnInviteThatRequires100relIsTaken(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{Headers: []string{"Require: 100rel"}})
		for _, code := range []int{180, 183} {
			if n := len(c.Tx.All(code)); n != 0 {
				s.T.Errorf("%d times %d", n, code)
			}
		}
		// RFC 3262 3: of a response that was never sent.
		c.Do("PRACK", "", "RAck: 1 1 INVITE").Expect(481)
		c.Do("PRACK", "", "RAck: \x80").Expect(481)
		alice.Request("PRACK", "701", []string{"To: <sip:701@10.0.0.1>;tag=nobody"}, "").Expect(481)
		hearsMusic(s, c)
		c.Hangup()
	})
}

func TestReliableRingingIsAcknowledgedInOrderAndOnce(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		// RFC 4662 4.1: eventlist has no place in an INVITE.
		if able := back.Request().Get("Supported"); !strings.Contains(able, "100rel") || strings.Contains(able, "eventlist") {
			s.T.Errorf("Supported: %s", able)
		}
		back.Reply(180, rel("7")...)
		expectRacks(s, bob, "7 1 INVITE")
		for _, headers := range [][]string{
			rel("7"), // again: the PRACK was lost
			rel("9"), // 8 is missing
			rel("6"), // of long ago
			nil,
		} {
			back.Reply(180, headers...)
			s.Wait(10 * time.Millisecond)
		}
		expectRacks(s, bob, "7 1 INVITE")
		back.Reply(183, rel("8")...)
		s.Wait(10 * time.Millisecond)
		back.Reply(180, rel("9")...)
		expectRacks(s, bob, "7 1 INVITE", "8 1 INVITE", "9 1 INVITE")
		back.Pickup()
		talk(s, back, parked)
		s.Golden("reliable-ringing")
		goodbye(s, parked, back) // a BYE after three PRACKs: its CSeq is higher
	})
}

func TestWhatOnlyLooksReliableIsNotAcknowledged(t *testing.T) {
	for name, headers := range map[string][]string{
		"no RSeq": {"Require: 100rel"}, "no Require": {"RSeq: 1"}, "zero": rel("0"), "too large": rel("4294967296"),
		"signed": rel("+1"), "no number": rel("one"), "two numbers": append(rel("1"), "RSeq: 2"), "empty": rel(""),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				back := bob.Ringing(after + time.Second)
				back.Reply(180, headers...)
				expectRacks(s, bob)
				back.Pickup()
				goodbye(s, back, parked)
			})
		})
	}
}

// RFC 3262 5: the answer is in the 183, and the 200 has nothing to add.
func TestAnAnswerInReliableRingingCounts(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		back.Progress(183, rel("1")...)
		s.Wait(time.Second)
		hearsMusic(s, parked) // early media is nobody's business
		back.PickupBare()
		talk(s, back, parked)
		goodbye(s, back, parked)
	})
}

func TestAnAnswerWithoutAnyDescriptionIsEnded(t *testing.T) {
	for name, ring := range map[string]func(*phone.Call){
		"nothing before":          func(*phone.Call) {},
		"a preview, not reliable": func(c *phone.Call) { c.Progress(183) },
		"another phone's": func(c *phone.Call) {
			c.Fork().Progress(183, rel("1")...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				back := bob.Ringing(after + time.Second)
				ring(back)
				s.Wait(time.Second)
				back.PickupBare()
				back.ExpectEnd(time.Second)
				hearsMusic(s, parked)
				parked.Hangup()
			})
		})
	}
}

func TestEachForkIsAcknowledgedInItsOwnDialog(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		desk := bob.Ringing(after + time.Second)
		mobile := desk.Fork()
		desk.Reply(180, rel("100")...)
		s.Wait(10 * time.Millisecond)
		mobile.Progress(183, rel("5")...)
		s.Wait(time.Second)
		mobile.Reply(180, rel("6")...)
		expectRacks(s, bob, "100 1 INVITE", "5 1 INVITE", "6 1 INVITE")
		tags := map[string]int{}
		for _, r := range bob.Got("PRACK") {
			tags[r.ToTag()]++
		}
		if len(tags) != 2 {
			s.T.Errorf("PRACKs in %d dialogs, want 2", len(tags))
		}
		mobile.PickupBare()
		talk(s, mobile, parked)
		desk.PickupLate() // both pick up: the second is thanked and sent away
		desk.ExpectEnd(time.Second)
		talk(s, mobile, parked)
		goodbye(s, mobile, parked)
	})
}

// RFC 3311 5.2.
func TestAnUpdateInAnEarlyDialogIsAnswered(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		offer := phone.SDP{Formats: "8"}.Text(back.Media.Local())
		sdp := "Content-Type: application/sdp"
		back.Reply(180)
		back.Do("UPDATE", "").Expect(200)         // who it is, perhaps: nothing to negotiate
		back.Do("UPDATE", offer, sdp).Expect(491) // our offer has no answer yet
		back.Progress(183, rel("1")...)
		s.Wait(time.Second)
		r := back.Do("UPDATE", offer, sdp).Expect(200)
		if !strings.Contains(r.Body, "m=audio") || !strings.Contains(r.Body, "RTP/AVP 8") {
			s.T.Errorf("answered with\n%s", r.Body)
		}
		if r.Get("Contact") == "" {
			s.T.Error("200 to UPDATE without Contact")
		}
		back.Do("UPDATE", phone.SDP{Formats: "18"}.Text(back.Media.Local()), sdp).Expect(488)
		back.Do("UPDATE", "hello", "Content-Type: text/plain").Expect(415)
		back.Do("INVITE", offer, sdp).Expect(491)
		back.Do("OPTIONS", "").Expect(200)
		back.Do("INFO", "").Expect(481)
		back.PickupLate() // with its first answer again, which counts no more
		s.Wait(time.Second)
		for _, m := range back.Media.Hear(time.Second) {
			if m.PT != 8 {
				s.T.Errorf("payload type %d after the UPDATE, want 8", m.PT)
				break
			}
		}
		back.ExpectAlive()
		goodbye(s, back, parked)
	})
}

// What is lost or comes twice on the way changes nothing.
func TestReliableRingingOverABadNetwork(t *testing.T) {
	for name, bad := range map[string]struct {
		start string
		v     fakenet.Verdict
	}{
		"the PRACK is lost": {"PRACK", fakenet.Verdict{Drop: true}}, "the PRACK comes twice": {"PRACK", fakenet.Verdict{Extra: 1}},
		"its 200 is lost": {"SIP/2.0 200", fakenet.Verdict{Drop: true}}, "the ringing comes twice": {"SIP/2.0 18", fakenet.Verdict{Extra: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				back := bob.Ringing(after + time.Second)
				hook(s, 1, bad.start, bad.v)
				back.Progress(183, rel("1")...)
				expectRacks(s, bob, "1 1 INVITE")
				s.Wait(2 * time.Second)
				back.PickupBare()
				talk(s, back, parked)
				goodbye(s, parked, back)
			})
		})
	}
}

// A return that is taken back leaves no early dialog behind.
func TestEarlyDialogsEndWithTheInvite(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		back.Progress(183, rel("1")...)
		back.ExpectCancel(rings + time.Second)
		s.Wait(time.Second)
		back.Do("UPDATE", "").Expect(481)
		parked.Hangup()
	})
}
