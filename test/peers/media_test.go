//go:build unix

package peers

import "testing"

// Tina puts the orbit on hold and comes back: silence, then music again.
func TestParkedCallerHoldsAndResumes(t *testing.T) {
	s := newScene(t, "linphonec", "twinkle-console")
	s.shows("twinkle", holdsWhileParked)
	p := s.parkd(config{})
	_, tina := s.parkTina(p, p.sip, "", "rfc2833")
	s.eventually(func() bool { return tina.heard().hearsMusic() }, "tina hears music")
	tina.say(s, "hold")
	p.expect(s, "a=sendonly", 1)
	p.expect(s, "a=recvonly", 1) // the answer: RFC 3264 6.1
	tina.expect(s, "re-INVITE successful", 1)
	before := tina.heard().music().seconds()
	tina.say(s, "retrieve")
	s.eventually(func() bool { return tina.heard().music().seconds() >= before+1.5 }, "tina hears music again")
	if o := p.holds("701", 1); o.Calls[0].State != "parked" {
		t.Errorf("the call is %s", o.Calls[0].State)
	}
	tina.say(s, "bye")
	p.empty()
}

// Two callers wait in one orbit, each with music of their own. They are fetched
// in the order in which they came, and never hear each other.
func TestTwoCallersInOneOrbit(t *testing.T) {
	s := newScene(t, "baresip")
	s.shows("baresip", queues)
	p := s.parkd(config{defaults: "{allow_multiple: true}"})
	first := s.baresip(baresipOptions{user: "ann", host: hostPhone, tone: toneCaller})
	second := s.baresip(baresipOptions{user: "eve", host: hostPhone + 1, tone: toneOther})
	first.do("dial", uri("701", p.sip))
	p.holds("701", 1)
	second.do("dial", uri("701", p.sip))
	p.holds("701", 2)
	s.eventually(func() bool { return first.heard().hearsMusic() && second.heard().hearsMusic() }, "both hear music")
	carol := s.fetch("701", p.sip, "")
	s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears the first")
	s.eventually(func() bool { return first.heard().hears(toneRetriever) >= 5 }, "the first hears carol")
	dan := s.baresip(baresipOptions{user: "dan", host: hostPhone + 6, tone: toneParker})
	dan.do("dial", uri("*4701", p.sip))
	s.eventually(func() bool { return dan.heard().hears(toneOther) >= 5 }, "dan hears the second")
	s.eventually(func() bool { return second.heard().hears(toneParker) >= 5 }, "the second hears dan")
	if first.heard().hears(toneOther)+second.heard().hears(toneCaller)+carol.heard().hears(toneOther)+dan.heard().hears(toneCaller) > 0 {
		t.Error("somebody hears a stranger")
	}
	carol.do("hangup", "")
	second.do("hangup", "")
	dan.expectEvent("CALL_CLOSED", 1)
	p.empty()
}

// A caller who speaks G.722 only is fetched by a phone that speaks A-law only.
func TestTranscoding(t *testing.T) {
	s := newScene(t, "baresip")
	s.shows("baresip", transcodes, hearsMusic)
	p := s.withTune(config{})
	a := s.baresip(baresipOptions{user: "ann", host: hostPhone, tone: toneCaller, codec: g722})
	a.do("dial", uri("702", p.sip))
	if c := p.holds("702", 1).Calls[0].Codec; c != "G722" {
		t.Errorf("codec %q", c)
	}
	s.eventually(func() bool { return a.heard().hears(tune...) >= 10 }, "ann hears music in G.722")
	carol := s.baresip(baresipOptions{user: "carol", host: hostPhone + 1, tone: toneRetriever, codec: "PCMA/8000/1"})
	carol.do("dial", uri("*4702", p.sip))
	s.eventually(func() bool { return a.heard().hears(toneRetriever) >= 5 }, "ann hears carol")
	s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears ann")
	a.do("hangup", "")
	carol.expectEvent("CALL_CLOSED", 1)
	p.empty()
}

// A gateway sends its voice from another port than the one it listens at.
func TestAsymmetricRTPHearsMusicWhereItsSDPSays(t *testing.T) {
	s := newScene(t, "sipp", "baresip")
	s.shows("sipp", asymmetric, hearsMusic)
	p := s.withTune(config{})
	peer, from := s.rtpPeer(hostPhone)
	data := ann("702", p.sip, "")
	data.Media = peer.port
	x := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone, to: p.sip, data: data})
	x.step("parked")
	s.eventually(func() bool { return peer.heard().hears(tune...) >= 5 }, "it hears music before it talks")
	s.talk(from, x.sendsTo(), toneCaller)
	s.eventually(func() bool { return peer.heard().hears(tune...) >= 30 }, "it hears music while it talks")
	if n := peer.strayed(); n > 10 {
		t.Errorf("%d packets came to the port that only sends", n)
	}
	carol := s.fetch("702", p.sip, "")
	s.eventually(func() bool { return carol.heard().hears(toneCaller) >= 5 }, "carol hears the gateway")
	s.eventually(func() bool { return peer.heard().hears(toneRetriever) >= 5 }, "the gateway hears carol")
	carol.do("hangup", "")
	x.passes()
}
