package bubble

import (
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// heldWithinABridge: each holds the other once, one by UPDATE.
func heldWithinABridge(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	fetched.Change(phone.SDP{Direction: "sendonly"})
	time.Sleep(trouble)
	isTold(s, parked, "sendonly")
	hearsNothing(s, fetched)
	parked.UpdateTo(phone.SDP{Direction: "inactive"}).Expect(200)
	time.Sleep(trouble)
	hearsNothing(s, parked)
	fetched.Change(phone.SDP{})
	time.Sleep(trouble)
	hearsNothing(s, parked)
	parked.UpdateTo(phone.SDP{}).Expect(200)
	joined(s, fetched, parked)
	hangup(fetched, parked)
}

// ledPastParkd: media past parkd; held there, and taken over.
func ledPastParkd(s *kit.Site) {
	alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
	parked := alice.Call("701", referred(bob))
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	pastWithin(s, fetched, parked)
	fetched.Change(phone.SDP{Direction: "sendonly"})
	time.Sleep(trouble)
	isTold(s, parked, "sendonly")
	fetched.Change(phone.SDP{})
	time.Sleep(trouble)
	pastWithin(s, fetched, parked)
	taken := carol.Call("701", phone.Opts{Replaces: fetched.Replaces()})
	fetched.ExpectEnd(trouble)
	joined(s, taken, parked)
	pastWithin(s, taken, parked)
	hangup(parked, taken)
}

// pastWithin checks that media goes past parkd once trouble is over.
func pastWithin(s *kit.Site, a, b *phone.Call) {
	s.T.Helper()
	for end := time.Now().Add(2 * trouble); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if a.Media.Remote() == b.Media.Local() && b.Media.Remote() == a.Media.Local() {
			talkDirectly(s, a, b)
			return
		}
	}
	s.T.Errorf("media goes to %v and %v", a.Media.Remote(), b.Media.Remote())
}
