package kit

import (
	"testing"
	"time"

	"parkd/test/kit/phone"
)

// What a call, a lamp and their messages leave is counted, and gone when they are.
func TestWhatIsHeldIsCounted(t *testing.T) {
	Run(t, nil, func(s *Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		c := alice.Call("701", phone.Opts{})
		s.Wait(time.Second)
		sizes := s.running().server.Sizes()
		for _, kind := range []string{"aliases", "calls", "call_legs", "deadlines", "legs", "media_ports", "streams", "subscriptions", "watchers"} {
			if sizes[kind] == 0 {
				s.T.Errorf("nothing is counted as %s: %v", kind, sizes)
			}
		}
		if sizes["dialogs"] != 2 || sizes["timers"] < 2 {
			s.T.Errorf("%d dialogs and %d timers", sizes["dialogs"], sizes["timers"])
		}
		if now := goroutines(); len(now) <= len(s.began) {
			s.T.Errorf("%d goroutines with a call, %d without", len(now), len(s.began))
		}
		c.Hangup()
		watch.Refresh(0).Expect(200)
		sizes = s.running().server.Sizes()
		if sizes["requests_served"] < 2 { // for 64*T1
			s.T.Errorf("%d requests counted: %v", sizes["requests_served"], sizes)
		}
	})
}
