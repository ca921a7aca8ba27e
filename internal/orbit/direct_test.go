package orbit

import (
	"slices"
	"testing"
)

// bridges lists the joins that were asked for since the last call.
func bridges(ch Change) (list []Bridge) {
	for _, e := range ch.After {
		if b, ok := e.(Bridge); ok {
			list = append(list, b)
		}
	}
	return list
}

func TestMediaMayFlowPastUsOnceBothHaveConfirmed(t *testing.T) {
	for name, mode := range map[string]Retrieve{"bridge": RetrieveBridge, "direct": RetrieveDirect, "refer": RetrieveRefer} {
		t.Run(name, func(t *testing.T) {
			set := small()
			set.Orbits[0].Retrieve = mode
			direct := mode == RetrieveDirect
			r := newRig(set)
			told := func(cmd Command) []Bridge {
				t.Helper()
				if in, ok := cmd.(Invite); ok {
					r.w.ask(in.Leg)
				}
				ch, err := r.Decide(r.now, cmd)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.do(cmd); err != nil {
					t.Fatal(err)
				}
				return bridges(ch)
			}
			want := func(what string, got []Bridge, want ...Bridge) {
				t.Helper()
				if !slices.Equal(got, want) {
					t.Errorf("%s: %+v, want %+v", what, got, want)
				}
			}
			r.park(t, "ann", "1")
			want("retrieved", told(Invite{Leg: "bob", To: "*41", Codec: "PCMU"}))
			joined := Bridge{Leg: "ann", Peer: "bob", Direct: true}
			if direct {
				want("confirmed", told(Acked{Leg: "bob"}), joined)
			} else {
				want("confirmed", told(Acked{Leg: "bob"}))
			}
			replaced := &Replaces{CallID: "real", Leg: "bob"}
			r.now = r.now.Add(guard)
			want("replaced", told(Invite{Leg: "cid", Codec: "PCMU", Replaces: replaced}))
			if joined.Peer = "cid"; direct {
				want("the new one confirmed", told(Acked{Leg: "cid"}), joined)
			} else {
				want("the new one confirmed", told(Acked{Leg: "cid"}))
			}
			r.hangup("cid")

			r.park(t, "dan", "1")
			r.pass(small().Orbits[0].Timeout.After)
			back := r.w.rung[len(r.w.rung)-1].Leg
			want("returned", told(Answered{Leg: back}), Bridge{Leg: "dan", Peer: back, Direct: direct})
		})
	}
}
