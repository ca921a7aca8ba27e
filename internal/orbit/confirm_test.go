package orbit

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// asking is the office whose returns are to be confirmed.
func asking() Settings {
	return with(func(o map[string]*Orbit, _ *Settings) { o["701"].Timeout.Confirm = true })
}

// answeredAt lets a return of a call in 701 be answered.
func answeredAt(t *testing.T, set Settings, in Answered) *rig {
	t.Helper()
	r := newRig(set)
	r.park(t, "a", "701")
	r.pass(2 * time.Minute)
	in.Leg, in.Record = "a.1", []byte("answered")
	if err := r.do(in); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConfirm(t *testing.T) {
	press := func(key byte) func(*rig) {
		return func(r *rig) { _ = r.do(Key{Leg: "a.1", Digit: key}) }
	}
	tests := []struct {
		name   string
		do     func(*rig)
		want   Phase
		detail string // of the last event
		result string
	}{
		{"one", press('1'), Bridged, "", "answered"},
		{"two", press('2'), Parked, "refused by a key", "unconfirmed"},
		{"another key", press('#'), Parked, "refused by a key", "unconfirmed"},
		{"nothing", func(r *rig) { r.pass(30 * time.Second) }, Parked, "nobody pressed 1", "unconfirmed"},
		{"hung up", func(r *rig) { r.hangup("a.1") }, Parked, "nobody pressed 1", "unconfirmed"},
		{"not yet", func(r *rig) { r.pass(30*time.Second - 1) }, Returning, "answered, to press 1", ""},
		{"the caller presses one", func(r *rig) { _ = r.do(Key{Leg: "a", Digit: '1'}) }, Returning, "answered, to press 1", ""},
		{"the caller presses the transfer key", func(r *rig) { _ = r.do(Key{Leg: "a", Digit: '0'}) }, Returning, "answered, to press 1", ""},
		{"answered twice", func(r *rig) { _ = r.do(Answered{Leg: "a.1"}) }, Returning, "answered, to press 1", ""},
		{"configured anew", func(r *rig) { _ = r.do(Configure{office()}); _ = r.do(Key{Leg: "a.1", Digit: '1'}) }, Bridged, "", "answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := answeredAt(t, asking(), Answered{})
			e := r.is(t, "a", Returning)
			if !e.Answered || r.w.legs["a"].Music != "sales" || !e.Due.Equal(r.now.Add(30*time.Second)) {
				t.Fatalf("asked: %+v; the caller hears %+v", e.Call, r.w.legs["a"])
			}
			if v, _ := r.View("701"); v.State != "returning" || v.Head == nil {
				t.Errorf("view %+v", v)
			}
			tt.do(r)
			e = r.is(t, "a", tt.want)
			if last := r.events[len(r.events)-1]; last.Detail != tt.detail || last.Result() != tt.result {
				t.Errorf("event %+v, result %q", last, last.Result())
			}
			if e.Answered != (tt.want == Returning) {
				t.Errorf("%+v", e.Call)
			}
			if tt.want == Parked && (e.Tries != 1 || !e.Due.Equal(r.now.Add(2*time.Minute)) || r.w.legs["a.1"].State != "ended") {
				t.Errorf("%+v, %+v", e.Call, r.w.legs["a.1"])
			}
		})
	}
	t.Run("fetched by somebody else meanwhile", func(t *testing.T) {
		r := answeredAt(t, asking(), Answered{})
		r.must(t, Invite{Leg: "b", To: "*4701"})
		r.is(t, "a", Retrieving)
		_ = r.do(Key{Leg: "a.1", Digit: '1'}) // too late
		r.is(t, "a", Retrieving)
		if r.w.legs["a.1"].State != "ended" || r.w.legs["b"].Peer != "a" {
			t.Errorf("%+v, %+v", r.w.legs["a.1"], r.w.legs["b"])
		}
	})
	t.Run("the caller hangs up meanwhile", func(t *testing.T) {
		r := answeredAt(t, asking(), Answered{})
		r.hangup("a")
		if len(r.calls)+len(r.legs) != 0 || r.w.legs["a.1"].State != "ended" {
			t.Errorf("left over: %s", r.Encode())
		}
	})
	t.Run("cut off by a restart", func(t *testing.T) {
		r := answeredAt(t, asking(), Answered{})
		calls, legs := r.Snapshot()
		r.State = NewState(asking())
		r.Restore(calls, legs)
		if err := r.restarted(); err != nil {
			t.Fatal(err)
		}
		r.deliver()
		if e := r.is(t, "a", Parked); e.Answered || e.Tries != 0 || r.w.legs["a.1"].State != "ended" {
			t.Errorf("%+v, %+v", e.Call, r.w.legs["a.1"])
		}
		r.pass(callOff)
		r.rings(t, bob, bob)
	})
}

// Who has to press a key although nobody has configured it.
func TestConfirmForwarded(t *testing.T) {
	bridged := func(t *testing.T, r *rig, call string, want bool) {
		t.Helper()
		if e := r.calls[call]; (e.Phase == Bridged) == want && e.Answered == !want {
			return
		}
		t.Errorf("%+v", r.calls[call].Call)
	}
	moved := func(t *testing.T, to string) *rig {
		r := newRig(office())
		r.park(t, "a", "701")
		r.pass(2 * time.Minute)
		r.w.end("a.1")
		_ = r.do(Hangup{Leg: "a.1", Code: 302, Moved: []string{to}})
		_ = r.do(Answered{Leg: "a.2"})
		return r
	}
	t.Run("answered where it was called", func(t *testing.T) {
		bridged(t, answeredAt(t, office(), Answered{}), "a", true)
	})
	t.Run("answered elsewhere", func(t *testing.T) {
		bridged(t, answeredAt(t, office(), Answered{Forwarded: true}), "a", false)
	})
	t.Run("moved to another number", func(t *testing.T) { bridged(t, moved(t, "sip:ann@example.com"), "a", false) })
	t.Run("moved to another host", func(t *testing.T) { bridged(t, moved(t, "sip:bob@10.0.0.7:5070"), "a", true) })
	t.Run("the fallback", func(t *testing.T) {
		r := newRig(office())
		r.must(t, Invite{Leg: "a", To: "701"})
		r.pass(2 * time.Minute)
		_ = r.do(Answered{Leg: "a.1", Forwarded: true})
		bridged(t, r, "a", true)
	})
	t.Run("the fallback, where it is configured", func(t *testing.T) {
		r := newRig(asking())
		r.must(t, Invite{Leg: "a", To: "701"})
		r.pass(2 * time.Minute)
		_ = r.do(Answered{Leg: "a.1"})
		bridged(t, r, "a", false)
	})
}

func TestQuestion(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:4930123@example.com":           "call-from 4 9 3 0 1 2 3 parked-on 7 0 1 press-1",
		"sip:+4930123456789012@example.com": "call-from plus 4 9 3 0 1 2 3 4 5 6 7 8 9 0 1 2 parked-on 7 0 1 press-1",
		"sip:ann@example.com":               "call-from a n n parked-on 7 0 1 press-1",
		"sip:annabelle.smith@example.com":   "call-from unknown-caller parked-on 7 0 1 press-1",
		"sip:anonymous@anonymous.invalid":   "call-from unknown-caller parked-on 7 0 1 press-1",
		"sip:Anonymous@192.0.2.1":           "call-from unknown-caller parked-on 7 0 1 press-1",
		"":                                  "call-from unknown-caller parked-on 7 0 1 press-1",
	} {
		r := newRig(asking())
		r.must(t, Invite{Leg: "a", To: "701", Referred: true, Parker: bob, URI: uri})
		r.pass(2 * time.Minute)
		_ = r.do(Answered{Leg: "a.1"})
		if len(r.w.said) != 1 || r.w.said[0].Leg != "a.1" || r.w.said[0].Then != "" {
			t.Fatalf("said %+v", r.w.said)
		}
		words := r.w.said[0].Words
		if got := strings.Join(words, " "); got != strings.Join([]string{want, want, want}, " ") {
			t.Errorf("%s: %q", uri, got)
		}
		for _, w := range words {
			if !slices.Contains(Vocabulary(), w) {
				t.Errorf("%q is no word", w)
			}
		}
	}
}
