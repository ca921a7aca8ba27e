package bubble

import (
	"net/netip"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

func direct(o *config.Orbit) { o.Retrieve = "direct" }

// runDirect runs a scenario at a site whose 701 lets media flow past parkd.
func runDirect(t *testing.T, scenario func(*kit.Site)) {
	t.Helper()
	runWith(t, kit.Orbit("701", direct), scenario)
}

// sooner is when a call is direct at the latest: a look, and two re-INVITEs.
const sooner = 1500 * time.Millisecond

// heard checks that two hear each other for 400 ms, and from where.
func heard(s *kit.Site, a, b *phone.Call, fromA, fromB netip.Addr) {
	s.T.Helper()
	const span = 400 * time.Millisecond // before parkd looks again
	voiceA, voiceB := a.Media.Talk(0x21), b.Media.Talk(0x42)
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	time.Sleep(span)
	for _, x := range []struct {
		c     *phone.Call
		voice byte
		where netip.Addr
	}{{a, voiceB, fromB}, {b, voiceA, fromA}} {
		got := x.c.Media.Got(start)
		if len(got) < 19 || len(got) > 21 {
			s.T.Errorf("heard %d packets in %v, want 20", len(got), span)
		}
		for _, r := range got {
			if r.First != x.voice || r.From.Addr() != x.where {
				s.T.Errorf("heard %#x from %v, want %#x from %v", r.First, r.From, x.voice, x.where)
				return
			}
		}
	}
}

// talkDirectly checks that two hear each other, past parkd.
func talkDirectly(s *kit.Site, a, b *phone.Call) {
	s.T.Helper()
	heard(s, a, b, a.Media.Local().Addr(), b.Media.Local().Addr())
}

// talkThrough checks that two hear each other through parkd.
func talkThrough(s *kit.Site, a, b *phone.Call) {
	s.T.Helper()
	heard(s, a, b, kit.Server.Addr(), kit.Server.Addr())
}

// fetchFor retrieves from 701 with a code; both talk.
func fetchFor(by *phone.Phone, parked *phone.Call) *phone.Call {
	fetched := by.Call("*4701", phone.Opts{})
	parked.Media.Talk(0x21)
	fetched.Media.Talk(0x42)
	return fetched
}

// straight is a retrieved call whose media flows past parkd.
func straight(s *kit.Site, by *phone.Phone, parked *phone.Call) *phone.Call {
	s.T.Helper()
	fetched := fetchFor(by, parked)
	s.Wait(sooner)
	talkDirectly(s, parked, fetched)
	return fetched
}

// reinvites is how many re-INVITEs two phones have had.
func reinvites(a, b *phone.Call) int { return len(a.Got("INVITE")) + len(b.Got("INVITE")) }

func TestMediaFlowsPastParkd(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		hearsMusic(s, parked)
		fetched := straight(s, bob, parked)
		if n := reinvites(parked, fetched); n != 2 {
			s.T.Errorf("%d re-INVITEs, want 2", n)
		}
		goodbye(s, fetched, parked)
		s.Golden("direct")
	})
}

func TestAReturnedCallIsDirectToo(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		back.Pickup()
		back.Media.Talk(0x42)
		s.Wait(sooner)
		talkDirectly(s, parked, back)
		goodbye(s, parked, back)
	})
}

// Its 200 comes again when a re-INVITE is under way already.
func TestAnAckThatIsLostWhileMediaIsLedPastParkd(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		back := bob.Ringing(after + time.Second)
		lose(s, 2, "ACK sip:bob")
		bob.Auto("INVITE", 0)
		back.Media.Talk(0x42)
		back.Pickup()
		s.Wait(2 * time.Second)
		if n := len(back.Got("INVITE")); n != 2 { // the first of all and ours
			s.T.Fatalf("%d re-INVITEs", n)
		}
		bob.Auto("INVITE", 200)
		back.Late(200, "INVITE")
		s.Wait(sooner)
		talkDirectly(s, parked, back)
		goodbye(s, parked, back)
	})
}

// A phone that sends nothing is not known to be where it says.
func TestASilentPhoneIsRelayed(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := bob.Call("*4701", phone.Opts{})
		s.Wait(time.Minute)
		if n := reinvites(parked, fetched); n != 0 {
			s.T.Errorf("%d re-INVITEs", n)
		}
		talkThrough(s, parked, fetched)
		goodbye(s, parked, fetched)
	})
}

// A phone behind NAT describes an address that is not its own.
func TestAPhoneBehindNATIsRelayed(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := bob.Call("*4701", phone.Opts{SDP: phone.SDP{Address: "192.168.1.2"}})
		fetched.Media.Talk(0x42)
		s.Wait(time.Minute)
		if n := reinvites(parked, fetched); n != 0 {
			s.T.Errorf("%d re-INVITEs", n)
		}
		talkThrough(s, parked, fetched)
		goodbye(s, parked, fetched)
	})
}

func TestDifferentCodecsAreRelayed(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := alice.Call("701", phone.Opts{SDP: phone.SDP{Formats: "8 101"}})
		parked.Media.Talk(0x21)
		fetched := bob.Call("*4701", phone.Opts{SDP: phone.SDP{Formats: "0 101"}})
		fetched.Media.Talk(0x42)
		s.Wait(time.Minute)
		if n := reinvites(parked, fetched); n != 0 {
			s.T.Errorf("%d re-INVITEs", n)
		}
		steady(s, parked.Media.Hear(time.Second), time.Second)
		steady(s, fetched.Media.Hear(time.Second), time.Second)
		goodbye(s, parked, fetched)
	})
}

// Whoever refuses: the call is relayed as before, and nobody is asked again.
func TestARefusalLeavesTheRelay(t *testing.T) {
	for name, code := range map[string]int{"refused": 488, "failed": 500, "silent": 0} {
		for _, who := range []string{"first", "second"} {
			t.Run(name+" by the "+who, func(t *testing.T) {
				runDirect(t, func(s *kit.Site) {
					alice, bob := s.Phone("alice"), s.Phone("bob")
					parked := park(alice, bob)
					fetched := fetchFor(bob, parked)
					refusing := map[string]*phone.Phone{"first": alice, "second": bob}[who]
					refusing.Auto("INVITE", code)
					s.Wait(35 * time.Second)
					refusing.Auto("INVITE", 200)
					s.Wait(time.Minute)
					talkThrough(s, parked, fetched)
					was := reinvites(parked, fetched)
					s.Wait(10 * time.Minute)
					if n := reinvites(parked, fetched); n != was {
						s.T.Errorf("asked %d times more", n-was)
					}
					goodbye(s, parked, fetched)
					if code == 488 {
						s.Golden("direct-refused-by-" + who)
					}
				})
			})
		}
	}
}
