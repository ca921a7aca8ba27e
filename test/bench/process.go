//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a parkd of our own; SIP on UDP and HTTP on TCP share a port number.
type process struct {
	cmd *exec.Cmd
	sip string
	dir string
}

// freePort finds a port number that is free for UDP and TCP.
func freePort() (port int, err error) {
	for range 100 { // what is free for one may be a sink's
		if port, err = freeBoth(); err == nil {
			return port, nil
		}
	}
	return 0, err
}

func freeBoth() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return 0, err
	}
	return port, u.Close()
}

// sent is how many RTP packets parkd has sent, by its own count.
func (p *process) sent() (int64, error) {
	n, err := p.metric(`parkd_rtp_packets_total{direction="out"} `)
	return int64(n), err
}

// metric reads one figure by the beginning of its line.
func (p *process) metric(name string) (float64, error) {
	res, err := http.Get("http://" + p.sip + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		if n, ok := strings.CutPrefix(s.Text(), name); ok {
			return strconv.ParseFloat(n, 64)
		}
	}
	return 0, fmt.Errorf("no %sin the metrics", name)
}

const configuration = `
log: {level: error, format: json}
data_dir: %s
sip: {listen: ["udp://127.0.0.1:%d"]}
media: {address: 127.0.0.1, ports: 10000-32766}
admin: {listen: "127.0.0.1:%d"}
store: {kind: %s}
defaults: {allow_multiple: true, timeout: {enabled: false}}
orbits: [{extension: 701-799}]
lists: [{name: hall, orbits: [701-798]}]
`

// start runs a parkd without a disk on a free port and waits until it answers.
func start(binary string) (*process, error) { return startKind(binary, "memory", "") }

// startKind is start with a journal of that kind, in a new folder of a folder
// ("": where temporary files go), and more in its environment.
func startKind(binary, kind, where string, env ...string) (*process, error) {
	dir, err := os.MkdirTemp(where, "parkd-bench")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "parkd.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, filepath.Join(dir, "data"), port, port, kind), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "-c", file)
	cmd.Env = append(os.Environ(), env...)
	return launch(dir, port, cmd)
}

// bare runs a user agent server over sipgo that answers INVITE and BYE and
// does nothing else: what SIP itself costs here.
func bare() (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return launch("", port, exec.Command(self, "uas", "127.0.0.1:"+strconv.Itoa(port)))
}

func launch(dir string, port int, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, sip: "127.0.0.1:" + strconv.Itoa(port), dir: dir}
	p.cmd.Stdout, p.cmd.Stderr = os.Stderr, os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.answers(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// answers waits for parkd by asking it.
func (p *process) answers() error {
	conn, err := net.Dial("udp", p.sip)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 2048)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		fmt.Fprintf(conn, "OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d\r\nFrom: <sip:b@b>;tag=1\r\nTo: <sip:%s>\r\n"+
			"Call-ID: ready-%d\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
			p.sip, conn.LocalAddr(), time.Now().UnixNano(), p.sip, time.Now().UnixNano())
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := conn.Read(buf); err == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 200") {
			return nil
		}
	}
	return errors.New("parkd does not answer")
}

func (p *process) stop() {
	p.kill() // nobody waits for thousands of BYEs here
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
}

func (p *process) kill() {
	p.cmd.Process.Signal(syscall.SIGKILL)
	p.cmd.Wait()
}

// cpu is the CPU time of all threads so far.
func (p *process) cpu() time.Duration {
	// The kernel's CPU clock of a process, clock_getcpuclockid(3): ~pid<<3|2.
	id := int32(^p.cmd.Process.Pid)<<3 | 2
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// memory is the resident set in bytes.
func (p *process) memory() int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
