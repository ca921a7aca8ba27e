package bubble

import (
	"net/netip"
	"strings"
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

func TestAHoldPastParkd(t *testing.T) {
	for by, change := range changes {
		for name, hold := range holds {
			for _, holder := range []string{"retriever", "caller"} {
				t.Run(by+", "+name+", by the "+holder, func(t *testing.T) {
					runDirect(t, func(s *kit.Site) {
						alice, bob := s.Phone("alice"), s.Phone("bob")
						held := park(alice, bob)
						holding := straight(s, bob, held)
						if holder == "caller" {
							held, holding = holding, held
						}
						was := reinvites(held, holding)
						change(holding, hold.sdp)
						isTold(s, held, hold.told)
						if held.Media.Remote() != holding.Media.Local() {
							s.T.Errorf("the held party sends to %v", held.Media.Remote())
						}
						s.Wait(time.Minute)
						change(holding, phone.SDP{})
						isTold(s, held, "sendrecv")
						talkDirectly(s, held, holding)
						if n := reinvites(held, holding) - was; n != 2 {
							s.T.Errorf("%d re-INVITEs, want 2", n)
						}
						goodbye(s, holding, held)
						if by == "re-INVITE" && name == "sendonly" {
							s.Golden("direct-hold-" + holder)
						}
					})
				})
			}
		}
	}
}

func TestAnAddressThatChangesPastParkdIsPassedOn(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		for _, c := range []*phone.Call{parked, fetched} {
			c.Media.Move()
			c.Change(phone.SDP{})
			s.Wait(50 * time.Millisecond)
			talkDirectly(s, parked, fetched)
		}
		goodbye(s, parked, fetched)
	})
}

// A codec that the other may not know brings the media back, to be transcoded, until
// both have the same again.
func TestACodecThatChangesPastParkd(t *testing.T) {
	for _, who := range []string{"caller", "retriever"} {
		t.Run(who, func(t *testing.T) {
			runDirect(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := straight(s, bob, parked)
				c := map[string]*phone.Call{"caller": parked, "retriever": fetched}[who]
				c.Change(phone.SDP{Formats: "8 101"})
				s.Wait(50 * time.Millisecond)
				heardAgain(s, parked, fetched)
				s.Wait(sooner)
				talkDirectly(s, parked, fetched)
				goodbye(s, parked, fetched)
			})
		})
	}
}

// heardAgain is talkThrough for two who may not speak the same.
func heardAgain(s *kit.Site, a, b *phone.Call) {
	s.T.Helper()
	start := time.Now()
	s.Wait(400 * time.Millisecond)
	for _, c := range []*phone.Call{a, b} {
		got := c.Media.Got(start)
		if len(got) < 19 || got[0].From.Addr() != kit.Server.Addr() {
			s.T.Errorf("heard %+v", got)
		}
	}
}

// Each is told the other's number for keys, and hears them.
func TestKeysPastParkd(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := alice.Call("701", phone.Opts{SDP: phone.SDP{Formats: "0 96"}})
		parked.Media.Talk(0x21)
		fetched := straight(s, bob, parked)
		for _, way := range [][2]*phone.Call{{parked, fetched}, {fetched, parked}} {
			start := time.Now()
			way[0].Media.Press('5')
			s.Wait(10 * time.Millisecond)
			keys := 0
			for _, r := range way[1].Media.Got(start) {
				if r.Len == 4 {
					keys++
				}
			}
			if keys != 8 {
				s.T.Errorf("%d packets of a key, want 8", keys)
			}
		}
		goodbye(s, parked, fetched)
	})
}

// Keys by INFO go through parkd as ever; as packets they could not.
func TestKeysByInfoBesideMediaPastParkd(t *testing.T) {
	for name, code := range map[string]int{"taken": 200, "refused": 415} {
		t.Run(name, func(t *testing.T) {
			runDirect(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := straight(s, bob, parked)
				alice.Auto("INFO", code)
				fetched.Info("dtmf-relay", '5').Expect(code)
				if n := len(parked.Got("INFO")); n != 1 {
					s.T.Errorf("%d INFOs, want 1", n)
				}
				talkDirectly(s, parked, fetched)
				goodbye(s, parked, fetched)
			})
		})
	}
}

// Whoever comes in between: the media comes back first, and goes past parkd again
// when the new two are joined.
func TestADirectCallIsTransferred(t *testing.T) {
	for _, who := range []string{"caller", "retriever"} {
		t.Run(who, func(t *testing.T) {
			runDirect(t, func(s *kit.Site) {
				alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
				parked := park(alice, bob)
				fetched := straight(s, bob, parked)
				gone, stays := fetched, parked
				if who == "caller" {
					gone, stays = parked, fetched
				}
				taken := carol.Call("701", phone.Opts{Replaces: gone.Replaces()})
				taken.Media.Talk(0x63)
				gone.ExpectEnd(time.Second)
				s.Wait(50 * time.Millisecond)
				talkThrough(s, taken, stays)
				s.Wait(sooner)
				talkDirectly(s, taken, stays)
				goodbye(s, taken, stays)
				s.Golden("direct-transfer-of-" + who)
			})
		})
	}
}

// Both sides change the session while parkd does.
func TestGlareWhileMediaIsLedPastParkd(t *testing.T) {
	for _, who := range []string{"caller", "retriever"} {
		t.Run(who, func(t *testing.T) {
			runDirect(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := fetchFor(bob, parked)
				p, c := alice, parked
				if who == "retriever" {
					p, c = bob, fetched
				}
				p.Auto("INVITE", 0)
				for len(c.Got("INVITE")) == 0 {
					s.Wait(10 * time.Millisecond)
				}
				crossing := c.Reinvite(phone.SDP{Direction: "sendonly"})
				crossing.Expect(491)
				p.Auto("INVITE", 200)
				c.Late(491, "INVITE")
				s.Wait(10 * time.Millisecond)
				c.Change(phone.SDP{})
				s.Wait(6 * time.Second)
				talkDirectly(s, parked, fetched)
				goodbye(s, parked, fetched)
			})
		})
	}
}

// One hangs up while it is being switched over.
func TestABYEInTheMiddleOfTheSwitch(t *testing.T) {
	for _, asked := range []string{"caller", "retriever"} {
		for _, leaves := range []string{"caller", "retriever"} {
			t.Run(asked+" is asked, "+leaves+" leaves", func(t *testing.T) {
				runDirect(t, func(s *kit.Site) {
					alice, bob := s.Phone("alice"), s.Phone("bob")
					parked := park(alice, bob)
					fetched := fetchFor(bob, parked)
					of := map[string]*phone.Call{"caller": parked, "retriever": fetched}
					map[string]*phone.Phone{"caller": alice, "retriever": bob}[asked].Auto("INVITE", 0)
					for len(of[asked].Got("INVITE")) == 0 {
						s.Wait(10 * time.Millisecond)
					}
					goodbye(s, of[leaves], map[string]*phone.Call{"caller": fetched, "retriever": parked}[leaves])
				})
			})
		}
	}
}

// Phones that are not heard any more are asked whether they are there.
func TestADirectCallEndsWhenOneIsGone(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		s.Wait(10 * time.Minute)
		parked.ExpectAlive()
		talkDirectly(s, parked, fetched)
		for _, m := range []string{"OPTIONS", "INVITE", "BYE"} {
			bob.Auto(m, 0)
		}
		parked.ExpectEnd(7 * time.Minute)
		fetched.Media.Quiet()
		bob.Forget(fetched)
	})
}

func TestADirectCallOutlivesTheProcess(t *testing.T) {
	crash(t, kit.Orbit("701", direct), func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		was := reinvites(parked, fetched)
		s.Crash(down)
		s.Wait(10 * time.Second)
		talkDirectly(s, parked, fetched)
		if n := reinvites(parked, fetched); n != was {
			s.T.Errorf("%d re-INVITEs although nothing changed", n-was)
		}
		fetched.Change(phone.SDP{Direction: "sendonly"})
		isTold(s, parked, "sendonly")
		s.Crash(down)
		s.Wait(10 * time.Second)
		fetched.Change(phone.SDP{})
		isTold(s, parked, "sendrecv")
		talkDirectly(s, parked, fetched)
		taken := carol.Call("701", phone.Opts{Replaces: fetched.Replaces()})
		taken.Media.Talk(0x63)
		fetched.ExpectEnd(time.Second)
		s.Wait(50 * time.Millisecond)
		talkThrough(s, taken, parked)
		goodbye(s, taken, parked)
	})
}

// An orbit that is no more to be direct takes its media back at a restart.
func TestADirectCallThatIsNoMoreToBe(t *testing.T) {
	crash(t, kit.Orbit("701", direct), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		s.CrashAnd(down, func() { kit.Orbit("701", func(o *config.Orbit) { o.Retrieve = "bridge" })(&s.Config) })
		s.Wait(2 * time.Second)
		talkThrough(s, parked, fetched)
		goodbye(s, parked, fetched)
	})
}

func TestTheLogTellsWhichWayMediaGoes(t *testing.T) {
	runDirect(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := straight(s, bob, parked)
		if !strings.Contains(s.Log.String(), "media flows directly") {
			s.T.Error("nothing of a direct call in the log")
		}
		goodbye(s, parked, fetched)
	})
}

// Parked again, the caller hears music of parkd's, be they held before.
func TestADirectCallIsParkedAgain(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(map[bool]string{false: "talking", true: "held"}[held], func(t *testing.T) {
			runDirect(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				fetched := straight(s, bob, parked)
				if held {
					fetched.Change(phone.SDP{Direction: "inactive"})
					isTold(s, parked, "inactive")
				}
				fetched.Refer("sip:702@10.0.0.1").Accepted().Ends(time.Second, 200)
				s.Wait(300 * time.Millisecond) // bob's phone does not hang up, but it is told to let alice alone
				isTold(s, parked, "sendrecv")
				hearsMusic(s, parked)
				if at := fetched.Media.Remote().Addr(); at != kit.Server.Addr() {
					s.T.Errorf("who parked them sends to %v", at)
				}
				if at := parked.Media.Remote().Addr(); at != kit.Server.Addr() {
					s.T.Errorf("the caller sends to %v", at)
				}
				fetched.Hangup()
				goodbye(s, bob.Call("*4702", phone.Opts{}), parked)
			})
		})
	}
}
