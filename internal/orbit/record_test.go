package orbit

import (
	"slices"
	"testing"
)

// Snapshots of legs: what Note and Acked keep, and who is told.
func TestRecords(t *testing.T) {
	old, fresh := []byte("old"), []byte("fresh")
	tests := []struct {
		name    string
		setup   func(t *testing.T, r *rig) // a is parked in 701
		command Command
		leg     string
		record  string // "-" = the leg is unknown
		noted   bool
		phase   Phase
	}{
		{name: "a note", command: Note{Leg: "a", Record: fresh}, leg: "a", record: "fresh"},
		{name: "a note, with a reply", command: Note{Leg: "a", Record: fresh, Reply: true}, leg: "a", record: "fresh", noted: true},
		{name: "only a reply", command: Note{Leg: "a", Reply: true}, leg: "a", record: "old", noted: true},
		{name: "of a leg that is being ended", setup: func(t *testing.T, r *rig) {
			r.must(t, Invite{Leg: "b", To: "701", Replaces: &Replaces{Leg: "a"}, Record: old})
			r.w.ended = nil
		}, command: Note{Leg: "b", Record: fresh, Reply: true}, leg: "b", record: "fresh", noted: true},
		{name: "of a leg that is gone", command: Note{Leg: "x", Record: fresh, Reply: true}, leg: "x", record: "-"},
		{name: "an ACK", command: Acked{Leg: "a", Record: fresh}, leg: "a", record: "fresh"},
		{name: "an ACK with the codec", command: Acked{Leg: "a", Codec: "G722", Record: fresh}, leg: "a", record: "fresh"},
		{name: "an ACK without a snapshot", command: Acked{Leg: "a"}, leg: "a", record: "old"},
		{name: "a retriever's ACK", setup: func(t *testing.T, r *rig) {
			r.must(t, Invite{Leg: "b", To: "*4701", Record: old})
		}, command: Acked{Leg: "b", Record: fresh}, leg: "b", record: "fresh", phase: Bridged},
		{name: "the caller's ACK while they are retrieved", setup: func(t *testing.T, r *rig) {
			r.must(t, Invite{Leg: "b", To: "*4701", Record: old})
		}, command: Acked{Leg: "a", Record: fresh}, leg: "a", record: "fresh", phase: Retrieving},
		{name: "an ACK of a leg that is gone", command: Acked{Leg: "x", Record: fresh}, leg: "x", record: "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(office())
			r.must(t, Invite{Leg: "a", To: "701", Record: old, Codec: "PCMU"})
			if tt.setup != nil {
				tt.setup(t, r)
			}
			ch, err := r.Decide(r.now, tt.command)
			if err != nil {
				t.Fatal(err)
			}
			if want := tt.record == "fresh"; ch.durable() != want {
				t.Errorf("change %+v", ch)
			}
			_ = r.do(tt.command)
			r.is(t, "a", tt.phase)
			_, known := r.legs[tt.leg]
			record, kept := r.disk.legs[tt.leg]
			if known != (tt.record != "-") || kept != known || known && string(record) != tt.record {
				t.Errorf("known %t, on disk %q", known, r.disk.legs)
			}
			if slices.Contains(r.w.noted, tt.leg) != tt.noted {
				t.Errorf("told: %q", r.w.noted)
			}
		})
	}
}

// The leg of a call that is over is kept until it reports its end.
func TestEndingLegIsKept(t *testing.T) {
	r := newRig(office())
	r.park(t, "a", "701")
	if err := r.step(Drop{Call: "a"}); err != nil {
		t.Fatal(err)
	}
	if len(r.disk.calls) != 0 || len(r.disk.legs) != 1 {
		t.Fatalf("on disk: %+v", r.disk)
	}
	if owed := r.Owed(); len(owed) != 1 || owed[0] != (Bye{"a", "restarted"}) {
		t.Errorf("owed %+v", owed)
	}
	r.deliver()
	if len(r.disk.legs) != 0 || len(r.legs) != 0 {
		t.Errorf("left over on disk: %+v", r.disk)
	}
}
