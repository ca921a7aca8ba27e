//go:build linux

package systemd

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childVar says what the test binary is to be, when it was started by a test.
const childVar = "SYSTEMD_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "taker":
		taker()
	case "reader":
		reader()
	default:
		goleak.VerifyTestMain(m)
	}
}

// child is the test binary as a service: its sockets are descriptors 3 and up, and
// LISTEN_PID is its own, which only a shell knows before the program begins.
func child(t *testing.T, what string, sockets []*os.File, names string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := `export LISTEN_PID=$$; exec "$0" "$@"`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", script, self}, args...)...)
	cmd.Env = append(os.Environ(), childVar+"="+what, "LISTEN_FDS="+strconv.Itoa(len(sockets)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = sockets
	cmd.Stderr = os.Stderr
	return cmd
}

// taker prints what it was passed, then what its arguments (network=address) take,
// what is left, and what a child of it would inherit. It ends when its input does.
func taker() {
	sockets, err := Listeners()
	for _, l := range sockets {
		fmt.Println("passed", l.Network, l.Name)
	}
	if err != nil {
		fmt.Println(err)
	}
	for _, arg := range os.Args[1:] {
		network, addr, _ := strings.Cut(arg, "=")
		for _, l := range sockets.Take(network, netip.MustParseAddrPort(addr)) {
			fmt.Println("took", network, l.Name)
			go serve(l)
		}
	}
	for _, l := range sockets {
		fmt.Println("left", l.Name)
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") {
			fmt.Println("inherited", v)
		}
	}
	if again, err := Listeners(); again != nil || err != nil {
		fmt.Println("passed again", again, err)
	}
	fmt.Println("end")
	bufio.NewReader(os.Stdin).ReadByte()
}

// serve says its name to whoever comes.
func serve(l Listener) {
	if l.Packet != nil {
		_, from, _ := l.Packet.ReadFrom(make([]byte, 64))
		l.Packet.WriteTo([]byte(l.Name), from)
		return
	}
	c, err := l.Stream.Accept()
	if err != nil {
		return
	}
	fmt.Fprint(c, l.Name)
	c.Close()
}

// manager is a service manager's notification socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func newManager(t *testing.T, name string) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return &manager{t: t, conn: c}
}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "notify") }

// next returns the next message, and false if there is none within the limit.
func (m *manager) next(limit time.Duration) (string, bool) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		return "", false
	}
	return string(b[:n]), true
}

// waiting counts the messages that were sent already.
func (m *manager) waiting() (n int) {
	for {
		if _, ok := m.next(50 * time.Millisecond); !ok {
			return n
		}
		n++
	}
}
