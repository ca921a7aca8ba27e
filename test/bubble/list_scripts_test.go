package bubble

import (
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// pressedThroughList: bob watches a list, and presses plainly.
func pressedThroughList(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	watch := bob.WatchList("desk", 3600)
	watch.Expect(200)
	parked := park(alice, bob)
	watch.AwaitKey(trouble, "701", "early")
	time.Sleep(trouble) // and has told so
	fetched := bob.Call("701", phone.Opts{})
	joined(s, fetched, parked)
	watch.AwaitKey(trouble, "701", "terminated")
	hangup(parked, fetched)
	watch.Refresh(3600).Expect(200)
	time.Sleep(trouble)
	for member, l := range watch.Keys() {
		if l.Dialog != "terminated" {
			s.T.Errorf("%s shows %q", member, l.Dialog)
		}
	}
	watch.Refresh(0).Expect(200)
	watch.AwaitEnd(trouble)
}

// listSubscription: whoever watches a list knows the state of its members.
func listSubscription(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	lamp := st.watchKey(bob, "700", "701")
	st.shows(lamp, "terminated")
	time.Sleep(time.Second) // the other members are told of too
	st.refresh(lamp)
	time.Sleep(time.Second)
	c := st.park(alice, referred(bob))
	st.shows(lamp, "early")
	time.Sleep(time.Second)
	st.refresh(lamp)
	time.Sleep(time.Second)
	st.hangup(c)
	st.shows(lamp, "terminated")
	time.Sleep(time.Second)
	st.unwatch(lamp)
}

// retrieveThroughList: a plain call of a phone that watches a list is a press.
func retrieveThroughList(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	lamp := st.watchKey(bob, "700", "701")
	time.Sleep(time.Second)
	c := st.park(alice, referred(bob))
	st.shows(lamp, "early")
	time.Sleep(time.Second)
	fetched := st.fetch(bob, c, func() (string, phone.Opts) { return "701", phone.Opts{} })
	st.shows(lamp, "terminated")
	st.unwatch(lamp)
	st.hangup(fetched, c)
}
