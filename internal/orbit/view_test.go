package orbit

import "testing"

func TestSameLamp(t *testing.T) {
	head := func(f func(*CallView)) *CallView {
		c := CallView{ID: "c", State: "parked", Caller: Party{"Ann", "sip:ann@x"}, Alias: Alias{"1", "2", "3"}}
		if f != nil {
			f(&c)
		}
		return &c
	}
	parked := View{Orbit: "701", Enabled: true, State: "parked", Head: head(nil), Count: 1}
	with := func(f func(*View)) View { v := parked; f(&v); return v }
	for _, tt := range []struct {
		name string
		v    View
		same bool
	}{
		{"itself, read anew", with(func(v *View) { v.Head = head(nil) }), true},
		{"one more waits behind the head", with(func(v *View) { v.Count, v.Behind = 2, 1 }), false},
		{"another one is being retrieved", with(func(v *View) { v.Count = 2 }), true},
		{"another caller", with(func(v *View) { v.Head = head(func(c *CallView) { c.Caller.Name = "Bob" }) }), false},
		{"another parking of the same call", with(func(v *View) { v.Head = head(func(c *CallView) { c.Alias.CallID = "9" }) }), false},
		{"on its way back", with(func(v *View) { v.Head = head(func(c *CallView) { c.State = "returning" }) }), false},
		{"being retrieved", with(func(v *View) { v.Head = nil }), false},
		{"switched off", with(func(v *View) { v.Enabled = false }), true},
		{"renamed", with(func(v *View) { v.Name = "Sales" }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parked.SameLamp(tt.v); got != tt.same {
				t.Errorf("SameLamp = %v, want %v", got, tt.same)
			}
		})
	}
	if (View{Orbit: "701", State: "free"}).SameLamp(View{Orbit: "701", State: "free", Gone: true}) {
		t.Error("an orbit that is gone looks like one that is switched off")
	}
	retrieving, free := View{Orbit: "701", State: "parked", Count: 1}, View{Orbit: "701", State: "free"}
	if !retrieving.SameLamp(free) {
		t.Error("the ACK of a retrieve changes no lamp")
	}
}
