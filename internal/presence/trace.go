package presence

import (
	"slices"
	"time"

	"parkd/internal/sipua"
)

// Follower is told what happens to the subscriptions of the resources that it
// follows, by many goroutines, each on its way to a watcher: it must be quick and
// not block.
type Follower interface {
	Following() []string // the resources; asked before each Step, nobody changes it
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
	Resource string // that is followed
	List     string // the event list by which it is watched; "" = by itself
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

// followed are the resources that somebody follows and that this subscription is to:
// by itself or, of a list, its members; with t only those that the NOTIFY tells of.
// That nobody follows costs one look.
func (s *sub) followed(t *telling) (list []string) {
	if s.n.o.Follower == nil {
		return nil
	}
	for _, r := range s.n.o.Follower.Following() {
		if r != s.rec.Resource && !s.lists(r, t) {
			continue
		}
		list = append(list, r)
	}
	return list
}

// lists says whether a resource is in the list that the subscription is to; with t,
// whether that NOTIFY tells of it.
func (s *sub) lists(resource string, t *telling) bool {
	switch {
	case s.list == nil:
		return false
	case t == nil:
		return slices.Contains(s.n.lists.Within(resource), s.rec.Resource)
	}
	_, in := t.showing.of(resource)
	return in
}

// step tells the follower.
func (s *sub) step(st Step) { s.stepOf(nil, st) }

// notified tells the follower of a NOTIFY that is sent.
func (s *sub) notified(t *telling) {
	s.stepOf(t, Step{Kind: StepNotify, CSeq: t.seq, Version: t.version})
}

// told tells the follower what came of a NOTIFY, be it one that is overtaken; the
// zero Answer is none.
func (s *sub) told(t *telling, a sipua.Answer) {
	st := Step{Kind: StepUnanswered, CSeq: t.seq}
	if a.Code != 0 {
		st.Kind, st.Code, st.CSeq = StepAnswer, a.Code, a.Seq
	}
	s.stepOf(t, st)
}

// stepOf tells the follower; t, which may be nil, is the NOTIFY that it is about.
func (s *sub) stepOf(t *telling, st Step) {
	for _, r := range s.followed(t) {
		st.Resource, st.Event, st.Watcher, st.Agent = r, s.rec.Event, s.rec.From, s.rec.Agent
		st.Source = s.rec.Dialog.Flow.Network + " " + s.rec.Dialog.Flow.Remote.String()
		if s.list != nil {
			st.List = s.rec.Resource
		}
		switch {
		case st.Kind == StepAnswer && !t.sent.IsZero():
			st.Took = time.Since(t.sent)
		case st.Kind != StepNotify:
		case r == s.rec.Resource:
			st.Shown = t.shown
		default:
			st.Shown, _ = t.showing.of(r)
		}
		s.n.o.Follower.Step(st)
	}
}
