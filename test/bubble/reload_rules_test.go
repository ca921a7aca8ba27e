package bubble

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
	"parkd/test/kit/wire"
)

// outside is an address that nobody trusts by default.
var outside = netip.MustParseAddrPort("192.0.2.7:5060")

func allLasting(d time.Duration) kit.Configure {
	return func(c *config.Config) {
		for i := range c.Orbits {
			c.Orbits[i].Timeout.After = d
		}
	}
}

// Who is trusted no more is refused from then on; calls that are under way go on,
// lamps end (RFC 6665 4.1.3: rejected).
func TestOthersAreTrusted(t *testing.T) {
	trusting := func(networks ...string) kit.Configure {
		return func(c *config.Config) {
			c.Access.Trusted = nil
			for _, n := range networks {
				c.Access.Trusted = append(c.Access.Trusted, netip.MustParsePrefix(n))
			}
		}
	}
	run(t, func(s *kit.Site) {
		alice, eve := s.Phone("alice"), s.PhoneAt("eve", outside)
		watch := alice.Subscribe("701")
		parked := alice.Call("701", phone.Opts{})
		watch.Await(lit, "early")
		eve.Invite("702", phone.Opts{}).Expect(403)
		p := undisturbed(s, []*phone.Call{parked})

		keys(s, s.Reloaded(trusting("192.0.2.0/24")), "access.trusted")
		if end := watch.AwaitEnd(lit); end.Reason != "rejected" || end.Dialog != "terminated" || end.RemoteURI != "" || end.CallID != "" {
			s.T.Errorf("the lamp ended with %+v", end)
		}
		other := eve.Call("702", phone.Opts{})
		alice.Invite("703", phone.Opts{}).Expect(403)
		alice.Watch("702", 3600).Expect(403)
		p.check()
		watch.Refresh(3600).Expect(481)
		parked.Change(phone.SDP{})
		hearsMusic(s, parked)
		other.Hangup()

		s.Reloaded(trusting("10.0.0.0/8"))
		eve.Invite("702", phone.Opts{}).Expect(403)
		fetched := retrieve(s, alice, parked)
		goodbye(s, fetched, parked)
	})
}

func TestAnotherHeaderNamesTheParker(t *testing.T) {
	naming := func(names ...string) kit.Configure {
		return func(c *config.Config) {
			c.Park.ParkerHeaders = names
			allLasting(30 * time.Second)(c)
		}
	}
	by := func(header string, p *phone.Phone) phone.Opts {
		return phone.Opts{SDP: phone.SDP{Direction: "sendonly"}, Headers: []string{header + ": <" + p.URI() + ">"}}
	}
	runWith(t, naming("X-Parked-By"), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		first := alice.Call("701", by("X-Parked-By", bob))
		keys(s, s.Reloaded(naming("X-Sent-By")), "park.parker_headers")
		second := alice.Call("702", by("X-Parked-By", bob))
		third := alice.Call("703", by("X-Sent-By", bob))
		for _, c := range []*phone.Call{first, third} { // as it was read when they were parked
			back := bob.Ringing(time.Minute)
			about(s, "return", back.Since().Sub(c.Since()), 30*time.Second)
			back.Pickup()
			goodbye(s, back, c)
		}
		if bob.Rings(2*time.Minute) != nil {
			s.T.Error("a call without a parker came back")
		}
		second.Hangup()
	})
}

func TestOthersMayBeCalledBack(t *testing.T) {
	runWith(t, allLasting(30*time.Second), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		first := alice.Call("701", onHold(bob))
		keys(s, s.Reloaded(func(c *config.Config) { c.Access.ReturnUsers = regexp.MustCompile("^[0-9]+$") }), "access.return_users")
		second := alice.Call("702", onHold(bob))
		back := bob.Ringing(time.Minute) // the first was parked by the rule of before
		back.Pickup()
		goodbye(s, back, first)
		if bob.Rings(2*time.Minute) != nil {
			s.T.Error("bob was called")
		}
		s.Reloaded(func(c *config.Config) { c.Access.ReturnUsers = regexp.MustCompile("^bob$") })
		third := alice.Call("703", onHold(bob))
		back = bob.Ringing(time.Minute)
		back.Pickup()
		goodbye(s, back, third)
		second.Hangup()
	})
}

func TestOtherDomainsAreOurs(t *testing.T) {
	runWith(t, func(c *config.Config) {
		allLasting(30 * time.Second)(c)
		c.SIP.OutboundProxy = "sip:10.0.1.2;lr"
	}, func(s *kit.Site) {
		alice, proxy := s.Phone("alice"), s.Phone("proxy")
		by := phone.Opts{ReferredBy: "sip:bob@example.com", SDP: phone.SDP{Direction: "sendonly"}}
		stranger := alice.Call("701", by)
		keys(s, s.Reloaded(func(c *config.Config) { c.SIP.Domains = []string{"example.com"} }), "sip.domains")
		ours := alice.Call("702", by)
		back := proxy.Ringing(time.Minute)
		if got, want := back.Request().URI(), "sip:bob@example.com"; got != want || back.Since().Sub(ours.Since()) < 29*time.Second {
			s.T.Errorf("%s is called %v after the park, want %s", got, back.Since().Sub(ours.Since()), want)
		}
		back.Pickup()
		goodbye(s, back, ours)
		if proxy.Rings(time.Minute) != nil {
			s.T.Error("a stranger's domain was called")
		}
		stranger.Hangup()
	})
}

// A return takes the way of now, whenever its call was parked.
func TestAnotherProxyIsUsed(t *testing.T) {
	via := func(uri string) kit.Configure {
		return func(c *config.Config) { c.SIP.OutboundProxy = uri }
	}
	runWith(t, func(c *config.Config) {
		lasting(30 * time.Second)(c)
		via("sip:10.0.1.2;lr")(c)
		c.SIP.Domains = []string{"example.com"}
	}, func(s *kit.Site) {
		alice, old, next := s.Phone("alice"), s.Phone("old"), s.Phone("next")
		parked := alice.Call("701", phone.Opts{ReferredBy: "sip:bob@example.com", SDP: phone.SDP{Direction: "sendonly"}})
		old.Ringing(time.Minute).Reply(486)
		s.Wait(time.Second)
		keys(s, s.Reloaded(via("sip:10.0.1.3;lr")), "sip.outbound_proxy")
		back := next.Ringing(time.Minute)
		if got := back.Request().URI(); got != "sip:bob@example.com" {
			s.T.Errorf("%s is called", got)
		}
		back.Pickup()
		goodbye(s, back, parked)
	})
}

// keptAlive lists when a call was asked whether it is still there.
func keptAlive(c *phone.Call, since time.Time) (n int) {
	for _, r := range c.Got("OPTIONS") {
		if r.At.After(since) {
			n++
		}
	}
	return n
}

func TestCallsAreAskedMoreOften(t *testing.T) {
	run(t, func(s *kit.Site) {
		c := s.Phone("alice").Call("701", phone.Opts{SDP: phone.SDP{Direction: "sendonly"}})
		c.Media.Murmur(0x21) // who is silent is asked anyway
		s.Wait(4 * time.Minute)
		if n := keptAlive(c, time.Time{}); n != 0 {
			s.T.Errorf("asked %d times in 4 minutes", n)
		}
		start := time.Now()
		keys(s, s.Reloaded(func(c *config.Config) { c.Park.Keepalive = time.Minute }), "park.keepalive")
		s.Wait(3*time.Minute + 30*time.Second)
		if n := keptAlive(c, start); n != 4 { // overdue, and once a minute
			s.T.Errorf("asked %d times in 3 minutes and a half", n)
		}
		c.Hangup()
	})
}

// sdpHost is the address in a description of parkd's.
func sdpHost(m *wire.Message) string {
	for line := range strings.Lines(m.Body) {
		if host, ok := strings.CutPrefix(strings.TrimSpace(line), "c=IN IP4 "); ok {
			return host
		}
	}
	return ""
}

// Another address is told to whoever comes; those who were told the old one are
// left alone, for their sound goes the way that it goes.
func TestAnotherAddressIsTold(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		first := park(alice, bob)
		watch.Await(lit, "early")
		p := undisturbed(s, []*phone.Call{first}, watch)
		keys(s, s.Reloaded(func(c *config.Config) {
			c.SIP.Advertise = "pbx.example.com"
			c.Media.Address = netip.MustParseAddr("198.51.100.9")
		}), "media.address", "sip.advertise")
		next := bob.Invite("702", phone.Opts{})
		r := next.Expect(200)
		if got := wire.Address(r.Get("Contact")); got != "sip:702@pbx.example.com:5060" {
			s.T.Errorf("Contact %s", got)
		}
		if got := sdpHost(r.Message); got != "198.51.100.9" {
			s.T.Errorf("SDP names %s", got)
		}
		next.Ack()
		s.Wait(time.Second)
		p.check()
		fetched := bob.Call("*4701", phone.Opts{})
		first.ExpectAlive()
		if l := watch.Await(lit, "terminated"); l.LocalTarget != "sip:701@pbx.example.com:5060" {
			s.T.Errorf("a press goes to %s", l.LocalTarget)
		}
		if got := wire.Address(bob.Got("NOTIFY")[2].Get("Contact")); got != "sip:701@pbx.example.com:5060" {
			s.T.Errorf("Contact %s", got)
		}
		goodbye(s, fetched, first)
		next.Hangup()
		watch.Refresh(0).Expect(200)
	})
}

func TestOtherCodecsAreAgreedOn(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		first := park(alice, bob)
		p := undisturbed(s, []*phone.Call{first})
		keys(s, s.Reloaded(func(c *config.Config) { c.Media.Codecs = []string{"PCMA"} }), "media.codecs")
		bob.Invite("702", phone.Opts{SDP: phone.SDP{Formats: "0 101"}}).Expect(488)
		next := bob.Call("702", phone.Opts{})
		for _, r := range next.Media.Hear(time.Second) {
			if r.PT != 8 {
				s.T.Fatalf("payload type %d", r.PT)
			}
		}
		p.check()
		next.Hangup()
		fetched := bob.Call("*4701", phone.Opts{}) // each in their own codec
		first.Media.Talk(0x21)
		fetched.Media.Talk(0x42)
		s.Wait(100 * time.Millisecond)
		one, other := first.Media.Hear(time.Second), fetched.Media.Hear(time.Second)
		if len(one) != 50 || len(other) != 50 || one[0].PT != 0 || other[0].PT != 8 {
			s.T.Errorf("heard %d packets of type %d and %d of type %d", len(one), one[0].PT, len(other), other[0].PT)
		}
		goodbye(s, fetched, first)
	})
}

// What is on its way while the configuration changes arrives where it should.
func TestNothingOnItsWayIsLostToAReload(t *testing.T) {
	t.Parallel()
	kit.RunSlow(t, kit.Orbit("701", several), 200*time.Millisecond, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := bob.Subscribe("701")
		s.Net.Hook(func(p fakenet.Packet) fakenet.Verdict { return fakenet.Verdict{Delay: 30 * time.Millisecond} })
		parking := alice.Invite("701", referred(bob))
		subscribing := carol.Watch("701", 3600)
		s.Wait(100 * time.Millisecond) // both wait for the disk
		s.Reloaded(lasting(time.Minute))
		parking.Expect(200)
		parking.Ack()
		subscribing.Expect(200)
		watch.Await(time.Second, "early")
		subscribing.Await(time.Second, "early")
		fetching := carol.Invite("*4701", phone.Opts{})
		s.Wait(100 * time.Millisecond)
		s.Reloaded(removed("701"))
		fetching.Expect(200)
		fetching.Ack()
		s.Wait(time.Second)
		talk(s, fetching, parking)
		watch.AwaitEnd(2 * time.Second)
		subscribing.AwaitEnd(2 * time.Second)
		goodbye(s, fetching, parking)
	})
}
