//go:build unix

package peers

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const pool700 = `[{extension: "700", orbits: 701-703, message: true}]`

// Lin transfers Tina to a pool whose first orbit is taken: she is parked at the
// second one, and Lin is sent its number.
func TestPoolByLinphone(t *testing.T) {
	directAndProxied(t, []string{"baresip", "linphonec", "twinkle-console"}, func(t *testing.T, s *scene, proxied bool) {
		s.shows("linphone", takesAFreeOrbit, isSentTheOrbit)
		p := s.parkd(config{pools: pool700})
		domain, registrar := s.domain(p, proxied)
		a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneOther, registrar: registrar})
		a.do("dial", uri("701", domain))
		p.holds("701", 1)
		lin, tina := s.linTalksWithTina(registrar, "rfc2833")
		lin.say(s, "transfer 1 "+uri("700", domain))
		if c := p.holds("702", 1).Calls[0]; !strings.Contains(c.Caller.URI, "tina@") || !strings.Contains(c.ParkedBy, "sip:lin@") {
			t.Errorf("parked: %+v", c)
		}
		lin.expect(s, "is parked on 702", 1)
		tina.say(s, "bye")
		a.do("hangup", "")
		p.empty()
	})
}

// Somebody dials a pool before they transfer a call there, and hears the number
// of the orbit, word by word, and then its music. The words are the admin's own:
// each is a tone.
func TestPoolSaysWhichOrbit(t *testing.T) {
	s := newScene(t, "sipp")
	s.shows("sipp", isTold)
	words := map[string]float64{"parked-on": toneCaller, "7": toneRetriever, "0": toneParker, "1": toneOther}
	for word, tone := range words {
		if err := os.WriteFile(s.folder("parkd", "words")+"/"+word+".wav", chord(8000, 0.5, tone).wav(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := s.parkd(config{pools: pool700, media: ", announcements: " + s.path("parkd", "words")})
	peer, _ := s.rtpPeer(hostPhone)
	data := ann("700", p.sip, "")
	data.Media = peer.port
	x := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone, to: p.sip, data: data})
	x.step("parked")
	p.holds("701", 1)
	s.eventually(func() bool { return peer.heard().hearsMusic() }, "music after the words")
	heard := peer.heard()
	if got, want := heard.order(), []float64{toneCaller, toneRetriever, toneParker, toneOther}; !slices.Equal(got, want) {
		t.Errorf("heard %v, want %v", got, want)
	}
	if code := p.remove(p.orbit("701").Calls[0].ID); code != 204 && code != 200 {
		t.Errorf("the call is not dropped: %d", code)
	}
	x.passes()
	p.empty()
}

// order lists the tones in the order in which they are heard.
func (s sound) order() (list []float64) {
	for _, w := range s.windows() {
		for _, tone := range tones {
			if (sound{s.rate, w}).hears(tone) == 1 && (len(list) == 0 || list[len(list)-1] != tone) {
				list = append(list, tone)
			}
		}
	}
	return list
}
