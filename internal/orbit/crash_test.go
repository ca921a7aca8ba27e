package orbit

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// disk is a journal whose bytes survive.
type disk struct {
	calls map[string][]byte
	legs  map[string][]byte
}

func newDisk() *disk { return &disk{map[string][]byte{}, map[string][]byte{}} }

// write takes a change in, as a journal commits it.
func (d *disk) write(ch Change) {
	for _, id := range ch.Del {
		delete(d.calls, id)
	}
	for _, c := range ch.Put {
		d.calls[c.ID] = EncodeCall(c)
	}
	for id, record := range ch.Legs {
		if record == nil {
			delete(d.legs, id)
		} else {
			d.legs[id] = record
		}
	}
}

// load reads what is on disk.
func (d *disk) load() (calls []Call, legs map[string][]byte, err error) {
	for _, b := range d.calls {
		c, err := DecodeCall(b)
		if err != nil {
			return nil, nil, err
		}
		calls = append(calls, c)
	}
	return calls, maps.Clone(d.legs), nil
}

// stamped is a command and when it came.
type stamped struct {
	Command
	at time.Time
}

// history is what happened, as the network and the operators saw it.
type history []stamped

// draw lets the world run without a crash and keeps what happened.
func draw(t *rapid.T, steps int) history {
	c := &chaos{rig: newRig(small())}
	var h history
	c.record = func(cmd Command) { h = append(h, stamped{cmd, c.now}) }
	actions := c.actions()
	actions["plan"] = nil
	names := slices.Sorted(maps.Keys(actions))[1:] // without the check
	for range steps {
		var cmd Command
		switch rapid.SampledFrom(names).Draw(t, "action") {
		case "result", "result again":
			cmd = c.result(t)
		case "order":
			cmd = c.order(t)
		case "plan":
			cmd = c.plan(t)
		case "time":
			c.now = c.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
		case "due":
			cmd = Due{}
			if next := c.Next(); next.After(c.now) {
				c.now = next
			}
		case "store fails": // that the disk fails is another matter
		case "refer":
			cmd = c.referral(t)
		case "summon":
			cmd = c.summons(t)
		default:
			in := c.newcomer(t)
			c.w.ask(in.Leg)
			cmd = in
		}
		if cmd != nil {
			_ = c.send(cmd)
		}
	}
	return h
}

// server plays a history to a state, a disk and a world.
type server struct {
	state   *State
	set     Settings // its configuration file
	disk    *disk
	w       *world
	commits int
	late    time.Duration // how long it was down
	// crash, if it says so of a commit and its effects, is where it stops:
	// after that many of them.
	crash func(commit int, after []Effect) (done int, now bool)
}

func newServer() *server {
	return &server{state: NewState(small()), set: small(), w: newWorld(), disk: newDisk()}
}

// play runs a history from its i-th command on, and whatever follows from each.
// It returns where it stopped.
func (s *server) play(h history, i int) int {
	for ; i < len(h); i++ {
		s.network(h[i].Command)
		if !s.do(h[i].at.Add(s.late), h[i].Command) {
			return i + 1
		}
	}
	return i
}

// do runs a command and what follows from it, unless the server is killed.
func (s *server) do(now time.Time, c Command) (alive bool) {
	alive = s.step(now, c)
	for alive && len(s.w.ended) > 0 {
		leg := s.w.ended[0]
		s.w.ended = s.w.ended[1:]
		alive = s.step(now, Hangup{Leg: leg})
	}
	return alive
}

func (s *server) step(now time.Time, c Command) (alive bool) {
	ch, err := s.state.Decide(now, c)
	if err != nil {
		s.w.refuse(c, err)
		return true
	}
	if ch.Settings != nil {
		s.set = *ch.Settings
	}
	s.state.Apply(ch)
	todo := slices.Concat(ch.Now, ch.After)
	if ch.durable() {
		s.disk.write(ch)
		s.commits++
		if s.crash != nil {
			if n, now := s.crash(s.commits, todo); now {
				s.carry(todo[:n])
				return false
			}
		}
	}
	s.carry(todo)
	return true
}

func (s *server) carry(effects []Effect) {
	for _, e := range effects {
		s.w.carry(e)
	}
}

// network is what a command says has happened already.
func (s *server) network(c Command) {
	switch c := c.(type) {
	case Invite:
		s.w.ask(c.Leg)
	case Summon:
		s.w.legs[c.Leg] = &party{State: "referring"}
	case Hangup:
		if p := s.w.legs[c.Leg]; p != nil && p.State != "ended" {
			s.w.end(c.Leg)
		}
	}
}

// start begins on what was kept of calls and legs, does what is owed, and what
// came due meanwhile. If it is killed once more, it may have done nothing yet.
func (s *server) start(now time.Time, calls []Call, legs map[string][]byte, again bool) error {
	s.w.ended, s.crash = nil, nil // of what legs reported, nobody is left who knows
	s.w.forget()
	s.state = NewState(s.set)
	s.state.Restore(calls, legs)
	if again {
		s.crash = func(int, []Effect) (int, bool) { return 0, true }
		s.step(now, Restart{})
		calls, legs, err := s.disk.load()
		if err != nil {
			return err
		}
		return s.start(now, calls, legs, false)
	}
	s.do(now, Restart{})
	s.carry(s.state.Owed())
	s.carry(s.state.Owed()) // twice does no harm
	s.do(now, Restart{})    // and reports who has ended
	for next := s.state.Next(); !next.IsZero() && !next.After(now); next = s.state.Next() {
		s.do(now, Due{})
	}
	return around(s.state, s.w, now).check()
}

// differ compares two worlds and what two servers know.
func differ(got, want *server) error {
	g, w := got.w.picture(), want.w.picture()
	for id, p := range w {
		q, known := g[id]
		if !known && p.State == "ended" {
			continue // a call of ours that was given up before it was made
		}
		if q != p {
			return fmt.Errorf("leg %s is %+v, want %+v", id, q, p)
		}
	}
	if len(g) > len(w) {
		return fmt.Errorf("%d legs, want %d", len(g), len(w))
	}
	calls, legs := got.state.Snapshot()
	wantCalls, wantLegs := want.state.Snapshot()
	for i := range min(len(calls), len(wantCalls)) {
		calls[i].Seq, wantCalls[i].Seq = 0, 0 // a number is given out again if nobody has a higher one
	}
	if !slices.Equal(calls, wantCalls) {
		return fmt.Errorf("calls are\n%+v, want\n%+v", calls, wantCalls)
	}
	if !reflect.DeepEqual(legs, wantLegs) {
		return fmt.Errorf("legs are %v, want %v", legs, wantLegs)
	}
	if !reflect.DeepEqual(got.disk.legs, want.disk.legs) {
		return fmt.Errorf("legs on disk are %v, want %v", got.disk.legs, want.disk.legs)
	}
	return nil
}

// smooth reports whether a restart at a time changes nothing: nothing is half
// done or overdue, and nothing is known that is not kept.
func (s *server) smooth(now time.Time) bool {
	if s.state.drain || !s.state.Next().IsZero() && !s.state.Next().After(now) {
		return false
	}
	for _, p := range s.state.places {
		if p.removed {
			return false
		}
	}
	for _, c := range s.state.ordered() {
		if c.called() != "" || c.Phase == Retrieving && !c.Due.After(now) {
			return false
		}
	}
	return true
}

// A server that is killed after any commit, having carried out any number of
// that change's effects, and started again, once or twice, leaves the world as
// one that had done all it decided before it was started again: right after the
// start, and in the end. And where nothing was half done, as one that was never
// killed.
func TestCrash(t *testing.T) {
	for range 5 { // some thousands of deaths
		rapid.Check(t, crash)
	}
}

func crash(t *rapid.T) {
	h := draw(t, rapid.IntRange(5, 60).Draw(t, "steps"))
	down := time.Duration(rapid.SampledFrom([]int{0, 0, 1, 20, 40, 200}).Draw(t, "seconds down")) * time.Second
	again := rapid.Bool().Draw(t, "killed again")
	whole := newServer()
	whole.play(h, 0)
	for k := 1; k <= whole.commits; k++ {
		for done, last := 0, false; !last; done++ {
			s := newServer()
			s.crash = func(commit int, todo []Effect) (int, bool) {
				last = commit == k && done >= len(todo)
				return done, commit == k
			}
			at := s.play(h, 0)
			when := fmt.Sprintf("killed after commit %d (%T) and %d effects", k, h[at-1].Command, done)
			if err := killed(s, h, at, down, again, whole); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
		}
	}
}

// killed starts a server again that was killed during the command before the
// at-th, and plays the rest of a history to it.
func killed(s *server, h history, at int, down time.Duration, again bool, whole *server) error {
	now := h[at-1].at.Add(down)
	calls, legs, err := s.disk.load()
	if err != nil {
		return err
	}
	so := newServer()
	so.play(h[:at], 0)
	smooth := down == 0 && so.smooth(now)
	s.set = so.set
	if err := s.start(now, calls, legs, again); err != nil {
		return err
	}
	calls, legs = so.state.Snapshot()
	if err := so.start(now, calls, legs, false); err != nil {
		return fmt.Errorf("without the crash: %w", err)
	}
	if err := differ(s, so); err != nil {
		return fmt.Errorf("after the start: %w", err)
	}
	s.late, so.late = down, down
	s.play(h, at)
	so.play(h, at)
	if err := differ(s, so); err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	if !smooth {
		return nil
	}
	if err := differ(s, whole); err != nil {
		return fmt.Errorf("in the end, beside one that was never killed: %w", err)
	}
	return nil
}

// What was restored goes on as if it had never been away, under the settings
// that were in force.
func TestRestore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := draw(t, 60)
		half := rapid.IntRange(0, len(h)).Draw(t, "restored after")
		s, back := newServer(), newServer()
		s.play(h[:half], 0)
		back.play(h[:half], 0)
		for _, p := range s.state.places {
			if p.removed {
				t.Skip("what an orbit was that is configured no more is not kept")
			}
		}
		calls, legs, err := s.disk.load()
		if err != nil {
			t.Fatal(err)
		}
		back.state = NewState(back.set)
		back.state.Restore(calls, legs)
		s.state.drain = false // nor that
		for i := half; i <= len(h); i++ {
			if err := differ(back, s); err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				if err := around(back.state, back.w, h[i-1].at).check(); err != nil {
					t.Fatal(err)
				}
			}
			s.play(h[:min(i+1, len(h))], i)
			back.play(h[:min(i+1, len(h))], i)
		}
	})
}

func TestDecodeCall(t *testing.T) {
	for name, record := range map[string]string{
		"not JSON":                 `{`,
		"empty":                    `{}`,
		"a phase there is not":     `{"id":"a","caller":"a","home":"1","uri":"","phase":9}`,
		"parked nowhere":           `{"id":"a","caller":"a","home":"1","uri":""}`,
		"parked with another leg":  `{"id":"a","caller":"a","at":"1","home":"1","other":"b","uri":""}`,
		"bridged with nobody":      `{"id":"a","caller":"a","home":"1","uri":"","phase":3}`,
		"bridged and in its orbit": `{"id":"a","caller":"a","at":"1","home":"1","other":"b","uri":"","phase":3}`,
		"bridged with a REFER":     `{"id":"a","caller":"a","home":"1","other":"b","left":"c","uri":"","phase":3}`,
		"transferring to nobody":   `{"id":"a","caller":"a","home":"1","left":"c","uri":"","phase":4}`,
		"transferring outside":     `{"id":"a","caller":"a","home":"1","other":"b","left":"c","outside":true,"uri":"","phase":4}`,
		"invited to nowhere":       `{"id":"a","caller":"a.1","home":"1","left":"a","uri":"","phase":5}`,
		"invited with another leg": `{"id":"a","caller":"a.1","at":"1","home":"1","other":"b","uri":"","phase":5}`,
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := DecodeCall([]byte(record)); err == nil {
				t.Errorf("read as %+v", c)
			}
		})
	}
}
