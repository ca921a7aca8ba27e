package server

import (
	"strings"
	"testing"
	"time"

	"parkd/internal/orbit"
	"parkd/internal/store"
)

func journalSettings() orbit.Settings {
	t := orbit.Timeout{Enabled: true, After: time.Minute, Ring: 15 * time.Second}
	return orbit.Settings{RetrieveCodes: []string{"*4"}, Orbits: []orbit.Orbit{
		{Extension: "701", Enabled: true, Multiple: true, Timeout: t},
	}}
}

// What a journal wrote is read back as the state that was written: after every
// change, through each phase of a call.
func TestJournalRestores(t *testing.T) {
	m := store.NewMemory()
	s := orbit.NewState(journalSettings())
	now := time.Date(2026, 11, 22, 19, 37, 0, 123456789, time.FixedZone("CET", 3600))
	invite := orbit.Invite{To: "701", Referred: true, Parker: "sip:bob@example.com", Name: "Änn \"<&", URI: "sip:ann@example.com", Codec: "PCMU"}
	for _, c := range []orbit.Command{
		with(invite, "a", []byte{0, 1, 0xff}), with(invite, "b", nil), with(invite, "c", []byte("record")),
		orbit.Invite{Leg: "d", To: "*4701"}, orbit.Acked{Leg: "d"}, orbit.Return{Call: "b"},
		orbit.Note{Leg: "c", Record: []byte{}}, orbit.Answered{Leg: "b.1", Record: []byte("answered")},
		orbit.Invite{Leg: "e", To: "*4701"}, orbit.Hangup{Leg: "a"}, orbit.Hangup{Leg: "d"},
		orbit.Drop{Call: "c"}, orbit.Hangup{Leg: "e"}, orbit.Hangup{Leg: "c"}, orbit.Hangup{Leg: "b"}, orbit.Hangup{Leg: "b.1"},
	} {
		now = now.Add(time.Second)
		ch, err := s.Decide(now, c)
		if err != nil {
			t.Fatalf("%#v: %v", c, err)
		}
		s.Apply(ch)
		var written error
		journal{m}.Append(ch, func(err error) { written = err })
		if written != nil {
			t.Fatal(written)
		}
		back := orbit.NewState(journalSettings())
		if err := restore(m.Reopen(), back); err != nil {
			t.Fatalf("after %#v: %v", c, err)
		}
		if got, want := string(back.Encode()), string(s.Encode()); got != want {
			t.Fatalf("after %#v there is\n%s\nwant\n%s", c, got, want)
		}
		m = m.Reopen()
	}
	if left, err := m.Load(""); err != nil || len(left) != 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}

func with(in orbit.Invite, leg string, record []byte) orbit.Invite {
	in.Leg, in.Record = leg, record
	return in
}

// A damaged record is named, and keeps nobody else away.
func TestRestoreDamaged(t *testing.T) {
	m := store.NewMemory()
	good := orbit.Call{ID: "a", At: "701", Home: "701", Caller: "a", Seq: 1, Since: time.Now()}
	m.Append(store.Batch{Put: map[string][]byte{
		"call/a": orbit.EncodeCall(good), "call/b": []byte("{"), "leg/a": nil,
	}}, func(error) {})
	s := orbit.NewState(journalSettings())
	err := restore(m, s)
	if err == nil || !strings.Contains(err.Error(), "call/b") {
		t.Errorf("error: %v", err)
	}
	if s.Parked() != 1 {
		t.Errorf("%d calls restored", s.Parked())
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := restore(m, orbit.NewState(journalSettings())); err == nil {
		t.Error("a store that is closed was read")
	}
}
