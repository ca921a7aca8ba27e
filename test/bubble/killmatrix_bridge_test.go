package bubble

import (
	"time"

	"parkd/test/kit/phone"
)

// bridgedHolds: each side of a bridged call holds the other, and resumes.
func bridgedHolds(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, code)
	for _, way := range [][2]*phone.Call{{fetched, c}, {c, fetched}} {
		st.holdWithin(way[0], way[1])
		if !st.eventually(prompt, func() bool { return st.joined(fetched, c) }) {
			st.T.Fatalf("%s does not hear the other again", c.CallID())
		}
		st.keep(c)
		st.keep(fetched)
	}
	st.hangup(fetched, c)
}

// holdWithin: one party of a bridged call holds the other until that is told, and
// resumes.
func (st *stage) holdWithin(holder, held *phone.Call) {
	st.T.Helper()
	st.release(holder, held)
	for _, s := range []struct {
		sdp  phone.SDP
		want string
	}{{phone.SDP{Direction: "sendonly"}, "sendonly"}, {phone.SDP{}, "sendrecv"}} {
		st.change(holder, s.sdp)
		if !st.eventually(insisted, func() bool { return told(held) == s.want }) {
			st.T.Fatalf("%s was told %q, want %q", held.CallID(), told(held), s.want)
		}
		time.Sleep(100 * time.Millisecond) // until parkd has its answer
	}
}

// insisted is within what time a phone is told again that a server in trouble, or
// its end, kept from it.
const insisted = 35 * time.Second

// mediaPast: media is led past parkd, held and resumed there, and comes back for
// somebody else, with whom it goes past parkd again.
func mediaPast(st *stage) {
	alice, bob, carol := st.Phone("alice"), st.Phone("bob"), st.Phone("carol")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, code)
	st.past(c, fetched)
	st.holdWithin(fetched, c)
	st.past(c, fetched)
	start := time.Now()
	taken, r := st.dial(carol, "701", phone.Opts{Replaces: fetched.Replaces()})
	if taken != nil && st.join(carol, taken, c) {
		st.over(start, fetched)
		st.past(c, taken)
		st.hangup(taken, c)
		return
	}
	if !st.troubled(start, brief) {
		st.T.Fatalf("carol is not joined: %v", r)
	}
	st.hangup(c)
	st.release(c)
}

// past waits until the media of two flows past parkd.
func (st *stage) past(a, b *phone.Call) {
	st.T.Helper()
	ok := func() bool {
		return st.joined(a, b) && a.Media.Remote() == b.Media.Local() && b.Media.Remote() == a.Media.Local()
	}
	if !st.eventually(insisted, ok) {
		st.T.Fatalf("media goes to %v and %v", a.Media.Remote(), b.Media.Remote())
	}
}
