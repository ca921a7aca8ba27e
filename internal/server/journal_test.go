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
	j := newJournal(m, nil)
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
		j.Append(ch, func(err error) { written = err })
		if written != nil {
			t.Fatal(written)
		}
		back := orbit.NewState(journalSettings())
		m = m.Reopen()
		j = newJournal(m, nil) // the next one goes on with its keys
		k, err := j.read()
		if err != nil {
			t.Fatalf("after %#v: %v", c, err)
		}
		back.Restore(k.calls, k.legs)
		if got, want := string(back.Encode()), string(s.Encode()); got != want {
			t.Fatalf("after %#v there is\n%s\nwant\n%s", c, got, want)
		}
	}
	if left, err := m.Load(""); err != nil || len(left) != 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}

func with(in orbit.Invite, leg string, record []byte) orbit.Invite {
	in.Leg, in.Record = leg, record
	return in
}

// A damaged record is named once, set aside, and keeps nobody else away.
func TestReadDamaged(t *testing.T) {
	m := store.NewMemory()
	good := orbit.Call{ID: "a", At: "701", Home: "701", Caller: "a", Seq: 1, Since: time.Now()}
	m.Append(store.Batch{Put: map[string][]byte{
		"701/call/a": orbit.EncodeCall(good), "701/call/b": []byte("{"), "701/leg/a": nil, "7%2F1/sub/s": []byte("sub"),
	}}, func(error) {})
	k, err := newJournal(m, nil).read()
	if err == nil || !strings.Contains(err.Error(), "701/call/b") {
		t.Errorf("error: %v", err)
	}
	if len(k.calls) != 1 || len(k.legs) != 1 || string(k.subs["s"]) != "sub" {
		t.Errorf("read %+v", k)
	}
	if k, err = newJournal(m, nil).read(); err != nil || len(k.calls) != 1 {
		t.Errorf("read again: %+v, %v", k, err)
	}
	if aside, err := m.Load(damaged); err != nil || string(aside[damaged+"701/call/b"]) != "{" {
		t.Errorf("set aside: %q, %v", aside, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := newJournal(m, nil).read(); err == nil {
		t.Error("a store that is closed was read")
	}
}

// A call whose last orbit changes moves to that orbit's keys.
func TestJournalFollowsTheOrbit(t *testing.T) {
	m := store.NewMemory()
	j := newJournal(m, nil)
	c := orbit.Call{ID: "a", At: "701", Home: "701", Caller: "a", Seq: 1}
	j.Append(orbit.Change{Put: []orbit.Call{c}, Legs: map[string][]byte{"a": []byte("leg")}}, func(error) {})
	c.At, c.Home = "702", "702"
	j.Append(orbit.Change{Put: []orbit.Call{c}, Legs: map[string][]byte{"a": []byte("moved")}}, func(error) {})
	if left, err := m.Load("702/"); err != nil || len(left) != 2 || string(left["702/leg/a"]) != "moved" {
		t.Errorf("moved: %q, %v", left, err)
	}
	if left, err := m.Load("701/"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	j.Append(orbit.Change{Del: []string{"a"}, Legs: map[string][]byte{"a": nil}}, func(error) {})
	if left, err := m.Load(""); err != nil || len(left) != 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}
