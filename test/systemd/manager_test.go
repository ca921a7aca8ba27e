//go:build linux

package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// watchdog is the interval in which parkd has to give a sign of life.
const watchdog = 2 * time.Second

// A unit is parkd as a service: what outlives its processes, and the process.
type unit struct {
	*testing.T
	dir    string
	notify *net.UnixConn
	said   chan string // notifications, as they come
	udp    *net.UDPConn
	tcp    *net.TCPListener
	files  []*os.File // passed to each process
	names  []string
	file   string // configuration
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended; err is valid then
	err    error
}

// newUnit opens the sockets of a service; start runs it. The configuration is YAML
// beside what every test needs.
func newUnit(t *testing.T, more string) *unit {
	t.Helper()
	t.Parallel()
	u := &unit{T: t, dir: t.TempDir(), said: make(chan string, 1000)}
	u.file = filepath.Join(u.dir, "parkd.yaml")
	var err error
	if u.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(u.dir, "notify"), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	go u.hear()
	t.Cleanup(func() { u.notify.Close() })
	if u.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	u.pass("sip", u.udp)
	u.tcp = u.listen("sip")
	u.configure(more)
	t.Cleanup(u.end)
	return u
}

// listen opens one more TCP socket that the service gets.
func (u *unit) listen(name string) *net.TCPListener {
	u.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		u.Fatal(err)
	}
	u.pass(name, l)
	return l
}

func (u *unit) pass(name string, s interface {
	io.Closer
	File() (*os.File, error)
}) {
	u.Helper()
	u.Cleanup(func() { s.Close() })
	f, err := s.File()
	if err != nil {
		u.Fatal(err)
	}
	u.Cleanup(func() { f.Close() })
	u.files, u.names = append(u.files, f), append(u.names, name)
}

// configure writes the configuration, without data_dir: that is the state
// directory's.
func (u *unit) configure(more string) {
	u.Helper()
	text := fmt.Sprintf("log: {format: json}\nsip: {listen: [\"udp://%s\", \"tcp://%s\"]}\nmedia: {ports: 10000-14999}\n%s\n",
		u.udp.LocalAddr(), u.tcp.Addr(), more)
	if err := os.WriteFile(u.file, []byte(text), 0o600); err != nil {
		u.Fatal(err)
	}
}

const noAdmin = `admin: {listen: ""}`

// start runs a process and waits until it says that it is ready. LISTEN_PID is
// its own, which only a shell knows before the program begins.
func (u *unit) start() {
	u.Helper()
	u.forget()
	script := `export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$0" serve -c "$1"`
	u.cmd = exec.Command("/bin/sh", "-c", script, binary, u.file)
	u.cmd.Dir = u.dir
	u.cmd.Env = append(os.Environ(),
		"NOTIFY_SOCKET="+u.notify.LocalAddr().String(), "STATE_DIRECTORY="+filepath.Join(u.dir, "state"),
		"LISTEN_FDS="+strconv.Itoa(len(u.files)), "LISTEN_FDNAMES="+strings.Join(u.names, ":"),
		"WATCHDOG_USEC="+strconv.FormatInt(watchdog.Microseconds(), 10))
	u.cmd.ExtraFiles = u.files
	out, err := os.OpenFile(u.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		u.Fatal(err)
	}
	defer out.Close()
	u.cmd.Stdout, u.cmd.Stderr = out, out
	if err := u.cmd.Start(); err != nil {
		u.cmd = nil
		u.Fatal(err)
	}
	u.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		u.err = cmd.Wait()
		close(ended)
	}(u.cmd, u.ended)
	u.expect("READY=1")
}

func (u *unit) logFile() string { return filepath.Join(u.dir, "log") }

// log is what all processes have logged.
func (u *unit) log() string {
	b, err := os.ReadFile(u.logFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		u.Fatal(err)
	}
	return string(b)
}

// logged tells whether there is a line of a level with a text in it.
func (u *unit) logged(level, text string) bool {
	for line := range strings.Lines(u.log()) {
		if strings.Contains(line, `"level":"`+level+`"`) && strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// hear takes notifications until the socket is closed: the kernel holds ten
// of them, and then whoever sends one waits.
func (u *unit) hear() {
	b := make([]byte, 4096)
	for {
		n, err := u.notify.Read(b)
		if err != nil {
			return
		}
		u.said <- string(b[:n])
	}
}

// next is the next notification, its assignments one a line. When ended is closed
// it can only be on its way.
func (u *unit) next(ended <-chan struct{}) string {
	u.Helper()
	limit := time.After(patience)
	for {
		select {
		case said := <-u.said:
			return said
		case <-ended:
			ended, limit = nil, time.After(time.Second)
		case <-limit:
			u.Fatal("no notification")
		}
	}
}

// expect waits for a notification, past signs of life and status lines, and
// returns its assignments.
func (u *unit) expect(first string) []string {
	u.Helper()
	for {
		lines := strings.Split(strings.TrimSpace(u.next(u.ended)), "\n")
		switch name, _, _ := strings.Cut(lines[0], "="); {
		case strings.HasPrefix(lines[0], first):
			return lines
		case name != "WATCHDOG" && name != "STATUS":
			u.Fatalf("parkd says %q, want %s", lines, first)
		}
	}
}

func (u *unit) signal(s os.Signal) {
	u.Helper()
	if err := u.cmd.Process.Signal(s); err != nil {
		u.Fatal(err)
	}
}

// exit waits for the process to end and wants it to have ended well.
func (u *unit) exit() {
	u.Helper()
	select {
	case <-u.ended:
		if u.err != nil {
			u.Errorf("parkd ends with %v", u.err)
		}
		u.cmd = nil
	case <-time.After(patience):
		u.Fatal("parkd does not end")
	}
}

// kill ends the process at once.
func (u *unit) kill() {
	u.Helper()
	u.signal(syscall.SIGKILL)
	<-u.ended
	u.cmd = nil
}

// forget drops what ended processes have said: all that comes before a notification
// of the test's own.
func (u *unit) forget() {
	u.Helper()
	conn, err := net.Dial("unixgram", u.notify.LocalAddr().String())
	if err != nil {
		u.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("FORGET")); err != nil {
		u.Fatal(err)
	}
	for u.next(nil) != "FORGET" {
	}
}

func (u *unit) end() {
	if u.cmd != nil {
		_ = u.cmd.Process.Kill() // it may have ended by itself
		<-u.ended
	}
	if u.Failed() {
		u.Logf("parkd:\n%s", tail(u.log(), 40))
	}
}

func tail(text string, lines int) string {
	all := bytes.Split([]byte(text), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
