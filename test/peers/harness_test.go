//go:build unix

package peers

import "testing"

// The harness itself: foreign programs call each other, and what they played
// is found in what was recorded.

func TestHarnessBaresipHearsTwinkle(t *testing.T) {
	s := newScene(t, "baresip", "twinkle-console")
	b := s.baresip(baresipOptions{user: "bob", host: hostPhone, tone: toneParker})
	tw := s.twinkle("tina", toneCaller, "", "none")
	b.do("dial", tw.aor)
	b.expectEvent("CALL_ESTABLISHED", 1)
	s.eventually(func() bool { return b.heard().hears(toneCaller) >= 5 }, "baresip hears twinkle")
	s.eventually(func() bool { return tw.heard().hears(toneParker) >= 5 }, "twinkle hears baresip")
}

func TestHarnessBaresipHearsLinphone(t *testing.T) {
	s := newScene(t, "baresip", "linphonec")
	b := s.baresip(baresipOptions{user: "bob", host: hostPhone, tone: toneParker})
	l := s.linphone("lin", hostPhone+1, toneCaller, false, "", "")
	l.say(s, "call "+b.aor)
	b.expectEvent("CALL_ESTABLISHED", 1)
	s.eventually(func() bool { return b.heard().hears(toneCaller) >= 40 }, "baresip hears linphone")
	b.do("hangup", "")
	s.eventually(func() bool { return l.heard().hears(toneParker) >= 5 }, "linphone hears baresip")
}

func TestHarnessCallsThroughKamailio(t *testing.T) {
	s := newScene(t, "baresip", "kamailio")
	proxy := s.kamailio()
	bob := s.baresip(baresipOptions{user: "bob", host: hostPhone, tone: toneParker, registrar: proxy})
	eve := s.baresip(baresipOptions{user: "eve", host: hostPhone + 1, tone: toneCaller, registrar: proxy})
	bob.do("dial", "sip:eve@"+proxy)
	bob.expectEvent("CALL_ESTABLISHED", 1)
	s.eventually(func() bool { return bob.heard().hears(toneCaller) >= 5 }, "bob hears eve")
	eve.do("hangup", "")
	bob.expectEvent("CALL_CLOSED", 1)
}

func TestHarnessLinphoneAndTwinkleThroughKamailio(t *testing.T) {
	s := newScene(t, "linphonec", "kamailio", "twinkle-console")
	proxy := s.kamailio()
	l := s.linphone("lin", hostPhone, toneParker, true, proxy, "")
	tw := s.twinkle("tina", toneCaller, proxy, "none")
	tw.say(s, "call "+uri("lin", proxy))
	// Linphone's recording can be read when the call is over. So it lasts long enough
	// for half a second to get through a machine that is busy most of the time.
	s.eventually(func() bool { return tw.heard().hears(toneParker) >= 40 }, "twinkle hears linphone")
	tw.say(s, "bye")
	s.eventually(func() bool { return l.heard().hears(toneCaller) >= 5 }, "linphone has heard twinkle")
}
