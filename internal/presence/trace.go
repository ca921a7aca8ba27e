package presence

import (
	"time"

	"parkd/internal/sipua"
)

// Follower is told what happens to the subscriptions of the resources that it
// follows, by many goroutines, each on its way to a watcher: it must be quick and
// not block.
type Follower interface {
	Follows(resource string) bool // asked before each Step
	Step(Step)
}

// What a Step says.
const (
	StepSubscribed = "subscribed"
	StepRefreshed  = "refreshed"
	StepNotify     = "notify"     // a NOTIFY is sent
	StepAnswer     = "answer"     // and answered,
	StepUnanswered = "unanswered" // or not: 64*T1 have passed, or it could not be sent
	StepSilent     = "silent"     // the watcher does not answer any more,
	StepHeard      = "heard"      // or does again
	StepEnded      = "ended"      // Detail says why
)

// Step is something that happened to a subscription.
type Step struct {
	Kind     string
	Resource string
	Event    string
	Watcher  string // From URI
	Source   string // network and address
	Agent    string
	CSeq     uint32        // of the NOTIFY; 0 = it is about none
	Version  uint32        // of its document; of StepNotify
	Shown    string        // the call in it, as in Document; of StepNotify
	Code     int           // of the answer
	Took     time.Duration // from the NOTIFY to its answer; 0 = not known: it came late
	Expires  time.Duration // of the subscription, from now
	Detail   string
}

// step tells the follower. That nobody follows costs one look.
func (s *sub) step(st Step) {
	f := s.n.o.Follower
	if st.Resource == "" {
		st.Resource = s.rec.Resource
	}
	if f == nil || !f.Follows(st.Resource) {
		return
	}
	st.Event, st.Watcher, st.Agent = s.rec.Event, s.rec.From, s.rec.Agent
	st.Source = s.rec.Dialog.Flow.Network + " " + s.rec.Dialog.Flow.Remote.String()
	f.Step(st)
}

// steps tells the follower of a NOTIFY, and of a list's whoever follows one of the
// members that it tells of.
func (s *sub) steps(t *telling, st Step) {
	s.step(st)
	for member, shown := range t.showing {
		st.Resource, st.Shown = member, shown
		s.step(st)
	}
}

// stepOf is a step about a NOTIFY on its way.
func (t *telling) stepOf(kind string) Step {
	return Step{Kind: kind, CSeq: t.seq, Version: t.version, Shown: t.shown}
}

// told is the step of what came of a NOTIFY, be it one that is overtaken; the
// zero Answer is none.
func (s *sub) told(t *telling, a sipua.Answer) {
	st := t.stepOf(StepUnanswered)
	if a.Code != 0 {
		st.Kind, st.Code, st.CSeq = StepAnswer, a.Code, a.Seq
		if !t.sent.IsZero() {
			st.Took = time.Since(t.sent)
		}
	}
	s.steps(t, st)
}
