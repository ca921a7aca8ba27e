package bubble

import (
	"time"

	"parkd/internal/config"
	"parkd/test/kit/phone"
)

// Of the scenes with returns.
const (
	sceneAfter = 3 * time.Second
	sceneRing  = 2 * time.Second
)

// returns gives 701 short times.
func returns(o *config.Orbit) {
	o.Timeout.After, o.Timeout.Ring = sceneAfter, sceneRing
	o.Timeout.Fallback, o.Timeout.FallbackAfter = "200", 2
}

// returnsAsking has whoever answers press 1.
func returnsAsking(o *config.Orbit) {
	returns(o)
	o.Timeout.Confirm = true
}

// window is when something is due: it began between two times.
type window struct{ from, to time.Time }

func (w window) add(d time.Duration) window { return window{w.from.Add(d), w.to.Add(d)} }

// rung is a call back that came.
type rung struct {
	*phone.Call
	by *phone.Phone
}

// back waits for one of some phones to be rung when it is due, or once there is
// a server again if there was none then. before is the attempt before this one,
// which is made again if the outage met it; nil if there was none.
func (st *stage) back(due window, before *rung, phones ...*phone.Phone) *rung {
	st.T.Helper()
	var r *rung
	if !st.eventually(max(0, time.Until(due.to))+prompt, func() bool {
		for _, p := range phones {
			if c := p.Rings(0); c != nil {
				r = &rung{c, p}
			}
		}
		return r != nil
	}) {
		st.T.Fatalf("nobody is rung at %v", due)
	}
	at := r.Since()
	if at.After(due.from.Add(-slack)) && at.Before(due.to.Add(slack)) {
		return r
	}
	for _, o := range st.Outages() {
		missed := !o.Ready.Add(slack).Before(due.from)
		met := before != nil && o.At.After(before.Since().Add(-slack))
		// A server that was killed as soon as it served may have rung already.
		if (missed || met) && at.After(o.At) && at.Before(o.Ready.Add(callOff+prompt/3)) {
			return r
		}
	}
	st.T.Fatalf("%s was rung at %v, want %v; outages: %v", r.by.Name, at, due, st.Outages())
	return nil
}

// callOff is how long a phone that rang before an outage is given to stop, before
// it is rung again.
const callOff = 2 * time.Second

// slack is for packets under way and for a disk.
const slack = 60 * time.Millisecond

// pickup has a parker pick up what rings, and whatever rings meanwhile, until
// they are joined with the caller. A call that never gets further is over by
// itself.
func (st *stage) pickup(r *rung, caller *phone.Call) *phone.Call {
	st.T.Helper()
	return st.pickupAnd(r, caller, func([]*phone.Call) {})
}

// confirm is pickup where whoever picks up is asked, and presses 1.
func (st *stage) confirm(r *rung, caller *phone.Call) *phone.Call {
	st.T.Helper()
	return st.pickupAnd(r, caller, pressing())
}

// pressing presses 1 on calls now and then.
func pressing() func([]*phone.Call) {
	last := map[*phone.Call]time.Time{}
	return func(picked []*phone.Call) {
		for _, c := range picked {
			if c.Ended().IsZero() && time.Since(last[c]) > 2*lately {
				c.Media.Press('1')
				last[c] = time.Now()
			}
		}
	}
}

// pickupAnd is pickup while something else is done, perhaps with what was picked up.
func (st *stage) pickupAnd(r *rung, caller *phone.Call, meanwhile func([]*phone.Call)) *phone.Call {
	st.T.Helper()
	var picked []*phone.Call
	pick := func(c *phone.Call) {
		c.Reply(180)
		time.Sleep(300 * time.Millisecond)
		c.PickupLate()
		c.Media.Murmur(st.voice(r.by))
		picked = append(picked, c)
	}
	pick(r.Call)
	var now *phone.Call
	if !st.eventually(prompt, func() bool {
		meanwhile(picked)
		if c := r.by.Rings(0); c != nil {
			pick(c)
		}
		for _, c := range picked {
			if st.joined(c, caller) {
				now = c
			}
		}
		return now != nil
	}) {
		st.T.Fatalf("%s and the caller are not joined", r.by.Name)
	}
	st.keep(now)
	return now
}

// ignore lets a call back ring in vain, and returns when it was given up: its
// phone hears of that later if an outage met it.
func (st *stage) ignore(r *rung) window {
	st.T.Helper()
	r.Reply(180)
	if !st.eventually(sceneRing+prompt, func() bool { return !r.Ended().IsZero() }) {
		st.T.Fatalf("%s rings for ever", r.by.Name)
	}
	if st.met(r) {
		return window{r.Since().Add(sceneRing), r.Ended()}
	}
	about(st.Site, "end of ringing", r.Ended().Sub(r.Since()), sceneRing)
	return at(r.Ended())
}

func at(t time.Time) window { return window{t, t} }

// met reports whether an outage fell into an attempt.
func (st *stage) met(r *rung) bool {
	for _, o := range st.Outages() {
		if (o.Ready.IsZero() || o.Ready.After(r.Since().Add(-slack))) && o.At.Before(r.Ended().Add(slack)) {
			return true
		}
	}
	return false
}

// returnAnswered: a call that nobody fetches goes back to its parker.
func returnAnswered(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	parked, since := st.parkAt(alice, referred(bob))
	back := st.pickup(st.back(since.add(sceneAfter), nil, bob), parked)
	st.hangup(back, parked)
}

// returnBusy: a parker who is busy is called again a time-out later.
func returnBusy(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	parked, since := st.parkAt(alice, referred(bob))
	first := st.back(since.add(sceneAfter), nil, bob)
	first.Reply(486)
	due := at(time.Now()).add(sceneAfter)
	st.music(parked)
	back := st.pickup(st.back(due, first, bob), parked)
	st.hangup(parked, back)
}

// returnUnanswered: after two returns in vain the fallback is called; one that
// an outage met may have counted or not.
func returnUnanswered(st *stage) {
	// The PBX passes alice's call on; the fallback is one of its extensions.
	pbx, bob := st.Phone("pbx"), st.Phone("bob")
	parked, since := st.parkAt(pbx, referred(bob))
	due, vain, unsure := since.add(sceneAfter), 0, 0
	r := st.back(due, nil, bob, pbx)
	for r.by == bob {
		if vain == 2 {
			st.T.Fatal("no fallback after two returns in vain")
		}
		due = st.ignore(r).add(sceneAfter)
		if st.met(r) {
			unsure++
		} else {
			vain++
		}
		r = st.back(due, r, bob, pbx)
	}
	if vain+unsure < 2 {
		st.T.Fatalf("fallback after %d returns", vain+unsure)
	}
	st.hangup(parked, st.pickup(r, parked))
}

// returnFetched: somebody fetches the call while its parker is rung.
func returnFetched(st *stage) {
	alice, bob, carol := st.Phone("alice"), st.Phone("bob"), st.Phone("carol")
	parked, since := st.parkAt(alice, referred(bob))
	r := st.back(since.add(sceneAfter), nil, bob)
	r.Reply(180)
	start := time.Now()
	fetched := st.fetch(carol, parked, code)
	st.over(start, r.Call)
	st.hangup(fetched, parked)
}

// returnInVain: the caller hangs up while the parker is rung.
func returnInVain(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	parked, since := st.parkAt(alice, referred(bob))
	r := st.back(since.add(sceneAfter), nil, bob)
	r.Reply(180)
	st.hangup(parked, r.Call)
}

// transferKey: a caller presses the key that brings them back.
func transferKey(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	parked := st.park(alice, referred(bob))
	st.music(parked)
	var back *phone.Call
	for start := time.Now(); back == nil; {
		parked.Media.Press('0')
		if back = bob.Rings(prompt); back == nil {
			if !st.troubled(start, 0) {
				st.T.Fatal("the key does nothing")
			}
		}
	}
	st.hangup(parked, st.pickup(&rung{back, bob}, parked))
}

// returnMoved: the parker's phone names another one, each time it is called.
func returnMoved(st *stage) {
	alice, bob, carol := st.Phone("alice"), st.Phone("bob"), st.Phone("carol")
	parked, since := st.parkAt(alice, referred(bob))
	first := st.back(since.add(sceneAfter), nil, bob)
	first.Reply(302, elsewhere("<"+carol.URI()+">"))
	again := func() {
		if c := bob.Rings(0); c != nil {
			c.Reply(302, elsewhere("<"+carol.URI()+">"))
		}
	}
	var back *phone.Call
	if !st.eventually(callOff+prompt, func() bool {
		again()
		back = carol.Rings(0)
		return back != nil
	}) {
		st.T.Fatal("the phone that was named is not rung")
	}
	press := pressing()
	st.hangup(parked, st.pickupAnd(&rung{back, carol}, parked, func(picked []*phone.Call) {
		again()
		press(picked)
	}))
}

// returnConfirmed: whoever picks up presses 1 before they have the caller.
func returnConfirmed(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	parked, since := st.parkAt(alice, referred(bob))
	back := st.confirm(st.back(since.add(sceneAfter), nil, bob), parked)
	st.hangup(back, parked)
}

// askedFetched: somebody fetches the call while whoever has picked up is asked.
func askedFetched(st *stage) {
	alice, bob, carol := st.Phone("alice"), st.Phone("bob"), st.Phone("carol")
	parked, since := st.parkAt(alice, referred(bob))
	r := st.back(since.add(sceneAfter), nil, bob)
	r.PickupLate()
	time.Sleep(500 * time.Millisecond)
	start := time.Now()
	fetched := st.fetch(carol, parked, code)
	st.over(start, r.Call)
	st.hangup(fetched, parked)
}
