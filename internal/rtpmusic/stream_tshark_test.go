//go:build linux

package rtpmusic

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A stream over real sockets from its start to its BYE, as a program reads it that
// nobody here wrote: nothing is lost, nothing out of order, the jitter is that of this
// machine, and RTCP is what it should be.
func TestStreamAsTsharkReadsIt(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed; `make test` installs it with the other test peers")
	}
	e := newTestEngine(t)
	f := newPeer(t, e, loopback)
	s := f.session(addrOf(f.conn))
	s.RTCP, s.Mux = s.Remote, true
	f.port.Set(s)
	f.port.Play(newLoop(3))
	var list []captured
	reports, over, begun := 0, false, time.Now()
	for !over {
		b := make([]byte, maxDatagram)
		must(t, f.conn.SetReadDeadline(time.Now().Add(patience)))
		n, from, err := f.conn.ReadFromUDPAddrPort(b)
		must(t, err)
		list = append(list, captured{b[:n], from.Port(), time.Now()})
		if b[1] == 200 { // an SR; the last one is with the BYE
			if reports++; reports == 2 {
				f.port.Close()
			}
			over = reports == 3
		}
		if time.Since(begun) > 5*patience {
			t.Fatal("no BYE")
		}
	}
	file := captureAll(list)
	read := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(tshark, append([]string{"-r", "-", "-d", "udp.port==4000,rtp"}, args...)...)
		cmd.Stdin = bytes.NewReader(file)
		out, err := cmd.Output()
		must(t, err)
		return string(out)
	}
	streams := read("-q", "-z", "rtp,streams")
	t.Log(streams)
	var row []string
	for line := range strings.Lines(streams) {
		if fields := strings.Fields(line); len(fields) > 10 && strings.Contains(line, "0x") && row == nil {
			row = fields
		} else if strings.Contains(line, "0x") {
			t.Errorf("a second stream: %s", line)
		}
	}
	packets := len(list) - reports
	if row == nil || !strings.Contains(strings.Join(row, " "), " "+strconv.Itoa(packets)+" 0 (0.0%)") {
		t.Errorf("%d packets were sent", packets)
	}
	if got := strings.TrimSpace(read("-Y", "_ws.malformed || _ws.expert.severity == error || rtcp.length_check == 0")); got != "" {
		t.Errorf("tshark finds faulty\n%s", got)
	}
	got := strings.Fields(read("-Y", "rtcp", "-T", "fields", "-E", "separator=;", "-e", "rtcp.pt", "-e", "rtcp.sdes.type", "-e", "rtcp.sender.packetcount"))
	if len(got) != 3 {
		t.Fatalf("RTCP: %q", got)
	}
	for i, r := range got {
		want := "200,202;1,0;" // SR, SDES with a CNAME and its end
		if i == 2 {
			want = "200,202,203;1,0;"
		}
		if count, ok := strings.CutPrefix(r, want); !ok || count == "0" || i == 2 && count != strconv.Itoa(packets) {
			t.Errorf("report %d: %s, want %s and how many packets were sent", i, r, want)
		}
	}
}
