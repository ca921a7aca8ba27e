package bubble

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/ladder"
	"parkd/test/kit/phone"
)

// fresh checks that a call hears music, under a key that was told after the outage.
func fresh(s *kit.Site, c *phone.Call, died time.Time) {
	s.T.Helper()
	got := c.Media.Hear(time.Second)
	steady(s, got, time.Second)
	for _, r := range got {
		if !r.Keyed.After(died) {
			s.T.Errorf("%+v is under a key of the former process", r)
			return
		}
	}
	protected(s, c, cm80)
}

// A server is killed when its 200 has gone, and either the phone never got it or the
// server never saw the ACK. What the phone has read of the keys is anybody's guess.
func TestSRTPOfA200ThatNobodyKnowsOf(t *testing.T) {
	for _, tt := range []struct {
		name, lost string
		offerless  bool
	}{
		{"200 lost", "SIP/2.0 200", false}, {"ACK lost", "ACK ", false},
		{"200 with an offer lost", "SIP/2.0 200", true}, {"ACK with an answer lost", "ACK ", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			crash(t, nil, func(s *kit.Site) {
				alice := encrypted(s.Phone("alice"), cm80, false)
				lose(s, 1000, tt.lost)
				c := alice.Invite("701", phone.Opts{Offerless: tt.offerless})
				s.Wait(100 * time.Millisecond)
				if tt.lost == "ACK " {
					c.Expect(200)
					c.Ack()
				}
				s.Wait(100 * time.Millisecond)
				died := time.Now()
				s.CrashAnd(down, func() { s.Net.Hook(nil) })
				ready := time.Now()
				if tt.lost != "ACK " {
					c.Expect(200)
					c.Ack()
				}
				s.Wait(1500 * time.Millisecond)
				fresh(s, c, died)
				if n := len(c.Got("INVITE")); n != 1 {
					s.T.Errorf("%d re-INVITEs", n)
				}
				if got := c.Media.Got(ready)[0]; got.At.Before(c.Got("INVITE")[0].At) {
					s.T.Errorf("%+v came before the re-INVITE", got)
				}
				c.Hangup()
			})
		})
	}
}

// A phone that refuses the re-INVITE with the new key, is busy with one of its own, or
// does not answer, is sent nothing before it has taken one; it is asked again.
func TestSRTPOfAPhoneThatTakesNoNewKeyAtFirst(t *testing.T) {
	for _, tt := range []struct {
		code  int
		after time.Duration // the next comes
	}{{488, 31 * time.Second}, {491, 5 * time.Second}, {500, 31 * time.Second}, {0, 64 * time.Second}} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			crash(t, nil, func(s *kit.Site) {
				alice := encrypted(s.Phone("alice"), cm80, true)
				c := park(alice, s.Phone("bob"))
				hearsMusic(s, c)
				alice.Auto("INVITE", tt.code)
				died := time.Now()
				s.Crash(down)
				s.Wait(2 * time.Second)
				hearsNothing(s, c)
				alice.Auto("INVITE", 200)
				s.Wait(tt.after)
				fresh(s, c, died)
				c.Hangup()
			})
		})
	}
}

// An offer of the phone's own brings both keys, too.
func TestSRTPOfAPhoneThatOffersAfterARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice := encrypted(s.Phone("alice"), cm80, true)
		c := park(alice, s.Phone("bob"))
		hearsMusic(s, c)
		alice.Auto("INVITE", 488)
		died := time.Now()
		s.Crash(down)
		s.Wait(2 * time.Second)
		hearsNothing(s, c)
		asked := len(c.Got("INVITE"))
		c.Change(phone.SDP{})
		s.Wait(50 * time.Millisecond)
		fresh(s, c, died)
		s.Wait(time.Minute)
		if n := len(c.Got("INVITE")); n != asked {
			s.T.Errorf("%d re-INVITEs although all is said", n-asked)
		}
		c.Hangup()
	})
}

// A call that was held by port 0 is taken up again under a key that was never used.
func TestSRTPOfAStreamThatWasRemoved(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice := encrypted(s.Phone("alice"), cm80, true)
		c := park(alice, s.Phone("bob"))
		hearsMusic(s, c)
		for range 2 {
			c.Change(phone.SDP{Removed: true})
			s.Wait(50 * time.Millisecond)
			hearsNothing(s, c)
			back := time.Now()
			c.Change(phone.SDP{})
			s.Wait(50 * time.Millisecond)
			fresh(s, c, back.Add(-time.Nanosecond))
			c.Change(phone.SDP{Removed: true})
			s.Crash(down)
			s.Wait(time.Second)
			c.Change(phone.SDP{})
			s.Wait(50 * time.Millisecond)
			hearsMusic(s, c)
			unbroken(s, c)
		}
		c.Hangup()
	})
}

// Whoever is asked for SRTP at a reload are new calls.
func TestSRTPIsRequiredFromAReloadOn(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		c := park(alice, bob)
		s.Reloaded(srtp("required"))
		bob.Invite("*4701", phone.Opts{}).Expect(488)
		fetched := retrieve(s, encrypted(bob, cm80, true), c)
		c.Change(phone.SDP{})
		talk(s, fetched, c)
		goodbye(s, fetched, c)
		alice.Invite("701", phone.Opts{}).Expect(488)
	})
}

// No key is in the log, be it at trace, nor in the journal, nor in what operators see.
func TestSRTPKeysAreNowhere(t *testing.T) {
	t.Parallel()
	kit.RunCut(t, kit.Plan{Configure: kit.Orbit("701", keyed), Operator: true, Trace: true}, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), encrypted(s.Phone("bob"), "AEAD_AES_256_GCM", false), encrypted(s.Phone("carol"), cm80, false)
		alice.Encrypt(phone.SRTP{Suites: []string{cm80}, Only: true, Lifetime: "2^31", MKIs: 2})
		var seen strings.Builder
		look := func() {
			records, err := s.Journal().Load("")
			if err != nil {
				s.T.Fatal(err)
			}
			for _, b := range records {
				seen.Write(b)
			}
			for _, path := range []string{"/calls", "/orbits", "/orbits/701"} {
				_, body := s.Operator.Do("GET", path)
				seen.WriteString(body)
			}
		}
		asked := carol.Invite("701", phone.Opts{Offerless: true})
		s.Wait(20 * time.Millisecond)
		look() // before the ACK
		asked.Ack()
		asked.Hangup()
		c := park(alice, bob)
		c.Media.Press('0')
		back := bob.Ringing(time.Second)
		look() // our INVITE is open
		back.Pickup()
		talk(s, back, c)
		look()
		s.Crash(down)
		s.Wait(2 * time.Second)
		talk(s, back, c)
		look()
		var keys []string
		know := func() {
			for _, p := range s.Phones() {
				for _, c := range p.Calls() {
					keys = append(keys, c.Media.Keys()...)
				}
			}
		}
		know()
		for _, change := range changes { // another key of a phone's; of ours there is one with the crash
			c.Media.Rekey(cm80)
			change(c, phone.SDP{})
			s.Wait(50 * time.Millisecond)
			talk(s, back, c)
			look()
			know()
		}
		s.Crash(down) // with the re-INVITE of ours, its 200 and its ACK
		s.Wait(2 * time.Second)
		talk(s, back, c)
		look()
		alice.Invite("701", phone.Opts{Headers: []string{"Content-Type: application/sdp"}, Body: "v=0\r\na=crypto:1 " + cm80 + "\r\ninline:" + strings.Repeat("c2VjcmV0", 5) + "\r\n"}).Expect(400)
		goodbye(s, back, c)
		seen.WriteString(s.Log.String())
		know()
		keys = append(keys, strings.Repeat("c2VjcmV0", 2))
		masked(s, "INVITE sip:701@", "SIP/2.0 200 ", "INVITE sip:alice@", "UPDATE sip:701@")
		if len(keys) < 10 || !strings.Contains(seen.String(), "inline:***") || !strings.Contains(seen.String(), "inline:AAAA") {
			s.T.Fatalf("%d keys, and too little was looked at", len(keys))
		}
		for _, k := range keys {
			for _, text := range []string{k, base64.StdEncoding.EncodeToString([]byte(k))[:12], fmt.Sprintf("%x", k)[:12]} {
				if strings.Contains(seen.String(), text) {
					s.T.Errorf("a key is in the log, the journal or the API as %q", text)
				}
			}
		}
	})
}

// masked checks that messages of each kind were logged as they were on the wire, with
// descriptions whose keys are masked.
func masked(s *kit.Site, kinds ...string) {
	s.T.Helper()
	for _, kind := range kinds {
		found := false
		for line := range strings.Lines(s.Log.String()) {
			found = found || strings.Contains(line, `"wire":"`+kind) && strings.Contains(line, "inline:***")
		}
		if !found {
			s.T.Errorf("no %s with a masked key is in the log", kind)
		}
	}
}

// spread is when a message of a re-INVITE after a restart was sent: somewhere within the
// spread of a start.
var spread = regexp.MustCompile(`(?m)^ +\d+\.\d{3}(.*cseq 1025 .*)$`)

// TestSRTPOnTheWire is the sequence diagram: each side's own key, by the MKI of a phone
// that has one; a new one of ours after a crash; a new one of a phone's by UPDATE.
func TestSRTPOnTheWire(t *testing.T) {
	crash(t, srtp("required"), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		alice.Encrypt(phone.SRTP{Suites: []string{cm80}, Only: true, Lifetime: "2^31", MKIs: 1})
		bob.Encrypt(phone.SRTP{Suites: []string{"AEAD_AES_256_GCM", cm80}, Only: true})
		parked := park(alice, bob)
		hearsMusic(s, parked)
		died := time.Now()
		s.Crash(1500 * time.Millisecond)
		s.Wait(time.Second)
		fresh(s, parked, died)
		fetched := bob.Call("*4701", phone.Opts{})
		talk(s, fetched, parked)
		protected(s, fetched, "AEAD_AES_256_GCM")
		parked.Media.Rekey(cm80)
		parked.UpdateTo(phone.SDP{}).Expect(200)
		s.Wait(50 * time.Millisecond)
		talk(s, fetched, parked)
		unbroken(s, parked)
		goodbye(s, fetched, parked)
		ladder.Golden(s.T, "srtp", spread.ReplaceAllString(s.Ladder.String(), "    later$1"))
	})
}

// A leg that has lost its port says with one re-INVITE where it is and which key counts.
func TestSRTPOfALegThatHasMoved(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice := encrypted(s.Phone("alice"), cm80, true)
		c := park(alice, s.Phone("bob"))
		hearsMusic(s, c)
		before := c.Media.Remote()
		died := time.Now()
		var other *fakenet.Conn
		s.CrashAnd(down, func() { other, _ = s.Net.Listen(before) })
		s.Wait(time.Second)
		fresh(s, c, died)
		if n := len(c.Got("INVITE")); n != 1 || c.Media.Remote() == before {
			s.T.Errorf("%d re-INVITEs, and media at %v", n, c.Media.Remote())
		}
		c.Hangup()
		other.Close()
	})
}
