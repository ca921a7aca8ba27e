package presence

import (
	"testing"
	"time"

	"parkd/internal/sipua"
)

// nobody is a Follower without anybody behind it.
type nobody struct{ t *testing.T }

func (nobody) Following() []string { return nil }
func (n nobody) Step(s Step)       { n.t.Errorf("nobody follows %+v", s) }

// A NOTIFY and its answer make nothing for a trace that nobody follows.
func TestATraceThatNobodyFollowsCostsNothing(t *testing.T) {
	s := &sub{n: &Notifier{o: Options{Follower: nobody{t}}, lists: noLists{}}}
	sent := &telling{seq: 1, version: 1, shown: "a", sent: time.Now()}
	n := testing.AllocsPerRun(100, func() {
		s.notified(sent)
		s.told(sent, sipua.Answer{Code: 200, Seq: 1})
		s.step(Step{Kind: StepSilent})
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
