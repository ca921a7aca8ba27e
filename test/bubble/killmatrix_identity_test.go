package bubble

import (
	"time"

	"parkd/internal/config"
	"parkd/test/kit/phone"
)

// returnsToParker gives 701 short times, and nobody but the parker to go back to, who
// is rung for longer than an UPDATE may wait for its next repetition.
func returnsToParker(o *config.Orbit) {
	returns(o)
	o.Timeout.Ring, o.Timeout.Fallback = 3*sceneRing, ""
}

// say has a switch say who is on a call, until it is heard.
func (st *stage) say(c *phone.Call, name, uri string) window {
	st.T.Helper()
	for start := time.Now(); ; {
		sent := time.Now()
		r := c.Update(phone.Asserted(name, uri)).Wait(answers)
		if r != nil && r.Code() == 200 {
			return window{sent, time.Now()}
		}
		st.retry(start, c, r)
	}
}

// consultByIdentity: a consultation call is completed by a switch that says who is on
// it now, and goes back to whoever made it.
func consultByIdentity(st *stage) {
	bob := st.Phone("bob")
	c := st.park(bob, phone.Opts{})
	said := st.say(c, "Ann", ann)
	if !st.eventually(prompt, func() bool { return st.lamp.Newest().RemoteURI == ann }) {
		st.T.Fatalf("the lamp shows %q", st.lamp.Newest().RemoteURI)
	}
	r := st.back(said.add(sceneAfter), nil, bob)
	st.hangup(st.pickup(r, c), c)
}

// connectedLine: who retrieved is told that the caller is somebody else now, once or
// again after an outage, and last of all the truth.
func connectedLine(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, func() (string, phone.Opts) { return "*4701", phone.Opts{Headers: []string{phone.Updates}} })
	st.say(c, "Ann", ann)
	if !st.eventually(prompt, func() bool { return toldOf(fetched) == ann }) {
		st.T.Fatalf("bob's phone shows %q", toldOf(fetched))
	}
	time.Sleep(50 * time.Millisecond) // bob's answer has come
	st.hangup(fetched, c)
}

// toldOf is whom a phone was told by UPDATE that it talks to.
func toldOf(c *phone.Call) string {
	got := c.Got("UPDATE")
	if len(got) == 0 {
		return ""
	}
	return got[len(got)-1].Identity()
}
