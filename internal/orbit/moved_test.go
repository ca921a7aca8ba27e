package orbit

import (
	"slices"
	"testing"
	"time"
)

// Whom a return calls that is answered 3xx, and what comes of it.
func TestMoved(t *testing.T) {
	const ann, eve = "sip:ann@example.com", "sip:eve@example.com"
	moved := func(to ...string) Hangup { return Hangup{Code: 302, Moved: to} }
	tests := []struct {
		name    string
		answers []Hangup // one for each that is called
		want    []string
		tries   int    // failed returns then
		detail  string // of the last event
	}{
		{"to somebody else", []Hangup{moved(ann)}, []string{bob, ann}, 0, ann},
		{"to nobody who may be called", []Hangup{moved()}, []string{bob}, 1, "answered 302"},
		{"to two, the first is busy", []Hangup{moved(ann, eve), {Code: 486}}, []string{bob, ann, eve}, 0, eve},
		{"to two, and the first knows another", []Hangup{moved(ann, eve), moved("sip:fay@example.com"), {Code: 486}},
			[]string{bob, ann, "sip:fay@example.com", eve}, 0, eve},
		{"to two, and nobody anywhere wants it", []Hangup{moved(ann, eve), {Code: 603}}, []string{bob, ann}, 1, "answered 603"},
		{"to two, and the first cannot be reached", []Hangup{moved(ann, eve), {}}, []string{bob, ann, eve}, 0, eve},
		{"in a circle", []Hangup{moved(ann), moved(bob, "sip:ANN@example.com")}, []string{bob, ann}, 1, "answered 302"},
		{"to themselves", []Hangup{moved(bob, bob, ann)}, []string{bob, ann}, 0, ann},
		{"to an orbit of ours", []Hangup{moved("sip:702@example.com", "sip:*4701@example.com")}, []string{bob}, 1, "answered 302"},
		{"on and on", []Hangup{moved("sip:1x@a"), moved("sip:2x@a"), moved("sip:3x@a"), moved("sip:4x@a"), moved("sip:5x@a")},
			[]string{bob, "sip:1x@a", "sip:2x@a", "sip:3x@a", "sip:4x@a"}, 1, "answered 302"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.park(t, "a", "701")
			r.pass(2 * time.Minute)
			for _, in := range tt.answers {
				r.pass(time.Second)
				in.Leg = r.w.rung[len(r.w.rung)-1].Leg
				r.w.end(in.Leg)
				if err := r.do(in); err != nil {
					t.Fatal(err)
				}
				if err := r.check(); err != nil {
					t.Fatal(err)
				}
			}
			r.rings(t, tt.want...)
			e := r.calls["a"]
			if last := r.events[len(r.events)-1]; last.Detail != tt.detail || e.Tries != tt.tries {
				t.Errorf("%d tries, %+v", e.Tries, last)
			}
			if tt.tries > 0 {
				r.is(t, "a", Parked)
				r.pass(2 * time.Minute)
				r.rings(t, append(slices.Clone(tt.want), bob)...) // from the start
				return
			}
			r.is(t, "a", Returning)
			if !e.Due.Equal(r.now.Add(15 * time.Second)) {
				t.Errorf("rings until %s, it is %s", e.Due, r.now)
			}
			_ = r.do(Answered{Leg: e.Other})
			if e := r.is(t, "a", Returning); !e.Answered { // it is another number
				t.Errorf("%+v", e.Call)
			}
			_ = r.do(Key{Leg: e.Other, Digit: '1'})
			if e := r.is(t, "a", Bridged); e.With.Self != tt.want[len(tt.want)-1] || e.Rung+e.Then != "" {
				t.Errorf("%+v", e.Call)
			}
		})
	}
	t.Run("no answer is the end of it", func(t *testing.T) {
		r := newRig(office())
		r.park(t, "a", "701")
		r.pass(2 * time.Minute)
		r.w.end("a.1")
		_ = r.do(Hangup{Leg: "a.1", Code: 302, Moved: []string{ann, eve}})
		r.pass(15 * time.Second)
		r.rings(t, bob, ann)
		r.is(t, "a", Parked)
	})
}

func TestAMachineAnswers(t *testing.T) {
	t.Run("for the parker", func(t *testing.T) {
		r := newRig(office())
		r.park(t, "a", "701")
		r.pass(2 * time.Minute)
		if !r.w.rung[0].Person {
			t.Error("a machine may answer")
		}
		_ = r.do(Answered{Leg: "a.1", Machine: true})
		if e := r.is(t, "a", Parked); e.Tries != 1 || !e.Due.Equal(r.now.Add(2*time.Minute)) || r.w.legs["a.1"].State != "ended" {
			t.Errorf("%+v, %+v", e.Call, r.w.legs["a.1"])
		}
		if last := r.events[len(r.events)-1]; last.Result() != "mailbox" {
			t.Errorf("%+v", last)
		}
	})
	t.Run("for whom a parker's phone names", func(t *testing.T) {
		r := newRig(office())
		r.park(t, "a", "701")
		r.pass(2 * time.Minute)
		r.w.end("a.1")
		_ = r.do(Hangup{Leg: "a.1", Code: 302, Moved: []string{"sip:ann@example.com"}})
		_ = r.do(Answered{Leg: "a.2", Machine: true})
		r.is(t, "a", Parked)
	})
	t.Run("for the fallback, which may be one", func(t *testing.T) {
		r := newRig(office())
		r.must(t, Invite{Leg: "a", To: "701"})
		r.pass(2 * time.Minute)
		if r.w.rung[0].Person {
			t.Error("no machine may answer")
		}
		_ = r.do(Answered{Leg: "a.1", Machine: true})
		r.is(t, "a", Bridged)
	})
}
