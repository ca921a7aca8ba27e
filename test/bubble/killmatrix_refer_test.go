package bubble

import (
	"time"

	"parkd/test/kit/phone"
)

// referAgain lets a phone whose REFER came to nothing send another. A transfer that
// an outage cuts off is undone, and nobody is told.
func (st *stage) referAgain(start time.Time, r *phone.Response) {
	st.T.Helper()
	if !st.troubled(start, 0) {
		st.T.Fatalf("the REFER came to nothing: %v", r)
	}
	time.Sleep(time.Second)
}

// answer has somebody pick up whatever rings until they are joined with a caller,
// while something else goes on; nil if nothing comes of it.
func (st *stage) answer(p *phone.Phone, caller *phone.Call, meanwhile func()) (now *phone.Call) {
	var picked []*phone.Call
	st.eventually(callOff+prompt, func() bool {
		meanwhile()
		if c := p.Rings(0); c != nil {
			c.Reply(180)
			time.Sleep(50 * time.Millisecond) // else chance decides whether the ringing is reported too
			c.PickupLate()
			c.Media.Murmur(st.voice(p))
			picked = append(picked, c)
		}
		for _, c := range picked {
			if st.joined(c, caller) {
				now = c
			}
		}
		return now != nil
	})
	return now
}

// leave lets whoever transferred hang up, if parkd was not faster.
func (st *stage) leave(c *phone.Call) {
	if c.Ended().IsZero() {
		c.Bye().Wait(answers)
	}
}

// transferOn: the retriever sends the caller to somebody else.
func transferOn(st *stage) {
	alice, bob, dave := st.Phone("alice"), st.Phone("bob"), st.Phone("dave")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, code)
	st.release(fetched)
	for start := time.Now(); ; {
		r := fetched.Refer(to(dave)).Tx.Wait(answers)
		if now := st.answer(dave, c, func() {}); now != nil {
			st.keep(now)
			st.leave(fetched)
			st.hangup(now, c)
			return
		}
		st.referAgain(start, r)
	}
}

// parkAgain: the retriever parks the caller again.
func parkAgain(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, code)
	st.release(fetched)
	time.Sleep(musicWithin + brief) // the inspector has listened
	for start := time.Now(); ; {
		r := fetched.Refer(ours("701")).Tx.Wait(answers)
		if st.eventually(prompt, func() bool { return st.entertained(c) }) {
			st.leave(fetched)
			st.hangup(c)
			return
		}
		st.referAgain(start, r)
	}
}

// transferInVain: the retriever hangs up early, and the target is busy.
func transferInVain(st *stage) {
	alice, bob, dave := st.Phone("alice"), st.Phone("bob"), st.Phone("dave")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, code)
	st.release(fetched)
	start := time.Now()
	for {
		r := fetched.Refer(to(dave)).Tx.Wait(answers)
		ring := dave.Rings(prompt)
		if ring == nil {
			st.referAgain(start, r)
			continue
		}
		ring.Reply(180)
		time.Sleep(musicWithin + brief) // the inspector has listened
		st.release(c)                   // to a bob who has gone, until parkd hears of that
		st.leave(fetched)
		ring.Reply(486)
		break
	}
	now := st.answer(bob, c, func() {
		if again := dave.Rings(0); again != nil { // for the REFER that bob's phone has sent again
			again.Reply(486)
		}
	})
	if now == nil {
		st.T.Fatal("bob is not called back")
	}
	st.keep(now)
	st.hangup(now, c)
}
