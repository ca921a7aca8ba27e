package bubble

import (
	"sync"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// How patient people are.
const (
	answers = 40 * time.Second // a phone gives a request up before: 64*T1
	prompt  = 3 * time.Second  // for what happens by itself while parkd runs
	found   = 45 * time.Second // for what only a keep-alive finds out
	brief   = 2 * time.Second  // an outage up to this nobody has to do anything about
)

// stage is a site for scenes of the kill matrix. Its people behave as people
// with proper phones do when a server is away for a while: who gets no answer,
// or is refused by a server that has just come back, tries again. Its
// inspector looks at everybody after each outage.
type stage struct {
	*kit.Site
	lamp *phone.Sub // of a desk that watches 701 all the time

	mu      sync.Mutex // leaf; guards all below
	kept    map[*phone.Call]time.Time
	watched map[*phone.Sub]time.Time
	voices  map[*phone.Phone]byte
	held    *phone.Call // it hears nothing, and wants that

	inspector *phone.Phone // nil until there was an outage
	srtp      func(name string) phone.SRTP
}

// Phone is a phone of a person's.
func (st *stage) Phone(name string) *phone.Phone {
	p := st.Site.Phone(name)
	if st.srtp != nil {
		p.Encrypt(st.srtp(name))
	}
	return p
}

// perform plays a scene before a watcher and clears the stage.
func perform(s *kit.Site, sc scene) {
	st := &stage{Site: s, srtp: sc.srtp, kept: map[*phone.Call]time.Time{}, watched: map[*phone.Sub]time.Time{}, voices: map[*phone.Phone]byte{}}
	s.Restarted = st.inspect
	desk := s.Phone("desk")
	st.lamp = st.watch(desk, "701")
	sc.play(st)
	st.secret(kit.Outage{})
	st.shows(st.lamp, "terminated")
	st.unwatch(st.lamp)
}

// keep notes that a call must not be lost and must not be silent.
func (st *stage) keep(c *phone.Call) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.kept[c] = time.Now()
}

// release notes that a call may end, or be silent.
func (st *stage) release(calls ...*phone.Call) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, c := range calls {
		delete(st.kept, c)
	}
}

// voice is what a phone says: no two say the same.
func (st *stage) voice(p *phone.Phone) byte {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.voices[p] == 0 {
		st.voices[p] = byte(0x21 + 2*len(st.voices))
	}
	return st.voices[p]
}

// troubled reports whether there was an outage, of more than so long, that
// whoever began something at start may feel: it lasts, or it was over no more
// than two patiences ago.
func (st *stage) troubled(start time.Time, long time.Duration) bool {
	for _, o := range st.Outages() {
		if o.Cut.Down <= long {
			continue
		}
		if o.Ready.IsZero() || o.Ready.Add(answers).After(start) && time.Since(o.Ready) < 2*answers {
			return true
		}
	}
	return false
}

// retry lets somebody who was refused, or not answered, try again a second
// later. After a brief outage nobody is.
func (st *stage) retry(start time.Time, c *phone.Call, r *phone.Response) {
	st.T.Helper()
	if !st.troubled(start, brief) {
		what := "not answered"
		if r != nil {
			what = r.Start
		}
		st.T.Fatalf("%s: %s", c.CallID(), what)
	}
	time.Sleep(time.Second)
}

// eventually waits until something is true, which has so long for it from now
// or from the end of the last outage.
func (st *stage) eventually(within time.Duration, ok func() bool) bool {
	start := time.Now()
	for !ok() {
		from := start
		for _, o := range st.Outages() {
			if o.Ready.IsZero() {
				from = time.Now()
			} else if o.Ready.After(from) {
				from = o.Ready
			}
		}
		if time.Since(from) > within {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
	return true
}

// park has somebody park at 701 until it is done.
func (st *stage) park(p *phone.Phone, o phone.Opts) *phone.Call {
	st.T.Helper()
	c, _ := st.parkAt(p, o)
	return c
}

// parkAt is park that says when the call was parked.
func (st *stage) parkAt(p *phone.Phone, o phone.Opts) (*phone.Call, window) {
	st.T.Helper()
	for start := time.Now(); ; {
		c, r := st.dial(p, "701", o)
		if c != nil {
			st.keep(c)
			if !c.Since().Equal(start) {
				st.ignoreRinging() // for an attempt that the phone had given up
			}
			return c, window{c.Since(), time.Now()}
		}
		st.retry(start, p.Calls()[len(p.Calls())-1], r)
	}
}

func (st *stage) ignoreRinging() {
	for _, p := range st.Phones() {
		for p.Rings(0) != nil {
		}
	}
}

// dial calls somebody; nil if it is not answered with a 200.
func (st *stage) dial(p *phone.Phone, to string, o phone.Opts) (*phone.Call, *phone.Response) {
	c := p.Invite(to, o)
	r := c.Tx.Wait(answers)
	if r == nil && c.Ended().IsZero() { // RFC 3261 9.1: a 200 may cross the CANCEL
		c.Cancel().Wait(answers)
		r = c.Tx.Wait(answers)
	}
	if r == nil || r.Code() != 200 {
		return nil, r
	}
	c.Ack()
	c.Media.Murmur(st.voice(p))
	return c, r
}

// fetch has somebody dial until they are joined with a caller.
func (st *stage) fetch(p *phone.Phone, caller *phone.Call, dial func() (string, phone.Opts)) *phone.Call {
	st.T.Helper()
	for start := time.Now(); ; {
		to, o := dial()
		c, r := st.dial(p, to, o)
		if c != nil && st.join(p, c, caller) {
			return c
		}
		st.retry(start, p.Calls()[len(p.Calls())-1], r)
	}
}

// code dials the retrieve code of 701.
func code() (string, phone.Opts) { return "*4701", phone.Opts{} }

// join waits until two hear each other, and only each other. It is false if
// the retriever was let go, because parkd never saw their ACK, or hung up,
// because they got a caller who had given up long ago.
func (st *stage) join(p *phone.Phone, c, caller *phone.Call) bool {
	st.T.Helper()
	ok := st.eventually(prompt, func() bool { return !c.Ended().IsZero() || st.joined(c, caller) })
	switch {
	case !ok && st.troubled(c.Since(), brief):
		c.Bye().Wait(answers)
		return false
	case !ok:
		st.T.Fatalf("%s: not joined with the caller", p.Name)
	case !c.Ended().IsZero():
		return false
	}
	st.keep(c)
	return true
}

// joined reports whether two heard each other, and nobody else, lately.
func (st *stage) joined(a, b *phone.Call) bool {
	return a.Ended().IsZero() && b.Ended().IsZero() && hears(a, b.Media.Voice()) && hears(b, a.Media.Voice())
}

// lately is a window in which a voice is heard several times.
const lately = 350 * time.Millisecond

func hears(c *phone.Call, voice byte) bool {
	got := c.Media.Got(time.Now().Add(-lately))
	for _, r := range got {
		if !says(r, voice) {
			return false
		}
	}
	return len(got) > 2
}

func says(r phone.RTP, voice byte) bool { return voice != 0 && r.First == voice && r.Second == voice }

// music waits until a caller hears music, and nobody.
func (st *stage) music(c *phone.Call) {
	st.T.Helper()
	if !st.eventually(prompt, func() bool { return st.entertained(c) }) {
		st.T.Fatalf("%s hears no music", c.CallID())
	}
}

func (st *stage) entertained(c *phone.Call) bool {
	got := c.Media.Got(time.Now().Add(-lately))
	for _, r := range got {
		if r.SSRC != got[0].SSRC || r.From != got[0].From || st.anybody(r) {
			return false
		}
	}
	return len(got) > int(lately/(20*time.Millisecond))-3
}

// anybody reports whether a packet is somebody's voice.
func (st *stage) anybody(r phone.RTP) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, v := range st.voices {
		if says(r, v) {
			return true
		}
	}
	return false
}

// hangup ends a call, and waits for the end of the others with it.
func (st *stage) hangup(c *phone.Call, others ...*phone.Call) {
	st.T.Helper()
	start := time.Now()
	st.release(append(others, c)...)
	if r := c.Bye().Wait(answers); r == nil {
		st.retry(start, c, r)
	}
	st.over(start, others...)
}

// over waits for the end of calls.
func (st *stage) over(start time.Time, calls ...*phone.Call) {
	st.T.Helper()
	for _, c := range calls {
		if st.eventually(prompt, func() bool { return !c.Ended().IsZero() }) {
			continue
		}
		if !st.troubled(start, 0) || !st.eventually(found, func() bool { return !c.Ended().IsZero() }) {
			st.T.Fatalf("%s goes on", c.CallID())
		}
	}
}

// watch has a phone subscribe until it is done.
func (st *stage) watch(p *phone.Phone, to string) *phone.Sub {
	st.T.Helper()
	return st.subscribe(p, func() *phone.Sub { return p.Watch(to, 3600) })
}

// watchKey has a phone subscribe to an event list, for the sake of one member.
func (st *stage) watchKey(p *phone.Phone, list, member string) *phone.Sub {
	st.T.Helper()
	return st.subscribe(p, func() *phone.Sub { return p.WatchList(list, 3600).Follow(member) })
}

// subscribe has a phone try until it has a subscription.
func (st *stage) subscribe(p *phone.Phone, try func() *phone.Sub) *phone.Sub {
	st.T.Helper()
	for start := time.Now(); ; {
		s := try()
		r := s.Tx.Wait(answers)
		if r != nil && r.Code() == 200 {
			s.Expect(200)
			st.mu.Lock()
			st.watched[s] = time.Now()
			st.mu.Unlock()
			return s
		}
		s.Drop()
		if !st.troubled(start, brief) {
			st.T.Fatalf("%s cannot subscribe: %v", p.Name, r)
		}
		time.Sleep(time.Second)
	}
}

// refresh has a phone refresh its subscription.
func (st *stage) refresh(s *phone.Sub) {
	st.T.Helper()
	for start := time.Now(); ; {
		r := s.Refresh(3600).Wait(answers)
		if r != nil && r.Code() == 200 {
			return
		}
		if !st.troubled(start, brief) || r != nil {
			st.T.Fatalf("refresh answered %v", r)
		}
	}
}

// unwatch has a phone end its subscription. One that gets no answer forgets it
// all the same.
func (st *stage) unwatch(s *phone.Sub) {
	st.T.Helper()
	start := time.Now()
	st.mu.Lock()
	delete(st.watched, s)
	st.mu.Unlock()
	r := s.Refresh(0).Wait(answers)
	short, long := st.troubled(start, 0), st.troubled(start, brief)
	switch {
	case r == nil && long, r != nil && r.Code() == 481 && short: // ended before
		s.Drop()
	case r == nil || r.Code() != 200:
		st.T.Fatalf("end of a subscription answered %v", r)
	default:
		ended := st.eventually(answers, func() bool { return s.Newest().State == "terminated" })
		if !ended && !st.troubled(start, 0) {
			st.T.Fatal("a subscription goes on")
		}
		s.Drop() // RFC 6665 4.1.2.3: timer N
	}
}

// shows waits until a lamp shows a state.
func (st *stage) shows(s *phone.Sub, state string) phone.Lamp {
	st.T.Helper()
	start := time.Now()
	ok := func() bool { return s.Newest().Dialog == state }
	if !st.eventually(prompt, ok) {
		// A call whose phone has hung up unheard is found by keep-alive.
		if !st.troubled(start, 0) || state == "early" || state == "busy" || !st.eventually(found, ok) {
			st.T.Fatalf("lamp shows %q, want %q", s.Newest().Dialog, state)
		}
	}
	return s.Newest()
}
