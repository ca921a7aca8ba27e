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

func (d *disk) clone() *disk { return &disk{maps.Clone(d.calls), maps.Clone(d.legs)} }

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

// restore is a new state from what is on disk.
func (d *disk) restore(set Settings) (*State, error) {
	var calls []Call
	for _, b := range d.calls {
		c, err := DecodeCall(b)
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	s := NewState(set)
	s.Restore(calls, maps.Clone(d.legs))
	return s, nil
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
	names := slices.Sorted(maps.Keys(actions))[1:] // without the check
	for range steps {
		var cmd Command
		switch rapid.SampledFrom(names).Draw(t, "action") {
		case "result", "result again":
			cmd = c.result(t)
		case "order":
			cmd = c.order(t)
		case "time":
			c.now = c.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
		case "due":
			cmd = Due{}
			if next := c.Next(); next.After(c.now) {
				c.now = next
			}
		case "store fails": // that the disk fails is another matter
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
	disk    *disk
	w       *world
	commits int
	// crash, if it says so of a commit and its effects, is where it stops:
	// after that many of them.
	crash func(commit int, after []Effect) (done int, now bool)
}

func newServer() *server {
	return &server{state: NewState(small()), w: newWorld(), disk: &disk{map[string][]byte{}, map[string][]byte{}}}
}

// play runs a history from its i-th command on. It returns where it stopped.
func (s *server) play(h history, i int) int {
	for ; i < len(h); i++ {
		s.network(h[i].Command)
		ch, err := s.state.Decide(h[i].at, h[i].Command)
		if err != nil {
			if in, ok := h[i].Command.(Invite); ok {
				s.w.carry(Refuse{in.Leg, err})
			}
			continue
		}
		if ch.Empty() {
			continue
		}
		s.state.Apply(ch)
		todo := slices.Concat(ch.Now, ch.After)
		if ch.durable() {
			s.disk.write(ch)
			s.commits++
			if s.crash != nil {
				if n, now := s.crash(s.commits, todo); now {
					s.carry(todo[:n])
					return i + 1
				}
			}
		}
		s.carry(todo)
	}
	return i
}

func (s *server) carry(effects []Effect) {
	for _, e := range effects {
		s.w.carry(e)
	}
	s.w.ended = nil // the history holds their Hangup
}

// network is what a command says has happened already.
func (s *server) network(c Command) {
	switch c := c.(type) {
	case Invite:
		s.w.ask(c.Leg)
	case Hangup:
		if p := s.w.legs[c.Leg]; p != nil && p.State != "ended" {
			s.w.end(c.Leg)
		}
	}
}

// restart reads the disk and does what is owed.
func (s *server) restart() error {
	state, err := s.disk.restore(small())
	if err != nil {
		return err
	}
	s.state = state
	s.carry(state.Owed())
	s.carry(state.Owed()) // twice does no harm
	return nil
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
			return fmt.Errorf("leg %s is %+v, without the crash %+v", id, q, p)
		}
	}
	if len(g) > len(w) {
		return fmt.Errorf("%d legs, without the crash %d", len(g), len(w))
	}
	calls, legs := got.state.Snapshot()
	wantCalls, wantLegs := want.state.Snapshot()
	for i := range min(len(calls), len(wantCalls)) {
		calls[i].Seq, wantCalls[i].Seq = 0, 0 // places are numbered anew once nobody has them
	}
	if !slices.Equal(calls, wantCalls) {
		return fmt.Errorf("calls are\n%+v, without the crash\n%+v", calls, wantCalls)
	}
	if !reflect.DeepEqual(legs, wantLegs) {
		return fmt.Errorf("legs are %v, without the crash %v", legs, wantLegs)
	}
	return nil
}

// A server that is killed after any commit, having carried out any number of
// that change's effects, and started again, leaves the world as one that was
// never killed: right after the start, and in the end.
func TestCrash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := draw(t, rapid.IntRange(5, 45).Draw(t, "steps"))
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
				s.crash = nil
				if err := s.restart(); err != nil {
					t.Fatal(err)
				}
				so := newServer()
				so.play(h[:at], 0)
				if err := differ(s, so); err != nil {
					t.Fatalf("killed after commit %d (%T) and %d effects: %v", k, h[at-1].Command, done, err)
				}
				s.play(h, at)
				if err := differ(s, whole); err != nil {
					t.Fatalf("in the end, killed after commit %d (%T) and %d effects: %v", k, h[at-1].Command, done, err)
				}
			}
		}
	})
}

// What was restored encodes to the same bytes, and so does what is restored
// from that.
func TestRestore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newServer()
		s.play(draw(t, 40), 0)
		r := &rig{State: s.state, w: s.w, now: start}
		if err := r.check(); err != nil {
			t.Fatal(err)
		}
		back, err := s.disk.clone().restore(small())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(back.Encode()), string(s.state.Encode()); got != want {
			t.Fatalf("restored\n%s\nwas\n%s", got, want)
		}
		if err := (&rig{State: back, w: s.w, now: start}).check(); err != nil {
			t.Fatal(err)
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
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := DecodeCall([]byte(record)); err == nil {
				t.Errorf("read as %+v", c)
			}
		})
	}
}
