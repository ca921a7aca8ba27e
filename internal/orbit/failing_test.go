package orbit

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var errFull = errors.New("no space left on device")

// flaky is a Journal as a store is one: it reports in order, and what could not
// be written is written before the next change that can be.
type flaky struct {
	disk    *disk
	pending []flight
	debt    []Change
	settled map[string]bool // legs whose park was reported, durable or not
	state   *State
	doomed  []string // legs whose park failed while they were still waiting for it
}

type flight struct {
	change Change
	done   func(error)
}

func (j *flaky) Append(ch Change, done func(error)) {
	j.pending = append(j.pending, flight{ch, done})
}

// commit ends the oldest append that is pending.
func (j *flaky) commit(err error) {
	f := j.pending[0]
	j.pending = j.pending[1:]
	j.debt = append(j.debt, f.change)
	if err == nil {
		j.repay()
	}
	j.settled[f.change.park] = true
	if e := j.state.call(f.change.park); err != nil && e != nil && e.Phase == Parked {
		j.doomed = append(j.doomed, f.change.park)
	}
	f.done(err)
}

func (j *flaky) repay() {
	for _, ch := range j.debt {
		j.disk.write(ch)
	}
	j.debt = nil
}

// stage is a World that remembers the newest view of each orbit.
type stage struct {
	*world
	shown map[string]View
	early []string // who was answered before the journal had spoken
	j     *flaky
}

func (s *stage) Carry(e Effect) {
	if a, ok := e.(Answer); ok && a.Leg == a.Call && !s.j.settled[a.Leg] {
		s.early = append(s.early, a.Leg)
	}
	s.carry(e)
}
func (s *stage) Show(v View) { s.shown[v.Orbit] = v }
func (s *stage) Tell(Event)  {}

// lagging is chaos whose decisions run ahead of a disk that fails at times.
type lagging struct {
	*chaos
	runner *Runner
	j      *flaky
	stage  *stage
}

func newLagging() *lagging {
	c := &chaos{rig: newRig(small())}
	j := &flaky{disk: newDisk(), settled: map[string]bool{}}
	j.state = c.State
	w := &stage{world: c.w, shown: map[string]View{}, j: j}
	l := &lagging{chaos: c, j: j, stage: w, runner: NewRunner(c.State, j, w)}
	c.through = func(cmd Command) error {
		err := l.runner.decide(c.now, cmd)
		if in, ok := cmd.(Invite); ok && err != nil {
			c.w.carry(Refuse{in.Leg, err})
		}
		return err
	}
	return l
}

// draw is the next thing that happens, nil if it is only time that passes.
func (l *lagging) draw(t *rapid.T) Command {
	switch rapid.IntRange(0, 12).Draw(t, "action") {
	case 0, 1, 2, 3:
		in := l.newcomer(t)
		l.w.ask(in.Leg)
		return in
	case 4, 5, 6:
		return l.result(t)
	case 7:
		return l.order(t)
	case 8:
		return l.plan(t)
	case 9: // CANCEL
		if leg := l.some(t, "asking"); leg != "" {
			l.w.end(leg)
			return Hangup{Leg: leg, Code: 487}
		}
	case 10:
		if next := l.Next(); next.After(l.now) {
			l.now = next
		}
		return Due{}
	default:
		l.now = l.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
	}
	return nil
}

// settle lets the disk, which is back, write everything, and all that follows.
func (l *lagging) settle() {
	for len(l.j.pending) > 0 || len(l.w.ended) > 0 {
		for len(l.j.pending) > 0 {
			l.j.commit(nil)
		}
		l.runner.release()
		l.deliver()
	}
	l.j.repay()
}

// right compares the world, the lamps and the disk with the state.
func (l *lagging) right() error {
	if len(l.stage.early) > 0 {
		return fmt.Errorf("answered before the journal had spoken: %q", l.stage.early)
	}
	if len(l.runner.held) > 0 {
		return fmt.Errorf("%d changes are held still", len(l.runner.held))
	}
	for _, ext := range slices.Concat(slices.Collect(maps.Keys(l.stage.shown)), l.Extensions(), l.PoolExtensions()) {
		want, ok := l.Lamp(ext)
		if !ok {
			want = View{Orbit: ext, State: "free", Gone: true}
		}
		if got := l.stage.shown[ext]; !reflect.DeepEqual(got, want) {
			return fmt.Errorf("orbit %s shows %+v, want %+v", ext, got, want)
		}
	}
	calls, legs, err := l.j.disk.load()
	if err != nil {
		return err
	}
	back := NewState(small())
	back.Restore(calls, legs)
	back.drain = l.drain
	if got, want := string(back.Encode()), string(l.Encode()); got != want {
		return fmt.Errorf("on disk is\n%s\nwant\n%s", got, want)
	}
	return around(l.State, l.w, l.now).check()
}

// However late the disk is and whenever it fails: a park that it did not take is
// refused, nothing else is, nobody is answered before it has spoken, and once it
// is back everybody is where they should be, lamps are true and all is written.
func TestRunnerJournalFails(t *testing.T) {
	for range 5 {
		rapid.Check(t, failing)
	}
}

func failing(t *rapid.T) {
	l := newLagging()
	for _, ext := range slices.Concat(l.Extensions(), l.PoolExtensions()) {
		l.runner.show(ext)
	}
	broken := false
	for range rapid.IntRange(5, 60).Draw(t, "steps") {
		if cmd := l.draw(t); cmd != nil {
			_ = l.send(cmd)
		}
		if rapid.IntRange(0, 5).Draw(t, "turn") == 0 {
			broken = !broken
		}
		for range min(len(l.j.pending), rapid.IntRange(0, 3).Draw(t, "commits")) {
			if broken {
				l.j.commit(errFull)
			} else {
				l.j.commit(nil)
			}
		}
		l.runner.release()
		for _, leg := range l.j.doomed {
			if p := l.w.legs[leg]; p.State != "ended" || !errors.Is(p.refused, ErrStore) {
				t.Fatalf("%s, whose park could not be written, is %+v", leg, p)
			}
		}
		l.deliver()
	}
	l.settle()
	if err := l.right(); err != nil {
		t.Fatal(err)
	}
}

// deep is a World that knows how deep the stack was when it was called.
type deep struct{ most int }

func (d *deep) Carry(Effect) { d.most = max(d.most, runtime.Callers(0, make([]uintptr, 10000))) }
func (d *deep) Show(View)    {}
func (d *deep) Tell(Event)   {}

// relapsing is a Journal that is late at first and then fails at once.
type relapsing struct {
	prompt  bool
	pending []func(error)
}

func (j *relapsing) Append(_ Change, done func(error)) {
	if j.prompt {
		done(errFull)
		return
	}
	j.pending = append(j.pending, done)
}

// However many parks are undone in one go, they are so one after the other.
func TestRunnerUndoesManyParks(t *testing.T) {
	const parks = 1000
	w, j := &deep{}, &relapsing{}
	r := NewRunner(NewState(pair()), j, w)
	for i := range parks {
		if err := r.decide(start, Invite{Leg: fmt.Sprint(i), To: "2"}); err != nil {
			t.Fatal(err)
		}
	}
	j.prompt = true
	for _, done := range j.pending {
		done(errFull)
	}
	r.release()
	if r.state.Held() != 0 || len(r.held) != 0 {
		t.Errorf("%d calls are left, %d changes are held", r.state.Held(), len(r.held))
	}
	if w.most == 0 || w.most > 50 {
		t.Errorf("the stack was %d calls deep", w.most)
	}
}
