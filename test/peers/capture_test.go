//go:build linux

package peers

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// A capture is what goes to a phone, as tshark writes it down.
type capture struct {
	*proc
	s    *scene
	file string
}

// capture begins to write down what UDP goes to a host.
func (s *scene) capture(host int) *capture {
	s.Helper()
	return s.captureOf("dst host " + s.ip(host))
}

// captureOf begins to write down some of the UDP, which a filter of libpcap says.
func (s *scene) captureOf(filter string) *capture {
	s.Helper()
	home := s.folder("capture")
	c := &capture{s: s, file: home + "/wire.pcapng"}
	c.proc = s.start("tshark", home, true, "tshark", "-n", "-i", "lo", "-f", "udp and "+filter, "-w", c.file)
	s.eventually(func() bool { return c.ended() || contents(c.file) != "" }, "tshark begins to capture")
	if c.ended() {
		if os.Getuid() != 0 {
			s.Skipf("left out: tshark may capture for root only\n%s", contents(c.log))
		}
		s.Fatal("tshark does not capture")
	}
	return c
}

// read has tshark say something of what was captured, RTP and RTCP being at these ports.
func (c *capture) read(rtp, rtcp int, args ...string) string {
	c.s.Helper()
	path, err := findProgram("tshark")
	if err != nil {
		c.s.Fatal(err)
	}
	args = append([]string{"-n", "-r", c.file, "-d", fmt.Sprintf("udp.port==%d,rtp", rtp), "-d", fmt.Sprintf("udp.port==%d,rtcp", rtcp)}, args...)
	cmd := exec.Command(path, args...)
	out, err := cmd.Output()
	if err != nil {
		c.s.Fatalf("tshark %v: %v", args, err)
	}
	return string(out)
}

// streamed is a row of tshark's table of RTP streams.
type streamed struct {
	row                             string
	packets, lost                   int
	maxDelta, meanJitter, maxJitter float64 // ms
}

// streams reads the table: of each stream its SSRC, payload, packets, lost (%), three
// figures of the time between packets, three of the jitter (RFC 3550 A.8), and whether
// tshark finds a problem.
func (c *capture) streams(rtp, rtcp int) (list []streamed) {
	c.s.Helper()
	for line := range strings.Lines(c.read(rtp, rtcp, "-q", "-z", "rtp,streams")) {
		_, rest, ok := strings.Cut(line, " 0x")
		if !ok {
			continue
		}
		w, r := strings.Fields(rest), streamed{row: line}
		// The payload's name may be of several words; from its end on the columns are fixed.
		for i := range w {
			if !strings.HasPrefix(w[i], "(") || i < 3 || len(w) < i+7 {
				continue
			}
			var figures [6]float64
			var err error
			for n := range figures {
				if figures[n], err = strconv.ParseFloat(w[i+1+n], 64); err != nil {
					c.s.Fatalf("tshark's row %q: %v", line, err)
				}
			}
			if r.packets, err = strconv.Atoi(w[i-2]); err == nil {
				r.lost, err = strconv.Atoi(w[i-1])
			}
			if err != nil {
				c.s.Fatalf("tshark's row %q: %v", line, err)
			}
			r.maxDelta, r.meanJitter, r.maxJitter = figures[2], figures[4], figures[5]
			list = append(list, r)
			break
		}
	}
	return list
}

// Five seconds of a parked call on the wire, from the program as users get it: one
// stream, nothing lost, evenly spaced, and reports beside it that say so.
func TestMusicOnTheWire(t *testing.T) {
	s := newScene(t, "sipp", "tshark")
	p := s.parkd(config{})
	peer, _ := s.rtpPeer(hostPhone)
	wire := s.capture(hostPhone)
	data := ann("701", p.sip, "")
	data.Media = peer.port
	x := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone, to: p.sip, data: data})
	x.step("parked")
	s.eventually(func() bool { return peer.heard().seconds() >= 6.5 }, "six seconds of music") // the first SR comes within 3.1 s
	wire.end(true)
	list := wire.streams(peer.port, peer.port+1)
	if len(list) != 1 {
		t.Fatalf("%d streams\n%s", len(list), wire.read(peer.port, peer.port+1, "-q", "-z", "rtp,streams"))
	}
	r := list[0]
	t.Log(strings.TrimSpace(r.row))
	// A busy machine may be late now and then, and not on the whole.
	if r.packets < 250 || r.lost != 0 || r.maxDelta > 250 || r.meanJitter > 10 || r.maxJitter > 40 {
		t.Errorf("%+v", r)
	}
	if faults := strings.TrimSpace(wire.read(peer.port, peer.port+1, "-Y", "(rtp || rtcp) && (_ws.malformed || _ws.expert.severity == error || rtcp.length_check == 0)")); faults != "" {
		t.Errorf("tshark finds faulty\n%s", faults)
	}
	reports := strings.Fields(wire.read(peer.port, peer.port+1, "-Y", "rtcp", "-T", "fields", "-E", "separator=;", "-e", "rtcp.pt", "-e", "rtcp.sender.packetcount"))
	if len(reports) == 0 {
		t.Error("no RTCP")
	}
	for _, line := range reports {
		count, ok := strings.CutPrefix(line, "200,202;") // SR, SDES
		if n, err := strconv.Atoi(count); !ok || err != nil || n == 0 || n > r.packets {
			t.Errorf("report %q of %d packets", line, r.packets)
		}
	}
}
