package orbit

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// start is when every test begins.
var start = time.Date(2026, 11, 22, 19, 37, 0, 0, time.UTC)

// party is one leg as the network sees it.
type party struct {
	State   string // asking music joined ringing asked referring ended
	Peer    string // when joined
	Music   string // when music
	Orbit   string // whose caller it is or was, "" for the other kind
	Sent    string // to whose leg it was referred
	Shown   Party  // whom its phone shows, zero if it was never told
	arrival int    // callers: place in the order of parking, inherited by a transfer
	refused error
}

// world is the network: legs that carry effects out, twice without harm, and
// report the end of those they were told to end.
type world struct {
	legs     map[string]*party
	ended    []string // not yet reported as Hangup
	arrivals int
	rung     []Ring
	said     []Say
	noted    []string            // legs told that their snapshot is durable
	reports  map[string][]Report // to whoever sent a REFER
}

func newWorld() *world { return &world{legs: map[string]*party{}, reports: map[string][]Report{}} }

// ask is a new INVITE's leg.
func (w *world) ask(leg string) { w.legs[leg] = &party{State: "asking"} }

func (w *world) carry(e Effect) {
	p := w.legs[e.LegID()]
	if p == nil {
		if ring, ok := e.(Ring); ok {
			w.legs[ring.Leg] = &party{State: "ringing", Shown: ring.Party}
			w.rung = append(w.rung, ring)
			return
		}
		p = &party{State: "ended"} // never came to be: its end is reported all the same
	}
	if p.State == "ended" {
		if _, ok := e.(Bye); ok {
			w.ended = append(w.ended, e.LegID())
		}
		return
	}
	if report, ok := e.(Report); ok {
		w.report(report, p)
		return
	}
	switch e := e.(type) {
	case Answer:
		if p.State == "asking" {
			w.answer(e, p)
		}
	case Play:
		w.part(p)
		p.State, p.Music = "music", e.Music
	case Say:
		switch p.State {
		case "ringing":
			p.State = "asked"
		case "music":
			p.Music = e.Then
		}
		w.said = append(w.said, e)
	case Park:
		w.part(p)
		w.answer(Answer{Leg: e.Leg, Call: e.Call, Orbit: e.Orbit, Music: e.Music}, p)
	case Bridge:
		w.join(e.Leg, e.Peer)
	case HandOff:
		p.Sent = e.Peer
	case Identify:
		p.Shown = e.Party
	case Noted:
		w.noted = append(w.noted, e.Leg)
	case Bye:
		w.end(e.Leg)
		w.ended = append(w.ended, e.Leg)
	case Refuse:
		w.end(e.Leg)
		p.refused = e.Err
	}
}

// report tells a leg what became of its REFER: in the end it hangs up, and so does
// a REFER outside of any dialog.
func (w *world) report(e Report, p *party) {
	w.reports[e.Leg] = append(w.reports[e.Leg], e)
	if e.Code >= 200 && e.Code < 300 || p.State == "referring" && e.Code != 100 && e.Code != 180 {
		w.end(e.Leg)
		w.ended = append(w.ended, e.Leg)
	}
}

func (w *world) answer(e Answer, p *party) {
	if e.Peer != "" {
		p.Shown = e.Party
		w.join(e.Leg, e.Peer)
		return
	}
	p.State, p.Music, p.Orbit = "music", e.Music, e.Orbit
	if p.arrival == 0 {
		w.arrivals++
		p.arrival = w.arrivals
	}
}

func (w *world) join(a, b string) {
	p, q := w.legs[a], w.legs[b]
	if p == nil || q == nil || p.State == "ended" || q.State == "ended" {
		return
	}
	if p.Peer == b {
		return
	}
	w.part(p)
	w.part(q)
	p.State, p.Peer, p.Music = "joined", b, ""
	q.State, q.Peer, q.Music = "joined", a, ""
}

// part takes a leg away from its peer, who hears nothing until told.
func (w *world) part(p *party) {
	if q := w.legs[p.Peer]; q != nil {
		q.Peer = ""
	}
	p.Peer = ""
}

func (w *world) end(leg string) {
	p := w.legs[leg]
	w.part(p)
	p.State, p.Music = "ended", ""
}

// forget ends what does not outlive a process: REFERs outside of any dialog.
func (w *world) forget() {
	for id, p := range w.legs {
		if p.State == "referring" {
			w.end(id)
		}
	}
}

// picture is the world in a form that can be compared.
func (w *world) picture() map[string]party {
	m := map[string]party{}
	for id, p := range w.legs {
		if p.State == "ended" || p.State == "asking" {
			m[id] = party{State: p.State}
			continue
		}
		m[id] = party{State: p.State, Peer: p.Peer, Music: p.Music}
	}
	return m
}

// rig is a state, its disk, its world, and the time.
type rig struct {
	*State
	disk    *disk
	w       *world
	now     time.Time
	events  []Event
	lit     []string            // pools whose lamp was told to change
	crowd   map[string]int      // calls that orbits had when they were last configured
	changed bool                // the state was restored, perhaps under other settings
	through func(Command) error // a runner that decides instead
}

func newRig(set Settings) *rig {
	return &rig{State: NewState(set), disk: newDisk(), w: newWorld(), now: start, crowd: map[string]int{}}
}

// around is a rig that looks at a state and its world as they are.
func around(s *State, w *world, now time.Time) *rig {
	r := &rig{State: s, w: w, now: now, changed: true}
	r.crowd = r.counts()
	return r
}

// counts are the calls in each orbit.
func (r *rig) counts() map[string]int {
	m := map[string]int{}
	for ext, p := range r.places {
		m[ext] = p.count
	}
	return m
}

// do decides, applies and carries out, then reports what ended.
func (r *rig) do(c Command) error {
	err := r.step(c)
	r.deliver()
	return err
}

// deliver reports the legs that were ended.
func (r *rig) deliver() {
	for len(r.w.ended) > 0 {
		leg := r.w.ended[0]
		r.w.ended = r.w.ended[1:]
		_ = r.step(Hangup{Leg: leg})
	}
}

// step is do without what follows from it.
func (r *rig) step(c Command) error {
	if r.through != nil {
		return r.through(c)
	}
	before := r.Encode()
	ch, err := r.Decide(r.now, c)
	if string(r.Encode()) != string(before) {
		panic(fmt.Sprintf("deciding %#v changed the state", c))
	}
	if err != nil {
		if !ch.Empty() || len(ch.Events) > 0 {
			panic(fmt.Sprintf("refusal of %#v with a change: %v", c, err))
		}
		r.w.refuse(c, err)
		return err
	}
	if err := r.apply(ch); err != nil {
		panic(fmt.Sprintf("%#v: %v", c, err))
	}
	for _, e := range slices.Concat(ch.Now, ch.After) {
		r.w.carry(e)
	}
	r.events = append(r.events, ch.Events...)
	return nil
}

// refuse tells a leg that what it asked for is refused.
func (w *world) refuse(c Command, err error) {
	switch c := c.(type) {
	case Invite:
		w.carry(Refuse{c.Leg, err})
	case Refer:
		w.carry(Report{Leg: c.Leg, Err: err})
	case Summon:
		w.carry(Report{Leg: c.Leg, Err: err})
	}
}

// apply applies a change and writes it down.
func (r *rig) apply(ch Change) error {
	if err := r.foundLegs(&ch); err != nil {
		return err
	}
	touched, views, pools := r.touched(&ch), r.views(), map[string]bool{}
	for ext := range r.pools {
		pools[ext] = true
	}
	alone := r.alone(&ch)
	r.Apply(ch)
	for _, ext := range alone {
		r.crowd[ext] = max(r.crowd[ext], r.places[ext].count)
	}
	r.disk.write(ch)
	turned := r.turned()
	for _, ext := range turned {
		if v, _ := r.Lamp(ext); reflect.DeepEqual(views[ext], v) {
			return fmt.Errorf("the lamp of pool %s is told what it shows: %+v", ext, v)
		}
	}
	for _, ext := range touched {
		if pools[ext] != (r.pools[ext] != nil) {
			r.lit = append(r.lit, ext)
		}
	}
	r.lit = append(r.lit, turned...)
	touched = append(touched, turned...)
	if ch.Settings != nil {
		r.crowd = r.counts()
	}
	return r.shown(touched, views)
}

// alone lists the orbits that take somebody back whom a transfer has left alone,
// be they full.
func (r *rig) alone(ch *Change) (exts []string) {
	for i := range ch.Put {
		if e := r.calls[ch.Put[i].ID]; e != nil && e.At == "" && ch.Put[i].Phase == Parked && ch.Put[i].Seq == e.Seq {
			exts = append(exts, ch.Put[i].At)
		}
	}
	return exts
}

// invite is a new leg's INVITE.
func (r *rig) invite(in Invite) error {
	r.w.ask(in.Leg)
	return r.do(in)
}

// hangup is a party's own.
func (r *rig) hangup(leg string) {
	r.w.end(leg)
	_ = r.do(Hangup{Leg: leg})
}

// pass lets time go by, deadline by deadline.
func (r *rig) pass(d time.Duration) {
	end := r.now.Add(d)
	for next := r.Next(); !next.IsZero() && !next.After(end); next = r.Next() {
		r.now = next
		_ = r.do(Due{})
	}
	r.now = end
}

// must is invite for a test that depends on it.
func (r *rig) must(t *testing.T, in Invite) {
	t.Helper()
	if err := r.invite(in); err != nil {
		t.Fatalf("INVITE %s to %s: %v", in.Leg, in.To, err)
	}
}

// park parks a caller with a parker.
func (r *rig) park(t *testing.T, leg, ext string) {
	t.Helper()
	r.must(t, Invite{Leg: leg, To: ext, Referred: true, Parker: "sip:bob@example.com", Name: "Ann", URI: "sip:" + leg + "@example.com", Codec: "PCMU"})
}
