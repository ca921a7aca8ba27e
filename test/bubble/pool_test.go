package bubble

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/internal/rtpmusic/library"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// pool makes 700 a pool of 701-703.
func pool(change func(*config.Pool)) kit.Configure {
	return func(c *config.Config) {
		p := config.Pool{Extension: "700", Orbits: config.Extensions{"701", "702", "703"}, Pick: "first", Announce: true}
		if change != nil {
			change(&p)
		}
		c.Pools = []config.Pool{p}
	}
}

// parkedOn is the orbit that the answer to a park says it is in.
func parkedOn(s *kit.Site, r *phone.Response) string {
	s.T.Helper()
	name, uri, _ := strings.Cut(r.Get("P-Asserted-Identity"), "<")
	ext, _, _ := strings.Cut(strings.TrimPrefix(uri, "sip:"), "@")
	if strings.TrimSpace(name) != fmt.Sprintf("%q", "Parked on "+ext) || !strings.Contains(r.Get("Remote-Party-ID"), "<sip:"+ext+"@") {
		s.T.Errorf("identities %q, %q", r.Get("P-Asserted-Identity"), r.Get("Remote-Party-ID"))
	}
	return ext
}

func TestATransferIntoAPoolTakesAFreeOrbit(t *testing.T) {
	runWith(t, pool(func(p *config.Pool) { p.Message = true }), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		busy := park(s.Phone("ann"), bob)
		parked := alice.Call("700", referred(bob))
		if got := parkedOn(s, parked.Expect(200)); got != "702" {
			s.T.Errorf("parked on %s", got)
		}
		hearsMusic(s, parked)
		told := bob.Got("MESSAGE")
		if len(told) != 1 || told[0].Body != "alice alice is parked on 702" && told[0].Body != "alice is parked on 702" {
			s.T.Fatalf("bob was sent %v", told)
		}
		m := told[0]
		if m.Get("Content-Type") != "text/plain;charset=UTF-8" || m.Get("Contact") != "" || !strings.Contains(m.Get("From"), `"Parked on 702" <sip:702@10.0.0.1`) {
			s.T.Errorf("type %q, contact %q, from %q", m.Get("Content-Type"), m.Get("Contact"), m.Get("From"))
		}
		s.Wait(time.Second)
		fetched := bob.Call("*4702", phone.Opts{})
		talk(s, fetched, parked)
		goodbye(s, fetched, parked)
		busy.Hangup()
		s.Wait(time.Second)
	})
}

// Who dials a pool to transfer somebody there hears and sees which orbit it is.
func TestAConsultationWithAPool(t *testing.T) {
	for name, allow := range map[string]string{"update": "INVITE, ACK, CANCEL, BYE, UPDATE", "invite": "INVITE, ACK, CANCEL, BYE"} {
		t.Run(name, func(t *testing.T) {
			runWith(t, pool(func(p *config.Pool) { p.Message = true }), func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				consult := bob.Invite("700", phone.Opts{Headers: []string{"Allow: " + allow}})
				consult.Media.Record()
				if got := parkedOn(s, consult.Expect(200)); got != "701" {
					s.T.Errorf("parked on %s", got)
				}
				consult.Ack()
				s.Wait(5 * time.Second)
				hearsWords(s, consult, "parked-on", "7", "0", "1")
				var told []string
				for _, r := range append(bob.Got("UPDATE"), bob.Got("INVITE")...) {
					told = append(told, r.Method()+" "+r.Get("P-Asserted-Identity"))
				}
				if want := strings.ToUpper(name) + ` "Parked on 701" <sip:701@10.0.0.1:5060>`; len(told) != 1 || told[0] != want {
					s.T.Errorf("told by %q, want %s", told, want)
				}
				if len(bob.Got("MESSAGE")) != 0 {
					s.T.Error("a message before there is anybody to park")
				}
				parked := alice.Invite("700", phone.Opts{Replaces: consult.Replaces(), ReferredBy: bob.URI()})
				parked.Media.Record()
				parked.Expect(200)
				parked.Ack()
				consult.ExpectEnd(time.Second)
				s.Wait(5 * time.Second)
				musicOnly(s, parked)
				if m := bob.Got("MESSAGE"); len(m) != 1 || m[0].Body != "alice is parked on 701" {
					s.T.Errorf("bob was sent %v", m)
				}
				if n := len(alice.Got("UPDATE")) + len(alice.Got("INVITE")); n != 0 {
					s.T.Errorf("alice was told %d times", n)
				}
				s.Golden("pool-consultation-" + name)
				fetched := bob.Call("*4701", phone.Opts{})
				talk(s, fetched, parked)
				goodbye(s, fetched, parked)
			})
		})
	}
}

// announced is the sound of words and the music after them, as PCMU.
func announced(t *testing.T, words ...string) []byte {
	t.Helper()
	l, err := library.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	said := l.Say(words, library.Default)
	var sound []byte
	for p := said.Next(nil); len(sound) < 8*8000; p = said.Next(p) {
		sound = append(sound, p.Audio("PCMU")...)
	}
	return sound
}

// hearsWords checks that all that was heard of a call are words, and music then.
func hearsWords(s *kit.Site, c *phone.Call, words ...string) {
	s.T.Helper()
	// The music began with the answer, and the words with the ACK.
	heard, want := c.Media.Tape(), announced(s.T, words...)
	for skip := 0; skip < 800; skip += 160 {
		if n := len(heard) - skip; n > 4*8000 && bytes.Equal(heard[skip:], want[:n]) {
			return
		}
	}
	s.T.Errorf("%d octets are not the words %v", len(heard), words)
}

// musicOnly checks that all that was heard is the music.
func musicOnly(s *kit.Site, c *phone.Call) {
	s.T.Helper()
	heard := c.Media.Tape()
	l, err := library.Load("", nil)
	if err != nil {
		s.T.Fatal(err)
	}
	tune, want := l.Tune(library.Default), []byte(nil)
	for p := tune.Next(nil); len(want) < len(heard); p = tune.Next(p) {
		want = append(want, p.Audio("PCMU")...)
	}
	if len(heard) < 4*8000 || !bytes.Equal(heard, want[:len(heard)]) {
		s.T.Errorf("%d octets are not the music", len(heard))
	}
}

func TestACodeWithAPoolFetchesTheOldest(t *testing.T) {
	runWith(t, pool(nil), func(s *kit.Site) {
		alice, ann, bob := s.Phone("alice"), s.Phone("ann"), s.Phone("bob")
		first := alice.Call("702", referred(bob))
		second := ann.Call("700", referred(bob)) // in 701
		for _, want := range []*phone.Call{first, second} {
			fetched := bob.Call("*4700", phone.Opts{})
			talk(s, fetched, want)
			goodbye(s, fetched, want)
		}
		bob.Invite("*4700", phone.Opts{}).Expect(404)
	})
}

func TestAFullPool(t *testing.T) {
	for name, c := range map[string]struct {
		overflow string
		code     int
		where    string // the orbit, or the Contact
	}{
		"refuses":                            {"", 486, ""},
		"sends the call to an orbit":         {"705", 200, "705"},
		"sends the call to another pool":     {"600", 200, "709"},
		"sends the call back to the switch":  {"200", 302, "<sip:200@10.0.1.2:5060>"},
		"and by a name that is to be quoted": {"a#b", 302, "<sip:a%23b@10.0.1.2:5060>"},
	} {
		t.Run(name, func(t *testing.T) {
			configure := func(c2 *config.Config) {
				pool(func(p *config.Pool) { p.Orbits, p.Overflow = p.Orbits[:1], c.overflow })(c2)
				c2.Pools = append(c2.Pools, config.Pool{Extension: "600", Orbits: config.Extensions{"709", "710"}, Pick: "first"})
			}
			runWith(t, configure, func(s *kit.Site) {
				ann, ben := s.Phone("ann"), s.Phone("ben")
				parked := ann.Call("700", referred(ben))
				second := ben.Invite("700", referred(ann))
				r := second.Expect(c.code)
				switch c.code {
				case 200:
					if got := parkedOn(s, r); got != c.where {
						s.T.Errorf("parked on %s", got)
					}
					second.Ack()
					hearsMusic(s, second)
					second.Hangup()
				case 302:
					if got := r.Get("Contact"); got != c.where {
						s.T.Errorf("sent to %s", got)
					}
					if c.overflow == "200" {
						s.Golden("pool-overflow")
					}
				}
				parked.Hangup()
				s.Wait(time.Second)
			})
		})
	}
}

// A thousand at once, into a pool of a thousand: each has an orbit of their own.
func TestAThousandParksAtOnce(t *testing.T) {
	configure := func(c *config.Config) {
		defaults := c.Defaults
		c.Orbits = nil
		p := config.Pool{Extension: "700", Pick: "random"}
		for n := range crowd {
			ext := fmt.Sprint(1000 + n)
			c.Orbits = append(c.Orbits, config.Orbit{Extension: ext, Options: defaults})
			p.Orbits = append(p.Orbits, ext)
		}
		c.Pools = []config.Pool{p}
	}
	runWith(t, configure, func(s *kit.Site) {
		bob := s.Phone("bob")
		watch := bob.Subscribe("700")
		watch.Await(lit, "terminated")
		calls := make([]*phone.Call, crowd)
		for n := range calls {
			host := netip.AddrFrom4([4]byte{10, 1, byte(n / 200), byte(n%200 + 1)})
			p := s.PhoneAt(fmt.Sprint("p", n), netip.AddrPortFrom(host, 5060))
			calls[n] = p.Invite("700", referred(bob))
		}
		taken := map[string]int{}
		for n, c := range calls {
			ext := parkedOn(s, c.Expect(200))
			c.Ack()
			if other, twice := taken[ext]; twice {
				s.T.Fatalf("%d and %d are both in %s", n, other, ext)
			}
			taken[ext] = n
		}
		watch.Await(lit, "confirmed")
		bob.Invite("700", phone.Opts{}).Expect(486)
		for _, c := range calls {
			c.Hangup()
		}
		watch.Await(lit, "terminated")
		if n := len(watch.Lamps()); n != 3 {
			s.T.Errorf("%d documents, want 3", n)
		}
		watch.Refresh(0).Expect(200)
	})
}

func TestThePoolsOwnLamp(t *testing.T) {
	runWith(t, pool(func(p *config.Pool) { p.Orbits = p.Orbits[:2] }), func(s *kit.Site) {
		ann, ben, desk := s.Phone("ann"), s.Phone("ben"), s.Phone("desk")
		watch := desk.Subscribe("700")
		dark := watch.Await(lit, "terminated")
		first := ann.Call("700", referred(desk))
		second := ben.Call("700", referred(desk))
		on := watch.Await(lit, "confirmed")
		if on.Version != dark.Version+1 || on.Dialogs != 1 || on.ID != "700" || on.CallID != "" || on.Entity != "sip:700@10.0.0.1:5060" {
			s.T.Errorf("document %+v after %+v", on, dark)
		}
		if on.RemoteURI != "" || on.RemoteName != "" || on.LocalName != "" {
			s.T.Errorf("it names who is parked: %+v", on)
		}
		// A press of its key parks, for there is no call that it shows.
		desk.Invite("700", phone.Opts{}).Expect(486)
		fetched := desk.Call("*4701", phone.Opts{})
		off := watch.Await(lit, "terminated")
		if off.Version != on.Version+1 {
			s.T.Errorf("document %+v after %+v", off, on)
		}
		talk(s, fetched, first)
		mine := desk.Call("700", phone.Opts{})
		watch.Await(lit, "confirmed")
		s.Wait(time.Second)
		mine.Hangup()
		watch.Await(lit, "terminated")
		goodbye(s, fetched, first)
		second.Hangup()
		watch.Refresh(0).Expect(200)
		if end := watch.AwaitEnd(lit); end.Reason != "timeout" {
			s.T.Errorf("ended because of %q", end.Reason)
		}
		s.Wait(time.Second)
		s.Golden("pool-lamp")
	})
}

func TestAReloadChangesPoolsUnderCalls(t *testing.T) {
	runWith(t, pool(func(p *config.Pool) { p.Orbits = p.Orbits[:1] }), func(s *kit.Site) {
		ann, ben, desk := s.Phone("ann"), s.Phone("ben"), s.Phone("desk")
		watch := desk.Subscribe("700")
		parked := ann.Call("700", referred(desk))
		watch.Await(lit, "confirmed")
		// One orbit more.
		changes := s.Reloaded(pool(func(p *config.Pool) { p.Orbits = p.Orbits[:2] }))
		if fmt.Sprint(changes.Keys, changes.Restart) != "[pools] []" {
			s.T.Errorf("changed %v", changes)
		}
		watch.Await(lit, "terminated")
		second := ben.Call("700", referred(desk))
		if got := parkedOn(s, second.Expect(200)); got != "702" {
			s.T.Errorf("parked on %s", got)
		}
		watch.Await(lit, "confirmed")
		s.Wait(time.Second)
		// None at all: whoever is parked stays so, and the lamp is gone.
		s.Reloaded(func(c *config.Config) { c.Pools = nil })
		watch.AwaitEnd(lit)
		ben.Invite("700", phone.Opts{}).Expect(404)
		hearsMusic(s, parked)
		fetched := desk.Call("*4702", phone.Opts{})
		talk(s, fetched, second)
		goodbye(s, fetched, second)
		parked.Hangup()
		s.Wait(time.Second)
	})
}
