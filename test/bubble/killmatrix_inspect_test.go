package bubble

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// What a new server has for putting things right.
const (
	musicWithin = time.Second
	lampsWithin = 2 * time.Second
)

// inspect looks at everybody once another server serves: nobody may be lost or
// left in silence, and every lamp must be true.
func (st *stage) inspect(o kit.Outage) {
	time.Sleep(musicWithin)
	st.heard(o)
	st.secret(o)
	time.Sleep(lampsWithin - musicWithin)
	st.lamps(o)
	st.counted(o)
}

// again reports whether the new server was cut itself.
func (st *stage) again(o kit.Outage) bool {
	all := st.Outages()
	return all[len(all)-1] != o
}

// heard checks who was in a call before the outage, and still wants to be.
func (st *stage) heard(o kit.Outage) {
	if st.again(o) {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for c, since := range st.kept {
		if !since.Before(o.At) {
			continue
		}
		got := c.Media.Got(o.Ready)
		switch {
		case !c.Ended().IsZero():
			st.T.Errorf("%s was lost with the outage at %v", c.CallID(), o.At)
		case len(got) == 0:
			st.T.Errorf("%s hears nothing after the outage", c.CallID())
		default:
			st.single(c, got)
			st.forward(c)
		}
	}
}

// single checks that what a phone heard, music and voices, followed one another:
// none came back after the next had begun, so that there were never two at once.
// The lock is held.
func (st *stage) single(c *phone.Call, got []phone.RTP) {
	type source struct {
		from  netip.AddrPort
		ssrc  uint32
		voice byte // 0 = music
	}
	over := map[source]bool{}
	last := source{}
	for _, r := range got {
		now := source{r.From, r.SSRC, 0}
		for _, v := range st.voices {
			if says(r, v) {
				now.voice = v
			}
		}
		if now == last {
			continue
		}
		if over[now] {
			st.T.Errorf("%s hears two at once: %+v came back after %+v", c.CallID(), now, last)
			return
		}
		over[last], last = true, now
	}
}

// forward checks that no stream that a phone hears ever went back: a receiver
// would drop what does (RFC 3550 A.1), and SRTP would use a keystream twice.
func (st *stage) forward(c *phone.Call) {
	last := map[uint32]phone.RTP{}
	for _, r := range c.Media.Got(time.Time{}) {
		l, known := last[r.SSRC]
		if known && (int16(r.Seq-l.Seq) <= 0 || int32(r.Timestamp-l.Timestamp) < 0) {
			st.T.Errorf("%s: a stream went back: %+v after %+v", c.CallID(), r, l)
			return
		}
		last[r.SSRC] = r
	}
}

// lamps checks that every watcher shows what is the case, and that documents
// did not say anything else in between.
func (st *stage) lamps(o kit.Outage) {
	st.mu.Lock()
	subs := map[*phone.Sub]time.Time{}
	for s, since := range st.watched {
		if since.Before(o.At) {
			subs[s] = since
		}
	}
	st.mu.Unlock()
	is := st.fetchState()
	for range 5 {
		if st.again(o) {
			return
		}
		if st.untrue(subs, is) == nil {
			break
		}
		time.Sleep(time.Second) // a change of the last second may be on its way
		now := st.fetchState()
		if l := st.untrue(subs, now); l != nil && now == is && !st.again(o) {
			st.T.Errorf("a lamp shows %q of %q, and it is %q of %q", l.Dialog, l.CallID, now.state, now.callID)
			return
		}
		is = now
	}
	for s := range subs {
		st.progress(s, o)
		st.oneByOne(s)
	}
}

// counted checks that parkd has as many callers in orbits as there are phones that
// hear its music or have put it on hold. One who hung up around the outage, or
// the first of several, may not have been heard.
func (st *stage) counted(o kit.Outage) {
	var n, low, high int
	for range 60 {
		// Whoever is transferred hears the music only if the one who does it has left.
		ids, between := st.inOrbit()
		n, low, high = len(ids), 0, between
		for _, p := range st.Phones() {
			for _, c := range p.Calls() {
				if c.Ended().IsZero() && (st.entertained(c) || st.onHold(c)) {
					low++
				}
				if c.Ended().After(st.Outages()[0].At.Add(-slack)) {
					high++
				}
			}
		}
		if low <= n && n <= low+high || st.again(o) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	st.T.Errorf("%d calls in orbits, and %d callers there; %d have left it", n, low, high)
}

func (st *stage) onHold(c *phone.Call) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.held == c
}

// inOrbit lists the calls in orbits as operators see them, and counts those that are
// being transferred.
func (st *stage) inOrbit() (ids []string, between int) {
	var calls []struct{ ID, State string }
	_, body := st.Operator.Do("GET", "/calls")
	if json.Unmarshal([]byte(body), &calls) != nil {
		return nil, 0
	}
	for _, c := range calls {
		switch c.State {
		case "bridged":
		case "transferring":
			between++
		default:
			ids = append(ids, c.ID)
		}
	}
	return ids, between
}

// state is what is the case at an orbit.
type state struct{ state, callID, remote string }

func stateOf(l *phone.Lamp) state {
	if l.Dialog == "terminated" {
		return state{state: l.Dialog}
	}
	return state{l.Dialog, l.CallID, l.RemoteName}
}

// shows reports whether a lamp shows what is the case. Presence knows free and busy,
// and perhaps a name.
func (is state) shows(l *phone.Lamp) bool {
	switch l.Dialog {
	case "open":
		return is.state == "terminated"
	case "busy":
		return is.state == "early" && (l.RemoteName == "" || l.RemoteName == is.remote)
	}
	return stateOf(l) == is
}

// parkingOf is the state without what comes and goes while the same call is the next
// to be fetched: that it is on its way back, which an outage ends, and who waits.
func parkingOf(l *phone.Lamp) state {
	s := stateOf(l)
	s.remote, _, _ = strings.Cut(s.remote, " (")
	return s
}

// fetchState asks for the present state by a subscription that ends at once
// (RFC 6665 4.4.3).
func (st *stage) fetchState() state {
	fetch := st.probe().Watch("701", 0)
	defer fetch.Drop()
	if r := fetch.Tx.Wait(phone.Patience); r == nil || r.Code() != 200 {
		return state{state: "unknown"} // cut again
	}
	for range 100 {
		if l := fetch.Newest(); l.State != "" {
			return stateOf(&l)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return state{state: "unknown"}
}

// probe is a phone of the inspector's.
func (st *stage) probe() *phone.Phone {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.inspector == nil {
		st.inspector = st.PhoneAt("probe", netip.MustParseAddrPort("10.0.2.1:5060"))
	}
	return st.inspector
}

// untrue is a lamp that shows something else than what is the case, nil if
// there is none.
func (st *stage) untrue(subs map[*phone.Sub]time.Time, is state) *phone.Lamp {
	st.mu.Lock()
	defer st.mu.Unlock()
	for s := range subs {
		l := s.Newest()
		if _, live := st.watched[s]; live && !is.shows(&l) {
			return &l
		}
	}
	return nil
}

// progress checks the documents that a watcher got: each later in CSeq and
// version than the one before it, a new one since the outage, and none with
// another state where it was the same before and after.
func (st *stage) progress(s *phone.Sub, o kit.Outage) {
	list := s.Lamps()
	first := len(list)
	for i := range list {
		if i > 0 && (list[i].CSeq <= list[i-1].CSeq || list[i].Version <= list[i-1].Version) {
			st.T.Errorf("a document went back: %+v after %+v", list[i], list[i-1])
			return
		}
		if first == len(list) && list[i].At.After(o.At.Add(4*time.Millisecond)) { // what was under way arrives still
			first = i
		}
	}
	st.mu.Lock()
	_, live := st.watched[s]
	st.mu.Unlock()
	switch {
	case first == len(list):
		if live {
			st.T.Error("a watcher was told nothing after the outage")
		}
	case first > 0:
		was, is := parkingOf(&list[first-1]), parkingOf(&list[len(list)-1])
		for _, l := range list[first:] {
			// The ids of a call that is parked no more never come back.
			if was == is && was.state == "early" && parkingOf(&l) != is {
				st.T.Errorf("a lamp showed %+v in between", stateOf(&l))
			}
		}
	}
}

// oneByOne checks that the NOTIFYs of a list are later in version each than the one
// before it, as its members are, and that no NOTIFY came before parkd could have the
// answer to the one before it, which was given at once; but for a new server, which
// knows of none.
func (st *stage) oneByOne(s *phone.Sub) {
	list, outages, rolls := s.Told(), st.Outages(), s.Rolls()
	for i := 1; i < len(rolls); i++ {
		if rolls[i].Version <= rolls[i-1].Version {
			st.T.Errorf("a list went back from version %d to %d", rolls[i-1].Version, rolls[i].Version)
		}
	}
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		met := slices.ContainsFunc(outages, func(o kit.Outage) bool {
			return o.At.Before(b) && (o.Ready.IsZero() || o.Ready.After(a.Add(-slack)))
		})
		if !met && b.Sub(a) < 2*fakenet.Latency {
			st.T.Errorf("a NOTIFY came at %v, the one before it, which was not answered, at %v", b, a)
		}
	}
}
