package crash

import (
	"testing"

	"parkd/test/live"
)

// bothHear has the parties of a call talk and waits until they hear each other.
func bothHear(a, b *live.Call) {
	a.Media.Talk(700)
	b.Media.Talk(1100)
	hearStill(a, b)
}

// hearStill waits until two who talk hear each other from now on.
func hearStill(a, b *live.Call) {
	fromA, fromB := a.Media.Heard(), b.Media.Heard()
	a.Media.Tone(1100, fromA)
	b.Media.Tone(700, fromB)
}

func TestABridgedCallGoesOn(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, caller, retriever string }{
		{"one codec", "0", "0"}, {"two codecs", "0", "9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			s.start()
			ann, bob := s.phone("ann"), s.phone("bob")
			parked := ann.Park("701", bob, live.Offer{Formats: row.caller})
			fetched := bob.Dial("*4701", live.Offer{Formats: row.retriever})
			bothHear(parked, fetched)
			s.states("bridged")
			s.written()
			o := s.crash()
			o.goesOn(parked, fetched)
			hearStill(parked, fetched)
			o.silent(parked, fetched)
			fetched.Bye()
			parked.Over()
			s.states()
		})
	}
}

// The retriever has its 200, and parkd has no ACK yet.
func TestARetrieveIsConfirmedAfterTheCrash(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	ann, bob := s.phone("ann"), s.phone("bob")
	parked := ann.Park("701", bob, live.Offer{})
	parked.Media.First(5)
	fetched := bob.Invite("*4701", live.Offer{})
	first := fetched.Expect(200)
	s.states("retrieving")
	o := s.kill()
	repeated := len(fetched.Repeated())
	o.restart()
	o.same()
	again := fetched.RepeatedAfter(repeated)
	s.alike(first, again)
	fetched.Answered()
	bothHear(parked, fetched)
	s.states("bridged")
	o.silent(parked)
	parked.Bye()
	fetched.Over()
}
