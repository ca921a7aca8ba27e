package sockets

import (
	"testing"
	"time"
)

// prompt is within what time of the answer both must hear each other, though
// the machine may be busy; issue: 100 ms.
const prompt = 300 * time.Millisecond

func TestBothHearEachOtherAtOnce(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, caller, retriever string }{
		{"PCMU to PCMU", "0", "0"}, {"PCMU to G722", "0", "9"}, {"G722 to PCMA", "9", "8"}, {"G722 to G722", "9", "9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.start(plain)
			ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
			parked := ann.park("701", bob, offer{formats: row.caller})
			parked.media.talk(700)
			parked.media.hear(5)

			fetched := bob.dial("*4701", offer{formats: row.retriever})
			answer := fetched.asked.at
			fetched.media.talk(1100)
			soon(t, "retriever hears the caller", answer, fetched.media.tone(700, 0))
			soon(t, "caller hears the retriever", answer, parked.media.tone(1100, 0))
			// From now on nothing else: no music, nobody else.
			clear := parked.media.hear(10)
			for _, p := range clear[1:] {
				if !isTone(p.sound, rateOf(p.pt), 1100) {
					t.Error("the caller hears more than the retriever")
					break
				}
			}
			all := parked.media.from(0)
			for _, p := range all {
				if p.ssrc != all[0].ssrc {
					t.Error("another SSRC after the bridge")
					break
				}
			}
			parked.bye()
			fetched.over()
		})
	}
}

func soon(t *testing.T, what string, answer, at time.Time) {
	t.Helper()
	d := at.Sub(answer)
	t.Logf("%s %v after the answer", what, d.Round(100*time.Microsecond))
	if d.Abs() > prompt { // sound may overtake the answer
		t.Errorf("%s %v after the answer", what, d)
	}
}

// Each phone has its own payload type for keys.
func TestKeysArePassedOnBetweenBridgedPhones(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain)
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	parked := ann.park("701", bob, offer{formats: "0", event: 101})
	fetched := bob.dial("*4701", offer{formats: "9", event: 96})
	bothHear(t, parked, fetched)

	parked.media.press('5')
	keyAt(t, fetched.media, 96, 5)
	fetched.media.press('#')
	keyAt(t, parked.media, 101, 11)
}

// keyAt waits for the end of a key press.
func keyAt(t *testing.T, m *media, pt uint8, code byte) {
	t.Helper()
	var press []packet
	m.until("a key", func(all []packet) bool {
		press = nil
		for _, p := range all {
			if p.pt == pt {
				press = append(press, p)
			}
		}
		return len(press) > 0 && press[len(press)-1].payload[1]&0x80 != 0
	})
	for i, p := range press {
		if len(p.payload) != 4 || p.payload[0] != code || p.ts != press[0].ts || p.ssrc != press[0].ssrc {
			t.Errorf("packet %d of the key: % x, timestamp %d", i, p.payload, p.ts)
		}
	}
	if !press[0].marker {
		t.Error("the key begins without a marker (RFC 4733 2.5.1.1)")
	}
}

func TestTheTransferKeyRingsTheParker(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "udp6"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.start(`
sip: {listen: [udp://HOST:5060, "udp://[::1]:PORT6"]}
media: {ports: MEDIA6}
defaults: {transfer: {enabled: true, key: "0"}}
`)
			ann, bob := s.wide("udp", nil)("ann"), s.wide(network, nil)("bob")
			parked := ann.park("701", bob, offer{})
			parked.media.hear(3)
			parked.media.press('7')
			parked.media.hear(5)
			if o := s.orbit("701"); o.State != "parked" {
				t.Errorf("another key than the transfer key: %s", o.State)
			}
			parked.media.press('0')
			back := bob.rung()
			if o := s.orbit("701"); o.State != "returning" || o.Calls[0].State != "returning" {
				t.Errorf("the API says %s, %s", o.State, o.Calls[0].State)
			}
			before := parked.media.heard()
			parked.media.hear(5) // music goes on
			if from := back.invite.Get("From"); from == "" || back.invite.FromTag() == "" {
				t.Errorf("INVITE from %q", from)
			}
			answer := back.pickup(offer{})
			parked.media.talk(700)
			back.media.talk(1100)
			soon(t, "parker hears the caller", answer, back.media.tone(700, 0))
			soon(t, "caller hears the parker", answer, parked.media.tone(1100, before))
			back.bye()
			parked.over()
			s.until("the return is counted", func() bool { return s.metric(`parkd_returns_total{result="answered"}`) == 1 })
		})
	}
}
