package orbit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a World that writes down what it is told.
type recorder struct {
	sync.Mutex
	lines []string
	views map[string]View
}

func (w *recorder) line(format string, args ...any) {
	w.Lock()
	defer w.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *recorder) Carry(e Effect) {
	if r, ok := e.(Refuse); ok {
		w.line("Refuse %s: %v", r.Leg, r.Err)
		return
	}
	w.line("%s %s", strings.TrimPrefix(fmt.Sprintf("%T", e), "orbit."), e.LegID())
}

func (w *recorder) Show(v View) {
	w.line("Show %s %s %d", v.Orbit, v.State, v.Count)
	w.Lock()
	defer w.Unlock()
	w.views[v.Orbit] = v
}

func (w *recorder) Tell(e Event) { w.line("Tell %s %s", e.Kind, e.Call) }

// got takes what has happened since it was last asked.
func (w *recorder) got() []string {
	synctest.Wait()
	w.Lock()
	defer w.Unlock()
	lines := w.lines
	w.lines = nil
	return lines
}

func (w *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	if got := w.got(); !slices.Equal(got, want) {
		t.Fatalf("happened\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// slow is a Journal whose commits the test makes.
type slow struct {
	sync.Mutex
	pending []func(error)
}

func (j *slow) Append(_ Change, done func(error)) {
	j.Lock()
	defer j.Unlock()
	j.pending = append(j.pending, done)
}

// commit ends the i-th append that is still pending.
func (j *slow) commit(i int, err error) {
	j.Lock()
	done := j.pending[i]
	j.pending = slices.Delete(j.pending, i, i+1)
	j.Unlock()
	done(err)
}

func (j *slow) waiting() int {
	j.Lock()
	defer j.Unlock()
	return len(j.pending)
}

// prompt is a Journal that has written before it returns.
type prompt struct{}

func (prompt) Append(_ Change, done func(error)) { done(nil) }

// run starts a runner in a bubble.
func run(t *testing.T, s *State, j Journal) (*Runner, *recorder) {
	t.Helper()
	w := &recorder{views: map[string]View{}}
	r := NewRunner(s, j, w)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	synctest.Wait()
	return r, w
}

// pair is a configuration of two orbits.
func pair() Settings {
	t := Timeout{Enabled: true, After: 2 * time.Minute, Ring: 15 * time.Second}
	return Settings{RetrieveCodes: []string{"*4"}, Orbits: []Orbit{
		{Extension: "1", Enabled: true, Timeout: t},
		{Extension: "2", Enabled: true, Timeout: t, Multiple: true},
	}}
}

func do(t *testing.T, r *Runner, commands ...Command) {
	t.Helper()
	for _, c := range commands {
		if err := r.Do(c); err != nil {
			t.Fatalf("%#v: %v", c, err)
		}
	}
	synctest.Wait()
}

func TestRunnerParkAndRetrieve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := run(t, NewState(pair()), prompt{})
		w.want(t, "Show 1 free 0", "Show 2 free 0")
		do(t, r, Invite{Leg: "a", To: "1", Name: "Ann"})
		w.want(t, "Answer a", "Show 1 parked 1", "Tell parked a")
		do(t, r, Invite{Leg: "b", To: "1"})
		w.want(t, "Refuse b: park on 1: orbit full")
		do(t, r, Invite{Leg: "c", To: "*41"})
		w.want(t, "Answer c", "Show 1 parked 1")
		do(t, r, Acked{Leg: "c"})
		w.want(t, "Show 1 free 0", "Tell retrieved a")
		do(t, r, Hangup{Leg: "a"})
		w.want(t, "Bye c", "Tell ended a")
		do(t, r, Hangup{Leg: "c"}, Hangup{Leg: "c"})
		w.want(t)
	})
}

func TestRunnerDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := run(t, NewState(pair()), prompt{})
		for _, leg := range []string{"a", "b"} {
			do(t, r, Invite{Leg: leg, To: "2", Referred: true, Parker: bob})
			time.Sleep(time.Second)
		}
		w.got()
		time.Sleep(2*time.Minute - 2*time.Second - time.Nanosecond)
		w.want(t)
		time.Sleep(time.Nanosecond)
		w.want(t, "Ring a.1", "Show 2 returning 2", "Tell returning a")
		time.Sleep(time.Second)
		w.want(t, "Ring b.1", "Show 2 returning 2", "Tell returning b")
		do(t, r, Answered{Leg: "a.1"})
		w.want(t, "Bridge a", "Show 2 returning 1", "Tell returned a")
		time.Sleep(15 * time.Second)
		w.want(t, "Bye b.1", "Show 2 parked 1", "Tell kept b")
		time.Sleep(2 * time.Minute)
		w.want(t, "Ring b.2", "Show 2 returning 1", "Tell returning b")
	})
}

// Effects come in commit order, whatever order the journal reports in, and
// never before the change is durable.
func TestRunnerCommitOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &slow{}
		r, w := run(t, NewState(pair()), j)
		w.got()
		do(t, r, Invite{Leg: "a", To: "2"}, Invite{Leg: "b", To: "2"}, Invite{Leg: "c", To: "2"})
		w.want(t)
		j.commit(1, nil)
		w.want(t)
		j.commit(1, nil)
		w.want(t)
		j.commit(0, nil)
		w.want(t, "Answer a", "Show 2 parked 3", "Tell parked a",
			"Answer b", "Show 2 parked 3", "Tell parked b", "Answer c", "Show 2 parked 3", "Tell parked c")
		// A change with nothing to write waits for those before it.
		do(t, r, Invite{Leg: "d", To: "2"}, Answered{Leg: "late"})
		w.want(t)
		if j.waiting() != 1 {
			t.Fatalf("%d appends are pending", j.waiting())
		}
		j.commit(0, nil)
		w.want(t, "Answer d", "Show 2 parked 4", "Tell parked d", "Bye late")
		// A refusal changes nothing, and waits for nobody.
		do(t, r, Invite{Leg: "e", To: "2"}, Invite{Leg: "f", To: "3"})
		w.want(t, `Refuse f: invite to "3": no such orbit`)
	})
}

func TestRunnerStoreFails(t *testing.T) {
	full := errors.New("no space left on device")
	t.Run("a park is refused and leaves nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			j := &slow{}
			r, w := run(t, NewState(pair()), j)
			w.got()
			do(t, r, Invite{Leg: "a", To: "1"})
			j.commit(0, full)
			w.want(t, "Refuse a: journal cannot be written")
			j.commit(0, full) // that it is gone cannot be written either
			w.want(t, "Show 1 free 0", "Tell ended a")
			err := r.Look(t.Context(), func(s *State) {
				if s.Held()+s.Parked()+len(s.legs)+len(s.alias)+len(s.due) != 0 {
					t.Errorf("left over: %s", s.Encode())
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("everything else goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			j := &slow{}
			r, w := run(t, NewState(pair()), j)
			do(t, r, Invite{Leg: "a", To: "1"})
			j.commit(0, nil)
			w.got()
			do(t, r, Invite{Leg: "b", To: "*41"}, Acked{Leg: "b"})
			j.commit(0, full)
			w.want(t, "Answer b", "Show 1 free 0")
			j.commit(0, full)
			w.want(t, "Show 1 free 0", "Tell retrieved a")
		})
	})
	t.Run("a park that was fetched meanwhile goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			j := &slow{}
			r, w := run(t, NewState(pair()), j)
			w.got()
			do(t, r, Invite{Leg: "a", To: "1"}, Invite{Leg: "b", To: "*41"})
			j.commit(0, full)
			w.want(t, "Answer a", "Show 1 parked 1", "Tell parked a")
			j.commit(0, nil)
			w.want(t, "Answer b", "Show 1 parked 1")
		})
	})
	t.Run("a park whose caller gave up meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			j := &slow{}
			r, w := run(t, NewState(pair()), j)
			w.got()
			do(t, r, Invite{Leg: "a", To: "1"}, Hangup{Leg: "a"})
			j.commit(0, full)
			w.want(t)
			j.commit(0, nil)
			w.want(t, "Show 1 free 0", "Tell ended a")
		})
	})
	t.Run("with a journal that fails at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, w := run(t, NewState(pair()), broken{full})
			w.got()
			do(t, r, Invite{Leg: "a", To: "1"})
			w.want(t, "Refuse a: journal cannot be written", "Show 1 free 0", "Tell ended a")
		})
	})
}

type broken struct{ error }

func (b broken) Append(_ Change, done func(error)) { done(b.error) }

func TestRunnerAskAndLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := run(t, NewState(pair()), prompt{})
		w.got()
		if err := r.Ask(t.Context(), Invite{Leg: "a", To: "1"}); err != nil {
			t.Error(err)
		}
		w.want(t, "Answer a", "Show 1 parked 1", "Tell parked a")
		if err := r.Ask(t.Context(), Invite{Leg: "b", To: "1"}); !errors.Is(err, ErrFull) {
			t.Errorf("second: %v", err)
		}
		w.want(t) // whoever asked was told, and nobody else
		if err := r.Ask(t.Context(), Drop{Call: "x"}); !errors.Is(err, ErrGone) {
			t.Errorf("drop: %v", err)
		}
		var head string
		if err := r.Look(t.Context(), func(s *State) { v, _ := s.View("1"); head = v.Head.ID }); err != nil || head != "a" {
			t.Errorf("look: %q, %v", head, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Ask(ctx, Drain{}); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("ask with a context that has ended: %v", err)
		}
	})
}

// Whoever waits is told when the runner ends, and so is whoever comes later.
func TestRunnerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &recorder{views: map[string]View{}}
		j := &slow{}
		r := NewRunner(NewState(pair()), j, w)
		ctx, cancel := context.WithCancel(t.Context())
		hold := make(chan struct{})
		if err := r.Do(Invite{Leg: "a", To: "1"}); err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 3)
		look := func(f func(*State)) { results <- r.Look(context.Background(), f) }
		go look(func(*State) { <-hold })
		synctest.Wait()
		go r.Run(ctx)
		synctest.Wait()
		for range cap(r.in) {
			if err := r.Do(Due{}); err != nil {
				t.Fatal(err)
			}
		}
		go func() { results <- r.Do(Due{}) }() // waits: the inbox is full
		go look(func(*State) {})
		synctest.Wait()
		cancel()
		close(hold)
		for range 3 {
			if err := <-results; err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("waiting: %v", err)
			}
		}
		synctest.Wait()
		if err := r.Do(Due{}); !errors.Is(err, ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
		j.commit(0, nil) // a commit that comes too late wakes nobody
	})
}
