package bubble

import (
	"time"

	"parkd/internal/config"
	"parkd/test/kit/phone"
)

func refers(o *config.Orbit) { o.Retrieve = "refer" }

// handedOffScene: a caller is handed off to whoever has retrieved them, or stays
// bridged where an outage meets that: the two talk, and in the end nothing is left.
func handedOffScene(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	alice.Refers(phone.Referral{Code: 202})
	opts := referred(bob)
	opts.Headers = phone.Handy
	c := st.park(alice, opts)
	st.release(c)
	var x, y *phone.Call
	talking := func() bool {
		for _, x = range alice.Calls() {
			for _, y = range bob.Calls() {
				if st.joined(x, y) {
					return true
				}
			}
		}
		return false
	}
	for start := time.Now(); ; {
		fetched, r := st.dial(bob, "*4701", phone.Opts{Headers: phone.Handy})
		if fetched != nil && st.eventually(prompt, talking) {
			break
		}
		if fetched != nil && fetched.Ended().IsZero() {
			fetched.Bye().Wait(answers)
		}
		st.retry(start, c, r)
	}
	time.Sleep(time.Second)
	if !st.eventually(prompt, talking) {
		st.T.Fatal("alice and bob do not talk any more")
	}
	start := time.Now()
	x.Bye().Wait(answers)
	st.over(start, append(alice.Calls(), bob.Calls()...)...)
}
