package bubble

import (
	"time"

	"parkd/internal/config"
	"parkd/test/kit/phone"
)

func tells(p *config.Pool) { p.Message = true }

// taken is the orbit that an answer says a call is parked in.
func (st *stage) taken(r *phone.Response) string {
	st.T.Helper()
	return parkedOn(st.Site, r)
}

// parkIn has somebody park in a pool until it is done.
func (st *stage) parkIn(p *phone.Phone, pool string, o phone.Opts) (*phone.Call, string) {
	st.T.Helper()
	for start := time.Now(); ; {
		c, r := st.dial(p, pool, o)
		if c != nil {
			st.keep(c)
			return c, st.taken(r)
		}
		st.retry(start, p.Calls()[len(p.Calls())-1], r)
	}
}

// poolTransfer: two are transferred into a pool of two. Whatever happens, each has
// an orbit of their own, the pool's lamp is true, and each is fetched from theirs.
func poolTransfer(st *stage) {
	ann, ben, bob := st.Phone("ann"), st.Phone("ben"), st.Phone("bob")
	lamp := st.watch(bob, "700")
	st.mu.Lock()
	delete(st.watched, lamp) // it does not show what those of 701 do
	st.mu.Unlock()
	first, at := st.parkIn(ann, "700", referred(bob))
	second, other := st.parkIn(ben, "700", referred(bob))
	if at == other {
		st.T.Fatalf("both are in %s", at)
	}
	st.shows(lamp, "confirmed")
	for c, ext := range map[*phone.Call]string{first: at, second: other} {
		fetched := st.fetch(bob, c, func() (string, phone.Opts) { return "*4" + ext, phone.Opts{} })
		st.shows(lamp, "terminated")
		st.hangup(fetched, c)
	}
	st.unwatch(lamp)
}

// poolConsultation: bob dials the pool, and transfers alice to the orbit that he is
// in. She hears music and no words, and the pool has one orbit less.
func poolConsultation(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	for start := time.Now(); ; {
		consult, at := st.parkIn(bob, "700", phone.Opts{Headers: []string{phone.Updates}})
		time.Sleep(time.Second) // he hears the orbit
		st.release(consult)
		parked, r := st.dial(alice, "700", phone.Opts{Replaces: consult.Replaces()})
		if parked != nil {
			st.keep(parked)
			st.over(start, consult)
			st.music(parked)
			fetched := st.fetch(bob, parked, func() (string, phone.Opts) { return "*4" + at, phone.Opts{} })
			st.hangup(fetched, parked)
			return
		}
		st.retry(start, consult, r)
		if consult.Ended().IsZero() {
			st.hangup(consult)
		}
	}
}
