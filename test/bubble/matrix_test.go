package bubble

import (
	"fmt"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// trouble is longer than any one lost or late packet holds up a call.
const trouble = 3 * time.Second

// scripts are scenarios that end well whatever happens to one packet.
var scripts = map[string]func(*kit.Site){
	"park, press, hang up":        pressed,
	"park, return, answer":        returned,
	"park, return, busy, fetch":   refusedThenFetched,
	"park, return, fetch":         fetchedWhileReturning,
	"consultation, transfer":      transferred,
	"hold, resume, session timer": heldAndResumed,
	"cancel":                      cancelled,
}

// TestAnyPacketMayBeLateDoubledOrLost drives each script with each of its SIP
// packets in turn delayed beyond its first retransmission, doubled, and dropped.
func TestAnyPacketMayBeLateDoubledOrLost(t *testing.T) {
	fates := map[string]fakenet.Verdict{
		"late": {Delay: 700 * time.Millisecond}, "a bit late": {Delay: 15 * time.Millisecond},
		"doubled": {Extra: 1}, "lost": {Drop: true},
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			var packets int64
			kit.Run(t, nil, func(s *kit.Site) {
				count := s.Nth(-2, fakenet.Verdict{}, nil)
				script(s)
				packets = count.Load()
			})
			turn := 0
			for n := range int(packets) {
				for fate, v := range fates {
					if turn++; turn%stride != 0 {
						continue
					}
					t.Run(fmt.Sprintf("packet %d %s", n, fate), func(t *testing.T) {
						t.Parallel()
						kit.Run(t, nil, func(s *kit.Site) {
							s.Nth(n, v, nil)
							script(s)
						})
					})
				}
			}
		})
	}
}

// joined checks that two who were joined hear each other once trouble is over.
func joined(s *kit.Site, a, b *phone.Call) {
	s.T.Helper()
	a.Media.Talk(0x21)
	b.Media.Talk(0x42)
	time.Sleep(trouble)
	talk(s, a, b)
}

func hangup(a, b *phone.Call) {
	a.Hangup()
	b.ExpectEnd(trouble)
}

func pressed(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	watch := bob.Subscribe("701")
	parked := park(alice, bob)
	lamp := watch.Await(trouble, "early")
	fetched := bob.Call("701", phone.Opts{Replaces: lamp.Replaces(false)})
	joined(s, fetched, parked)
	watch.Await(trouble, "terminated")
	hangup(parked, fetched)
	watch.Refresh(0).Expect(200)
	watch.AwaitEnd(trouble)
}

func returned(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	back := bob.Ringing(after + trouble)
	back.Reply(180)
	back.Pickup()
	joined(s, back, parked)
	hangup(back, parked)
}

func refusedThenFetched(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	bob.Ringing(after + trouble).Reply(486)
	time.Sleep(trouble)
	hearsMusic(s, parked)
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	hangup(fetched, parked)
}

func fetchedWhileReturning(s *kit.Site) {
	alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
	parked := park(alice, bob)
	back := bob.Ringing(after + trouble)
	back.Reply(180)
	fetched := carol.Call("*4701", phone.Opts{})
	back.ExpectEnd(trouble)
	joined(s, fetched, parked)
	hangup(parked, fetched)
}

func transferred(s *kit.Site) {
	bob, alice := s.Phone("bob"), s.Phone("alice")
	consult := bob.Call("701", phone.Opts{})
	time.Sleep(trouble)
	parked := alice.Call("701", phone.Opts{Replaces: consult.Replaces()})
	consult.ExpectEnd(trouble)
	time.Sleep(trouble)
	hearsMusic(s, parked)
	parked.Hangup()
}

func heldAndResumed(s *kit.Site) {
	alice := s.Phone("alice")
	c := alice.Call("701", timed("90;refresher=uas"))
	c.Media.Talk(0x21)
	time.Sleep(trouble)
	c.Change(phone.SDP{Direction: "sendonly"})
	time.Sleep(trouble)
	c.Reinvite(phone.SDP{}, timed("90;refresher=uas").Headers...).Expect(200)
	c.Ack()
	time.Sleep(time.Minute)
	hearsMusic(s, c)
	if n := len(c.Got("INVITE")); n != 1 {
		s.T.Errorf("%d session refreshes in a minute, want 1", n)
	}
	c.Hangup()
}

func cancelled(s *kit.Site) {
	alice := s.Phone("alice")
	c := alice.Invite("701", phone.Opts{})
	cancel := c.Cancel()
	if r := cancel.Wait(trouble); r == nil || r.Code() != 200 && r.Code() != 481 {
		s.T.Errorf("CANCEL answered with %v", r)
	}
	switch r := c.Tx.Wait(trouble); {
	case r == nil:
		s.T.Error("INVITE is not answered")
	case r.Code() == 200:
		c.Ack()
		c.Hangup()
	case r.Code() != 487:
		s.T.Errorf("INVITE answered with %s", r.Start)
	}
}
