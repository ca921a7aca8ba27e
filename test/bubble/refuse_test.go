package bubble

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/internal/store"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

func TestWhatCannotBeServedIsRefusedBeforeAnyAnswer(t *testing.T) {
	sdp := "v=0\r\no=- 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\n"
	for name, c := range map[string]struct {
		to     string
		opts   phone.Opts
		code   int
		header string // must be in the refusal
		value  string // must be in that header
	}{
		"unknown orbit":         {"799", phone.Opts{}, 404, "", ""},
		"nothing to fetch":      {"*4701", phone.Opts{}, 404, "", ""},
		"code without an orbit": {"*4799", phone.Opts{}, 404, "", ""},
		"disabled orbit":        {"702", phone.Opts{}, 404, "", ""},
		"no common codec":       {"701", phone.Opts{SDP: phone.SDP{Formats: "18 101"}}, 488, "Warning", "305"},
		"nothing to fetch and no codec": {
			"*4701", phone.Opts{SDP: phone.SDP{Formats: "18"}}, 488, "Warning", "305"},
		"video only": {"701", phone.Opts{
			Headers: []string{"Content-Type: application/sdp"}, Body: sdp + "m=video 5000 RTP/AVP 96\r\n"}, 488, "Warning", "304"},
		"secure audio only": {"701", phone.Opts{
			Headers: []string{"Content-Type: application/sdp"}, Body: sdp + "m=audio 5000 RTP/SAVP 0\r\n"}, 488, "Warning", "302"},
		"broken description": {"701", phone.Opts{
			Headers: []string{"Content-Type: application/sdp"}, Body: "v=0\r\nnonsense\r\n"}, 400, "", ""},
		"another kind of body":          {"701", phone.Opts{Headers: []string{"Content-Type: text/plain"}, Body: "hello"}, 415, "Accept", "application/sdp"},
		"Replaces of an unknown dialog": {"701", phone.Opts{Replaces: "nobody;to-tag=a;from-tag=b"}, 481, "", ""},
		"Replaces without a tag":        {"701", phone.Opts{Replaces: "nobody;to-tag=a"}, 400, "", ""},
		"two Replaces": {"701", phone.Opts{
			Replaces: "nobody;to-tag=a;from-tag=b", Headers: []string{"Replaces: other;to-tag=a;from-tag=b"}}, 400, "", ""},
		"an extension nobody knows": {"701", phone.Opts{Headers: []string{"Require: teleport"}}, 420, "Unsupported", "teleport"},
		"no hop left":               {"701", phone.Opts{Headers: []string{"Max-Forwards: 0"}}, 483, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			off := kit.Orbit("702", func(o *config.Orbit) { o.Enabled = false })
			runWith(t, off, func(s *kit.Site) {
				alice := s.Phone("alice")
				r := alice.Invite(c.to, c.opts).Expect(c.code)
				if c.header != "" && !strings.Contains(r.Get(c.header), c.value) {
					s.T.Errorf("%s: %q, want %q in it", c.header, r.Get(c.header), c.value)
				}
				if c.code == 488 && name == "no common codec" {
					s.Golden("no-codec")
				}
				if n := len(s.MediaPorts()); n != 0 {
					s.T.Errorf("%d legs", n)
				}
				free(s, alice)
			})
		})
	}
}

func TestSubscriptionsThatCannotBeServedAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		to      string
		expires int
		headers []string
		code    int
		header  string
		value   string
	}{
		"unknown orbit":    {"799", 3600, nil, 404, "", ""},
		"unknown event":    {"701", 3600, []string{"Event: weather"}, 489, "Allow-Events", "dialog, presence"},
		"too short":        {"701", 5, nil, 423, "Min-Expires", "60"},
		"unknown document": {"701", 3600, []string{"Accept: text/html"}, 406, "Accept", "application/dialog-info+xml"},
		"no presence":      {"701", 3600, []string{"Event: presence", "Accept: application/dialog-info+xml"}, 406, "Accept", "application/pidf+xml"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				r := s.Phone("bob").Watch(c.to, c.expires, c.headers...).Expect(c.code)
				if c.header != "" && !strings.Contains(r.Get(c.header), c.value) {
					s.T.Errorf("%s: %q, want %q in it", c.header, r.Get(c.header), c.value)
				}
			})
		})
	}
}

// values are those of a header, sorted.
func values(list string) []string { return slices.Sorted(strings.SplitSeq(list, ", ")) }

func TestOtherMethodsAreAnswered(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		if r := alice.Request("PUBLISH", "701", []string{"Event: presence"}, "").Expect(405); !strings.Contains(r.Get("Allow"), "INVITE") {
			s.T.Errorf("405 with Allow %q", r.Get("Allow"))
		}
		able := alice.Request("OPTIONS", "701", nil, "").Expect(200)
		if !strings.Contains(able.Get("Allow"), "SUBSCRIBE") {
			s.T.Errorf("OPTIONS answered with Allow %q", able.Get("Allow"))
		}
		alice.Request("BYE", "701", []string{"To: <sip:701@10.0.0.1>;tag=nobody"}, "").Expect(481)
		c := alice.Call("701", phone.Opts{})
		within := c.Do("OPTIONS", "").Expect(200)
		for _, header := range []string{"Allow", "Accept", "Supported"} { // RFC 3261 11.2: the same, in whatever order
			if got, want := values(within.Get(header)), values(able.Get(header)); want == nil || !slices.Equal(got, want) {
				s.T.Errorf("%s %q within a dialog, %q outside", header, got, want)
			}
		}
		c.Do("INFO", "what", "Content-Type: text/plain").Expect(415)
		c.Do("PUBLISH", "", "Event: presence").Expect(405)
		c.Hangup()
	})
}

func TestParksBeyondTheLimitAreToldToComeBackLater(t *testing.T) {
	runWith(t, func(c *config.Config) { c.Park.MaxCalls = 1 }, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		if r := bob.Invite("702", phone.Opts{}).Expect(480); r.Get("Retry-After") == "" {
			s.T.Error("480 without Retry-After")
		}
		goodbye(s, retrieve(s, bob, parked), parked)
		free(s, alice)
	})
}

// No answer is given that would have to be taken back; and a port that was just used
// is nobody's until it has rested, be there no other.
func TestWithoutAMediaPortThereIsNoAnswer(t *testing.T) {
	runWith(t, func(c *config.Config) { c.Media.Ports = config.PortRange{Low: 10000, High: 10003} }, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		direct := carol.Call("702", phone.Opts{})
		refused := func() {
			s.T.Helper()
			if r := bob.Invite("703", phone.Opts{}).Expect(480); r.Get("Retry-After") == "" {
				s.T.Error("480 without Retry-After")
			}
			if len(s.MediaPorts()) > 2 {
				s.T.Errorf("ports %v", s.MediaPorts())
			}
		}
		refused()
		direct.Hangup()
		s.Wait(time.Second)
		refused() // its port rests
		s.Wait(5 * time.Second)
		goodbye(s, retrieve(s, bob, parked), parked)
	})
}

func TestAParkThatCannotBeWrittenDownIsRefusedAndTheOthersLiveOn(t *testing.T) {
	t.Parallel()
	var disk *store.Memory
	kit.RunOn(t, nil, func() store.Store { disk = store.NewMemory(); return disk }, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		disk.Break(errors.New("no space left on device"))
		if r := carol.Invite("702", referred(bob)).Expect(480); r.Get("Retry-After") == "" {
			s.T.Error("480 without Retry-After")
		}
		fetched := retrieve(s, bob, parked)
		goodbye(s, fetched, parked)
		disk.Break(nil)
		free(s, carol)
	})
}

func TestAServerThatStopsTakesNoNewCallsAndEndsItsOwn(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		alice.Auto("BYE", 0) // keeps the server waiting
		s.Drain()
		r := bob.Invite("702", referred(alice)).Expect(480)
		if r.Get("Retry-After") == "" {
			s.T.Error("480 without Retry-After")
		}
		s.Wait(time.Second)
		parked.Late(200, "BYE")
		s.Stopped()
		s.Golden("stop")
		s.Start()
	})
}
