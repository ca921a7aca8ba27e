//go:build unix

package peers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every single wait for a foreign program or for parkd.
const patience = 45 * time.Second

// sipPort is where everyone listens for SIP by UDP and TCP, sipsPort by TLS: not
// at the usual 5060, which a parkd or phone that runs on the same machine holds
// on every address.
const (
	sipPort  = 5066
	sipsPort = sipPort + 1
)

// Hosts of a scene's /24.
const (
	hostParkd = 10
	hostProxy = 20
	hostPhone = 31 // the first phone; the others follow
)

var (
	sceneCount atomic.Int32 // numbers the /24 of each scene
	portCount  atomic.Int32 // numbers the port blocks for programs that bind every address
)

// A scene is one scenario's network, folder and processes.
type scene struct {
	testing.TB
	dir     string // a fresh folder for each scene: homes, configurations, logs
	net     string // "127.80.3."
	proxied bool   // there is a proxy between phones and parkd
	seeded  int64  // second in which the last Twinkle was started
}

// newScene starts a parallel scenario that needs the named programs.
func newScene(t *testing.T, programs ...string) *scene {
	t.Helper()
	if testing.Short() {
		t.Skip("foreign peers are left out by -short")
	}
	needs(t, programs...)
	needsLoopback(t)
	t.Parallel()
	n := sceneCount.Add(1)
	return &scene{TB: t, dir: t.TempDir(), net: fmt.Sprintf("127.%d.%d.", 64+os.Getpid()%128, n)}
}

// needs fails where the programs can be installed by make, and skips elsewhere.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	var missing []string
	for _, p := range programs {
		if _, err := findProgram(p); err != nil {
			missing = append(missing, p)
		}
	}
	lacks(missing)
	switch {
	case len(missing) == 0:
	case isDebian():
		t.Fatalf("not installed: %s (make test installs it)", strings.Join(missing, ", "))
	default:
		t.Skipf("left out: needs %s, which is installed on Debian and Ubuntu only", strings.Join(missing, ", "))
	}
}

// needsLoopback skips where 127.0.0.1 is the only loopback address.
func needsLoopback(t *testing.T) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.64.0.1:0")
	if err != nil {
		t.Skipf("left out: needs all of 127.0.0.0/8 as addresses, as on Linux: %v", err)
	}
	c.Close()
}

// findProgram also looks into sbin, which is not on everyone's PATH.
func findProgram(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

func isDebian() bool {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "ID" && key != "ID_LIKE" {
			continue
		}
		for word := range strings.FieldsSeq(strings.Trim(value, `"`)) {
			if word == "debian" || word == "ubuntu" {
				return true
			}
		}
	}
	return false
}

// ip is the address of a host in this scene.
func (s *scene) ip(host int) string { return s.net + fmt.Sprint(host) }

// sip is the host and port where a host of this scene listens for SIP.
func (s *scene) sip(host int) string { return fmt.Sprintf("%s:%d", s.ip(host), sipPort) }

// path is a file inside the scene's folder.
func (s *scene) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// folder makes a folder inside the scene's folder.
func (s *scene) folder(elem ...string) string {
	s.Helper()
	p := s.path(elem...)
	if err := os.MkdirAll(p, 0o755); err != nil {
		s.Fatal(err)
	}
	return p
}

// write makes a file inside the scene's folder and returns its path.
func (s *scene) write(text string, elem ...string) string {
	s.Helper()
	p := s.path(elem...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return p
}

// ports returns the first of 20 port numbers that no other peer of this run
// gets. Some programs bind every address of the machine, so an own loopback
// address does not keep them apart.
func ports() int {
	n := int(portCount.Add(1)) + os.Getpid()*13
	return 15000 + (n%800)*20
}

// eventually waits until ok is true. It looks again every few milliseconds,
// which is the only way with programs that give no sign, and fails the test
// with what (called at the end) after the patience is over.
func (s *scene) eventually(ok func() bool, what string, args ...any) {
	s.Helper()
	s.within(patience, ok, what, args...)
}

// within is eventually with a limit of its own.
func (s *scene) within(limit time.Duration, ok func() bool, what string, args ...any) {
	s.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			if ok() {
				return
			}
			s.Fatalf("not within %v: %s", limit, fmt.Sprintf(what, args...))
		}
	}
}
