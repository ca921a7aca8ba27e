package sockets

import (
	"testing"

	"parkd/test/live"
)

// Tones and keys are heard, and no packet passes parkd.
func TestMediaFlowsPastParkd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain + "defaults: {retrieve: direct}\n")
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	parked := ann.Park("701", bob, live.Offer{Event: 101})
	fetched := bob.Dial("*4701", live.Offer{Event: 96})
	bothHear(t, parked, fetched)
	s.until("media flows directly", func() bool { return s.metric("parkd_direct_calls") == 1 })
	// What parkd had in its sockets then is relayed still.
	packets := func() float64 {
		return s.metric(`parkd_rtp_packets_total{direction="in"}`) + s.metric(`parkd_rtp_packets_total{direction="out"}`)
	}
	before := packets()
	s.until("parkd relays no more", func() bool {
		last := before
		parked.Media.Hear(5)
		before = packets()
		return before == last
	})
	for _, way := range []struct {
		c  *live.Call
		hz float64
	}{{parked, 1100}, {fetched, 700}} {
		got := way.c.Media.Hear(25)
		for _, p := range got {
			if p.From.Addr().String() == s.host || !live.IsTone(p.Sound, live.RateOf(p.PT), way.hz) {
				t.Errorf("heard a packet from %v, want %v Hz from the other phone", p.From, way.hz)
				break
			}
		}
	}
	parked.Media.Press('5')
	keyAt(t, fetched.Media, 96, 5)
	fetched.Media.Press('#')
	keyAt(t, parked.Media, 101, 11)
	if after := packets(); after != before {
		t.Errorf("%v packets passed parkd", after-before)
	}
	fetched.Bye()
	parked.Over()
	s.until("nobody's media flows past", func() bool { return s.metric("parkd_direct_calls") == 0 })
}
