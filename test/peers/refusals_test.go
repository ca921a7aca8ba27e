//go:build unix

package peers

import (
	"fmt"
	"strings"
	"testing"
)

// refused is the data of testdata/refused.xml.
type refused struct {
	Method, URI string
	Headers     []string
	Formats     string // of the audio offered; "" = no body
	Code        string
	Header      string // that the answer must carry
}

func TestRefusalsBeforeAnyAnswer(t *testing.T) {
	for i, c := range []struct {
		name     string
		user     string // that is asked for
		occupied bool   // 701 holds a call
		refused
	}{
		{"unknown orbit", "799", false, refused{Method: "INVITE", Formats: "0", Code: "404"}},
		{"nothing to retrieve", "*4702", false, refused{Method: "INVITE", Formats: "0", Code: "404"}},
		{"full", "701", true, refused{Method: "INVITE", Formats: "0", Code: "486"}},
		{"full for a transfer", "701", true, refused{Method: "INVITE", Formats: "0", Code: "486", Headers: []string{"Referred-By: <sip:bob@127.0.0.1>"}}},
		{"Replaces of nothing", "701", true, refused{Method: "INVITE", Formats: "0", Code: "481", Headers: []string{"Replaces: nothing@nowhere;to-tag=a;from-tag=b"}}},
		{"no common codec", "701", false, refused{Method: "INVITE", Formats: "18", Code: "488", Header: "Warning"}},
		{"unknown option", "701", false, refused{Method: "INVITE", Formats: "0", Code: "420", Header: "Unsupported", Headers: []string{"Require: telepathy"}}},
		{"unknown event", "701", false, refused{Method: "SUBSCRIBE", Code: "489", Header: "Allow-Events", Headers: []string{"Event: weather", "Expires: 600"}}},
		{"too short a subscription", "701", false, refused{Method: "SUBSCRIBE", Code: "423", Header: "Min-Expires", Headers: []string{"Event: dialog", "Expires: 1"}}},
		{"lamp of an unknown orbit", "799", false, refused{Method: "SUBSCRIBE", Code: "404", Headers: []string{"Event: dialog", "Expires: 600"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, "sipp", "baresip")
			s.shows("sipp", isRefused)
			p := s.parkd(config{})
			held := 0
			if c.occupied {
				held = 1
				a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneCaller})
				a.do("dial", uri("701", p.sip))
				p.holds("701", 1)
			}
			c.refused.URI = uri(c.user, p.sip)
			s.sipp(sippOptions{name: fmt.Sprint("refused", i), scenario: "refused", host: hostPhone, to: p.sip, data: c.refused}).passes()
			p.holds("701", held)
		})
	}
}

// From an address that is not trusted everyone is asked for a password. Twinkle
// knows MD5 only and picks it from the two challenges.
func TestPasswordForUntrustedAddresses(t *testing.T) {
	s := newScene(t, "sipp", "twinkle-console")
	s.shows("twinkle", authenticates, hearsMusic)
	p := s.parkd(config{access: "{trusted: [\"::1/128\"], realm: parkd, users: [{username: tina, password: secret}, {username: mallory, password: other}]}"})
	ask := refused{Method: "INVITE", URI: uri("701", p.sip), Formats: "0", Code: "401", Header: "WWW-Authenticate"}
	s.sipp(sippOptions{name: "invite", scenario: "refused", host: hostPhone, to: p.sip, data: ask}).passes()
	ask = refused{Method: "SUBSCRIBE", URI: ask.URI, Code: "401", Header: "WWW-Authenticate", Headers: []string{"Event: dialog", "Expires: 600"}}
	s.sipp(sippOptions{name: "subscribe", scenario: "refused", host: hostPhone, to: p.sip, data: ask}).passes()
	mallory := s.twinkle("mallory", toneOther, "", "wrong")
	mallory.say(s, "call "+uri("701", p.sip))
	mallory.expect(s, "401", 1)
	p.holds("701", 0)
	tina := s.twinkle("tina", toneCaller, "", "secret")
	tina.say(s, "call "+uri("701", p.sip))
	p.holds("701", 1)
	s.eventually(func() bool { return tina.heard().hearsMusic() }, "tina hears music")
	tina.say(s, "bye")
	p.empty()
}

// A phone that watches 701 is told by its user's colleague
// to go there (Referred-By) while another call is parked: that is no press.
func TestWatcherTransferredToAnOccupiedOrbit(t *testing.T) {
	s := newScene(t, "sipp", "baresip")
	p := s.parkd(config{})
	d := dialects[0]
	data := d.phone(p.sip)
	data.CallerXML = "sip:ann@"
	data.Press = press{
		URI: uri("701", p.sip), User: "701", Refused: "486",
		Headers: []string{"Referred-By: <" + uri("bob", p.sip) + ">"},
	}
	key := s.sipp(sippOptions{name: "phone", scenario: "phone", host: hostPhone, to: p.sip, data: data})
	key.step("watching")
	a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneCaller})
	a.do("dial", uri("701", p.sip))
	key.step("refused")
	key.passes()
	if o := p.holds("701", 1); o.Calls[0].State != "parked" {
		t.Errorf("the call that was parked is now %s", o.Calls[0].State)
	}
	s.eventually(func() bool { return a.heard().hearsMusic() }, "the parked caller still hears music")
	if n := a.count("CALL_CLOSED"); n != 0 {
		t.Errorf("the parked caller was cut off")
	}
}

// race is the data of testdata/race.xml.
type race struct {
	URI     string
	Headers []string
}

// twoPress lets two phones press at the same instant, in one way.
func twoPress(t *testing.T, how func(p *parkd, lit string) race) {
	s := newScene(t, "sipp", "baresip")
	s.shows("sipp", pressesAtOnce)
	p := s.parkd(config{})
	listener := s.sipp(sippOptions{name: "notified", scenario: "notified", host: hostPhone, args: []string{"-aa"}})
	watcher := s.sipp(sippOptions{name: "subscribe", scenario: "subscribe", host: hostPhone, port: 5062, to: p.sip, data: subscribe{uri("701", p.sip), sipPort}})
	watcher.step("watching")
	listener.step("dark")
	a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneCaller})
	a.do("dial", uri("701", p.sip))
	listener.step("lit")
	racers := s.sipp(sippOptions{
		name: "racers", scenario: "race", host: hostPhone + 2, to: p.sip,
		args: []string{"-m", "2", "-l", "2", "-r", "1000"},
		data: how(p, strings.TrimPrefix(listener.value("lit"), "lit ")),
	})
	racers.step("won")
	racers.step("lost")
	p.holds("701", 0) // and the loser is not parked
	listener.step("off")
	a.do("hangup", "")
	racers.passes()
	if w, l := strings.Count(contents(racers.logs), "won"), strings.Count(contents(racers.logs), "lost"); w != 1 || l != 1 {
		t.Errorf("%d won and %d lost", w, l)
	}
	p.empty()
}

func TestTwoPressAtOnceWithReplaces(t *testing.T) {
	twoPress(t, func(p *parkd, lit string) race {
		return race{URI: uri("701", p.sip), Headers: []string{"Replaces: " + lit, "Require: replaces"}}
	})
}

func TestTwoPressAtOnceWithACode(t *testing.T) {
	twoPress(t, func(p *parkd, _ string) race { return race{URI: uri("*4701", p.sip)} })
}

// subscribe is the data of testdata/subscribe.xml.
type subscribe struct {
	URI  string
	Port int // of the Contact
}

func TestContactPortDiffersFromSourcePort(t *testing.T) {
	s := newScene(t, "sipp", "baresip")
	s.shows("sipp", otherPort)
	p := s.parkd(config{})
	listener := s.sipp(sippOptions{name: "notified", scenario: "notified", host: hostPhone, port: 5070, args: []string{"-aa"}})
	s.sipp(sippOptions{
		name: "subscribe", scenario: "subscribe", host: hostPhone, port: 50933, to: p.sip,
		data: subscribe{uri("701", p.sip), 5070},
	}).passes()
	listener.step("dark")
	a := s.baresip(baresipOptions{user: "ann", host: hostPhone + 1, tone: toneCaller})
	a.do("dial", uri("701", p.sip))
	listener.step("lit")
	a.do("hangup", "")
	listener.step("off")
	listener.passes()
}
