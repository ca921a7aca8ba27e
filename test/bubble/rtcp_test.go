package bubble

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// firstPhone is where the first phone of a site is.
var firstPhone = netip.MustParseAddr("10.0.1.1")

// tapped is what goes to a phone's media: whole, as it leaves the server.
type tapped struct {
	mu      sync.Mutex // guards what follows
	music   []fakenet.Packet
	reports []fakenet.Packet
}

// tap begins to listen at a port of a phone and the one after it; the ladder goes on.
func tap(s *kit.Site, at netip.AddrPort) *tapped {
	t := &tapped{}
	s.Net.Watch(func(p fakenet.Packet, v fakenet.Verdict) {
		s.Ladder.Watch(p, v)
		t.mu.Lock()
		defer t.mu.Unlock()
		switch {
		case p.To.Addr() != at.Addr() || p.SIP() || len(p.Data) < 8:
		case p.Data[1] >= 192 && p.Data[1] <= 223:
			t.reports = append(t.reports, p)
		case p.To == at:
			t.music = append(t.music, p)
		}
	})
	return t
}

// all is what has come until now.
func (t *tapped) all() (music, reports []fakenet.Packet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.music, t.reports
}

// described parks somebody by a description of their own.
func described(p *phone.Phone, attributes string) (c *phone.Call, answer string) {
	host := firstPhone
	sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0 101\r\n"+
		"a=rtpmap:101 telephone-event/8000\r\n%s", host, host, attributes)
	c = p.Invite("701", phone.Opts{Headers: []string{"Content-Type: application/sdp"}, Body: sdp})
	answer = c.Expect(200).Body
	c.Ack()
	return c, answer
}

// A phone gets packets as long as it asks for, and no longer than it can take.
func TestPacketsAreAsLongAsAsked(t *testing.T) {
	for _, c := range []struct {
		attributes string
		ptime      int
	}{
		{"", 20}, {"a=ptime:10\r\n", 10}, {"a=ptime:20\r\n", 20}, {"a=ptime:30\r\n", 30}, {"a=ptime:40\r\n", 40},
		{"a=ptime:50\r\n", 50}, {"a=ptime:60\r\n", 60}, {"a=ptime:60\r\na=maxptime:30\r\n", 30}, {"a=maxptime:10\r\n", 10},
		{"a=ptime:120\r\n", 60}, {"a=ptime:5\r\n", 10},
	} {
		t.Run(strings.ReplaceAll(strings.TrimSpace(c.attributes), "\r\n", " "), func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice := s.Phone("alice")
				heard := tap(s, netip.AddrPortFrom(firstPhone, 5000))
				call, _ := described(alice, c.attributes)
				s.Wait(3 * time.Second)
				call.Hangup()
				music, _ := heard.all()
				var before rtp.Packet
				for i, p := range music {
					var pkt rtp.Packet
					if err := pkt.Unmarshal(p.Data); err != nil {
						s.T.Fatal(err)
					}
					if len(pkt.Payload) != 8*c.ptime || pkt.Marker != (i == 0) {
						s.T.Fatalf("packet %d: %v with %d octets", i, pkt.Header, len(pkt.Payload))
					}
					if i > 0 && (p.At.Sub(music[i-1].At) != time.Duration(c.ptime)*time.Millisecond ||
						pkt.Timestamp-before.Timestamp != uint32(8*c.ptime) || pkt.SequenceNumber != before.SequenceNumber+1 || pkt.SSRC != before.SSRC) {
						s.T.Fatalf("packet %d: %v after %v", i, pkt.Header, before.Header)
					}
					before = pkt
				}
				if n := len(music); n < 3000/c.ptime-1 || n > 3000/c.ptime+3 {
					s.T.Errorf("%d packets", n)
				}
			})
		})
	}
}

// Whoever multiplexes gets reports where music goes; everybody else is told of a port
// that all calls share, and gets them from there. They go on after a restart, of the
// same stream under the same name, and end with a BYE.
func TestReportsOfAParkedCall(t *testing.T) {
	for name, c := range map[string]struct {
		attributes, said string
		from, to         uint16 // ports
	}{
		"mux":    {"a=rtcp-mux\r\n", "a=rtcp-mux", 0, 5000},
		"apart":  {"", "a=rtcp:10001", 10001, 5001},
		"a port": {"a=rtcp:6789\r\n", "a=rtcp:10001", 10001, 6789},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit.RunCut(t, kit.Plan{}, func(s *kit.Site) {
				alice := s.Phone("alice")
				heard := tap(s, netip.AddrPortFrom(firstPhone, 5000))
				call, answer := described(alice, c.attributes)
				if !strings.Contains(answer, "\r\n"+c.said+"\r\n") || strings.Count(answer, "a=rtcp") != 1 {
					s.T.Errorf("answered\n%s", answer)
				}
				from := c.from
				if from == 0 {
					from = s.MediaPorts()[0].Port()
				}
				s.Wait(30 * time.Second)
				_, before := heard.all()
				lives := len(before)
				s.Crash(time.Second)
				s.Wait(30 * time.Second)
				call.Hangup()
				_, reports := heard.all()
				if lives < 5 || len(reports) < lives+5 {
					s.T.Errorf("%d reports, then %d", lives, len(reports)-lives)
				}
				name, sent := "", uint32(0)
				for i, p := range reports {
					list, err := rtcp.Unmarshal(p.Data)
					if err != nil {
						s.T.Fatal(err)
					}
					sr, ok := list[0].(*rtcp.SenderReport)
					if !ok || p.From.Port() != from || p.To.Port() != c.to {
						s.T.Fatalf("report %d from %v to %v: %v", i, p.From, p.To, list)
					}
					text := list[1].(*rtcp.SourceDescription).Chunks[0].Items[0].Text
					if i > 0 && (text != name || sr.PacketCount < sent) {
						s.T.Errorf("report %d of %q: %d packets after %d of %q", i, text, sr.PacketCount, sent, name)
					}
					name, sent = text, sr.PacketCount
					if bye := len(list) == 3; bye != (i == len(reports)-1) {
						s.T.Errorf("report %d says %v", i, list)
					}
				}
			})
		})
	}
}

// A phone that wants no RTCP (RFC 3556) gets none, be it multiplexed or not.
func TestNoReportsWhereNoneAreWanted(t *testing.T) {
	for name, more := range map[string]string{"apart": "", "mux": "a=rtcp-mux\r\n"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice := s.Phone("alice")
				heard := tap(s, netip.AddrPortFrom(firstPhone, 5000))
				call, answer := described(alice, "b=RS:0\r\nb=RR:0\r\n"+more)
				if !strings.Contains(answer, "\r\nb=RS:0\r\nb=RR:0\r\n") {
					s.T.Errorf("answered\n%s", answer)
				}
				s.Wait(30 * time.Second)
				call.Hangup()
				if music, reports := heard.all(); len(reports) > 0 || len(music) < 1000 {
					s.T.Errorf("%d reports beside %d packets of music", len(reports), len(music))
				}
			})
		})
	}
}

// The port that calls share for RTCP has become another program's while there was no
// server: whoever sends to it is told of another one, by re-INVITE. Who multiplexes has
// nothing to learn.
func TestReportsAtAnotherPortAfterARestart(t *testing.T) {
	for name, c := range map[string]struct {
		attributes string
		told       int // re-INVITEs
	}{
		"mux": {"a=rtcp-mux\r\n", 0}, "apart": {"", 1}, "none wanted": {"b=RS:0\r\nb=RR:0\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit.RunCut(t, kit.Plan{}, func(s *kit.Site) {
				alice := s.Phone("alice")
				heard := tap(s, netip.AddrPortFrom(firstPhone, 5000))
				call, _ := described(alice, c.attributes)
				s.Wait(10 * time.Second)
				var other *fakenet.Conn
				s.CrashAnd(time.Second, func() {
					var err error
					other, err = s.Net.Listen(netip.AddrPortFrom(kit.Server.Addr(), 10001))
					if err != nil {
						s.T.Fatal(err)
					}
				})
				_, reports := heard.all()
				before := len(reports)
				s.Wait(20 * time.Second)
				again := call.Got("INVITE")
				if len(again) != c.told {
					s.T.Errorf("%d re-INVITEs", len(again))
				}
				for _, m := range again {
					if !strings.Contains(m.Body, "\r\na=rtcp:10003\r\n") {
						s.T.Errorf("told\n%s", m.Body)
					}
				}
				_, reports = heard.all()
				_ = other.Close()
				for _, r := range reports[before:] {
					if from := r.From.Port(); c.told > 0 && from != 10003 {
						s.T.Errorf("a report from %d", from)
					}
				}
				call.Hangup()
			})
		})
	}
}
