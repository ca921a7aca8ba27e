package sockets

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"parkd/test/live"
)

// dropped is how many packets the kernel has thrown away at the port that a call's
// sound goes to.
func dropped(t *testing.T, c *live.Call) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	ip := c.Media.Remote.Addr().As4()
	at := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], c.Media.Remote.Port())
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 12 && words[1] == at {
			if _, err := fmt.Sscan(words[12], &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no socket at %s", c.Media.Remote)
	return 0
}

// A parked caller who talks is read one packet in 64, by which it is alive; its transfer
// key is heard, and at the bridge both hear each other at once and nothing of before.
func TestAMicrophoneNobodyListensTo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(`
sip: {listen: [udp://HOST:5060]}
defaults: {transfer: {enabled: true, key: "0"}}
`)
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	parked := ann.Park("701", bob, live.Offer{})
	parked.Media.Talk(500)
	const in = `parkd_rtp_packets_total{direction="in"}`
	s.until("the kernel throws its voice away", func() bool { return dropped(t, parked) > 10 })
	drops, read := dropped(t, parked), s.metric(in)
	s.until("some more of it", func() bool { return dropped(t, parked) >= drops+200 })
	drops, read = dropped(t, parked)-drops, s.metric(in)-read
	if part := float64(drops) / read; read < 1 || part < 32 || part > 128 {
		t.Errorf("%v packets read, %d thrown away", read, drops)
	}

	parked.Media.Press('0')
	back := bob.Rung()
	parked.Media.Talk(700) // what was said before is stale
	stale := dropped(t, parked)
	s.until("that is thrown away too", func() bool { return dropped(t, parked) > stale+10 })
	before := parked.Media.Heard()
	answer := back.Pickup(live.Offer{})
	back.Media.Talk(1100)
	soon(t, "parker hears the caller", answer, back.Media.Tone(700, 0))
	soon(t, "caller hears the parker", answer, parked.Media.Tone(1100, before))
	back.Media.Hear(20)
	for i, p := range back.Media.From(0) {
		if live.IsTone(p.Sound, live.RateOf(p.PT), 500) {
			t.Errorf("packet %d to the parker is of before", i)
		}
	}
	if at := dropped(t, parked); at > 0 {
		talked := time.Now()
		parked.Media.Hear(20)
		if n := dropped(t, parked); n != at {
			t.Errorf("%d packets thrown away at the bridge in %v", n-at, time.Since(talked))
		}
	}
	back.Bye()
	parked.Over()
}
