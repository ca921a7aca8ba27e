package orbit

import "testing"

// Who the other party of a call is, at every step of it.
func TestWith(t *testing.T) {
	carol := Invite{Leg: "carol", To: "*4701", Name: "Carol", URI: "sip:carol@example.com", Self: "sip:carol@example.com"}
	dave := Invite{Leg: "dave", To: "x", Replaces: &Replaces{CallID: "real", Leg: "carol"}, Name: "Dave", URI: "sip:dave@example.net"}
	bob := Identity{URI: "sip:bob@example.com", Self: "sip:bob@example.com"}
	tests := []struct {
		name  string
		steps func(r *rig)
		want  Identity
	}{
		{"parked", func(*rig) {}, Identity{}},
		{"retrieved", func(r *rig) { r.must(t, carol); _ = r.do(Acked{Leg: "carol"}) }, Identity{"Carol", carol.URI, carol.Self}},
		{"a retrieve that was never confirmed", func(r *rig) { r.must(t, carol); r.hangup("carol") }, Identity{}},
		{"the retriever transfers", func(r *rig) { r.must(t, carol); _ = r.do(Acked{Leg: "carol"}); r.must(t, dave) }, Identity{Name: "Dave", URI: dave.URI}},
		{"a return rings", func(r *rig) { _ = r.do(Return{Call: "a"}) }, bob},
		{"a return was answered", func(r *rig) { _ = r.do(Return{Call: "a"}); _ = r.do(Answered{Leg: "a.1"}) }, bob},
		{"a return failed", func(r *rig) { _ = r.do(Return{Call: "a"}); r.hangup("a.1") }, Identity{}},
		{"a return, and a restart", func(r *rig) { _ = r.do(Return{Call: "a"}); _ = r.do(Restart{}) }, Identity{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.park(t, "a", "701")
			tt.steps(r)
			c, _ := r.Call("a")
			if c.With != tt.want {
				t.Errorf("with %+v, want %+v", c.With, tt.want)
			}
			if v := c.View(); v.With != (Party{tt.want.Name, tt.want.URI}) {
				t.Errorf("shown as %+v", v.With)
			}
		})
	}
}
