package bubble

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/internal/sdp"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

const cm80 = "AES_CM_128_HMAC_SHA1_80"

// srtp sets media.srtp.
func srtp(value string) kit.Configure {
	return func(c *config.Config) { c.Media.SRTP = value }
}

// encrypted has a phone speak SRTP by one suite; only: as RTP/SAVP.
func encrypted(p *phone.Phone, suite string, only bool) *phone.Phone {
	p.Encrypt(phone.SRTP{Suites: []string{suite}, Only: only})
	return p
}

// protected checks that a call is protected by a suite, "" by none, and that nothing
// came that the phone could not read, nor any index twice.
func protected(s *kit.Site, c *phone.Call, suite string) {
	s.T.Helper()
	if got := c.Media.Secured(); got != suite {
		s.T.Errorf("%s is protected by %q, want %q", c.CallID(), got, suite)
	}
	if n := c.Media.Unread(); n > 0 {
		s.T.Errorf("%s got %d packets that it cannot read", c.CallID(), n)
	}
	unbroken(s, c)
}

// unbroken checks that nothing came under a key and an index for the second time.
func unbroken(s *kit.Site, c *phone.Call) {
	s.T.Helper()
	if list := c.Media.Breaches(); len(list) > 0 {
		s.T.Errorf("%s: used twice: %v", c.CallID(), list)
	}
}

// Each suite, as phones with SRTP only offer it and as those where it is optional do:
// music, a fetcher in the clear, a key by RFC 4733, hold and resume.
func TestSRTPWithEachSuite(t *testing.T) {
	for _, suite := range sdp.Suites() {
		for _, only := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s only %v", suite, only), func(t *testing.T) {
				runWith(t, kit.Orbit("701", keyed), func(s *kit.Site) {
					alice, bob := encrypted(s.Phone("alice"), suite, only), s.Phone("bob")
					parked := park(alice, bob)
					hearsMusic(s, parked)
					fetched := retrieve(s, bob, parked)
					protected(s, parked, suite)
					protected(s, fetched, "")
					parked.Change(phone.SDP{Direction: "sendonly"})
					s.Wait(50 * time.Millisecond)
					hearsNothing(s, parked)
					parked.Change(phone.SDP{})
					talk(s, fetched, parked)
					protected(s, parked, suite)
					goodbye(s, fetched, parked)

					again := park(alice, bob)
					again.Media.Press('0')
					back := bob.Ringing(time.Second)
					back.Pickup()
					talk(s, back, again)
					goodbye(s, back, again)
				})
			})
		}
	}
}

// What phones say of their keys beside them: lifetimes, MKIs, several keys, a hint for the
// window. Each is parked, fetched and heard.
func TestSRTPOfPhonesWithLifetimesAndMKIs(t *testing.T) {
	for _, tt := range []struct {
		name string
		says phone.SRTP
	}{
		{"lifetime", phone.SRTP{Lifetime: "2^31"}},
		{"lifetime as a number", phone.SRTP{Lifetime: "1048576"}},
		{"lifetime and MKI", phone.SRTP{Lifetime: "2^20", MKIs: 1}},
		{"MKI alone", phone.SRTP{MKIs: 1}},
		{"two keys", phone.SRTP{Lifetime: "2^31", MKIs: 2}},
		{"window", phone.SRTP{Lifetime: "2^31", MKIs: 1, Params: "WSH=64"}},
	} {
		for _, suite := range []string{cm80, "AEAD_AES_256_GCM"} {
			t.Run(tt.name+" "+suite, func(t *testing.T) {
				crash(t, nil, func(s *kit.Site) {
					alice, bob, says := s.Phone("alice"), s.Phone("bob"), tt.says
					says.Suites, says.Only = []string{suite}, true
					alice.Encrypt(says)
					bob.Encrypt(says)
					parked := park(alice, bob)
					hearsMusic(s, parked)
					fetched := retrieve(s, bob, parked)
					talk(s, fetched, parked)
					parked.Change(phone.SDP{Direction: "sendonly"})
					s.Wait(50 * time.Millisecond)
					parked.Change(phone.SDP{})
					talk(s, fetched, parked)
					s.Crash(down)
					s.Wait(time.Second)
					talk(s, fetched, parked)
					protected(s, parked, suite)
					protected(s, fetched, suite)
					goodbye(s, fetched, parked)
				})
			})
		}
	}
}

// A key whose lifetime is over protects nothing any more; the peer takes a new one.
func TestSRTPOfAKeyThatRunsOut(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		alice.Encrypt(phone.SRTP{Suites: []string{cm80}, Only: true, Lifetime: "100"})
		parked := park(alice, bob)
		fetched := retrieve(s, bob, parked)
		hears := func() int {
			from := time.Now()
			s.Wait(time.Second)
			return len(fetched.Media.Got(from))
		}
		parked.Media.Talk('a')
		if n := hears(); n < 40 {
			s.T.Errorf("%d packets of the first second", n)
		}
		s.Wait(2 * time.Second)
		if n := hears(); n > 0 {
			s.T.Errorf("%d packets under a key that has run out", n)
		}
		if n := strings.Count(s.Log.String(), "whose lifetime is over"); n != 1 {
			s.T.Errorf("said %d times in the log", n)
		}
		parked.Media.Rekey(cm80)
		parked.Change(phone.SDP{})
		s.Wait(50 * time.Millisecond)
		if n := hears(); n < 40 {
			s.T.Errorf("%d packets of a second under a new key", n)
		}
		goodbye(s, fetched, parked)
	})
}

// Either of two may be protected, by a suite of its own, and so may whoever is called.
func TestSRTPOfEachLegAlone(t *testing.T) {
	for _, tt := range []struct{ caller, fetcher string }{{"", cm80}, {cm80, "AEAD_AES_256_GCM"}, {cm80, cm80}} {
		t.Run(tt.caller+" and "+tt.fetcher, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), encrypted(s.Phone("bob"), tt.fetcher, true)
				if tt.caller != "" {
					encrypted(alice, tt.caller, false)
				}
				parked := park(alice, bob)
				fetched := retrieve(s, bob, parked)
				protected(s, parked, tt.caller)
				protected(s, fetched, tt.fetcher)
				goodbye(s, parked, fetched)
			})
		})
	}
}

// A return calls a phone with what media.srtp says, and it takes what it can.
func TestSRTPOfAReturn(t *testing.T) {
	for _, tt := range []struct{ srtp, proto, speaks, gets string }{
		{"off", "RTP/AVP", cm80, ""},
		{"optional", "RTP/AVP", cm80, cm80},
		{"optional", "RTP/AVP", "AEAD_AES_256_GCM", "AEAD_AES_256_GCM"},
		{"optional", "RTP/AVP", "", ""},
		{"required", "RTP/SAVP", "AEAD_AES_128_GCM", "AEAD_AES_128_GCM"},
	} {
		t.Run(tt.srtp+" "+tt.speaks, func(t *testing.T) {
			configure := func(c *config.Config) {
				kit.Orbit("701", keyed)(c)
				srtp(tt.srtp)(c)
			}
			runWith(t, configure, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				if tt.srtp == "required" {
					encrypted(alice, cm80, true)
				}
				if tt.speaks != "" {
					encrypted(bob, tt.speaks, false)
				}
				parked := park(alice, bob)
				parked.Media.Press('0')
				back := bob.Ringing(time.Second)
				if !strings.Contains(back.Request().Body, " "+tt.proto+" ") {
					s.T.Errorf("offered\n%s", back.Request().Body)
				}
				back.Pickup()
				talk(s, back, parked)
				protected(s, back, tt.gets)
				goodbye(s, back, parked)
			})
		})
	}
}

func TestSRTPThatIsRequiredOrOff(t *testing.T) {
	t.Run("required", func(t *testing.T) {
		runWith(t, srtp("required"), func(s *kit.Site) {
			r := s.Phone("alice").Invite("701", phone.Opts{}).Expect(488)
			if !strings.Contains(r.Get("Warning"), "302") {
				s.T.Errorf("Warning: %s", r.Get("Warning"))
			}
			bob := encrypted(s.Phone("bob"), cm80, false)
			c := bob.Call("701", phone.Opts{})
			hearsMusic(s, c)
			bad := c.Reinvite(phone.SDP{}).Expect(200) // again
			c.Ack()
			if !strings.Contains(bad.Body, "a=crypto:1 "+cm80) {
				s.T.Errorf("answered\n%s", bad.Body)
			}
			protected(s, c, cm80)
			c.Hangup()
		})
	})
	t.Run("off", func(t *testing.T) {
		runWith(t, srtp("off"), func(s *kit.Site) {
			r := encrypted(s.Phone("alice"), cm80, true).Invite("701", phone.Opts{}).Expect(488)
			if !strings.Contains(r.Get("Warning"), "302") {
				s.T.Errorf("Warning: %s", r.Get("Warning"))
			}
			c := encrypted(s.Phone("bob"), cm80, false).Call("701", phone.Opts{})
			hearsMusic(s, c)
			protected(s, c, "")
			c.Hangup()
		})
	})
}

// The offer of an INVITE without one comes with the 200, and its answer with the ACK.
func TestSRTPOfOfferlessInvites(t *testing.T) {
	for _, value := range []string{"optional", "required"} {
		t.Run(value, func(t *testing.T) {
			runWith(t, srtp(value), func(s *kit.Site) {
				c := encrypted(s.Phone("alice"), cm80, false).Call("701", phone.Opts{Offerless: true})
				s.Wait(50 * time.Millisecond)
				hearsMusic(s, c)
				protected(s, c, cm80)
				c.AskOffer().Expect(200)
				c.Ack()
				hearsMusic(s, c)
				protected(s, c, cm80)
				c.Hangup()
			})
		})
	}
}

// Keys are for parkd alone: where media might flow past it, protected media does not.
func TestSRTPIsNotDirect(t *testing.T) {
	runWith(t, kit.Orbit("701", direct), func(s *kit.Site) {
		alice, bob := encrypted(s.Phone("alice"), cm80, false), encrypted(s.Phone("bob"), cm80, false)
		parked := park(alice, bob)
		fetched := fetchFor(bob, parked)
		s.Wait(5 * time.Second)
		talkThrough(s, fetched, parked)
		if n := len(parked.Got("INVITE")) + len(fetched.Got("INVITE")); n > 0 {
			s.T.Errorf("%d re-INVITEs", n)
		}
		protected(s, parked, cm80)
		protected(s, fetched, cm80)
		goodbye(s, fetched, parked)
	})
}

// A peer that changes its key is understood; one that goes to another suite, or in the
// clear and back, is sent nothing under a key that was given up.
func TestSRTPRekeying(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := encrypted(s.Phone("alice"), cm80, false)
		c := alice.Call("701", phone.Opts{})
		hearsMusic(s, c)
		for _, suite := range []string{cm80, "AEAD_AES_128_GCM", "", "AEAD_AES_128_GCM", cm80, "AES_CM_128_HMAC_SHA1_32"} {
			c.Media.Rekey(suite)
			c.Change(phone.SDP{})
			s.Wait(50 * time.Millisecond)
			hearsMusic(s, c)
			if got := c.Media.Secured(); got != suite {
				s.T.Errorf("protected by %q, want %q", got, suite)
			}
			unbroken(s, c)
		}
		fetched := retrieve(s, s.Phone("bob"), c)
		unbroken(s, c)
		goodbye(s, fetched, c)
	})
}

// After a restart nothing is sent before there is a new key, whoever begins.
func TestSRTPAfterARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob, carol := encrypted(s.Phone("alice"), cm80, true), encrypted(s.Phone("bob"), "AEAD_AES_256_GCM", false), encrypted(s.Phone("carol"), cm80, false)
		bridged := park(alice, bob)
		fetched := retrieve(s, bob, bridged)
		parked := park(carol, bob)
		hearsMusic(s, parked)
		for round := range 3 {
			died := time.Now()
			s.Crash(down)
			ready := time.Now()
			s.Wait(time.Second)
			hearsMusic(s, parked)
			talk(s, fetched, bridged)
			for _, c := range []*phone.Call{bridged, fetched, parked} {
				protected(s, c, c.Media.Secured())
				if n := len(c.Got("INVITE")); n != round+1 {
					s.T.Errorf("%d re-INVITEs after %d restarts", n, round+1)
				}
				for _, r := range c.Media.Got(ready) {
					if r.Keyed.Before(died) {
						s.T.Fatalf("%+v is under a key of the former process", r)
					}
				}
			}
		}
		goodbye(s, fetched, bridged)
		goodbye(s, retrieve(s, bob, parked), parked)
	})
}
