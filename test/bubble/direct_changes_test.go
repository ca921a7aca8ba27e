package bubble

import (
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

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
