package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a parkd of our own.
type process struct {
	cmd *exec.Cmd
	sip string
	dir string
}

const configuration = `
log: {level: warn, format: json}
data_dir: %s
sip: {listen: ["udp://127.0.0.1:%d"]}
media: {address: 127.0.0.1, ports: 10000-32766}
admin: {listen: ""}
store: {kind: memory}
defaults: {allow_multiple: true}
orbits: [{extension: 701-799}]
`

// start runs a parkd on a free port and waits until it answers.
func start(binary string) (*process, error) {
	dir, err := os.MkdirTemp("", "parkd-bench")
	if err != nil {
		return nil, err
	}
	probe, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := probe.LocalAddr().(*net.UDPAddr).Port
	probe.Close()
	file := filepath.Join(dir, "parkd.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, filepath.Join(dir, "data"), port), 0o600); err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(binary, "serve", "-c", file), sip: "127.0.0.1:" + strconv.Itoa(port), dir: dir}
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
	p.cmd.Process.Signal(syscall.SIGKILL) // nobody waits for thousands of BYEs here
	p.cmd.Wait()
	os.RemoveAll(p.dir)
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

// sinks receive music as phones would: one socket each, emptied by one
// goroutine that only counts.
type sinks struct {
	conns []*net.UDPConn
	ports []int
	epoll int
	count atomic.Int64
	done  chan struct{}
	ended chan struct{}
}

func openSinks(n int) (*sinks, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	s := &sinks{epoll: epoll, done: make(chan struct{}), ended: make(chan struct{})}
	for range n {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		raw, err := c.SyscallConn()
		if err != nil {
			return nil, err
		}
		raw.Control(func(fd uintptr) {
			err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)})
		})
		if err != nil {
			return nil, err
		}
		s.conns = append(s.conns, c)
		s.ports = append(s.ports, c.LocalAddr().(*net.UDPAddr).Port)
	}
	go s.drain()
	return s, nil
}

func (s *sinks) drain() {
	defer close(s.ended)
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 2048)
	for {
		select {
		case <-s.done:
			return
		default:
		}
		n, err := unix.EpollWait(s.epoll, events, 100)
		if err != nil {
			continue
		}
		for _, e := range events[:max(n, 0)] {
			for {
				if _, _, err := unix.Recvfrom(int(e.Fd), buf, unix.MSG_DONTWAIT); err != nil {
					break
				}
				s.count.Add(1)
			}
		}
	}
}

func (s *sinks) packets() int64 { return s.count.Load() }

func (s *sinks) close() {
	close(s.done)
	<-s.ended
	unix.Close(s.epoll)
	for _, c := range s.conns {
		c.Close()
	}
}
