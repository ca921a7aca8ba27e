package bubble

import (
	"cmp"
	"sync"
	"time"

	"parkd/internal/config"
	"parkd/test/kit/phone"
)

// scene is a script that ends well whatever is cut when.
type scene struct {
	play  func(*stage)
	orbit func(*config.Orbit)          // of 701; nil = as built in
	pool  func(*config.Pool)           // of 701 and 702; nil = there is none
	short bool                         // no outage of minutes: the phone itself would hang up
	srtp  func(name string) phone.SRTP // of a phone; nil = none speaks it
	loose bool                         // a packet more or less is chance: the last cuts may be missed
}

var scenes = map[string]scene{
	"direct park":                  {play: directPark},
	"blind transfer":               {play: blindTransfer},
	"attended transfer":            {play: attendedTransfer},
	"queue of three":               {play: queueOfThree, orbit: several},
	"retrieve by code":             {play: retrieveByCode},
	"retrieve by lamp":             {play: retrieveByLamp},
	"retrieve by plain press":      {play: retrieveByPress},
	"two retrievers at once":       {play: twoRetrievers},
	"retriever transferred":        {play: retrieverTransferred},
	"bridged, moves":               {play: bridgedMoves},
	"bridged, each holds":          {play: bridgedHolds},
	"media past parkd":             {play: mediaPast, orbit: direct},
	"return answered":              {play: returnAnswered, orbit: returns},
	"return to somebody busy":      {play: returnBusy, orbit: returns},
	"return to a phone that moved": {play: returnMoved, orbit: returns},
	"return confirmed":             {play: returnConfirmed, orbit: returnsAsking},
	"fetched while one is asked":   {play: askedFetched, orbit: returnsAsking},
	"return unanswered, fallback":  {play: returnUnanswered, orbit: returns},
	"return, fetched meanwhile":    {play: returnFetched, orbit: returns},
	"return, caller hangs up":      {play: returnInVain, orbit: returns},
	"transfer key":                 {play: transferKey, orbit: keyed},
	"cancel":                       {play: cancelSetup},
	"hold, resume elsewhere":       {play: holdAndResume},
	"session timer":                {play: sessionRefresh, short: true},
	"subscribe, refresh, end":      {play: subscription},
	"list, refresh, end":           {play: listSubscription, pool: tells},
	"retrieve through a list":      {play: retrieveThroughList, pool: tells},
	"presence of a park":           {play: presenceOfAPark},
	"presence of a return":         {play: presenceOfAReturn, orbit: returns},
	"presence through a list":      {play: presenceList, pool: tells},
	"watcher behind NAT":           {play: watcherBehindNAT, short: true, loose: true},
	"operator drops":               {play: operatorDrops},
	"operator returns":             {play: operatorReturns},
	"offerless":                    {play: offerless},
	"srtp, blind transfer":         {play: blindTransfer, srtp: allEncrypted},
	"srtp, attended transfer":      {play: attendedTransfer, srtp: allEncrypted},
	"srtp, retrieve":               {play: retrieveByCode, srtp: allEncrypted},
	"srtp of the caller":           {play: retrieveByCode, srtp: aliceEncrypted},
	"srtp, each holds":             {play: bridgedHolds, srtp: aliceEncrypted},
	"srtp, moves":                  {play: bridgedMoves, srtp: allEncrypted},
	"srtp, return answered":        {play: returnAnswered, orbit: returns, srtp: allEncrypted},
	"srtp, return unanswered":      {play: returnUnanswered, orbit: returns, srtp: allEncrypted},
	"srtp, transferred on":         {play: transferOn, short: true, srtp: allEncrypted},
	"srtp, session timer":          {play: sessionRefresh, short: true, srtp: allEncrypted},
	"srtp, offerless":              {play: offerless, srtp: allEncrypted},
	"caller leaves before a press": {play: callerLeaves},
	"transferred on":               {play: transferOn, short: true},
	"parked again":                 {play: parkAgain},
	"transferred in vain":          {play: transferInVain, short: true},
	"consultation by identity":     {play: consultByIdentity, orbit: returnsToParker},
	"connected line":               {play: connectedLine},
	"handed off":                   {play: handedOffScene, orbit: refers},
	"transfer into a pool":         {play: poolTransfer, pool: tells},
	"consultation with a pool":     {play: poolConsultation, pool: tells},
}

func keyed(o *config.Orbit) { o.Transfer = config.Transfer{Enabled: true, Key: "0"} }

func directPark(st *stage) {
	c := st.park(st.Phone("alice"), phone.Opts{})
	st.music(c)
	st.hangup(c)
}

func blindTransfer(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	st.shows(st.lamp, "early")
	st.music(c)
	st.hangup(c)
}

func attendedTransfer(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	for start := time.Now(); ; {
		consult := st.park(bob, phone.Opts{})
		st.release(consult)
		parked, r := st.dial(alice, "701", phone.Opts{Replaces: consult.Replaces()})
		if parked != nil {
			st.keep(parked)
			st.over(start, consult)
			st.music(parked)
			st.hangup(parked)
			return
		}
		st.retry(start, consult, r)
		if consult.Ended().IsZero() {
			st.hangup(consult)
		}
	}
}

func queueOfThree(st *stage) {
	ann, ben, cat, bob := st.Phone("ann"), st.Phone("ben"), st.Phone("cat"), st.Phone("bob")
	var queue []*phone.Call
	for _, p := range []*phone.Phone{ann, ben, cat} {
		queue = append(queue, st.park(p, referred(bob)))
	}
	for _, c := range queue { // first come, first fetched
		fetched := st.fetch(bob, c, code)
		st.hangup(fetched, c)
	}
}

func retrieveByCode(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, code)
	st.shows(st.lamp, "terminated")
	st.hangup(fetched, c)
}

func retrieveByLamp(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	st.shows(st.lamp, "early")
	fetched := st.fetch(bob, c, func() (string, phone.Opts) {
		l := st.lamp.Newest() // another one where a retrieve came to nothing
		return "701", phone.Opts{Replaces: l.Replaces(false)}
	})
	st.shows(st.lamp, "terminated")
	st.hangup(c, fetched)
}

func retrieveByPress(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	lamp := st.watch(bob, "701")
	c := st.park(alice, referred(bob))
	st.shows(lamp, "early")
	time.Sleep(50 * time.Millisecond) // bob has answered the NOTIFY
	fetched := st.fetch(bob, c, func() (string, phone.Opts) { return "701", phone.Opts{} })
	st.hangup(fetched, c)
	st.shows(lamp, "terminated")
	st.unwatch(lamp)
}

// twoRetrievers: one of them gets the caller, never both.
func twoRetrievers(st *stage) {
	alice, bob, carol := st.Phone("alice"), st.Phone("bob"), st.Phone("carol")
	c := st.park(alice, referred(bob))
	start := time.Now()
	var dialling sync.WaitGroup
	var got [2]*phone.Call
	for i, p := range []*phone.Phone{bob, carol} {
		dialling.Go(func() { got[i], _ = st.dial(p, "*4701", phone.Opts{}) })
	}
	dialling.Wait()
	fetched := cmp.Or(got[0], got[1])
	switch {
	case got[0] != nil && got[1] != nil:
		st.T.Fatal("both retrieved the caller")
	case fetched == nil || !st.join(bob, fetched, c):
		if !st.troubled(start, brief) {
			st.T.Fatal("neither retrieved the caller")
		}
		fetched = st.fetch(bob, c, code)
	}
	st.hangup(fetched, c)
}

// retrieverTransferred: the retriever sends somebody else to take their place.
func retrieverTransferred(st *stage) {
	alice, bob, carol := st.Phone("alice"), st.Phone("bob"), st.Phone("carol")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, code)
	st.release(fetched)
	start := time.Now()
	taken, r := st.dial(carol, "701", phone.Opts{Replaces: fetched.Replaces()})
	if taken != nil && st.join(carol, taken, c) {
		st.over(start, fetched)
		st.hangup(taken, c)
		return
	}
	// What a transfer that failed halfway leaves is let go in the end.
	if !st.troubled(start, brief) {
		st.T.Fatalf("carol is not joined: %v", r)
	}
	st.hangup(c)
	st.release(c)
}

// bridgedMoves: each side of a bridged call goes on with another media address.
func bridgedMoves(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	fetched := st.fetch(bob, c, code)
	for _, x := range []*phone.Call{c, fetched} {
		st.release(x)
		x.Media.Move()
		st.change(x, phone.SDP{})
		if !st.eventually(prompt, func() bool { return st.joined(fetched, c) }) {
			st.T.Fatalf("%s hears nothing at its new address", x.CallID())
		}
		st.keep(x)
	}
	st.hangup(fetched, c)
}

// cancelSetup: the caller changes their mind at once.
func cancelSetup(st *stage) {
	c := st.Phone("alice").Invite("701", phone.Opts{})
	time.Sleep(4 * time.Millisecond)
	cancel := c.Cancel().Wait(answers)
	if cancel != nil && cancel.Code() != 200 && cancel.Code() != 481 {
		st.T.Errorf("CANCEL answered with %s", cancel.Start)
	}
	switch r := c.Tx.Wait(answers); {
	case r == nil:
		if !st.troubled(c.Since(), brief) {
			st.T.Error("INVITE is not answered")
		}
	case r.Code() == 200:
		c.Ack()
		st.hangup(c)
	case r.Code() != 487:
		st.T.Errorf("INVITE answered with %s", r.Start)
	}
}

// holdAndResume: a parked caller is put on hold and comes back with another
// media address.
func holdAndResume(st *stage) {
	c := st.park(st.Phone("alice"), phone.Opts{})
	st.music(c)
	st.release(c)
	st.mu.Lock()
	st.held = c
	st.mu.Unlock()
	st.change(c, phone.SDP{Direction: "sendonly"})
	if !st.eventually(prompt, func() bool { return len(c.Media.Got(time.Now().Add(-lately))) == 0 }) {
		st.T.Fatal("a held caller hears music")
	}
	c.Media.Move()
	st.change(c, phone.SDP{})
	st.keep(c)
	st.music(c)
	st.hangup(c)
}

// change offers another description until it is taken.
func (st *stage) change(c *phone.Call, s phone.SDP) {
	st.T.Helper()
	for start := time.Now(); ; {
		r := c.Reinvite(s).Wait(answers)
		if r != nil && r.Code() == 200 {
			c.Ack()
			return
		}
		if r != nil && r.Code() == 491 { // RFC 3261 14.1: a re-INVITE of parkd's crosses it
			time.Sleep(2100 * time.Millisecond)
			continue
		}
		st.retry(start, c, r)
	}
}

// sessionRefresh: parkd refreshes the session in time.
func sessionRefresh(st *stage) {
	c := st.park(st.Phone("alice"), timed("90;refresher=uas"))
	start := time.Now()
	time.Sleep(50 * time.Second)
	if !st.eventually(prompt, func() bool { return len(c.Got("INVITE"))+len(c.Got("UPDATE")) > 0 }) {
		st.T.Errorf("no refresh %v after the start", time.Since(start))
	}
	st.music(c)
	st.hangup(c)
}

func subscription(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	lamp := st.watch(bob, "701")
	st.shows(lamp, "terminated")
	st.refresh(lamp)
	c := st.park(alice, referred(bob))
	st.shows(lamp, "early")
	st.refresh(lamp)
	st.hangup(c)
	st.shows(lamp, "terminated")
	st.unwatch(lamp)
}

// callID is how operators name the only call that there is, "" if there is none.
func (st *stage) callID() string {
	if ids, _ := st.inOrbit(); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

func operatorDrops(st *stage) {
	c := st.park(st.Phone("alice"), phone.Opts{})
	st.release(c)
	for start := time.Now(); c.Ended().IsZero(); {
		code, _ := st.Operator.Do("DELETE", "/calls/"+st.callID())
		time.Sleep(time.Second)
		if !st.troubled(start, 0) && c.Ended().IsZero() {
			st.T.Fatalf("dropped with %d, and goes on", code)
		}
	}
}

func operatorReturns(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	var back *phone.Call
	for start := time.Now(); back == nil; {
		code, _ := st.Operator.Do("POST", "/calls/"+st.callID()+"/return")
		if back = bob.Rings(time.Second); back == nil {
			if !st.troubled(start, 0) {
				st.T.Fatalf("return answered %d, and nobody is rung", code)
			}
		}
	}
	st.hangup(st.pickup(&rung{back, bob}, c), c)
}

func offerless(st *stage) {
	c := st.park(st.Phone("alice"), phone.Opts{Offerless: true})
	st.music(c)
	st.hangup(c)
}

// callerLeaves: the caller hangs up just before somebody presses the lamp.
func callerLeaves(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	c := st.park(alice, referred(bob))
	l := st.shows(st.lamp, "early")
	start := time.Now()
	st.release(c)
	bye := c.Bye()
	time.Sleep(2 * time.Millisecond)
	press, r := st.dial(bob, "701", phone.Opts{Replaces: l.Replaces(false)})
	if r != nil && r.Code() != 200 && r.Code() != 481 {
		st.T.Errorf("a late press answered %s", r.Start)
	}
	bye.Wait(answers)
	if press != nil { // parkd had not heard of the BYE
		if !st.troubled(start, 0) {
			st.T.Error("a late press was answered")
		}
		st.over(start, press)
	}
}
