package orbit

import (
	"slices"
	"testing"
)

func TestLook(t *testing.T) {
	r := newRig(office())
	for _, leg := range []string{"a", "b", "c"} {
		r.park(t, leg, "702")
	}
	r.park(t, "other", "701")
	ids := func() (ids []string) {
		for _, c := range r.CallsAt("702") {
			ids = append(ids, c.ID)
		}
		return ids
	}
	want := []string{"a", "b", "c"}
	if got := ids(); !slices.Equal(got, want) {
		t.Errorf("parked: %q", got)
	}
	r.must(t, Invite{Leg: "x", To: "702", Shown: r.calls["b"].Alias().CallID})
	if got := ids(); !slices.Equal(got, want) {
		t.Errorf("with one being retrieved: %q", got)
	}
	_ = r.do(Acked{Leg: "x"})
	if got := ids(); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("with one retrieved: %q", got)
	}
	all := 0
	for range r.All() {
		all++
	}
	if all != r.Held() || all != 4 {
		t.Errorf("%d calls of %d", all, r.Held())
	}
	for range r.All() {
		break
	}
	if c, ok := r.Call("b"); !ok || c.View().State != "bridged" {
		t.Errorf("call b: %+v", c)
	}
	if _, ok := r.Call("z"); ok || r.CallsAt("703") != nil || r.CallsAt("799") != nil {
		t.Error("there is what is not there")
	}
}

func TestEventResult(t *testing.T) {
	tests := []struct {
		name string
		e    Event
		want string
	}{
		{"parked", Event{Kind: KindParked}, ""},
		{"returned", Event{Kind: KindReturned}, "answered"},
		{"busy", Event{Kind: KindKept, Detail: failure(486, false)}, "busy"},
		{"busy everywhere", Event{Kind: KindKept, Detail: failure(600, true)}, "busy"},
		{"no answer", Event{Kind: KindKept, Detail: failure(0, false)}, "no_answer"},
		{"timed out", Event{Kind: KindKept, Detail: failure(408, false)}, "no_answer"},
		{"no such user", Event{Kind: KindKept, Detail: failure(404, false)}, "failed"},
		{"declined", Event{Kind: KindKept, Detail: failure(603, true)}, "busy"},
		{"do not disturb", Event{Kind: KindKept, Detail: failure(480, false)}, "busy"},
		{"not answered for a while", Event{Kind: KindKept, Detail: failure(480, true)}, "no_answer"},
		{"nobody pressed a key", Event{Kind: KindKept, Detail: notConfirmed}, "unconfirmed"},
		{"another key", Event{Kind: KindKept, Detail: refusedByKey}, "unconfirmed"},
		{"a mailbox", Event{Kind: KindKept, Detail: machine}, "mailbox"},
		{"a retrieve", Event{Kind: KindKept, Detail: unconfirmed}, ""},
		{"cut off by a restart", Event{Kind: KindKept, Detail: restarted}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.e.Result(); got != tt.want {
				t.Errorf("result %q, want %q", got, tt.want)
			}
		})
	}
}
