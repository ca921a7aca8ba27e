package orbit

import (
	"slices"
	"testing"
)

// Who is to know of a key, and that whoever sent it by INFO has an answer.
func TestKeys(t *testing.T) {
	retrieved := func(t *testing.T, r *rig) {
		r.park(t, "a", "701")
		r.must(t, Invite{Leg: "b", To: "*4701"})
	}
	bridged := func(t *testing.T, r *rig) { retrieved(t, r); _ = r.do(Acked{Leg: "b"}) }
	for _, c := range []struct {
		name  string
		setup func(t *testing.T, r *rig)
		key   Key
		want  []Effect
	}{
		{"of a parked caller, by INFO", func(t *testing.T, r *rig) { r.park(t, "a", "702") },
			Key{Leg: "a", Digit: '5', Info: 7}, []Effect{KeyTaken{"a", 7}}},
		{"by RTP", func(t *testing.T, r *rig) { r.park(t, "a", "702") }, Key{Leg: "a", Digit: '5'}, nil},
		{"of a caller, to whoever retrieved them", bridged, Key{Leg: "a", Digit: '0', Info: 7}, []Effect{PassKey{"b", Key{Leg: "a", Digit: '0', Info: 7}}}},
		{"of whoever retrieved, to the caller", bridged, Key{Leg: "b", Digit: '0'}, []Effect{PassKey{"a", Key{Leg: "b", Digit: '0'}}}},
		{"before the ACK", retrieved, Key{Leg: "b", Digit: '1'}, []Effect{PassKey{"a", Key{Leg: "b", Digit: '1'}}}},
		{"of a leg that is ending", bridged, Key{Leg: "x", Digit: '1', Info: 3}, []Effect{KeyTaken{"x", 3}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(office())
			c.setup(t, r)
			ch, err := r.Decide(r.now, c.key)
			if err != nil || !slices.Equal(ch.Now, c.want) || ch.durable() {
				t.Errorf("%+v, %v; want %+v", ch, err, c.want)
			}
		})
	}
	r := newRig(office())
	r.park(t, "a", "701")
	if ch, _ := r.Decide(r.now, Key{Leg: "a", Digit: '0', Info: 7}); !slices.Contains(ch.Now, Effect(KeyTaken{"a", 7})) || len(ch.Put) != 1 {
		t.Errorf("the transfer key: %+v", ch)
	}
}
