package bubble

import (
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// Scripts of transfers that end well whatever happens to one packet.

func transferredOn(s *kit.Site) {
	alice, bob, dave := s.Phone("alice"), s.Phone("bob"), s.Phone("dave")
	parked := park(alice, bob)
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	r := fetched.Refer(to(dave)).Accepted()
	ring := dave.Ringing(trouble)
	ring.Reply(180)
	time.Sleep(time.Second)
	ring.Pickup()
	r.Ends(trouble, 200)
	fetched.Hangup()
	joined(s, ring, parked)
	hangup(ring, parked)
}

func transferredEarlyInVain(s *kit.Site) {
	alice, bob, dave := s.Phone("alice"), s.Phone("bob"), s.Phone("dave")
	parked := park(alice, bob)
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	fetched.Refer(to(dave)).Accepted()
	ring := dave.Ringing(trouble)
	ring.Reply(180)
	fetched.Hangup()
	time.Sleep(trouble)
	hearsMusic(s, parked)
	ring.Reply(486)
	back := bob.Ringing(callOff + trouble)
	back.Reply(180)
	back.Pickup()
	joined(s, back, parked)
	hangup(back, parked)
}

func parkedAgain(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	fetched.Refer(ours("702")).Accepted().Ends(trouble, 200)
	fetched.Hangup()
	time.Sleep(trouble)
	hearsMusic(s, parked)
	again := bob.Call("*4702", phone.Opts{})
	joined(s, again, parked)
	hangup(parked, again)
}

func summoned(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	r := bob.Refer("701", to(alice)).Accepted()
	ring := alice.Ringing(trouble)
	ring.Media.Talk(0x21)
	ring.Pickup()
	r.Ends(trouble, 200)
	time.Sleep(trouble)
	hearsMusic(s, ring)
	ring.Hangup()
}
