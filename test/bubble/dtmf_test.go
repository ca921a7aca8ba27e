package bubble

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

const (
	noInfo = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS"
	info   = noInfo + ", INFO"
)

// pair has alice parked and bob fetch her, each with an offer and header lines of
// their own.
func pair(s *kit.Site, alice, bob phone.Opts) (parked, fetched *phone.Call) {
	a, b := s.Phone("alice"), s.Phone("bob")
	alice.ReferredBy = b.URI()
	parked = a.Call("701", alice)
	fetched = b.Call("*4701", bob)
	parked.Media.Talk(0x21)
	fetched.Media.Talk(0x42)
	s.Wait(100 * time.Millisecond)
	return parked, fetched
}

// heardKeys lists what a phone heard as telephone-event with a payload type: each key
// once, with how long it was pressed in ms.
func heardKeys(c *phone.Call, since time.Time, pt uint8) (keys []string) {
	seen := map[uint32]bool{}
	for _, r := range c.Media.Got(since) {
		if r.PT == pt && r.Len == 4 && r.Second&0x80 != 0 && !seen[r.Timestamp] {
			seen[r.Timestamp] = true
			keys = append(keys, string("0123456789*#ABCD"[r.First]))
		}
	}
	return keys
}

// What comes by INFO from one of two who are joined goes to the other, and is
// answered as they answer.
func TestKeysByInfoArePassedOn(t *testing.T) {
	for _, kind := range []string{"dtmf-relay", "dtmf"} {
		for _, allow := range []string{"", info} {
			t.Run(kind+" "+allow, func(t *testing.T) {
				run(t, func(s *kit.Site) {
					var opts phone.Opts
					if allow != "" {
						opts.Headers = []string{allow}
					}
					parked, fetched := pair(s, opts, opts)
					start := time.Now()
					for _, k := range "5*" {
						fetched.Info(kind, byte(k)).Expect(200)
						parked.Info(kind, byte(k)).Expect(200)
					}
					for name, c := range map[string]*phone.Call{"alice": parked, "bob": fetched} {
						var got []string
						for _, r := range c.Got("INFO") {
							got = append(got, r.Get("Content-Type")+" "+strings.Join(strings.Fields(r.Body), " "))
						}
						want := []string{"application/dtmf 5", "application/dtmf *"}
						if kind == "dtmf-relay" {
							want = []string{"application/dtmf-relay Signal=5 Duration=160", "application/dtmf-relay Signal=* Duration=160"}
						}
						if !slices.Equal(got, want) {
							s.T.Errorf("%s got %q, want %q", name, got, want)
						}
						if keys := heardKeys(c, start, 101); len(keys) > 0 {
							s.T.Errorf("%s heard %v as well", name, keys)
						}
					}
					if kind == "dtmf-relay" && allow != "" {
						s.Golden("dtmf-info")
					}
					talk(s, fetched, parked)
					goodbye(s, fetched, parked)
				})
			})
		}
	}
}

// Who refuses INFO, or does not name it, hears the key, for as long as it was pressed.
func TestKeysByInfoBecomeEvents(t *testing.T) {
	for name, c := range map[string]struct {
		allow string
		code  int
		asked int
	}{
		"refused":    {"", 415, 1},
		"not served": {info, 501, 1},
		"not named":  {noInfo, 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				opts := phone.Opts{SDP: phone.SDP{Formats: "0 96"}}
				if c.allow != "" {
					opts.Headers = []string{c.allow}
				}
				parked, fetched := pair(s, phone.Opts{}, opts)
				s.Phones()[1].Auto("INFO", c.code)
				start := time.Now()
				parked.Do("INFO", "Signal=7\r\nDuration=300\r\n", "Content-Type: application/dtmf-relay").Expect(200)
				s.Wait(time.Second)
				if got := heardKeys(fetched, start, 96); fmt.Sprint(got) != "[7]" {
					s.T.Errorf("bob heard %v", got)
				}
				long := 0
				for _, r := range fetched.Media.Got(start) {
					if r.PT == 96 {
						long++
					}
				}
				if long != 15+2 {
					s.T.Errorf("%d packets of a press of 300 ms, want 17", long)
				}
				if n := len(fetched.Got("INFO")); n != c.asked {
					s.T.Errorf("bob got %d INFOs, want %d", n, c.asked)
				}
				talk(s, fetched, parked)
				if name == "refused" {
					s.Golden("dtmf-refused")
				}
				goodbye(s, fetched, parked)
			})
		})
	}
}

// Where a key can be heard in no way, whoever pressed it learns so.
func TestKeysThatCannotBeHeardAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		allow      string
		code, want int
	}{"refused": {"", 488, 488}, "not named": {noInfo, 200, 415}} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				opts := phone.Opts{SDP: phone.SDP{Formats: "0"}}
				if c.allow != "" {
					opts.Headers = []string{c.allow}
				}
				parked, fetched := pair(s, phone.Opts{}, opts)
				s.Phones()[1].Auto("INFO", c.code)
				parked.Info("dtmf-relay", '7').Expect(c.want)
				talk(s, fetched, parked)
				goodbye(s, fetched, parked)
			})
		})
	}
}

// Telephone-events go through with the number that each side has for them; to a peer
// that has none they go by INFO, if it takes that.
func TestKeysAsEventsArePassedOn(t *testing.T) {
	for name, c := range map[string]struct {
		formats, allow string
		heard, infos   int
	}{
		"as events of another number": {"0 96", info, 1, 0},
		"as INFO":                     {"0", info, 0, 1},
		"INFO is not named":           {"0", "", 0, 0},
		"nor taken":                   {"0", noInfo, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				opts := phone.Opts{SDP: phone.SDP{Formats: c.formats}}
				if c.allow != "" {
					opts.Headers = []string{c.allow}
				}
				parked, fetched := pair(s, phone.Opts{}, opts)
				start := time.Now()
				parked.Media.Press('9')
				s.Wait(time.Second)
				if got := heardKeys(fetched, start, 96); len(got) != c.heard || len(got) > 0 && got[0] != "9" {
					s.T.Errorf("bob heard %v", got)
				}
				got := fetched.Got("INFO")
				if len(got) != c.infos || len(got) > 0 && !strings.HasPrefix(got[0].Body, "Signal=9\r\n") {
					s.T.Errorf("bob got %d INFOs: %v", len(got), got)
				}
				talk(s, fetched, parked)
				goodbye(s, fetched, parked)
			})
		})
	}
}

// Whoever does not answer an INFO, or hangs up instead, leaves nobody waiting.
func TestAnInfoThatNobodyAnswers(t *testing.T) {
	run(t, func(s *kit.Site) {
		parked, fetched := pair(s, phone.Opts{}, phone.Opts{})
		s.Phones()[1].Auto("INFO", 0)
		silent := parked.Info("dtmf-relay", '1')
		silent.ExpectWithin(11*time.Second, 408)
		s.Wait(40 * time.Second)
		talk(s, fetched, parked)
		late := parked.Info("dtmf-relay", '2')
		s.Wait(time.Second)
		fetched.Hangup()
		late.Expect(481)
		parked.ExpectEnd(time.Second)
	})
}
