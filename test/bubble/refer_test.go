package bubble

import (
	"fmt"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// to is a Refer-To of a phone.
func to(p *phone.Phone) string { return "<" + p.URI() + ">" }

func TestABlindTransferOfABridgedCaller(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, _, parked, fetched := bridged(s)
		dave := s.Phone("dave")
		r := fetched.Refer(to(dave)).Accepted()
		ring := dave.Ringing(time.Second)
		ring.Reply(180)
		r.Progresses(180)
		talk(s, fetched, parked) // until dave is there
		if got := ring.Request(); got.Get("Referred-By") != "<sip:bob@10.0.1.2>" || got.Get("Replaces") != "" || got.Get("Reject-Contact") != "" {
			s.T.Errorf("Referred-By %q, Replaces %q", got.Get("Referred-By"), got.Get("Replaces"))
		}
		if from := ring.Request().Get("P-Asserted-Identity"); from != `"alice" <`+alice.URI()+`>` {
			s.T.Errorf("dave sees %s", from)
		}
		ring.Pickup()
		r.Ends(time.Second, 200)
		talk(s, ring, parked)
		hearsSilence(s, fetched)
		fetched.Hangup()
		s.Golden("blind-transfer")
		if told := r.Told(); told[0].Code != 100 || told[0].State != "active" || told[0].Expires < 60 {
			s.T.Errorf("told %+v", told)
		}
		goodbye(s, ring, parked)
	})
}

func TestABlindTransferByTheCaller(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, bob, parked, fetched := bridged(s)
		dave := s.Phone("dave")
		r := parked.Refer(to(dave)).Accepted()
		ring := dave.Ringing(time.Second)
		ring.Pickup()
		r.Ends(time.Second, 200)
		if from := ring.Request().Get("P-Asserted-Identity"); from != `"bob" <`+bob.URI()+`>` {
			s.T.Errorf("dave sees %s", from)
		}
		parked.Hangup()
		talk(s, ring, fetched)
		goodbye(s, fetched, ring)
	})
}

func TestATransferThatFailsLeavesBothTalking(t *testing.T) {
	for name, o := range map[string]struct {
		do   func(*phone.Phone)
		code int
		long time.Duration
	}{
		"busy":      {func(dave *phone.Phone) { dave.Ringing(time.Second).Reply(486) }, 486, time.Second},
		"declined":  {func(dave *phone.Phone) { dave.Ringing(time.Second).Reply(603) }, 603, time.Second},
		"no answer": {func(dave *phone.Phone) { dave.Ringing(time.Second).Reply(180) }, 408, time.Minute + time.Second},
		"off":       {func(*phone.Phone) {}, 408, 33 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				_, _, parked, fetched := bridged(s)
				dave := s.Phone("dave")
				if name == "off" {
					dave.Close()
				}
				r := fetched.Refer(to(dave)).Accepted()
				o.do(dave)
				r.Ends(o.long, o.code)
				talk(s, fetched, parked)
				if name == "busy" || name == "no answer" {
					s.Golden("blind-transfer-" + map[bool]string{true: "busy", false: "unanswered"}[name == "busy"])
				}
				goodbye(s, fetched, parked)
			})
		})
	}
}

func TestATransferorWhoHangsUpEarlyLeavesNobodyAlone(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		run(t, func(s *kit.Site) {
			_, _, parked, fetched := bridged(s)
			dave := s.Phone("dave")
			fetched.Refer(to(dave)).Accepted()
			ring := dave.Ringing(time.Second)
			ring.Reply(180)
			s.Wait(time.Second)
			fetched.Hangup()
			hearsMusic(s, parked)
			ring.Pickup()
			talk(s, ring, parked)
			s.Golden("blind-transfer-early")
			goodbye(s, ring, parked)
		})
	})
	for name, fail := range map[string]func(*kit.Site, *phone.Call){
		"busy":      func(_ *kit.Site, ring *phone.Call) { ring.Reply(486) },
		"no answer": func(_ *kit.Site, ring *phone.Call) { ring.Reply(180); ring.ExpectCancel(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			keep := kit.Orbit("701", func(o *config.Orbit) { o.Timeout.Action = "keep" })
			runWith(t, keep, func(s *kit.Site) {
				_, bob, parked, fetched := bridged(s)
				dave := s.Phone("dave")
				fetched.Refer(to(dave)).Accepted()
				ring := dave.Ringing(time.Second)
				s.Wait(time.Second)
				fetched.Hangup()
				s.Wait(time.Second)
				fail(s, ring)
				start := time.Now()
				back := bob.Ringing(3 * time.Second) // who thinks that the caller is with dave
				about(s, "return", time.Since(start), 2*time.Second)
				hearsMusic(s, parked)
				back.Pickup()
				talk(s, back, parked)
				if name == "busy" {
					s.Golden("blind-transfer-early-busy")
				}
				goodbye(s, back, parked)
			})
		})
	}
	t.Run("busy, and the orbit is taken", func(t *testing.T) {
		run(t, func(s *kit.Site) {
			_, bob, parked, fetched := bridged(s)
			dave, carol := s.Phone("dave"), s.Phone("carol")
			fetched.Refer(to(dave)).Accepted()
			ring := dave.Ringing(time.Second)
			fetched.Hangup()
			other := carol.Call("701", phone.Opts{})
			ring.Reply(486)
			hearsMusic(s, parked)
			bob.Ringing(3 * time.Second).Reply(486)
			got := bob.Call("*4701", phone.Opts{}) // who waits for longer
			talk(s, got, parked)
			goodbye(s, got, parked)
			goodbye(s, bob.Call("*4701", phone.Opts{}), other)
		})
	})
}

func TestACallerWhoHangsUpDuringATransferLeavesNobodyRinging(t *testing.T) {
	for name, early := range map[string]bool{"with the transferor": false, "alone": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, _, parked, fetched := bridged(s)
				dave := s.Phone("dave")
				r := fetched.Refer(to(dave)).Accepted()
				ring := dave.Ringing(time.Second)
				ring.Reply(180)
				s.Wait(time.Second)
				if early {
					fetched.Hangup()
				}
				parked.Hangup()
				ring.ExpectCancel(time.Second)
				if !early {
					fetched.ExpectEnd(time.Second)
					r.Ends(time.Second, 487)
					s.Golden("blind-transfer-in-vain")
				}
				free(s, alice)
			})
		})
	}
}

func TestAnAttendedTransferToSomebodyElse(t *testing.T) {
	run(t, func(s *kit.Site) {
		_, bob, parked, fetched := bridged(s)
		dave := s.Phone("dave")
		dave.Auto("Replaces", 200)
		fetched.Change(phone.SDP{Direction: "sendonly"})
		replaces := "consult@elsewhere;to-tag=daves;from-tag=bobs"
		r := fetched.Refer(fmt.Sprintf("<%s?Replaces=%s&Require=replaces>", dave.URI(), escape(replaces)), "Referred-By: <"+bob.URI()+">;x=y").Accepted()
		ring := dave.Ringing(time.Second)
		got := ring.Request()
		if got.Get("Replaces") != replaces || got.Get("Require") != "replaces" || got.Get("Referred-By") != "<"+bob.URI()+">;x=y" {
			s.T.Errorf("Replaces %q, Require %q, Referred-By %q", got.Get("Replaces"), got.Get("Require"), got.Get("Referred-By"))
		}
		ring.Pickup()
		r.Ends(time.Second, 200)
		talk(s, ring, parked)
		fetched.Hangup()
		s.Golden("attended-elsewhere")
		goodbye(s, parked, ring)
	})
}

// A consultation call that waits in an orbit sends for the party who is to be
// parked: the phone refers the orbit and not its first call.
func TestAConsultationInAnOrbitSendsForTheCaller(t *testing.T) {
	for name, hangsUp := range map[string]bool{"waits": false, "hangs up early": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				watch := s.Phone("carol").Subscribe("701")
				alice.Auto("Replaces", 200)
				consult := bob.Call("701", phone.Opts{})
				watch.Await(lit, "early")
				r := consult.Refer(fmt.Sprintf("<%s?Replaces=%s>", alice.URI(), escape("first@alice;to-tag=a;from-tag=b"))).Accepted()
				ring := alice.Ringing(time.Second)
				if hangsUp {
					consult.Hangup()
				} else {
					hearsMusic(s, consult)
				}
				watch.Await(lit, "terminated")
				ring.Pickup()
				if !hangsUp {
					r.Ends(time.Second, 200)
					hearsSilence(s, consult)
					consult.Hangup()
				}
				hearsMusic(s, ring)
				watch.Await(lit, "early")
				if !hangsUp {
					s.Golden("consultation-sends-for-caller")
				}
				back := bob.Ringing(after + time.Second)
				back.Pickup()
				talk(s, back, ring)
				goodbye(s, back, ring)
				watch.Refresh(0).Expect(200)
			})
		})
	}
	t.Run("busy", func(t *testing.T) {
		run(t, func(s *kit.Site) {
			alice, bob := s.Phone("alice"), s.Phone("bob")
			consult := bob.Call("701", phone.Opts{})
			r := consult.Refer(to(alice)).Accepted()
			alice.Ringing(time.Second).Reply(486)
			r.Ends(time.Second, 486)
			hearsMusic(s, consult)
			goodbye(s, alice.Call("*4701", phone.Opts{}), consult)
		})
	})
}

func TestWhatNobodyMayCallIsNotCalled(t *testing.T) {
	for name, o := range map[string]struct {
		to   string
		code int
	}{
		"a number outside":           {"<sip:00900123456789@10.0.1.3>", 403},
		"another domain":             {"<sip:bob@elsewhere.example.com>", 403},
		"an untrusted address":       {"<sip:bob@192.0.2.7>", 403},
		"with another port of ours":  {"<sip:00900123456789@10.0.0.1:5060>", 403},
		"a number of the telephone":  {"<tel:+49900123456>", 403},
		"no Refer-To":                {"", 400},
		"two":                        {"<sip:200@10.0.1.3>, <sip:201@10.0.1.3>", 400},
		"not a URI":                  {"<>", 400},
		"another scheme":             {"<http://10.0.1.3/>", 416},
		"another method":             {"<sip:200@10.0.1.3;method=BYE>", 603},
		"half a Replaces":            {"<sip:200@10.0.1.3?Replaces=x%3Bto-tag%3D1>", 400},
		"an orbit's other end, Call": {"<sip:702@10.0.0.1?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>", 0},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				_, _, parked, fetched := bridged(s)
				s.Phone("dave")
				r := fetched.Refer(o.to)
				if o.code == 0 { // the REFER is in order; there is no such dialog
					r.Accepted().Ends(time.Second, 481)
				} else {
					r.Refuses(o.code)
				}
				s.Wait(time.Second)
				s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict { return fakenet.Verdict{} })
				for _, p := range s.Phones() {
					if n := len(p.Got("INVITE")); n != 0 {
						s.T.Errorf("%s was called", p.Name)
					}
				}
				talk(s, fetched, parked)
				goodbye(s, parked, fetched)
			})
		})
	}
}

func TestReferToIsReadAsPhonesWriteIt(t *testing.T) {
	for name, to := range map[string]string{
		"in brackets":         "<sip:dave@10.0.1.3>",
		"with a name":         `"Dave; there" <sip:dave@10.0.1.3;transport=udp>`,
		"without brackets":    "sip:dave@10.0.1.3",
		"with method":         "<sip:dave@10.0.1.3;method=INVITE>",
		"with a parameter":    "<sip:dave@10.0.1.3>;early=no",
		"at the PBX":          "<sip:dave@10.0.0.1>",
		"escaped":             "<sip:%64ave@10.0.1.3>",
		"header, no brackets": "sip:dave@10.0.1.3?Replaces=x%40y%3Bto-tag%3D1%3Bfrom-tag%3D2",
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				_, _, parked, fetched := bridged(s)
				dave := s.Phone("dave")
				dave.Auto("Replaces", 200)
				where := dave
				if name == "at the PBX" { // alice's side sent the call: whoever is there knows dave
					where = s.Phones()[0]
				}
				r := fetched.Refer(to).Accepted()
				ring := where.Ringing(time.Second)
				if name == "header, no brackets" && ring.Request().Get("Replaces") != "x@y;to-tag=1;from-tag=2" {
					s.T.Errorf("Replaces %q", ring.Request().Get("Replaces"))
				}
				ring.Pickup()
				r.Ends(time.Second, 200)
				talk(s, ring, parked)
				fetched.Hangup()
				goodbye(s, parked, ring)
			})
		})
	}
}
