package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"parkd/test/live"
)

// TestSoak runs for as long as this variable says, and not at all without it.
const soakTime = "PARKD_SOAK"

// Sizes of the soak.
const (
	crowd    = 40 // calls that stay about
	hasty    = 12 // things that are done at once before a kill
	answered = 35 * time.Second
	found    = 45 * time.Second // for what only a keep-alive finds out
)

// soakOrbits are a few queues, one of which calls back all the time.
const soakOrbits = `
park: {timeout_range: [1s, 1h]}
defaults: {allow_multiple: true, timeout: {after: 1h}}
orbits: [{extension: 701-704}, {extension: "705", timeout: {after: 1s, ring: 2s}}]
`

// A soak is a site under load, at which its server is killed at any time.
type soak struct {
	*site
	trunks []*live.Phone // callers come by them
	desk   *live.Phone   // it parks, fetches, is called back, and watches
	lamps  map[string]*live.Lamp

	parked  []*live.Call                 // by us, and not known to be over
	fetched []*live.Call                 // retrievers, likewise
	leaving map[*live.Call]*live.Request // BYEs under way
	talking map[*live.Call]bool
	ghosts  map[string]time.Time // callers who hung up just before a kill, and when
	did     map[string]int
	order   []string // ids of the calls at the last look, the oldest first
}

// TestSoak parks, fetches, returns, hangs up and watches at random, kills the
// server in the middle of it, and looks after each kill whether anybody is lost,
// in silence, doubled or out of order, and whether every lamp is true.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakTime))
	if err != nil {
		t.Skipf("left out: %s does not say for how long", soakTime)
	}
	k := newSoak(t)
	for end := time.Now().Add(length); time.Now().Before(end) && !t.Failed(); {
		k.round()
		k.did["killed"]++
	}
	t.Log(k.did)
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	k := &soak{
		site: newSite(t, soakOrbits), lamps: map[string]*live.Lamp{}, leaving: map[*live.Call]*live.Request{},
		talking: map[*live.Call]bool{}, ghosts: map[string]time.Time{}, did: map[string]int{},
	}
	k.start()
	for i := range 4 {
		k.trunks = append(k.trunks, k.trunk(fmt.Sprintf("trunk%d", i)))
	}
	k.desk = k.phone("desk")
	for _, ext := range []string{"701", "702", "703", "704", "705"} {
		l := k.desk.Watch(ext)
		l.Served()
		l.Shows("terminated")
		k.lamps[ext] = l
	}
	return k
}

// round does some things at once, kills the server meanwhile, and looks.
func (k *soak) round() {
	k.Helper()
	before := slices.Clone(k.parked)
	k.begin()
	wait := time.Duration(rand.Int64N(int64(40 * time.Millisecond)))
	if rand.IntN(8) == 0 { // returns are due meanwhile
		wait = time.Duration(rand.Int64N(int64(4 * time.Second)))
	}
	<-time.After(wait)
	k.now.kill()
	down := time.Duration(rand.Int64N(int64(300 * time.Millisecond)))
	if rand.IntN(10) == 0 {
		down = time.Duration(rand.Int64N(int64(3 * time.Second)))
	}
	<-time.After(down)
	k.lives = k.lives[len(k.lives)-1:]
	k.judge(k.lives[0])
	k.start()
	k.settle()
	k.agreed()
	k.inOrder()
	k.audible(before)
	k.lit()
}

// begin begins some things at random.
func (k *soak) begin() {
	for range hasty {
		ext := fmt.Sprint(701 + rand.IntN(5))
		switch n := rand.IntN(10); {
		case n < 4 && len(k.parked) < crowd, len(k.parked) < crowd/2:
			p := k.trunks[rand.IntN(len(k.trunks))]
			k.did["parked"]++
			k.parked = append(k.parked, p.Call(ext, live.Offer{}, live.By(k.desk)))
		case n < 7:
			k.did["fetched"]++
			k.fetched = append(k.fetched, k.desk.Call("*4"+ext, live.Offer{}))
		case n < 9:
			k.leave(k.parked)
		default:
			k.leave(k.fetched)
		}
	}
}

// leave has one of the calls that stand hang up.
func (k *soak) leave(calls []*live.Call) {
	if len(calls) == 0 {
		return
	}
	c := calls[rand.IntN(len(calls))]
	if k.leaving[c] == nil && c.Stands() {
		k.did["hung up"]++
		k.leaving[c] = c.Leave()
	}
}

// settle waits until everything that was begun has come to an end.
func (k *soak) settle() {
	k.Helper()
	for _, c := range slices.Concat(k.parked, k.fetched) {
		if c.Asked == nil { // parkd called
			continue
		}
		if !c.Phone.Within(answered, func() bool { return c.Asked.Final != nil }) {
			k.Fatalf("no answer to %s", c.Dialog.Target)
		}
		if code := c.Asked.Final.Code(); code != 200 && code != 404 {
			k.Errorf("%s answered %s", c.Dialog.Target, c.Asked.Final.Start)
		}
	}
	for c, bye := range k.leaving {
		if m := c.Phone.Final(bye); m.Code() != 200 && m.Code() != 481 { // it was taken before the kill
			k.Errorf("BYE answered %s", m.Start)
		}
	}
	for c := k.desk.Rings(0); c != nil; c = k.desk.Rings(0) {
		c.PickupLate(live.Offer{}) // unless it has been taken back
		if c.Phone.Within(live.Patience, func() bool { return c.Ended || c.Acked }) && c.Stands() {
			k.did["answered"]++
			k.fetched = append(k.fetched, c)
		}
	}
	k.tidy()
	for _, c := range k.fetched {
		if !k.talking[c] { // whom they fetched is to hear something
			k.talking[c] = true
			c.Media.Talk(700)
		}
	}
}

// tidy forgets who is gone.
func (k *soak) tidy() {
	gone := func(c *live.Call) bool {
		if k.leaving[c] != nil { // a 200 to BYE does not wait for the disk
			k.ghosts[c.Dialog.Identity] = time.Now()
		}
		over := k.leaving[c] != nil || !c.Stands()
		if over {
			delete(k.talking, c)
			c.Forget()
		}
		return over
	}
	k.parked = slices.DeleteFunc(k.parked, gone)
	k.fetched = slices.DeleteFunc(k.fetched, gone)
	clear(k.leaving)
}

// agreed waits until parkd has the calls that the phones have.
func (k *soak) agreed() {
	k.Helper()
	what := ""
	if !eventually(live.Patience, func() bool { what = k.agree(); return what == "" }) {
		k.Fatal(what)
	}
}

// audible checks that all hear something, and that music of before the kill goes
// on in time.
func (k *soak) audible(before []*live.Call) {
	k.Helper()
	limit := musicWithin + k.now.starved()
	for _, c := range k.parked {
		k.until(c.Dialog.Identity+" hears something again", live.Patience, func() bool {
			last := c.Media.Last()
			return !c.Stands() || last != nil && last.At.After(k.now.began)
		})
	}
	states := map[string]string{}
	for _, h := range k.calls() {
		states[h.Caller.URI] = h.State
	}
	for _, c := range before {
		if states[c.Dialog.Identity] != "parked" || !slices.Contains(k.parked, c) {
			continue
		}
		if late, err := resumed(c, k.now.began); err != nil || late > limit {
			k.Errorf("%s: silent for %v after the start, limit %v, %v", c.Dialog.Identity, late, limit, err)
		}
	}
}

// lit checks that every lamp becomes true, and that no document went back.
func (k *soak) lit() {
	k.Helper()
	for ext, l := range k.lamps {
		k.until("the lamp of "+ext+" is true", lampsWithin+time.Second, func() bool { return k.isTrue(ext, l) })
		notes := l.Notes()
		for i := range notes[1:] {
			if notes[i+1].CSeq <= notes[i].CSeq || notes[i+1].Version <= notes[i].Version {
				k.Errorf("%s: document %d after %d", ext, notes[i+1].Version, notes[i].Version)
			}
		}
	}
}

// agree says what parkd and the phones do not agree about.
func (k *soak) agree() string {
	standing := map[string]bool{}
	for _, c := range k.parked {
		if c.Stands() {
			standing[c.Dialog.Identity] = true
		}
	}
	list := k.calls()
	for _, h := range list {
		if at, ghost := k.ghosts[h.Caller.URI]; ghost && time.Since(at) < found {
			continue
		}
		if !standing[h.Caller.URI] {
			return fmt.Sprintf("parkd has %+v, who is not there or is there twice", h)
		}
		delete(standing, h.Caller.URI)
	}
	if len(standing) > 0 {
		return fmt.Sprintf("parkd has lost %v", standing)
	}
	return ""
}

// inOrder checks that those who were there before are in the order they were in.
func (k *soak) inOrder() {
	var now []string
	for _, h := range k.calls() {
		now = append(now, h.ID)
	}
	both := func(list, other []string) (kept []string) {
		for _, id := range list {
			if slices.Contains(other, id) {
				kept = append(kept, id)
			}
		}
		return kept
	}
	if was, is := both(k.order, now), both(now, k.order); !slices.Equal(was, is) {
		k.Errorf("the order was %v and is %v", was, is)
	}
	k.order = now
}

// isTrue reports whether a lamp shows what is the case.
func (k *soak) isTrue(ext string, l *live.Lamp) bool {
	notes, want := l.Notes(), "terminated"
	for _, h := range k.calls() {
		if h.Orbit == ext && (h.State == "parked" || h.State == "returning") {
			want = "early"
		}
	}
	return len(notes) > 0 && notes[len(notes)-1].State == want
}
