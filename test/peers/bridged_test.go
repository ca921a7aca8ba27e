//go:build unix

package peers

import (
	"testing"
)

// more waits until a peer has heard a tone for another half second.
func (s *scene) more(name string, heard func() sound, tone float64) {
	s.Helper()
	before := heard().hears(tone)
	s.eventually(func() bool { return heard().hears(tone) >= before+5 }, "%s hears %.0f Hz again", name, tone)
}

// Tina presses keys while she talks with Carol: Carol's phone has them.
func TestKeysPassThroughABridge(t *testing.T) {
	s := newScene(t, "baresip", "twinkle-console")
	s.shows("twinkle", keysByRFC4733)
	p := s.parkd(config{})
	tina := s.twinkleWithKeys("tina", toneCaller, "", "none", "rfc2833")
	tina.say(s, "call "+uri("701", p.sip))
	p.holds("701", 1)
	carol := s.fetch("701", p.sip, "")
	s.more("tina", tina.heard, toneRetriever)
	tina.say(s, "dtmf 5")
	carol.expectEvent("CALL_DTMF_START", 1)
	carol.do("hangup", "")
	p.empty()
}
