//go:build unix

package peers

import (
	"regexp"
	"strings"
	"testing"
)

// inlineKeys are keys of SRTP that a log must not have.
var inlineKeys = regexp.MustCompile(`inline:[A-Za-z0-9+/]`)

// Ann's phone speaks SRTP, as RTP/SAVP, RTP/SAVPF or beside RTP/AVP; whoever fetches
// her speaks it too, or does not.
func TestSRTPWithBaresip(t *testing.T) {
	for _, tt := range []struct{ name, media, ann, carol string }{
		{"both must", "required", "srtp-mand", "srtp-mand"},
		{"with feedback and beside RTP AVP", "required", "srtp-mandf", "srtp"},
		{"the caller alone", "optional", "srtp-mand", ""},
		{"the retriever alone", "optional", "", "srtp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, "baresip")
			s.shows("baresip", speaksSRTP)
			p := s.parkd(config{media: ", srtp: " + tt.media})
			a := s.baresip(baresipOptions{user: "ann", host: hostPhone, tone: toneCaller, srtp: tt.ann})
			a.do("dial", uri("701", p.sip))
			p.holds("701", 1)
			s.eventually(func() bool { return a.heard().hearsMusic() }, "ann hears music")
			carol := s.baresip(baresipOptions{user: "carol", host: hostPhone + 1, tone: toneRetriever, srtp: tt.carol})
			carol.do("dial", uri("*4701", p.sip))
			s.eventually(func() bool { return a.heard().hears(toneRetriever) >= 5 }, "ann hears carol")
			s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears ann")
			p.secret(s)
			a.do("hangup", "")
			carol.expectEvent("CALL_CLOSED", 1)
			p.empty()
		})
	}
}

// Lin's linphone speaks SRTP by each suite that it has and parkd too: is parked, fetches,
// and is heard by one who speaks none.
func TestSRTPWithLinphone(t *testing.T) {
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"} {
		t.Run(suite, func(t *testing.T) {
			s := newScene(t, "linphonec", "baresip")
			s.shows("linphone", speaksSRTP)
			p := s.parkd(config{media: ", srtp: optional"})
			lin := s.linphoneWith("lin", hostPhone, toneCaller, false, "", p.sip, linphoneSRTP+"srtp_crypto_suites="+suite+"\n")
			lin.say(s, "call "+uri("701", p.sip))
			p.holds("701", 1)
			lin.expect(s, "Media streams established", 1)
			carol := s.baresip(baresipOptions{user: "carol", host: hostPhone + 1, tone: toneRetriever})
			carol.do("dial", uri("*4701", p.sip))
			s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 10 }, "carol hears lin")
			p.expect(s, "a=crypto:1 "+suite+" inline:***", 2) // offered and answered
			carol.do("hangup", "")
			s.eventually(func() bool { return lin.heard().hears(toneRetriever) >= 5 }, "lin's recording has carol")
			p.empty()

			carol.do("dial", uri("702", p.sip))
			p.holds("702", 1)
			lin.say(s, "call "+uri("*4702", p.sip))
			lin.expect(s, "Media streams established", 2)
			s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 10 }, "carol hears lin who has fetched her")
			p.secret(s)
			carol.do("hangup", "")
			s.eventually(func() bool { return lin.heard().hears(toneRetriever) >= 5 }, "lin's recording has carol again")
			p.empty()
		})
	}
}

// secret checks that the log has keys of SRTP, and none that can be read.
func (p *parkd) secret(s *scene) {
	s.Helper()
	out := contents(p.log)
	if !strings.Contains(out, "inline:***") {
		s.Error("the log has no keys at all")
	}
	if k := inlineKeys.FindString(out); k != "" {
		s.Error("the log has a key")
	}
}

// Lin's linphone speaks SRTP. After a kill -9 it is told a new key, hears by it whoever
// fetches, and is heard. (baresip 1.0 takes no new key within a call.)
func TestSRTPOfLinphoneAfterACrash(t *testing.T) {
	s := newScene(t, "linphonec", "baresip")
	s.shows("linphone", rekeysSRTP)
	p := s.parkd(config{media: ", srtp: required", store: "bolt"})
	lin := s.linphoneWith("lin", hostPhone, toneCaller, false, "", p.sip, linphoneSRTP)
	lin.say(s, "call "+uri("701", p.sip))
	p.holds("701", 1)
	lin.expect(s, "Media streams established", 1)
	p.crash()
	carol := s.baresip(baresipOptions{user: "carol", host: hostPhone + 1, tone: toneRetriever, srtp: "srtp-mand"})
	carol.do("dial", uri("*4701", p.sip))
	s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 30 }, "carol hears lin for a while")
	p.secret(s)
	carol.do("hangup", "")
	s.eventually(func() bool { return lin.heard().hears(toneRetriever) >= 5 }, "lin's recording has carol")
	p.empty()
}
