package crash

import (
	"fmt"
	"testing"
	"time"

	"parkd/test/live"
)

// The server is killed while 200 callers a second are parked. Whoever had a 200
// is there afterwards, and the others are once they have asked again.
func TestAFloodOfParks(t *testing.T) {
	t.Parallel()
	const rate, all = 200, 300
	s := newSite(t, "orbits: [{extension: 701-710, allow_multiple: true}]\n")
	s.start()
	var phones []*live.Phone
	for i := range 6 {
		phones = append(phones, s.trunk(fmt.Sprintf("trunk%d", i)))
	}
	var calls []*live.Call
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	struck := time.Time{}
	for i := range all {
		<-tick.C
		calls = append(calls, phones[i%len(phones)].Call(fmt.Sprint(701+i%10), live.Offer{Direction: "inactive"}))
		if i == all/2 {
			struck = time.Now()
			s.now.kill()
			break
		}
	}
	var parked []string
	for _, c := range calls {
		if c.IsAnswered() {
			parked = append(parked, c.Dialog.Identity)
		}
	}
	o := &outage{s: s, struck: struck}
	o.restart()
	there := map[string]bool{}
	for _, h := range s.calls() {
		there[h.Caller.URI] = true
	}
	for _, who := range parked {
		if !there[who] {
			t.Errorf("%s had a 200 and is lost", who)
		}
	}
	t.Logf("%d of %d callers had their 200 when the server was killed", len(parked), len(calls))
	for i := len(calls); i < all; i++ {
		<-tick.C
		calls = append(calls, phones[i%len(phones)].Call(fmt.Sprint(701+i%10), live.Offer{Direction: "inactive"}))
	}
	for _, c := range calls {
		c.Expect(200)
	}
	if n := len(s.calls()); n != all {
		t.Errorf("%d calls, want %d", n, all)
	}
	var byes []*live.Request
	for _, c := range calls {
		byes = append(byes, c.Leave())
	}
	for i, c := range calls {
		c.Phone.Expect(byes[i], 200) // 481 if it had been lost
	}
	s.states()
}
