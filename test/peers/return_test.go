//go:build unix

package peers

import (
	"os"
	"testing"
)

// soon has a call go back to its parker after a moment.
const soon = "{timeout_range: [1s, 5m]}"

// pressOne has "press 1" said as a tone: more keys of media.
func (s *scene) pressOne() string {
	s.Helper()
	folder := s.folder("parkd", "words")
	if err := os.WriteFile(folder+"/press-1.wav", chord(8000, 1, toneOther).wav(), 0o600); err != nil {
		s.Fatal(err)
	}
	return ", announcements: " + folder
}

// Bob's phone sends the return on to Tina's (302): she is called, and as she may be
// a mailbox for all that parkd knows, she has Ann when she has pressed 1.
func TestReturnIsRedirected(t *testing.T) {
	s := newScene(t, "sipp", "twinkle-console")
	s.shows("sipp", redirects)
	s.shows("twinkle", confirms)
	p := s.parkd(config{park: soon, defaults: "{timeout: {after: 1s}}", media: s.pressOne()})
	tina := s.twinkle("tina", toneParker, "", "none")
	bob := s.sipp(sippOptions{name: "bob", scenario: "moved", host: hostPhone, data: tina.aor})
	parked := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone + 1, to: p.sip, data: ann("701", p.sip, uri("bob", s.sip(hostPhone)))})
	bob.passes()
	s.eventually(func() bool { return tina.heard().hears(toneOther) >= 5 }, "tina hears what she is to press")
	if n := p.printed(`P-Asserted-Identity: \"701 Ann & Co\" <sip:ann@`); n == 0 {
		t.Error("tina is not told who comes back from where")
	}
	tina.say(s, "dtmf 1")
	s.eventually(func() bool { return p.metric(`parkd_returns_total{result="answered"}`) == 1 }, "tina has ann")
	tina.say(s, "bye")
	parked.passes()
	p.empty()
}

// Tina's phone is not to be disturbed: that counts as busy, and Ann stays parked.
func TestReturnToAPhoneThatMayNotBeDisturbed(t *testing.T) {
	s := newScene(t, "sipp", "twinkle-console")
	s.shows("twinkle", notDisturbed)
	p := s.parkd(config{park: soon, defaults: "{timeout: {after: 1s}}"})
	tina := s.twinkle("tina", toneParker, "", "none")
	tina.say(s, "dnd -a on")
	tina.expect(s, "Do not disturb enabled", 1)
	parked := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone + 1, to: p.sip, data: ann("701", p.sip, tina.aor)})
	s.eventually(func() bool { return p.metric(`parkd_returns_total{result="busy"}`) >= 1 }, "a return meets somebody who is busy")
	if o := p.holds("701", 1); o.Calls[0].State == "bridged" {
		t.Errorf("the call is %s", o.Calls[0].State)
	}
	tina.say(s, "dnd -a off")
	s.eventually(func() bool { return p.metric(`parkd_returns_total{result="answered"}`) >= 1 }, "tina is called again")
	tina.expect(s, "call established", 1) // the ACK has reached it: before that it hangs up nothing
	tina.say(s, "bye")
	parked.passes()
	p.empty()
}

// Tina is called back for Ann. She hears what it is about, and has Ann only once
// she has pressed 1.
func TestReturnIsConfirmed(t *testing.T) {
	s := newScene(t, "sipp", "twinkle-console")
	s.shows("twinkle", isCalledBack, confirms)
	p := s.parkd(config{park: soon, defaults: "{timeout: {after: 1s, confirm: true}}", media: s.pressOne()})
	tina := s.twinkle("tina", toneParker, "", "none")
	peer, from := s.rtpPeer(hostPhone)
	data := ann("701", p.sip, tina.aor)
	data.Media = peer.port
	x := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone, to: p.sip, data: data})
	x.step("parked")
	s.talk(from, x.sendsTo(), toneCaller)
	s.eventually(func() bool { return tina.heard().hears(toneOther) >= 5 }, "tina hears what she is to press") // "press 1"
	if n := peer.heard().hears(toneParker) + tina.heard().hears(toneCaller); n > 0 {
		t.Errorf("they hear each other before tina has pressed 1")
	}
	tina.say(s, "dtmf 1")
	s.more("tina", tina.heard, toneCaller)
	s.more("ann", peer.heard, toneParker)
	tina.say(s, "bye")
	x.passes()
	p.empty()
}
