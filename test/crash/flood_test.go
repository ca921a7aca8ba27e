package crash

import (
	"fmt"
	"testing"
	"time"

	"parkd/test/live"
)

// A flood parks callers who hear nothing, at ten orbits in turn.
type flood struct {
	s      *site
	trunks []*live.Phone
	calls  []*live.Call
}

// park parks n callers, rate a second.
func (f *flood) park(n, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for range n {
		<-tick.C
		i := len(f.calls)
		f.calls = append(f.calls, f.trunks[i%len(f.trunks)].Call(fmt.Sprint(701+i%10), live.Offer{Direction: "inactive"}))
	}
}

// parked lists who has had a 200.
func (f *flood) parked() (who []string) {
	for _, c := range f.calls {
		if c.IsAnswered() {
			who = append(who, c.Dialog.Identity)
		}
	}
	return who
}

// leave has all hang up. The BYE of a call that was lost would be answered 481.
func (f *flood) leave() {
	var byes []*live.Request
	for _, c := range f.calls {
		byes = append(byes, c.Leave())
	}
	for i, c := range f.calls {
		c.Phone.Expect(byes[i], 200)
	}
}

// The server is killed while 200 callers a second are parked. Whoever had a 200
// is there afterwards, and the others are once they have asked again.
func TestAFloodOfParks(t *testing.T) {
	t.Parallel()
	const rate, half = 200, 150
	s := newSite(t, "orbits: [{extension: 701-710, allow_multiple: true}]\n")
	s.start()
	f := &flood{s: s}
	for i := range 6 {
		f.trunks = append(f.trunks, s.trunk(fmt.Sprintf("trunk%d", i)))
	}
	f.park(half, rate)
	s.now.kill()
	before := f.parked()
	s.start()
	there := map[string]bool{}
	for _, h := range s.calls() {
		there[h.Caller.URI] = true
	}
	for _, who := range before {
		if !there[who] {
			t.Errorf("%s had a 200 and is lost", who)
		}
	}
	t.Logf("%d of %d callers had their 200 when the server was killed", len(before), half)
	f.park(half, rate)
	for _, c := range f.calls {
		c.Expect(200)
	}
	if n := len(s.calls()); n != 2*half {
		t.Errorf("%d calls, want %d", n, 2*half)
	}
	f.leave()
	s.states()
}
