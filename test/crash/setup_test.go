package crash

import (
	"fmt"
	"testing"
	"time"

	"parkd/test/kit/wire"
	"parkd/test/live"
)

// The caller has its 200, and parkd has no ACK yet.
func TestAParkIsConfirmedAfterTheCrash(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	c := s.phone("ann").Invite("701", live.Offer{})
	first := c.Expect(200)
	o := s.kill()
	repeated := len(c.Repeated())
	o.restart()
	o.same()
	again := c.RepeatedAfter(repeated)
	s.alike(first, again)
	c.Answered()
	c.Media.Hear(10)
	o.silent(c)
	s.states("parked")
	c.Bye()
	s.states()
}

// alike checks that a 200 says what the first one did.
func (s *site) alike(first, again *wire.Message) {
	s.Helper()
	if again.ToTag() != first.ToTag() || again.Body != first.Body || again.Get("Contact") != first.Get("Contact") {
		s.Errorf("another 200 than before:\n%+v\n%+v", again, first)
	}
}

// The caller's 200 is lost with the server that sent it: the caller asks again,
// and is answered by the next one with the call that it has already.
func TestAParkWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	ann := s.phone("ann")
	ann.Deafen(true)
	c := ann.Invite("701", live.Offer{})
	var lost *wire.Message
	s.until("a 200 is lost", live.Patience, func() bool {
		for _, m := range ann.Missed() {
			if m.Code() == 200 {
				lost = m
			}
		}
		return lost != nil
	})
	o := s.kill()
	ann.Deafen(false)
	o.restart()
	o.same()
	s.alike(lost, c.Answered())
	c.Media.Hear(10)
	if after := s.states("parked"); after[0].ID != o.before[0].ID {
		t.Errorf("parked anew: %+v, was %+v", after, o.before)
	}
	c.Bye()
	s.states()
}

// A server is killed while ten INVITEs are at all stages of being taken in.
func TestParksThatAreBeingTakenIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, "orbits: [{extension: \"701\", allow_multiple: true}]\n")
	s.start()
	var calls []*live.Call
	for i := range 10 {
		p := s.phone(fmt.Sprintf("caller%d", i))
		calls = append(calls, p.Call("701", live.Offer{}))
	}
	struck := time.Now()
	s.now.kill()
	o := &outage{s: s, struck: struck}
	o.restart()
	for _, c := range calls {
		c.Expect(200)
		c.Media.Hear(5)
	}
	list := s.calls()
	seen := map[string]bool{}
	for _, h := range list {
		seen[h.Caller.URI] = true
	}
	if len(list) != len(calls) || len(seen) != len(calls) {
		t.Errorf("%d calls of %d callers, want %d: %+v", len(list), len(seen), len(calls), list)
	}
	for _, c := range calls {
		c.Bye()
	}
	s.states()
}
