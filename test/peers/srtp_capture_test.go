//go:build linux

package peers

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// mediaPort is where a phone that has called receives RTP.
func (p *parkd) mediaPort(s *scene, host int) int {
	s.Helper()
	said := regexp.MustCompile(`"remote":"` + regexp.QuoteMeta(s.ip(host)) + `:\d+","wire":"INVITE [^"]*m=audio (\d+) `)
	m := said.FindStringSubmatch(strings.ReplaceAll(contents(p.log), `\"`, "'"))
	if m == nil {
		s.Fatalf("no INVITE of %s with a description is in the log", s.ip(host))
	}
	port, err := strconv.Atoi(m[1])
	if err != nil {
		s.Fatal(err)
	}
	return port
}

// frames are the payloads that a phone was sent, as hexadecimal digits, cut to the 160
// octets of a frame: what SRTP adds is behind them.
func (c *capture) frames(port int) map[string]bool {
	c.s.Helper()
	set := map[string]bool{}
	for line := range strings.Lines(c.read(port, port+1, "-Y", fmt.Sprintf("udp.dstport == %d", port), "-T", "fields", "-e", "udp.payload")) {
		if line = strings.TrimSpace(line); len(line) >= 2*(12+160) {
			set[line[24:24+320]] = true
		}
	}
	return set
}

// common is how many frames are in both.
func common(a, b map[string]bool) (n int) {
	for f := range a {
		if b[f] {
			n++
		}
	}
	return n
}

// Three phones hear the same music, one of them by SRTP: on the wire its packets have
// headers that anybody reads, their numbers rise by one, and none of the sound that the
// others are sent is in them.
func TestSRTPOnTheWire(t *testing.T) {
	s := newScene(t, "baresip", "tshark")
	p := s.parkd(config{media: ", srtp: optional"})
	wire := s.captureOf("src host " + s.ip(hostParkd)) // baresip's own sound comes from 127.0.0.1, and so it is sent there
	var port [3]int
	var frames [3]map[string]bool
	for i, user := range []string{"ann", "eve", "dan"} {
		o := baresipOptions{user: user, host: hostPhone + i, tone: toneCaller}
		if user == "ann" {
			o.srtp = "srtp-mand"
		}
		b := s.baresip(o)
		b.do("dial", uri(strconv.Itoa(701+i), p.sip))
		p.holds(strconv.Itoa(701+i), 1)
		s.eventually(func() bool { return b.heard().music().seconds() >= 4 }, "%s hears four seconds of music", user)
		port[i] = p.mediaPort(s, hostPhone+i)
	}
	p.secret(s)
	wire.end(true)
	for i := range frames {
		frames[i] = wire.frames(port[i])
	}
	if same := common(frames[1], frames[2]); same < 100 {
		t.Fatalf("those who hear in the clear have %d frames in common, of %d and %d: nothing is shown", same, len(frames[1]), len(frames[2]))
	}
	if same := common(frames[0], frames[1]) + common(frames[0], frames[2]); same > 0 || len(frames[0]) < 190 {
		t.Errorf("%d of %d frames by SRTP are those in the clear", same, len(frames[0]))
	}
	for _, r := range wire.streams(port[0], port[0]+1) {
		if strings.Contains(r.row, fmt.Sprintf(" %d ", port[0])) {
			t.Log(strings.TrimSpace(r.row)) // one row until ann was heard, and one for where she is heard from
			if r.lost != 0 {
				t.Error("tshark counts losses")
			}
		}
	}
	checkHeaders(t, wire.read(port[0], port[0]+1, "-Y", fmt.Sprintf("rtp && udp.dstport == %d", port[0]),
		"-T", "fields", "-E", "separator=;", "-e", "rtp.version", "-e", "rtp.p_type", "-e", "udp.length", "-e", "rtp.ssrc", "-e", "rtp.seq"))
}

// checkHeaders checks what tshark reads of packets by SRTP. RFC 3711 3.1: the header is in
// the clear, and a tag of ten octets is behind the payload.
func checkHeaders(t *testing.T, rows string) {
	t.Helper()
	n, first, last := 0, "", 0
	for line := range strings.Lines(rows) {
		line = strings.TrimSpace(line)
		i := strings.LastIndex(line, ";")
		head := line[:i+1]
		seq, err := strconv.Atoi(line[i+1:])
		if n == 0 {
			first, last = head, seq-1
		}
		if err != nil || head != first || !strings.HasPrefix(head, fmt.Sprintf("2;0;%d;", 8+12+160+10)) || seq != (last+1)&0xFFFF {
			t.Fatalf("packet %q after %q and number %d", line, first, last)
		}
		n, last = n+1, seq
	}
	if n < 190 {
		t.Errorf("%d packets", n)
	}
}
